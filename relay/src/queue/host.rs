//! One host's mail: what is ready, what is deferred till when, what is being sent, and whether the host is suspended.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::{SignedDuration, Timestamp};
use mailsluice_crds::monitor::{LastError, Reason};

use super::{Recipients, moment::Moment};
use crate::spool::MessageId;

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

/// Sessions that a host may have at a time before it has shown that it takes mail.
const FIRST_SESSIONS: u32 = 2;

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// A message at this host, in 32 octets.
#[derive(Debug)]
struct Entry {
    recipients: Recipients,
    /// When a deferred one is due; of no meaning otherwise. Beside the state, not in it, so that it costs no padding.
    due: Moment,
    attempts: u32,
    state: EntryState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EntryState {
    Ready,
    Deferred,
    Taken,
}

#[derive(Debug)]
pub(super) struct Host {
    pub(super) name: String,
    /// In the order of acceptance, so that the oldest is the first.
    entries: BTreeMap<MessageId, Entry>,
    /// Ids of ready entries in the order in which they are sent. One that was taken out of turn stays here until it is met.
    ready: VecDeque<MessageId>,
    ready_count: usize,
    deferred: BTreeSet<(Moment, MessageId)>,
    pub(super) suspension: Option<Suspension>,
    pub(super) last_error: Option<LastError>,
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
    pub(super) in_turn: bool,
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
            ready: VecDeque::new(),
            ready_count: 0,
            deferred: BTreeSet::new(),
            suspension: None,
            last_error: None,
            failures: 0,
            window: FIRST_SESSIONS,
            credit: None,
            sessions: 0,
            idle: 0,
            in_turn: false,
            minute: None,
            wake_at: None,
        }
    }

    pub(super) fn add(&mut self, id: MessageId, recipients: Recipients, attempts: u32, due: Option<Timestamp>) {
        let till = Moment::not_before(due.unwrap_or_default());
        let state = if due.is_some() {
            self.deferred.insert((till, id));
            EntryState::Deferred
        } else {
            self.ready.push_back(id);
            self.ready_count += 1;
            EntryState::Ready
        };
        self.entries.insert(id, Entry { recipients, due: till, attempts, state });
    }

    pub(super) fn take(&mut self) -> Option<(MessageId, u32, Recipients)> {
        if self.is_suspended() {
            return None;
        }
        while let Some(id) = self.ready.pop_front() {
            if let Some(entry) = self.entries.get_mut(&id)
                && entry.state == EntryState::Ready
            {
                entry.state = EntryState::Taken;
                self.ready_count -= 1;
                return Some((id, entry.attempts, entry.recipients.clone()));
            }
        }
        None
    }

    /// Takes one message out of turn, unless a session has it.
    pub(super) fn take_message(&mut self, id: MessageId) -> Option<(u32, Recipients)> {
        let entry = self.entries.get_mut(&id)?;
        match entry.state {
            EntryState::Taken => return None,
            EntryState::Ready => self.ready_count -= 1,
            EntryState::Deferred => {
                self.deferred.remove(&(entry.due, id));
            }
        }
        entry.state = EntryState::Taken;
        Some((entry.attempts, entry.recipients.clone()))
    }

    pub(super) fn take_all(&mut self) -> Vec<(MessageId, u32, Recipients)> {
        let ids: Vec<MessageId> = self.entries.keys().copied().collect();
        ids.into_iter()
            .filter_map(|id| self.take_message(id).map(|(attempts, recipients)| (id, attempts, recipients)))
            .collect()
    }

    pub(super) fn untake(&mut self, id: MessageId) {
        if let Some(entry) = self.entries.get_mut(&id)
            && entry.state == EntryState::Taken
        {
            entry.state = EntryState::Ready;
            self.ready_count += 1;
            self.ready.push_front(id);
        }
    }

    pub(super) fn defer(&mut self, id: MessageId, recipients: Recipients, till: Timestamp) {
        if let Some(entry) = self.entries.get_mut(&id)
            && entry.state == EntryState::Taken
        {
            entry.attempts += 1;
            entry.recipients = recipients;
            entry.due = Moment::not_before(till);
            entry.state = EntryState::Deferred;
            self.deferred.insert((entry.due, id));
        }
    }

    pub(super) fn remove(&mut self, id: MessageId) {
        self.entries.remove(&id);
    }

    pub(super) fn release_due(&mut self, now: Timestamp) {
        while let Some(&(till, id)) = self.deferred.first() {
            if till.timestamp() > now {
                break;
            }
            self.deferred.pop_first();
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.state = EntryState::Ready;
                self.ready_count += 1;
                self.ready.push_back(id);
            }
        }
    }

    pub(super) fn sort_ready(&mut self) {
        self.ready.make_contiguous().sort_unstable();
    }

    pub(super) fn is_suspended(&self) -> bool {
        self.suspension.is_some()
    }

    /// True when the suspension was due and is over.
    pub(super) fn end_suspension_if_due(&mut self, now: Timestamp) -> bool {
        let due = self.suspension.as_ref().and_then(|held| held.till).is_some_and(|till| till <= now);
        if due {
            self.suspension = None;
        }
        due
    }

    pub(super) fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
        self.window = 1;
        self.credit = Some(0);
    }

    /// One of several sessions side by side failed: so many are too many.
    pub(super) fn crowded(&mut self) {
        self.window = self.sessions.saturating_sub(1).max(1);
        self.credit = Some(0);
    }

    pub(super) fn succeeded(&mut self, most: u32) {
        self.failures = 0;
        self.last_error = None;
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

    pub(super) fn has_mail(&self) -> bool {
        !self.entries.is_empty()
    }

    pub(super) fn can_send(&self) -> bool {
        self.ready_count > 0 && !self.is_suspended()
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
        let only = self.ready_count == 0 && self.sessions == 0 && self.deferred.len() == self.entries.len();
        if only { self.deferred.first().map(|(till, _)| till.timestamp()) } else { None }
    }

    pub(super) fn deferred_count(&self) -> usize {
        self.deferred.len()
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
