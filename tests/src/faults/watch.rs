//! The Monitor, against what a row wants to see.

use jiff::{SignedDuration, Timestamp};
use mailsluice_crds::{
    catalogue::reason::Scope,
    monitor::{Connection, HostRow, HostState, Snapshot},
    schedule::LinkState,
};

use super::{
    row::{Ending, Row, Seen, Till, Waits},
    world::RETRY,
};

/// How much later a moment may be than it should: what the relay does in between, and what a clock cuts off.
const SLACK: SignedDuration = SignedDuration::from_secs(2);

/// What was seen of a fault.
#[derive(Debug, Clone)]
pub struct Sighting {
    /// When the fault itself was, as far as the Monitor says.
    pub since: Option<Timestamp>,
    /// The state of the host, as `reason: Suspended`, or what else the Monitor shows.
    pub shown: String,
    /// The problem's sentence, or what the connection is doing.
    pub text: String,
    /// The Suspended Till.
    pub till: Option<Timestamp>,
    /// Whether more is to come: the connection hangs, and its end is waited for.
    pub more: bool,
}

/// What is seen of the row's fault now, in a snapshot of its relay; or why that is not what it should be.
///
/// # Errors
/// With what is wrong, or not there yet. `ended`: whether a connection that hangs must have come to its end.
pub fn look(row: &Row, snapshot: &Snapshot, ended: bool) -> Result<Sighting, String> {
    let host = || snapshot.monitor.iter().find(|one| one.host == row.host());
    match row.seen {
        Seen::Problem(reason, says) => {
            let problem = snapshot.problems.iter().find(|problem| problem.reason == reason);
            let problem = problem.ok_or_else(|| format!("no problem {reason:?}: {:?}", snapshot.problems))?;
            require(problem.message.contains(says), || problem.message.clone())?;
            Ok(Sighting {
                since: Some(problem.since),
                shown: format!("Problem: {}", reason.name()),
                text: problem.message.clone(),
                till: None,
                more: false,
            })
        }
        // They are in no row of the Monitor: see run.
        Seen::Returned(..) => Err("not returned yet".into()),
        Seen::Waits(waits) => waiting(row, &waits, host().ok_or("no row")?, snapshot),
        Seen::Hangs(_, Ending::Within(_, waits)) if ended => waiting(row, &waits, host().ok_or("no row")?, snapshot),
        Seen::Hangs(stage, ending) => {
            let shown = host().ok_or("no row")?;
            let [Connection { stage: found, peer, since, last_reply, .. }, ..] = shown.connections.as_slice() else {
                return Err(format!("no connection: {shown:?}"));
            };
            require(*found == stage && shown.state == HostState::Sending, || format!("{shown:?}"))?;
            let reply = last_reply
                .as_ref()
                .map_or_else(|| "nothing was said yet".to_owned(), |reply| format!("last reply: {reply}"));
            Ok(Sighting {
                since: Some(*since),
                shown: "Sending".into(),
                text: format!("{peer} in stage {stage:?} since {since:.0}, {reply}"),
                till: None,
                more: matches!(ending, Ending::Within(..)),
            })
        }
    }
}

fn waiting(row: &Row, wanted: &Waits, shown: &HostRow, snapshot: &Snapshot) -> Result<Sighting, String> {
    let all = || format!("{shown:?}");
    require(shown.reason == Some(wanted.reason), all)?;
    let problem = shown.problem.clone().ok_or_else(all)?;
    require(problem.contains(wanted.says), || format!("{problem:?} does not say {:?}", wanted.says))?;
    if let Some((code, stage)) = wanted.error {
        let error = shown.last_error.as_ref().ok_or_else(all)?;
        require(error.code.name() == code && error.stage == stage, all)?;
        let mut facts = vec![format!("{code} at {stage:?}"), "since ".into(), "next at ".into()];
        facts.push(if wanted.scope == Scope::Message { "1 attempt".into() } else { "attempt".into() });
        facts.extend(error.peer.as_ref().map(|peer| format!("with {peer}")));
        for fact in facts {
            require(problem.contains(&fact), || format!("the problem lacks {fact:?}: {problem}"))?;
        }
    }
    scope(wanted, shown, snapshot)?;
    require(wanted.reason.entry().scope.contains(&wanted.scope), || {
        format!("the catalogue knows no scope {:?} of {:?}", wanted.scope, wanted.reason)
    })?;
    till(wanted, shown, snapshot)?;
    let state = match shown.state {
        HostState::Ready => String::new(),
        state => format!(", {state:?}"),
    };
    Ok(Sighting {
        since: shown.last_error.as_ref().map(|error| error.at),
        shown: format!("{}{state}", wanted.reason.name()),
        text: problem,
        till: shown.suspended_till,
        more: false,
    })
    .inspect(|_| debug_assert_eq!(shown.host, row.host()))
}

/// What waits can be told from where the suspension stands: at the link, at addresses, at the host, or at no more than messages.
fn scope(wanted: &Waits, shown: &HostRow, snapshot: &Snapshot) -> Result<(), String> {
    let error = shown.last_error.as_ref();
    let peer = error.and_then(|error| error.peer.as_ref());
    let of_address = shown.addresses.iter().any(|one| Some(&one.address) == peer && one.reason == wanted.reason);
    let is_so = match wanted.scope {
        Scope::Everything => {
            let link_is_down = snapshot.link.state == LinkState::Closed;
            let others = snapshot.monitor.iter().filter(|other| other.connections.is_empty());
            // Whatever else waits, waits for the same.
            (link_is_down || wanted.reason.entry().scope == [Scope::Everything])
                && others.into_iter().all(|other| other.reason == Some(wanted.reason))
        }
        Scope::Address => of_address && shown.addresses.iter().all(|one| one.suspended_till >= Timestamp::UNIX_EPOCH),
        Scope::Host | Scope::Message => shown.addresses.is_empty(),
    };
    require(is_so, || format!("the scope is not {:?}: {shown:?}", wanted.scope))
}

fn till(wanted: &Waits, shown: &HostRow, snapshot: &Snapshot) -> Result<(), String> {
    let till = shown.suspended_till;
    let after = |from: Timestamp, least: u64, most: u64| {
        let (least, most) = (SignedDuration::from_secs(least as i64), SignedDuration::from_secs(most as i64));
        till.is_some_and(|till| till >= from + least && till <= from + most + SLACK)
    };
    let is_so = match wanted.till {
        Till::Retry => shown.last_error.as_ref().is_some_and(|error| after(error.at, RETRY, RETRY)),
        Till::Opens => till.is_some() && till == snapshot.link.changes_at,
        Till::Within(seconds) => after(Timestamp::now() - SLACK, 0, seconds),
        Till::Held => till.is_none() && shown.state == HostState::Held,
        Till::Absent => till.is_none(),
    };
    require(is_so, || format!("the Suspended Till is not {:?}: {shown:?}", wanted.till))
}

fn require(is_so: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(what()) }
}
