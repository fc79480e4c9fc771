//! A host's ready messages in the order in which they are sent: the higher priority first, and of one priority the one that has
//! been ready for longest.
//!
//! Every tenth goes to the oldest message whatever its priority: so a steady flow of important mail delays the rest, and never
//! stops it.

use std::collections::{BTreeMap, VecDeque};

use crate::{smtp::extensions::timing::Priority, spool::MessageId};

/// Of so many messages one is chosen by its age alone.
const SHARE: u8 = 10;

/// The ids of ready messages. One that was taken out of turn stays here until it is met.
#[derive(Debug, Default)]
pub(super) struct Ready {
    /// Of normal priority: nearly all.
    normal: VecDeque<MessageId>,
    /// Of other priorities, no list empty; nothing, nearly always.
    others: BTreeMap<Priority, VecDeque<MessageId>>,
    chosen: u8,
}

impl Ready {
    pub(super) fn push_back(&mut self, id: MessageId, priority: Priority) {
        self.list(priority).push_back(id);
    }

    pub(super) fn push_front(&mut self, id: MessageId, priority: Priority) {
        self.list(priority).push_front(id);
    }

    fn list(&mut self, priority: Priority) -> &mut VecDeque<MessageId> {
        if priority == Priority::NORMAL { &mut self.normal } else { self.others.entry(priority).or_default() }
    }

    /// The first of each priority.
    fn fronts(&self) -> impl Iterator<Item = (Priority, MessageId)> {
        let others = self.others.iter().filter_map(|(priority, list)| Some((*priority, *list.front()?)));
        others.chain(self.normal.front().map(|id| (Priority::NORMAL, *id)))
    }

    /// The highest priority that something is ready with.
    pub(super) fn highest(&self) -> Priority {
        if self.others.is_empty() {
            return Priority::NORMAL;
        }
        self.fronts().map(|(priority, _)| priority).max().unwrap_or_default()
    }

    pub(super) fn pop(&mut self) -> Option<MessageId> {
        if self.others.is_empty() {
            return self.normal.pop_front();
        }
        self.chosen = (self.chosen + 1) % SHARE;
        let next = if self.chosen == 0 {
            self.fronts().min_by_key(|(_, id)| *id)
        } else {
            self.fronts().max_by_key(|(priority, _)| *priority)
        };
        let (priority, id) = next?;
        self.list(priority).pop_front();
        self.others.retain(|_, list| !list.is_empty());
        Some(id)
    }

    /// Puts each priority into the order of acceptance.
    pub(super) fn sort(&mut self) {
        for list in self.others.values_mut().chain([&mut self.normal]) {
            list.make_contiguous().sort_unstable();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn priority(number: i8) -> Priority {
        Priority::new(number).unwrap()
    }

    #[test]
    fn the_important_goes_first_and_of_one_priority_the_first_to_come() {
        let mut ready = Ready::default();
        for (id, level) in [(1, 0), (2, -3), (3, 5), (4, 0), (5, 5)] {
            ready.push_back(MessageId::from_u64(id), priority(level));
        }
        assert_eq!(ready.highest(), priority(5));
        let order: Vec<_> = std::iter::from_fn(|| ready.pop()).map(MessageId::get).collect();
        assert_eq!(order, [3, 5, 1, 4, 2]);
        assert_eq!(ready.highest(), Priority::NORMAL);
    }

    #[test]
    fn a_steady_flow_of_important_mail_stops_no_other() {
        let mut ready = Ready::default();
        for id in 0..5 {
            ready.push_back(MessageId::from_u64(id), priority(-9));
        }
        let mut low = 0;
        for id in 100..160 {
            ready.push_back(MessageId::from_u64(id), priority(9));
            ready.push_back(MessageId::from_u64(id + 1_000), priority(9));
            low += usize::from(ready.pop().unwrap().get() < 100);
        }
        assert_eq!(low, 5, "every tenth one");
    }
}
