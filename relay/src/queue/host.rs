//! One host's mail: what is ready, what is deferred till when, what is being sent, and whether the host is suspended.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use jiff::{SignedDuration, Timestamp};
use mailsluice_crds::monitor::{LastError, Reason, Stage};

use super::{Recipients, changes::Wait, holds::HostHold, moment::Moment, ready::Ready, stopped::Stopped};
use crate::{
    smtp::extensions::timing::Priority,
    spool::{MessageId, Told},
};

/// Names a host within one process. Never used again for another host, so that a late answer about a host that is gone
/// finds nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub(super) u64);

/// Why and till when a host's mail waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// The Suspended Till; none when nothing but a change of configuration ends it.
    pub till: Option<Timestamp>,
    /// Why.
    pub reason: Reason,
    /// Why, as a sentence with the facts.
    pub problem: String,
}

/// Failures in a row, as they stand after the last of them. Shown as `3 attempts since 2026-11-24T07:00:00Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// How many.
    pub failures: u32,
    /// When the first one was.
    pub since: Timestamp,
    /// When it is tried again.
    pub till: Timestamp,
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attempts = if self.failures == 1 { "attempt" } else { "attempts" };
        write!(f, "{} {attempts} since {:.0}", self.failures, self.since)
    }
}

/// Sessions that a host may have at a time before it has shown that it takes mail.
const FIRST_SESSIONS: u32 = 2;

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// A message at this host, in 32 octets.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) recipients: Recipients,
    /// When a deferred or held one is due; of no meaning otherwise. Beside the state, not in it, so that it costs no padding.
    pub(super) due: Moment,
    pub(super) attempts: u32,
    pub(super) state: EntryState,
    pub(super) priority: Priority,
    /// What its sender was told of the delay, and what it is to be told as soon as no session has it in hand.
    told: Told,
    owed: Told,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryState {
    Ready,
    Deferred,
    /// Its sender wants it held.
    Held,
    /// An administrator holds it.
    Stopped,
    Taken,
    /// Taken while it was held.
    TakenHeld,
}

impl EntryState {
    pub(super) fn is_taken(self) -> bool {
        matches!(self, EntryState::Taken | EntryState::TakenHeld)
    }
}

/// A message on its way to a host's mail.
#[derive(Debug)]
pub(super) struct NewEntry {
    pub(super) recipients: Recipients,
    pub(super) attempts: u32,
    /// Not to be tried before.
    pub(super) due: Option<Timestamp>,
    /// Till when its sender wants it held.
    pub(super) held: Option<Timestamp>,
    pub(super) priority: Priority,
    pub(super) told: Told,
    /// Whether it is to go even without the TLS that its domain asks for.
    pub(super) tls_optional: bool,
}

#[derive(Debug)]
pub(super) struct Host {
    pub(super) name: String,
    /// In the order of acceptance, so that the oldest is the first.
    pub(super) entries: BTreeMap<MessageId, Entry>,
    pub(super) ready: Ready,
    pub(super) ready_count: usize,
    /// Deferred and held ones.
    pub(super) deferred: BTreeSet<(Moment, MessageId)>,
    pub(super) held_count: usize,
    /// Those of its messages that are to go even without the TLS that the domain asks for: none, nearly always.
    tls_optional: BTreeSet<MessageId>,
    /// Those that an administrator holds singly: none, nearly always.
    pub(super) stopped: BTreeMap<MessageId, Stopped>,
    pub(super) suspension: Option<Suspension>,
    /// What was told of its Suspended Till last.
    pub(super) told: Option<Wait>,
    /// The administrator's hold on the host, or on all mail.
    pub(super) hold: Option<HostHold>,
    pub(super) last_error: Option<LastError>,
    /// When the first failure since then was, of the host or of one of its messages.
    pub(super) failing_since: Option<Timestamp>,
    /// Failures of the host as a whole since it last took a message.
    pub(super) failures: u32,
    /// How many sessions it may have, as far as it has shown.
    window: u32,
    /// None until a session has failed: the window grows with every message then. Messages taken since the window last
    /// changed after that, and it grows by one for as many of them as it is wide.
    credit: Option<u32>,
    pub(super) sessions: u32,
    /// Those of its sessions that wait for mail.
    pub(super) idle: u32,
    /// The end of the minute in which messages are counted, and how many there were.
    minute: Option<(Timestamp, u32)>,
    /// Its entry in the queue's set of wake-ups.
    pub(super) wake_at: Option<Timestamp>,
}

impl Host {
    pub(super) fn new(name: String) -> Self {
        Host {
            name,
            entries: BTreeMap::new(),
            ready: Ready::default(),
            ready_count: 0,
            deferred: BTreeSet::new(),
            held_count: 0,
            tls_optional: BTreeSet::new(),
            stopped: BTreeMap::new(),
            suspension: None,
            told: None,
            hold: None,
            last_error: None,
            failing_since: None,
            failures: 0,
            window: FIRST_SESSIONS,
            credit: None,
            sessions: 0,
            idle: 0,
            minute: None,
            wake_at: None,
        }
    }

    /// Takes a message in. `held`: till when its sender wants it held.
    pub(super) fn add(&mut self, id: MessageId, part: NewEntry) {
        let NewEntry { recipients, attempts, due, held, priority, told, tls_optional } = part;
        if tls_optional {
            self.tls_optional.insert(id);
        }
        let state = match (held, due) {
            (Some(_), _) => EntryState::Held,
            (None, Some(_)) => EntryState::Deferred,
            (None, None) => EntryState::Ready,
        };
        let due = Moment::not_before(held.max(due).unwrap_or_default());
        match state {
            EntryState::Ready => {
                self.ready.push_back(id, priority);
                self.ready_count += 1;
            }
            _ => {
                self.held_count += usize::from(state == EntryState::Held);
                self.deferred.insert((due, id));
            }
        }
        let owed = Told::NOTHING;
        self.entries.insert(id, Entry { recipients, due, attempts, state, priority, told, owed });
    }

    pub(super) fn take(&mut self) -> Option<(MessageId, u32, Recipients, Told)> {
        if self.is_suspended() || self.hold.is_some() {
            return None;
        }
        while let Some(id) = self.ready.pop() {
            if let Some(entry) = self.entries.get_mut(&id)
                && entry.state == EntryState::Ready
            {
                entry.state = EntryState::Taken;
                self.ready_count -= 1;
                return Some((id, entry.attempts, entry.recipients.clone(), entry.told));
            }
        }
        None
    }

    /// Takes one message out of turn, unless a session has it.
    pub(super) fn take_message(&mut self, id: MessageId) -> Option<(u32, Recipients, Told)> {
        let entry = self.entries.get_mut(&id)?;
        entry.state = match entry.state {
            EntryState::Taken | EntryState::TakenHeld => return None,
            EntryState::Ready => {
                self.ready_count -= 1;
                EntryState::Taken
            }
            EntryState::Deferred => {
                self.deferred.remove(&(entry.due, id));
                EntryState::Taken
            }
            EntryState::Held => {
                self.deferred.remove(&(entry.due, id));
                self.held_count -= 1;
                EntryState::TakenHeld
            }
            EntryState::Stopped => match self.stopped.remove(&id).map(|stopped| stopped.before) {
                Some(EntryState::Held) => EntryState::TakenHeld,
                _ => EntryState::Taken,
            },
        };
        Some((entry.attempts, entry.recipients.clone(), entry.told))
    }

    /// Takes the oldest message that is ready and is to go even without the TLS that the domain asks for, suspended or not.
    pub(super) fn take_tls_optional(&mut self) -> Option<(MessageId, u32, Recipients, Told)> {
        if self.hold.is_some() {
            return None;
        }
        let is_ready = |id: &&MessageId| self.entries.get(id).is_some_and(|entry| entry.state == EntryState::Ready);
        let id = *self.tls_optional.iter().find(is_ready)?;
        self.take_message(id).map(|(attempts, recipients, told)| (id, attempts, recipients, told))
    }

    /// Notes that a sender is told of a message's delay; the recipients, where it is to be told now.
    pub(super) fn tell(&mut self, id: MessageId, what: Told) -> Option<Recipients> {
        let entry = self.entries.get_mut(&id)?;
        if entry.told.includes(what) {
            return None;
        }
        if entry.state.is_taken() {
            entry.owed = entry.owed.and(what);
            return None;
        }
        entry.told = entry.told.and(what);
        Some(entry.recipients.clone())
    }

    /// A message that no session has: attempts, due time, and what its sender was told.
    pub(super) fn waiting(&self, id: MessageId) -> Option<(u32, Option<Timestamp>, Told)> {
        let entry = self.entries.get(&id)?;
        let due = match self.unstopped(id, entry) {
            EntryState::Taken | EntryState::TakenHeld => return None,
            EntryState::Ready | EntryState::Stopped => None,
            EntryState::Deferred | EntryState::Held => Some(entry.due.timestamp()),
        };
        Some((entry.attempts, due, entry.told))
    }

    /// Lets all deferred messages go; not those that are held.
    pub(super) fn release_deferred(&mut self) {
        let deferred = std::mem::take(&mut self.deferred);
        for (due, id) in deferred {
            match self.entries.get_mut(&id) {
                Some(entry) if entry.state == EntryState::Deferred => {
                    entry.state = EntryState::Ready;
                    self.ready_count += 1;
                    self.ready.push_back(id, entry.priority);
                }
                _ => {
                    self.deferred.insert((due, id));
                }
            }
        }
    }

    pub(super) fn take_all(&mut self) -> Vec<(MessageId, u32, Recipients, Told)> {
        let ids: Vec<MessageId> = self.entries.keys().copied().collect();
        ids.into_iter()
            .filter_map(|id| self.take_message(id).map(|(attempts, recipients, told)| (id, attempts, recipients, told)))
            .collect()
    }

    /// Gives a message back to its place; what its sender is to be told, where that had to wait.
    pub(super) fn untake(&mut self, id: MessageId) -> Told {
        let Some(entry) = self.entries.get_mut(&id) else { return Told::NOTHING };
        match entry.state {
            EntryState::Taken => {
                entry.state = EntryState::Ready;
                self.ready_count += 1;
                self.ready.push_front(id, entry.priority);
            }
            EntryState::TakenHeld => {
                entry.state = EntryState::Held;
                self.held_count += 1;
                self.deferred.insert((entry.due, id));
            }
            EntryState::Ready | EntryState::Deferred | EntryState::Held | EntryState::Stopped => {}
        }
        std::mem::take(&mut entry.owed)
    }

    /// Puts a message off that was taken; what its sender is to be told, where that had to wait.
    pub(super) fn defer(&mut self, id: MessageId, recipients: Recipients, till: Timestamp) -> Told {
        if let Some(entry) = self.entries.get_mut(&id)
            && entry.state.is_taken()
        {
            entry.attempts += 1;
            entry.recipients = recipients;
            entry.due = Moment::not_before(till);
            entry.state = EntryState::Deferred;
            self.deferred.insert((entry.due, id));
            return std::mem::take(&mut entry.owed);
        }
        Told::NOTHING
    }

    pub(super) fn remove(&mut self, id: MessageId) {
        self.entries.remove(&id);
        self.tls_optional.remove(&id);
        self.stopped.remove(&id);
    }

    pub(super) fn release_due(&mut self, now: Timestamp) {
        while let Some(&(till, id)) = self.deferred.first() {
            if till.timestamp() > now {
                break;
            }
            self.deferred.pop_first();
            if let Some(entry) = self.entries.get_mut(&id) {
                self.held_count -= usize::from(entry.state == EntryState::Held);
                entry.state = EntryState::Ready;
                self.ready_count += 1;
                self.ready.push_back(id, entry.priority);
            }
        }
    }

    pub(super) fn sort_ready(&mut self) {
        self.ready.sort();
    }

    pub(super) fn is_suspended(&self) -> bool {
        self.suspension.is_some()
    }

    /// Whether it is suspended for want of TLS.
    pub(super) fn lacks_tls(&self) -> bool {
        self.suspension.as_ref().is_some_and(|held| held.reason == Reason::TlsFailed)
    }

    pub(super) fn end_suspension_if_due(&mut self, now: Timestamp) {
        if self.suspension.as_ref().and_then(|held| held.till).is_some_and(|till| till <= now) {
            self.suspension = None;
        }
    }

    pub(super) fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
        self.window = 1;
        self.credit = Some(0);
    }

    pub(super) fn note_error(&mut self, error: LastError) {
        self.failing_since.get_or_insert(error.at);
        self.last_error = Some(error);
    }

    /// One of several sessions side by side failed: so many are too many.
    pub(super) fn crowded(&mut self) {
        self.window = self.sessions.saturating_sub(1).max(1);
        self.credit = Some(0);
    }

    pub(super) fn succeeded(&mut self, most: u32) {
        self.failures = 0;
        if !self.knows_what_puts_off() {
            self.last_error = None;
            self.failing_since = None;
        }
        match &mut self.credit {
            None => self.window += 1,
            Some(credit) => {
                *credit += 1;
                if *credit >= self.window {
                    *credit = 0;
                    self.window += 1;
                }
            }
        }
        self.window = self.window.min(most.max(1));
    }

    /// Whether the last error is what put messages off that still wait, which other messages that are taken do not end.
    fn knows_what_puts_off(&self) -> bool {
        let of_message = |error: &LastError| (Stage::MailFrom..=Stage::Reply).contains(&error.stage);
        self.deferred_count() > 0 && self.last_error.as_ref().is_some_and(of_message)
    }

    pub(super) fn has_mail(&self) -> bool {
        !self.entries.is_empty()
    }

    pub(super) fn can_send(&self) -> bool {
        self.ready_count > 0 && !self.is_suspended() && self.hold.is_none()
    }

    /// Whether one more session has something to do: idle ones come first, and no session is opened for less than one
    /// message that none of the others is about to take.
    pub(super) fn wants_session(&self, most: u32) -> bool {
        self.can_send()
            && self.idle == 0
            && self.sessions < self.window.min(most)
            && (self.sessions as usize) < self.entries.len()
    }

    /// Counts one more message; where the minute has had `most`, tells when it is over.
    pub(super) fn count_against_minute(&mut self, most: u32, now: Timestamp) -> Result<(), Timestamp> {
        match &mut self.minute {
            Some((end, count)) if *end > now => {
                if *count >= most {
                    return Err(*end);
                }
                *count += 1;
            }
            _ => self.minute = Some((now.checked_add(MINUTE).unwrap_or(Timestamp::MAX), 1)),
        }
        Ok(())
    }

    pub(super) fn forget_minute(&mut self) {
        self.minute = None;
    }

    pub(super) fn end_minute_if_over(&mut self, now: Timestamp) {
        self.minute = self.minute.filter(|(end, _)| *end > now);
    }

    /// Whether it has a count that must not be forgotten.
    pub(super) fn in_minute(&self) -> bool {
        self.minute.is_some()
    }

    /// When something changes by itself: the end of the suspension, or else the first deferred message's time, or, of a
    /// host without mail, the end of its counted minute.
    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        match &self.suspension {
            Some(held) => held.till,
            None if self.entries.is_empty() => self.minute.map(|(end, _)| end),
            None => self.deferred.first().map(|(till, _)| till.timestamp()),
        }
    }

    pub(super) fn messages(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn oldest(&self) -> Option<MessageId> {
        self.entries.first_key_value().map(|(id, _)| *id)
    }

    pub(super) fn deferred_only_till(&self) -> Option<Timestamp> {
        let at_rest = self.sessions == self.idle;
        let waiting = self.deferred.len() + self.stopped.len();
        let only = self.ready_count == 0 && at_rest && waiting == self.entries.len();
        if only { self.deferred.first().map(|(till, _)| till.timestamp()) } else { None }
    }

    /// The first message that is tried again: when, and how often it was tried; of one that is held alone, never.
    pub(super) fn next_attempt(&self) -> Option<(Timestamp, u32)> {
        let (till, id) = self.deferred.first()?;
        let attempts =
            self.entries.get(id).filter(|entry| entry.state == EntryState::Deferred).map(|entry| entry.attempts);
        Some((till.timestamp(), attempts.unwrap_or_default()))
    }

    /// Messages that were put off.
    pub(super) fn deferred_count(&self) -> usize {
        self.deferred.len() - self.held_count
    }

    /// Messages that their senders want held.
    pub(super) fn held_count(&self) -> usize {
        self.held_count
    }

    /// Messages that are ready or being sent.
    pub(super) fn sendable(&self) -> u64 {
        (self.entries.len() - self.deferred.len() - self.stopped.len()) as u64
    }

    /// How important the most important message is that is ready.
    pub(super) fn priority(&self) -> Priority {
        self.ready.highest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_costs_thirty_two_octets() {
        assert_eq!(size_of::<Entry>(), 32);
    }
}
