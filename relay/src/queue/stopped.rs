//! Single messages that an administrator holds, and what he looks at and changes of a host's others.

use std::{ops::RangeBounds, sync::Arc};

use jiff::Timestamp;
use mailsluice_ctl::{Hold, words::queue::MessageState};

use super::{
    Recipients,
    host::{Entry, EntryState, Host},
};
use crate::spool::MessageId;

/// A message that is held.
#[derive(Debug)]
pub(super) struct Stopped {
    /// The state that it goes back to.
    pub(super) before: EntryState,
    hold: Arc<Hold>,
}

impl Host {
    /// Holds a message, unless a session has it; one that is held already has this hold from here on.
    pub(super) fn stop(&mut self, id: MessageId, hold: &Arc<Hold>) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        match entry.state {
            EntryState::Taken | EntryState::TakenHeld => return,
            EntryState::Stopped => {
                if let Some(stopped) = self.stopped.get_mut(&id) {
                    stopped.hold = hold.clone();
                }
                return;
            }
            EntryState::Ready => self.ready_count -= 1,
            EntryState::Deferred => {
                self.deferred.remove(&(entry.due, id));
            }
            EntryState::Held => {
                self.deferred.remove(&(entry.due, id));
                self.held_count -= 1;
            }
        }
        self.stopped.insert(id, Stopped { before: entry.state, hold: hold.clone() });
        entry.state = EntryState::Stopped;
    }

    /// Lets a message go back to where it was when it was stopped; what came due meanwhile is let go by its time.
    pub(super) fn resume(&mut self, id: MessageId) {
        let Some(Stopped { before, .. }) = self.stopped.remove(&id) else { return };
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.state = before;
        match before {
            EntryState::Deferred | EntryState::Held => {
                self.held_count += usize::from(before == EntryState::Held);
                self.deferred.insert((entry.due, id));
            }
            _ => {
                entry.state = EntryState::Ready;
                self.ready_count += 1;
                self.ready.push_back(id, entry.priority);
            }
        }
    }

    /// Lets a message go that was put off; one that its sender or an administrator holds stays.
    pub(super) fn make_due(&mut self, id: MessageId) {
        if let Some(entry) = self.entries.get_mut(&id)
            && entry.state == EntryState::Deferred
        {
            self.deferred.remove(&(entry.due, id));
            entry.state = EntryState::Ready;
            self.ready_count += 1;
            self.ready.push_back(id, entry.priority);
        }
    }

    /// The state of a message but for an administrator's hold on it.
    pub(super) fn unstopped(&self, id: MessageId, entry: &Entry) -> EntryState {
        match entry.state {
            EntryState::Stopped => self.stopped.get(&id).map_or(EntryState::Ready, |stopped| stopped.before),
            state => state,
        }
    }

    pub(super) fn is_stopped(&self, id: MessageId) -> bool {
        self.stopped.contains_key(&id)
    }

    pub(super) fn is_taken(&self, id: MessageId) -> bool {
        self.entries.get(&id).is_some_and(|entry| entry.state.is_taken())
    }

    pub(super) fn is_ready(&self, id: MessageId) -> bool {
        self.entries.get(&id).is_some_and(|entry| entry.state == EntryState::Ready)
    }

    pub(super) fn ready_count(&self) -> usize {
        self.ready_count
    }

    /// Messages that a session has in hand.
    pub(super) fn taken_count(&self) -> u64 {
        self.sendable() - self.ready_count as u64
    }

    /// Messages that are held by the host's hold, or each by its own.
    pub(super) fn stopped_count(&self) -> u64 {
        if self.hold.is_some() { self.entries.len() as u64 } else { self.stopped.len() as u64 }
    }

    /// Messages that are held each by its own hold.
    pub(super) fn stopped_singly(&self) -> usize {
        self.stopped.len()
    }

    /// The oldest message, where there are none but such as are held singly.
    pub(super) fn only_stopped(&self) -> Option<MessageId> {
        self.oldest().filter(|_| self.stopped.len() == self.entries.len())
    }

    /// Who holds its mail, since when and why: all of it, or each message that there is.
    pub(super) fn held_by(&self) -> Option<String> {
        if let Some(hold) = &self.hold {
            return Some(hold.to_string());
        }
        let first = &self.stopped.get(&self.only_stopped()?)?.hold;
        Some(match self.entries.len() {
            1 => format!("1 message is {first}"),
            count => format!("{count} messages are held, the oldest is {first}"),
        })
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = MessageId> {
        self.entries.keys().copied()
    }

    pub(super) fn ids_in(&self, range: impl RangeBounds<MessageId>) -> impl Iterator<Item = MessageId> {
        self.entries.range(range).map(|(id, _)| *id)
    }

    /// What is done about a message, when it is due, how often it was tried, and for whom it is.
    pub(super) fn look(&self, id: MessageId) -> Option<(MessageState, Option<Timestamp>, u32, Recipients)> {
        let entry = self.entries.get(&id)?;
        let due = || Some(entry.due.timestamp());
        let (state, due) = match self.unstopped(id, entry) {
            EntryState::Taken | EntryState::TakenHeld => (MessageState::Sending, None),
            EntryState::Ready | EntryState::Stopped => (MessageState::Ready, None),
            EntryState::Deferred => (MessageState::Delayed, due()),
            EntryState::Held => (MessageState::HeldBySender, due()),
        };
        let state = if self.is_stopped(id) { MessageState::Held } else { state };
        Some((state, due, entry.attempts, entry.recipients.clone()))
    }
}
