//! What the spool remembers of a segment: which of its messages live, and for whom. 32 octets a message, and no I/O.

use std::collections::{BTreeSet, HashMap};

use super::message::{At, Outcome};
use super::recipients::RecipientSet;

/// "Never deferred": segments are numbered from 1.
const NEVER: At = At { segment: 0, offset: 0 };

/// A message that is, or was, in the segment.
#[derive(Debug, Clone)]
struct Entry {
    offset: u32,
    len: u32,
    /// The last mark that deferred one of its recipients, or [`NEVER`].
    deferred_at: At,
    /// The recipients that are not done; none when the message is dead here.
    pending: RecipientSet,
}

/// The file of a large text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BodyRef {
    pub(super) number: u64,
    pub(super) size: u64,
}

/// A message to be entered.
#[derive(Debug, Clone)]
pub(super) struct NewEntry {
    pub(super) offset: u32,
    pub(super) len: u32,
    pub(super) pending: RecipientSet,
    pub(super) deferred_at: Option<At>,
    pub(super) body: Option<BodyRef>,
    /// The place by which the owner knows it, when compaction has moved it since.
    pub(super) handle: Option<At>,
}

/// What a message leaves behind when it dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Remains {
    pub(super) body: Option<BodyRef>,
    pub(super) handle: Option<At>,
}

/// The messages of one segment.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) number: u32,
    /// Octets of the file.
    pub(super) bytes: u64,
    /// Messages that live here.
    pub(super) live: u32,
    /// Octets of their records.
    pub(super) live_bytes: u64,
    /// Older segments that this one's marks and moved messages speak of: while one of them exists, so must this one, or a
    /// message that is done would come back to life at the next start.
    pub(super) refers_to: BTreeSet<u32>,
    /// Holds what could not be saved elsewhere: never removed, never compacted.
    pub(super) pinned: bool,
    /// By offset, which only ever grows.
    entries: Vec<Entry>,
    /// Few messages are large or moved, so these are kept apart.
    bodies: HashMap<u32, BodyRef>,
    handles: HashMap<u32, At>,
}

impl Table {
    pub(super) fn new(number: u32, bytes: u64) -> Self {
        Self { number, bytes, ..Self::default() }
    }

    fn find(&self, offset: u32) -> Option<usize> {
        self.entries.binary_search_by_key(&offset, |entry| entry.offset).ok()
    }

    pub(super) fn push(&mut self, new: NewEntry) {
        let NewEntry { offset, len, pending, deferred_at, body, handle } = new;
        if pending.is_empty() {
            // A message for nobody is done.
            return;
        }
        debug_assert!(self.entries.last().is_none_or(|last| last.offset < offset));
        if let Some(body) = body {
            self.bodies.insert(offset, body);
        }
        if let Some(handle) = handle {
            self.handles.insert(offset, handle);
        }
        self.live += 1;
        self.live_bytes += u64::from(len);
        self.entries.push(Entry { offset, len, deferred_at: deferred_at.unwrap_or(NEVER), pending });
    }

    /// Nothing more will be pushed.
    pub(super) fn shrink(&mut self) {
        self.entries.shrink_to_fit();
    }

    /// The recipients that are not done, when the message at `offset` lives.
    pub(super) fn pending(&self, offset: u32) -> Option<&RecipientSet> {
        let entry = self.entries.get(self.find(offset)?)?;
        Some(&entry.pending).filter(|pending| !pending.is_empty())
    }

    /// Where the state of the message's deferred recipients begins to be read.
    pub(super) fn deferred_at(&self, offset: u32) -> Option<At> {
        let entry = self.entries.get(self.find(offset)?)?;
        Some(entry.deferred_at).filter(|at| *at != NEVER)
    }

    pub(super) fn set_deferred_at(&mut self, offset: u32, at: Option<At>) {
        if let Some(entry) = self.find(offset).and_then(|index| self.entries.get_mut(index)) {
            entry.deferred_at = at.unwrap_or(NEVER);
        }
    }

    pub(super) fn body(&self, offset: u32) -> Option<BodyRef> {
        self.bodies.get(&offset).copied()
    }

    pub(super) fn handle(&self, offset: u32) -> Option<At> {
        self.handles.get(&offset).copied()
    }

    /// Takes outcomes for the message at `offset`; returns what it leaves behind when that was its last recipient.
    pub(super) fn settle(&mut self, offset: u32, outcomes: &[(u16, Outcome)]) -> Option<Remains> {
        let index = self.find(offset)?;
        let entry = self.entries.get_mut(index)?;
        if entry.pending.is_empty() {
            return None;
        }
        for (recipient, outcome) in outcomes {
            match outcome {
                Outcome::Delivered | Outcome::Failed | Outcome::Removed => entry.pending.remove(*recipient),
                Outcome::Deferred(_) => {}
            }
        }
        if entry.pending.is_empty() { self.bury(offset) } else { None }
    }

    /// The message at `offset` lives elsewhere from now on, with its body and handle.
    pub(super) fn vacate(&mut self, offset: u32) {
        if let Some(entry) =
            self.find(offset).and_then(|index| self.entries.get_mut(index)).filter(|e| !e.pending.is_empty())
        {
            entry.pending = RecipientSet::default();
            self.bury(offset);
        }
    }

    fn bury(&mut self, offset: u32) -> Option<Remains> {
        let len = self.entries.get(self.find(offset)?)?.len;
        self.live = self.live.saturating_sub(1);
        self.live_bytes = self.live_bytes.saturating_sub(u64::from(len));
        Some(Remains { body: self.bodies.remove(&offset), handle: self.handles.remove(&offset) })
    }

    /// Offset and length of the messages that live, from the oldest on.
    pub(super) fn living(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.entries.iter().filter(|entry| !entry.pending.is_empty()).map(|entry| (entry.offset, entry.len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(offset: u32, recipients: usize) -> NewEntry {
        NewEntry {
            offset,
            len: 100,
            pending: RecipientSet::first(recipients),
            deferred_at: None,
            body: None,
            handle: None,
        }
    }

    #[test]
    fn a_message_costs_thirty_two_octets() {
        assert_eq!(std::mem::size_of::<Entry>(), 32);
    }

    #[test]
    fn a_message_dies_with_its_last_recipient_and_only_once() {
        let mut table = Table::new(1, 1000);
        let body = BodyRef { number: 4, size: 9 };
        table.push(NewEntry { body: Some(body), ..entry(64, 2) });
        table.push(entry(164, 1));
        assert_eq!(table.settle(64, &[(0, Outcome::Delivered), (0, Outcome::Delivered)]), None);
        assert_eq!(table.settle(64, &[(7, Outcome::Delivered)]), None, "a recipient that is not there");
        assert_eq!((table.live, table.live_bytes), (2, 200));
        assert_eq!(table.settle(64, &[(1, Outcome::Failed)]), Some(Remains { body: Some(body), handle: None }));
        assert_eq!(table.settle(64, &[(1, Outcome::Failed)]), None);
        assert_eq!((table.live, table.live_bytes), (1, 100));
        assert_eq!(table.settle(65, &[(0, Outcome::Delivered)]), None, "no message begins there");
        assert_eq!(table.living().collect::<Vec<_>>(), [(164, 100)]);
    }
}
