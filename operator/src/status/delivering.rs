//! Delivering: mail goes out; and if not, why, and till when.

use mailsluice_crds::{
    monitor::{HostRow, HostState, ProblemReason, Reason},
    schedule::LinkState,
};

use super::{Facts, transition::Finding};
use crate::{
    monitor::{Merged, Picture, is_suspended},
    schedule::ScheduleUse,
};

/// `None` while it cannot be told yet, so that what was known before stands.
pub(super) fn find(facts: &Facts<'_>) -> Option<Finding> {
    if let ScheduleUse::Missing(_) = facts.schedule {
        return facts.schedule_trouble().map(|(reason, message)| Finding::no(reason, message));
    }
    match facts.picture {
        Picture::Pending => {
            let known = facts.before.conditions.iter().any(|condition| condition.type_ == "Delivering");
            (!known).then(|| Finding::unknown("MonitorPending", "the pods' Monitor has not been read yet"))
        }
        Picture::Nothing if facts.wanted == 0 => Some(Finding::no(
            "ScaledToZero",
            "no pods are asked for, and mail on their claims waits; set spec.replicas",
        )),
        Picture::Nothing => Some(Finding::unknown("NoMonitor", "no pod's Monitor can be read")),
        Picture::Known(merged) => Some(of_monitor(facts, merged)),
    }
}

fn of_monitor(facts: &Facts<'_>, merged: &Merged) -> Finding {
    // A refused configuration leaves the one before it in force, what is damaged is set aside, and a bad Secret stops only what
    // needs it: all other mail goes out.
    let hinders = |reason| {
        use ProblemReason::{ConfigurationInvalid, SecretInvalid, SpoolDamaged, TokenKeysInvalid};
        !matches!(reason, ConfigurationInvalid | SpoolDamaged | SecretInvalid | TokenKeysInvalid)
    };
    if let Some(problem) = merged.problems.iter().find(|problem| hinders(problem.reason)) {
        return Finding::no(problem.reason.name(), problem.message.clone());
    }
    if merged.link.state == LinkState::Closed {
        return Finding::no("TcpScheduleClosed", link_is_down(facts, merged));
    }
    let hindered: Vec<_> = merged.rows.iter().filter(|row| is_hindered(row)).collect();
    let Some(worst) = hindered.first() else {
        return paused(merged).unwrap_or_else(|| Finding::yes("Delivering", "nothing hinders the mail"));
    };
    // Beyond the rows that a relay shows, only its counts are known.
    let count = u32::try_from(hindered.len()).unwrap_or(u32::MAX).max(beyond_rows(merged));
    let hosts = merged.queue.hosts;
    let message = format!("mail for {count} of {hosts} hosts waits; {}", about(worst));
    if count < hosts {
        return Finding::yes("HostsSuspended", message);
    }
    let all_held = hindered.iter().all(|row| row.state == HostState::Held);
    Finding::no(if all_held { "Held" } else { "HostsSuspended" }, message)
}

/// The suspended hosts, where a relay has more hosts than it shows.
fn beyond_rows(merged: &Merged) -> u32 {
    let shown = u32::try_from(merged.rows.len()).unwrap_or(u32::MAX);
    if merged.queue.hosts > shown && merged.rows.iter().all(is_hindered) { merged.queue.suspended_hosts } else { 0 }
}

/// Whether something is wrong about a host. A pause, a rate and a hold are wanted; and a host that failed last is not well because
/// it is being tried again.
pub(super) fn is_hindered(row: &HostRow) -> bool {
    match row.reason {
        Some(Reason::TcpSchedulePause | Reason::RateLimited | Reason::TcpScheduleClosed | Reason::HeldBySender) => {
            false
        }
        _ => is_suspended(row) || row.last_error.is_some(),
    }
}

/// The host, and why its mail waits.
pub(super) fn about(row: &HostRow) -> String {
    match (&row.problem, &row.last_error) {
        (Some(problem), _) => format!("{}: {problem}", row.host),
        (None, Some(error)) => format!("{}: {}: {}", row.host, error.place(), error.text),
        (None, None) => format!("{}: {}", row.host, row.reason.map_or("its mail is held", Reason::name)),
    }
}

/// The Monitor's own sentence where mail waits, and otherwise one that stays as long as the link does.
pub(super) fn link_is_down(facts: &Facts<'_>, merged: &Merged) -> String {
    let closed = |row: &&HostRow| row.reason == Some(Reason::TcpScheduleClosed);
    if let Some(sentence) = merged.rows.iter().find(closed).and_then(|row| row.problem.clone()) {
        return sentence;
    }
    let before = facts
        .before
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Delivering" && condition.reason == "TcpScheduleClosed");
    if let Some(before) = before
        && facts.before.link.as_ref() == Some(&merged.link)
    {
        return before.message.clone();
    }
    match facts.schedule {
        ScheduleUse::Known(known) => format!("TCP/IP link is down: {}", known.schedule.explain(None, facts.now)),
        _ => "TCP/IP link is down".into(),
    }
}

fn paused(merged: &Merged) -> Option<Finding> {
    let row = merged.rows.iter().find(|row| row.reason == Some(Reason::TcpSchedulePause))?;
    Some(Finding::yes("TcpSchedulePause", row.problem.clone().unwrap_or_default()))
}
