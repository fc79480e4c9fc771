//! The queue as the Monitor shows it: one summary per host, the worst first.

use std::cmp::Reverse;

use jiff::Timestamp;
use mailsluice_crds::monitor::{HostState, LastError, Reason};

use super::{HostId, Queue, changes::Wait, host::Host};

/// One host's state, without its connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSummary {
    /// The host.
    pub id: HostId,
    /// Its name.
    pub host: String,
    /// What is done about its mail.
    pub state: HostState,
    /// Messages that wait for it or are being sent to it.
    pub messages: u64,
    /// When the oldest of them was accepted.
    pub oldest: Option<Timestamp>,
    /// Its Suspended Till.
    pub suspended_till: Option<Timestamp>,
    /// Why it waits.
    pub reason: Option<Reason>,
    /// Why it waits, in words.
    pub problem: Option<String>,
    /// When the first failure was since the host last took a message.
    pub failing_since: Option<Timestamp>,
    /// What went wrong last.
    pub last_error: Option<LastError>,
}

impl HostSummary {
    /// Why its mail waits, as its sender is told: the reason's name and the sentence of the Monitor, or the last error where there is
    /// no more to say.
    #[must_use]
    pub fn sentence(&self) -> Option<String> {
        match (self.reason, &self.problem, &self.last_error) {
            // Who holds it, and why, is not for its sender.
            (Some(Reason::Held), ..) => Some("Held: the administrator of this relay holds it".to_owned()),
            (Some(reason), Some(problem), _) => Some(format!("{}: {problem}", reason.name())),
            (_, _, Some(error)) => Some(format!("{} at {:?}: {}", error.code, error.stage, error.text)),
            _ => None,
        }
    }
}

impl Queue {
    /// The hosts that mail waits for, at most `most`, suspended and held ones first, then by their oldest message; and
    /// how many are left out.
    #[must_use]
    pub fn rows(&self, most: usize) -> (Vec<HostSummary>, usize) {
        let mut order: Vec<_> = self
            .hosts
            .iter()
            .filter(|(_, host)| host.has_mail())
            .map(|(id, host)| ((Reverse(host.waits()), host.oldest(), *id), host))
            .collect();
        let total = order.len();
        if total > most && most > 0 {
            // Only the worst need an order among themselves.
            order.select_nth_unstable_by_key(most - 1, |(key, _)| *key);
        }
        order.truncate(most);
        order.sort_unstable_by_key(|(key, _)| *key);
        let rows: Vec<_> = order.into_iter().map(|((_, _, id), host)| self.summary(id, host)).collect();
        let left_out = total - rows.len();
        (rows, left_out)
    }

    /// How many hosts are in each state: Sending, Ready, Suspended, Held.
    #[must_use]
    pub fn states(&self) -> [usize; 4] {
        let mut counts = [0; 4];
        for host in self.hosts.values().filter(|host| host.has_mail()) {
            if let Some(count) = counts.get_mut(host.state() as usize) {
                *count += 1;
            }
        }
        counts
    }

    /// Messages that nothing keeps waiting but that their turn has not come: not those of hosts that are suspended or held, nor of those that have as
    /// many sessions as they may.
    #[must_use]
    pub fn sendable(&self) -> u64 {
        let most = self.limits.connections_per_host;
        let hosts = self.hosts.values().filter(|host| !host.waits() && host.sessions < most);
        hosts.map(Host::sendable).sum()
    }

    pub(super) fn summary(&self, id: HostId, host: &Host) -> HostSummary {
        let oldest = host.oldest().and_then(|id| self.messages.get(id)).map(|message| message.received_at.timestamp());
        let wait = host.wait();
        HostSummary {
            id,
            host: host.name.clone(),
            state: host.state(),
            messages: host.messages() as u64,
            oldest,
            suspended_till: wait.and_then(|(till, _)| till),
            reason: wait.map(|(_, reason)| reason),
            problem: host.problem(),
            failing_since: host.failing_since,
            last_error: host.last_error.clone(),
        }
    }
}

impl Host {
    /// Till when its mail waits, and why: suspended as a whole, or each of its messages. None where it has no mail.
    pub(super) fn wait(&self) -> Option<Wait> {
        match &self.suspension {
            _ if self.hold.is_some() => self.has_mail().then_some((None, Reason::Held)),
            Some(held) => self.has_mail().then_some((held.till, held.reason)),
            None if self.only_stopped().is_some() => Some((None, Reason::Held)),
            None => {
                let till = self.deferred_only_till()?;
                let reason = if self.deferred_count() == 0 { Reason::HeldBySender } else { Reason::MessagesDeferred };
                Some((Some(till), reason))
            }
        }
    }

    /// The same in words.
    pub(super) fn problem(&self) -> Option<String> {
        let (_, reason) = self.wait()?;
        Some(match (&self.suspension, reason) {
            (_, Reason::Held) => self.held_by().unwrap_or_default(),
            (Some(held), _) => held.problem.clone(),
            (None, Reason::HeldBySender) => held_problem(self),
            (None, _) => deferred_problem(self),
        })
    }

    /// Whether the Monitor shows it as suspended or held: as a whole, or since each of its messages is.
    pub(super) fn waits(&self) -> bool {
        self.state() >= HostState::Suspended
    }

    fn state(&self) -> HostState {
        match &self.suspension {
            _ if self.hold.is_some() => HostState::Held,
            Some(held) if held.till.is_none() => HostState::Held,
            Some(_) => HostState::Suspended,
            None if self.only_stopped().is_some() => HostState::Held,
            // A session may still be open, with nothing to send.
            None if self.deferred_only_till().is_some() => HostState::Suspended,
            None if self.sessions > 0 => HostState::Sending,
            None => HostState::Ready,
        }
    }
}

fn held_problem(host: &Host) -> String {
    match host.held_count() {
        1 => "its sender wants 1 message held till then (FUTURERELEASE)".to_owned(),
        count => format!("their senders want {count} messages held (FUTURERELEASE), the first till then"),
    }
}

/// `451 4.7.1 at RcptTo with 192.0.2.1:25: 2 messages put off since …, next at … after 3 attempts: 451 4.7.1 greylisted`.
fn deferred_problem(host: &Host) -> String {
    let count = host.deferred_count();
    let messages = if count == 1 { "message" } else { "messages" };
    let mut facts = format!("{count} {messages} put off");
    if let Some(since) = host.failing_since {
        facts += &format!(" since {since:.0}");
    }
    match host.next_attempt() {
        Some((till, 0)) => facts += &format!(", next at {till:.0}"),
        Some((till, 1)) => facts += &format!(", next at {till:.0} after 1 attempt"),
        Some((till, attempts)) => facts += &format!(", next at {till:.0} after {attempts} attempts"),
        None => {}
    }
    if host.held_count() > 0 {
        facts += &format!("; {} more are held because their senders want it (FUTURERELEASE)", host.held_count());
    }
    match host.stopped_singly() {
        0 => {}
        1 => facts += "; 1 more is held by an administrator",
        count => facts += &format!("; {count} more are held by an administrator"),
    }
    match &host.last_error {
        Some(error) => format!("{}: {facts}: {}", error.place(), error.text),
        None => facts,
    }
}
