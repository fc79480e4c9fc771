//! Every change of a host's Suspended Till, as it is told: what the Monitor shows of a host differs from what was told of it
//! last, or its time has come.

use jiff::Timestamp;
use mailsluice_crds::{
    LogLevel,
    monitor::{LastError, Reason},
};

use super::{Queue, host::Host};
use crate::{
    ids::SessionId,
    log::{Log, TCP_SMTP, Tag},
};

/// Till when a host's mail waits, and why, as the Monitor shows it.
pub(super) type Wait = (Option<Timestamp>, Reason);

/// A host's Suspended Till is another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The host.
    pub host: String,
    /// Its Suspended Till; none where only a change of something ends it, or where it is not suspended.
    pub till: Option<Timestamp>,
    /// Why it is suspended; none where it is not, any more.
    pub reason: Option<Reason>,
    /// Why it has changed, in words.
    pub why: String,
}

/// What led to a change, as far as it is not in the change itself.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The session that asked, or failed.
    pub session: Option<SessionId>,
    /// The TCP Schedule that was asked.
    pub schedule: Option<String>,
    /// The rule of it that decided.
    pub rule: Option<String>,
    /// What the DNS, the network or the host said.
    pub error: Option<LastError>,
}

impl Facts {
    /// A session found the host, or all its addresses, wanting.
    #[must_use]
    pub fn failure(session: SessionId, error: &LastError) -> Facts {
        Facts { session: Some(session), error: Some(error.clone()), ..Facts::default() }
    }
}

impl Change {
    /// Writes the record of the change.
    pub(super) fn record(&self, facts: &Facts, log: &Log) {
        let record = log.at_host(LogLevel::Problems, Tag::Tcp, &self.host);
        if !record.is_shown() {
            return;
        }
        let (event, what) = match self.reason {
            Some(_) => ("HostSuspended", "the host is suspended"),
            None => ("HostReleased", "the host is not suspended any more"),
        };
        let Facts { session, schedule, rule, error } = facts;
        let record = record
            .marker(TCP_SMTP)
            .field("event", event)
            .maybe("session", *session)
            .maybe("reason", self.reason.map(Reason::name))
            .maybe("suspendedTill", self.till)
            .maybe("schedule", schedule.as_ref())
            .maybe("rule", rule.as_ref());
        let record = match error {
            Some(error) => record.error(error),
            None => record,
        };
        record.say(format_args!("{what}: {}", self.why));
    }
}

impl Queue {
    /// The changes since this was asked last, in their order.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }
}

impl Host {
    /// The change of its Suspended Till since the last one that was told, if there is one. `lifted`: what ended its suspension, where
    /// that was done on purpose.
    pub(super) fn change(&mut self, lifted: Option<&str>) -> Option<Change> {
        let wait = self.wait();
        if self.told == wait {
            return None;
        }
        self.told = wait;
        let why = match (lifted, self.problem()) {
            (Some(lifted), Some(problem)) => format!("{lifted}; {problem}"),
            (Some(lifted), None) => lifted.to_owned(),
            (None, Some(problem)) => problem,
            (None, None) if self.can_send() => "it has mail that may go now".to_owned(),
            (None, None) if self.has_mail() => "a session with it is at work".to_owned(),
            (None, None) => "no mail waits for it any more".to_owned(),
        };
        let (till, reason) = wait.map_or((None, None), |(till, reason)| (till, Some(reason)));
        Some(Change { host: self.name.clone(), till, reason, why })
    }

    /// The Suspended Till has come: that ends it, and needs no telling.
    pub(super) fn forget_told_if_over(&mut self, now: Timestamp) {
        self.told = self.told.filter(|(till, _)| till.is_none_or(|till| till > now));
    }
}
