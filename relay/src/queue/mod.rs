//! One queue per host, in memory, over the spool: what is due when, suspensions, retry times, expiry.
//!
//! Pure: the moment is passed in, nothing here sleeps, locks or reads a disk. It holds ids and places, never a body or
//! an address: those stay in the spool.
//!
//! The way of a message through it: [`Queue::insert`] → its host is in turn ([`Queue::next_host`]) → a session takes it
//! ([`Queue::take`]) → its outcome comes back ([`Queue::settle`]): gone, or deferred till its due time. A host that
//! cannot be reached is suspended as a whole ([`Queue::suspend`]); what administrators hold is in [`Holds`].
//!
//! Every future moment is in one ordered set, one entry per host: [`Queue::advance`] touches only what is due.

mod administer;
mod arrival;
mod backoff;
mod changes;
mod clock_set;
mod etrn;
mod few;
mod holds;
mod host;
mod late;
mod messages;
mod moment;
mod ready;
mod rows;
mod shared;
mod stopped;
mod turns;

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use mailsluice_crds::monitor::{LastError, QueueTotals, Reason};

pub use administer::{Retried, Taken, WaitingMessage};
pub use arrival::{Arrival, Part};
pub use backoff::Backoff;
pub use changes::{Change, Facts};
pub use etrn::Released;
pub use few::Few;
pub use holds::Holds;
use host::Host;
pub use host::{HostId, Run, Suspension};
pub use late::{LateMessage, LatePart};
use messages::{Message, Messages};
use moment::Moment;
pub use rows::HostSummary;
pub use shared::{Idle, InHand, Next, SessionHold, SharedQueue};
use turns::Turns;

use crate::spool::{Location, MessageId, Timing, Told};

/// Indexes into an envelope's recipients: those of a message's recipients that one host is to take.
pub type Recipients = Few<u16>;

/// A message taken for delivery to one host.
#[derive(Debug, Clone)]
pub struct Work {
    /// The host.
    pub host: HostId,
    /// The message.
    pub id: MessageId,
    /// Where it is in the spool.
    pub location: Location,
    /// The recipients to deliver to.
    pub recipients: Recipients,
    /// Attempts made before this one.
    pub attempts: u32,
    /// What the sender was told of the delay.
    pub told: Told,
}

/// What became of a message at one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// Delivered or bounced for all its recipients there.
    Gone,
    /// Some recipients wait for another attempt.
    Deferred {
        /// Those recipients.
        recipients: Recipients,
        /// When it is tried again.
        till: Timestamp,
    },
    /// It was not tried at all, and waits for its turn again.
    Untried,
}

/// All waiting mail, by host.
#[derive(Debug, Default)]
pub struct Queue {
    hosts: HashMap<HostId, Host>,
    names: HashMap<String, HostId>,
    next_host_id: u64,
    messages: Messages,
    bytes: u64,
    /// When a host has to be looked at next: its Suspended Till, or its first deferred message's due time.
    wakes: BTreeSet<(Timestamp, HostId)>,
    /// Hosts that have something to send and may, in turn.
    turns: Turns,
    /// Messages whose senders are to be told of a delay as soon as they can be.
    owed: Vec<(MessageId, Told)>,
    /// Whether all mail that a restart found is in.
    complete: bool,
    /// Changes of Suspended Tills that are not told yet.
    changes: Vec<Change>,
    holds: Holds,
    limits: Limits,
}

/// What the queue is told by the configuration.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// How long to wait after a failure.
    pub backoff: Backoff,
    /// Sessions that one host may have at a time.
    pub connections_per_host: u32,
    /// Messages that may be sent to one host in a minute.
    pub messages_per_minute: Option<u32>,
    /// Whether both are one pod's part of more.
    pub divided: bool,
}

/// What has to happen after mail became ready for a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// Nothing: the host is suspended, or its sessions are busy and will come for it.
    Nobody,
    /// A session of this host is idle and should take it.
    Idle(HostId),
    /// The dispatcher should open a session.
    Dispatcher,
}

impl Queue {
    /// An empty queue.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Queue { limits, ..Queue::default() }
    }

    /// Takes over changed settings; what is already suspended or deferred keeps its time.
    pub fn configure(&mut self, limits: Limits) {
        self.limits = limits;
        let ids: Vec<HostId> = self.hosts.keys().copied().collect();
        for id in ids {
            self.offer_turn(id);
        }
    }

    /// Takes in a message that is safe in the spool. Tells, part by part, who has to act on it.
    pub fn insert(&mut self, arrival: Arrival, now: Timestamp) -> Vec<Wake> {
        let mut hosts = Vec::with_capacity(arrival.parts.len());
        let mut wakes = Vec::with_capacity(arrival.parts.len());
        let Arrival { id, location, size, received_at, timing, parts } = arrival;
        for part in parts {
            let host_id = self.host_id(&part.host);
            hosts.push(host_id);
            let Some(host) = self.hosts.get_mut(&host_id) else { continue };
            let entry = part.entry(&timing, now);
            // What makes the others wait need not make this one wait; they are suspended again when it has gone.
            if entry.tls_optional && entry.held.is_none() && host.lacks_tls() {
                host.suspension = None;
            }
            host.add(id, entry);
            if let Some(hold) = self.holds.on_message(id) {
                host.stop(id, hold);
            }
            wakes.push(self.refresh(host_id));
        }
        self.bytes += size;
        let received_at = Moment::not_before(received_at);
        self.messages.insert(id, Message { location, size, received_at, hosts: hosts.into() }, &timing);
        wakes
    }

    /// Lets go what is due at `now`: suspensions that ended, deferred messages whose time has come.
    pub fn advance(&mut self, now: Timestamp) {
        while let Some(&(at, id)) = self.wakes.first() {
            if at > now {
                break;
            }
            self.wakes.pop_first();
            if let Some(host) = self.hosts.get_mut(&id) {
                host.wake_at = None;
                host.forget_told_if_over(now);
                host.end_suspension_if_due(now);
                host.release_due(now);
                host.end_minute_if_over(now);
            }
            self.refresh(id);
            self.forget_if_empty(id);
        }
    }

    /// When [`Queue::advance`] has something to do next.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// The next host in turn that has something to send and may open one more session. It is out of the turn until
    /// [`Queue::session_opened`], [`Queue::suspend`] or [`Queue::give_back_turn`] says what came of it.
    pub fn next_host(&mut self) -> Option<(HostId, &str)> {
        while let Some(id) = self.turns.next() {
            let Some(host) = self.hosts.get(&id) else { continue };
            if host.wants_session(self.limits.connections_per_host) {
                return self.hosts.get(&id).map(|host| (id, host.name.as_str()));
            }
        }
        None
    }

    /// Puts a host back at the front of the turn: no session could be had for it yet, for reasons not its own.
    pub fn give_back_turn(&mut self, id: HostId) {
        if let Some(host) = self.hosts.get(&id) {
            self.turns.give_back(id, host.priority());
        }
    }

    /// Whether a host waits for a session.
    #[must_use]
    pub fn has_turns(&self) -> bool {
        !self.turns.is_empty()
    }

    /// A session for the host begins.
    pub fn session_opened(&mut self, id: HostId) {
        if let Some(host) = self.hosts.get_mut(&id) {
            host.sessions += 1;
        }
        self.offer_turn(id);
    }

    /// A session for the host has ended. It must have settled all that it took.
    pub fn session_closed(&mut self, id: HostId) -> Wake {
        if let Some(host) = self.hosts.get_mut(&id) {
            host.sessions = host.sessions.saturating_sub(1);
        }
        let wake = self.refresh(id);
        self.forget_if_empty(id);
        wake
    }

    /// The host's next message, for a session that is ready to send it; none when nothing is ready or the host is
    /// suspended, be it only now because it had its messages of this minute.
    pub fn take(&mut self, id: HostId, now: Timestamp) -> Option<Work> {
        self.take_by(id, now, Host::take)
    }

    /// As [`Queue::take`], of those messages alone that are to go even without the TLS that their domain asks for.
    pub fn take_tls_optional(&mut self, id: HostId, now: Timestamp) -> Option<Work> {
        self.take_by(id, now, Host::take_tls_optional)
    }

    fn take_by(
        &mut self,
        id: HostId,
        now: Timestamp,
        take: impl FnOnce(&mut Host) -> Option<(MessageId, u32, Recipients, Told)>,
    ) -> Option<Work> {
        let limits = self.limits;
        let host = self.hosts.get_mut(&id)?;
        if host.sessions > limits.connections_per_host {
            return None;
        }
        if let Some(most) = limits.messages_per_minute
            && host.can_send()
            && let Err(till) = host.count_against_minute(most, now)
        {
            let whose = if limits.divided { "this pod's part of " } else { "" };
            let problem = format!("{whose}messagesPerHostPerMinute is {most}, and {most} were sent in this minute");
            self.suspend(id, Suspension { till: Some(till), reason: Reason::RateLimited, problem });
            return None;
        }
        let (message_id, attempts, recipients, told) = take(host)?;
        let location = self.messages.get(message_id)?.location;
        Some(Work { host: id, id: message_id, location, recipients, attempts, told })
    }

    /// Whether the host has more sessions than it may have, since a limit is lower than it was.
    #[must_use]
    pub fn has_too_many_sessions(&self, id: HostId) -> bool {
        self.hosts.get(&id).is_some_and(|host| host.sessions > self.limits.connections_per_host)
    }

    /// Whether no host has.
    #[must_use]
    pub fn is_within_limits(&self) -> bool {
        self.hosts.values().all(|host| host.sessions <= self.limits.connections_per_host)
    }

    /// A session of the host waits for mail, so that what comes next needs no new one.
    pub fn set_idle(&mut self, id: HostId, idle: bool) {
        if let Some(host) = self.hosts.get_mut(&id) {
            if idle {
                host.idle += 1
            } else {
                host.idle = host.idle.saturating_sub(1)
            }
            // A host whose sessions are all idle waits for what was put off.
            self.changes.extend(host.change(None));
        }
        if !idle {
            self.offer_turn(id);
        }
    }

    /// Says what became of a message that was taken. True when it is gone for all its hosts, so that nothing holds it in
    /// the spool any more.
    pub fn settle(&mut self, work: &Work, settled: Settled) -> bool {
        let Some(host) = self.hosts.get_mut(&work.host) else { return false };
        let mut gone_everywhere = false;
        let owed = match settled {
            Settled::Gone => {
                host.remove(work.id);
                gone_everywhere = self.part_gone(work.id, work.host);
                Told::NOTHING
            }
            Settled::Deferred { recipients, till } => host.defer(work.id, recipients, till),
            Settled::Untried => host.untake(work.id),
        };
        if let Some(hold) = self.holds.on_message(work.id)
            && let Some(host) = self.hosts.get_mut(&work.host)
        {
            host.stop(work.id, hold);
        }
        let each = [Told::LATE, Told::OVERDUE].into_iter().filter(|what| owed.includes(*what));
        self.owed.extend(each.map(|what| (work.id, what)));
        self.refresh(work.host);
        gone_everywhere
    }

    /// The host took a message: its failures are over, and it may have one more session at a time than before.
    pub fn succeeded(&mut self, id: HostId) {
        if let Some(host) = self.hosts.get_mut(&id) {
            host.succeeded(self.limits.connections_per_host);
        }
        self.offer_turn(id);
    }

    /// Suspends a host as a whole, or changes its suspension. Without `till` only [`Queue::release`] ends it.
    /// True when the Suspended Till or its reason changed.
    pub fn suspend(&mut self, id: HostId, suspension: Suspension) -> bool {
        let Some(host) = self.hosts.get_mut(&id) else { return false };
        let changed = host.suspension.as_ref() != Some(&suspension);
        host.suspension = Some(suspension);
        self.refresh(id);
        self.forget_if_empty(id);
        changed
    }

    /// Suspends a host after an attempt that failed for the whole host; the wait doubles with each failure in a row.
    /// Returns the new Suspended Till.
    pub fn suspend_after_failure(
        &mut self,
        id: HostId,
        now: Timestamp,
        reason: Reason,
        problem: impl FnOnce(Run) -> String,
        error: LastError,
    ) -> Option<Timestamp> {
        let backoff = self.limits.backoff;
        let host = self.hosts.get_mut(&id)?;
        // Sessions that fail side by side are one failure of the host, not several.
        if let Some(Suspension { till: Some(till), reason: current, .. }) = &host.suspension
            && *till > now
            && *current == reason
        {
            let till = *till;
            host.note_error(error);
            return Some(till);
        }
        host.failed();
        let till = backoff.till(host.failures, now);
        host.note_error(error);
        let problem = problem(Run { failures: host.failures, since: host.failing_since.unwrap_or(now), till });
        self.suspend(id, Suspension { till: Some(till), reason, problem });
        Some(till)
    }

    /// The host takes no more sessions at a time than it has without the one that just failed.
    pub fn crowded(&mut self, id: HostId) {
        if let Some(host) = self.hosts.get_mut(&id) {
            host.crowded();
        }
    }

    /// How long to wait after failures in a row.
    #[must_use]
    pub fn backoff(&self) -> Backoff {
        self.limits.backoff
    }

    /// Notes what went wrong with a single message, for the Monitor.
    pub fn note_error(&mut self, id: HostId, error: LastError) {
        if let Some(host) = self.hosts.get_mut(&id) {
            host.note_error(error);
        }
    }

    /// When a message that failed for the `attempts`-th time is tried again.
    #[must_use]
    pub fn retry_at(&self, attempts: u32, now: Timestamp) -> Timestamp {
        self.limits.backoff.till(attempts, now)
    }

    /// Ends the suspension of every host that has one of these reasons; `why`, for the records. Returns how many there were.
    pub fn release(&mut self, reasons: &[Reason], why: &str) -> usize {
        let ids: Vec<HostId> = self
            .hosts
            .iter()
            .filter(|(_, host)| host.suspension.as_ref().is_some_and(|held| reasons.contains(&held.reason)))
            .map(|(id, _)| *id)
            .collect();
        for id in &ids {
            if let Some(host) = self.hosts.get_mut(id) {
                host.suspension = None;
                self.changes.extend(host.change(Some(why)));
            }
            self.refresh(*id);
        }
        ids.len()
    }

    /// All hosts that have mail.
    #[must_use]
    pub fn hosts_with_mail(&self) -> Vec<HostId> {
        self.hosts.iter().filter(|(_, host)| host.has_mail()).map(|(id, _)| *id).collect()
    }

    /// Takes all of a host's messages that no session has, for a change of routes. Each is to be given to
    /// [`Queue::reassign`] or settled.
    pub fn take_all(&mut self, id: HostId) -> Vec<Work> {
        let Some(host) = self.hosts.get_mut(&id) else { return Vec::new() };
        let taken = host.take_all();
        self.refresh(id);
        taken
            .into_iter()
            .filter_map(|(message, attempts, recipients, told)| {
                let location = self.messages.get(message)?.location;
                Some(Work { host: id, id: message, location, recipients, attempts, told })
            })
            .collect()
    }

    /// Moves a message that was taken from one host to others. A part whose new host has the message already stays
    /// where it was: a session there may be just about to settle it.
    pub fn reassign(&mut self, work: &Work, parts: Vec<Part>, timing: &Timing, now: Timestamp) {
        let hosts: Vec<_> = parts.iter().map(|part| self.host_id(&part.host)).collect();
        let Some(message) = self.messages.get_mut(work.id) else { return };
        if hosts.iter().any(|host| message.hosts.contains(host)) {
            self.settle(work, Settled::Untried);
            return;
        }
        message.hosts = message.hosts.iter().filter(|host| **host != work.host).chain(&hosts).copied().collect();
        for (id, part) in hosts.into_iter().zip(parts) {
            if let Some(host) = self.hosts.get_mut(&id) {
                host.add(work.id, part.entry(timing, now));
                if let Some(hold) = self.holds.on_message(work.id) {
                    host.stop(work.id, hold);
                }
            }
            self.refresh(id);
        }
        if let Some(host) = self.hosts.get_mut(&work.host) {
            host.remove(work.id);
        }
        self.refresh(work.host);
        self.forget_if_empty(work.host);
    }

    /// Where a message is that waits; None of one that does not.
    #[must_use]
    pub fn location(&self, id: MessageId) -> Option<Location> {
        self.messages.get(id).map(|message| message.location)
    }

    /// The name of a host that has mail or a session.
    #[must_use]
    pub fn host_name(&self, id: HostId) -> Option<&str> {
        self.hosts.get(&id).map(|host| host.name.as_str())
    }

    /// Totals over all hosts.
    #[must_use]
    pub fn totals(&self) -> QueueTotals {
        let (mut hosts, mut suspended_hosts) = (0, 0);
        for host in self.hosts.values().filter(|host| host.has_mail()) {
            hosts += 1;
            suspended_hosts += u32::from(host.waits());
        }
        QueueTotals {
            messages: self.messages.len() as u64,
            bytes: self.bytes,
            oldest: self.messages.oldest(),
            hosts,
            suspended_hosts,
            stranded: Vec::new(),
        }
    }

    fn host_id(&mut self, name: &str) -> HostId {
        if let Some(id) = self.names.get(name) {
            return *id;
        }
        let id = HostId(self.next_host_id);
        self.next_host_id += 1;
        self.names.insert(name.to_owned(), id);
        let mut host = Host::new(name.to_owned());
        host.hold = self.holds.of_host(name);
        self.hosts.insert(id, host);
        id
    }

    /// Brings a host's wake-up time and its place in the turn up to date, and notes whether its Suspended Till has changed.
    fn refresh(&mut self, id: HostId) -> Wake {
        let Some(host) = self.hosts.get_mut(&id) else { return Wake::Nobody };
        self.changes.extend(host.change(None));
        let wanted = host.next_wake();
        if host.wake_at != wanted {
            if let Some(old) = host.wake_at {
                self.wakes.remove(&(old, id));
            }
            if let Some(new) = wanted {
                self.wakes.insert((new, id));
            }
            host.wake_at = wanted;
        }
        if host.idle > 0 && host.can_send() {
            return Wake::Idle(id);
        }
        self.offer_turn(id)
    }

    fn offer_turn(&mut self, id: HostId) -> Wake {
        let Some(host) = self.hosts.get_mut(&id) else { return Wake::Nobody };
        if !host.wants_session(self.limits.connections_per_host) {
            return Wake::Nobody;
        }
        self.turns.offer(id, host.priority());
        Wake::Dispatcher
    }

    /// Strikes a host from a message; true when it was the last one.
    fn part_gone(&mut self, id: MessageId, host: HostId) -> bool {
        let Some(message) = self.messages.get_mut(id) else { return false };
        message.hosts = message.hosts.iter().filter(|other| **other != host).copied().collect();
        if !message.hosts.is_empty() {
            return false;
        }
        self.bytes -= message.size;
        self.messages.remove(id);
        self.holds.forget_message(id);
        true
    }

    /// A host without mail is forgotten, unless it is suspended: the next message must not try it before its time.
    fn forget_if_empty(&mut self, id: HostId) {
        if self.hosts.get(&id).is_some_and(|host| host.sessions == 0 && !host.has_mail() && !host.in_minute())
            && let Some(host) = self.hosts.remove(&id)
        {
            if let Some(at) = host.wake_at {
                self.wakes.remove(&(at, id));
            }
            self.names.remove(&host.name);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
