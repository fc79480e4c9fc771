//! The hosts that wait for a session, in the order of their turn: those with the most important mail first, and of one priority
//! those that have waited for longest.
//!
//! Every tenth turn goes to the host that has waited for longest, whatever its mail: as in [`super::ready`], nothing starves.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
};

use super::HostId;
use crate::smtp::extensions::timing::Priority;

/// Of so many turns one is given by waiting alone.
const SHARE: u8 = 10;

/// The hosts in turn.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// The more important first; then by the number that each drew.
    order: BTreeSet<(Reverse<Priority>, i64, HostId)>,
    places: HashMap<HostId, (Reverse<Priority>, i64)>,
    /// The number of the first in the line, and of the next to join it.
    front: i64,
    back: i64,
    given: u8,
}

impl Turns {
    /// Puts a host at the end of the line of its priority; one that is there already moves up if its mail has become more
    /// important.
    pub(super) fn offer(&mut self, id: HostId, priority: Priority) {
        match self.places.get_mut(&id) {
            Some((known, number)) => {
                if priority > known.0 {
                    self.order.remove(&(*known, *number, id));
                    known.0 = priority;
                    self.order.insert((*known, *number, id));
                }
            }
            None => {
                self.put(id, priority, self.back);
                self.back += 1;
            }
        }
    }

    /// Puts the host that [`Turns::next`] gave back in front of all of its priority, as if it had not been given.
    pub(super) fn give_back(&mut self, id: HostId, priority: Priority) {
        if !self.places.contains_key(&id) {
            self.front -= 1;
            self.put(id, priority, self.front);
            self.given = (self.given + SHARE - 1) % SHARE;
        }
    }

    fn put(&mut self, id: HostId, priority: Priority, number: i64) {
        self.places.insert(id, (Reverse(priority), number));
        self.order.insert((Reverse(priority), number, id));
    }

    /// The host whose turn it is, taken out of the line.
    pub(super) fn next(&mut self) -> Option<HostId> {
        let &(first, ..) = self.order.first()?;
        let &(last, ..) = self.order.last()?;
        self.given = (self.given + 1) % SHARE;
        let place = if self.given == 0 && first != last {
            self.fronts().min_by_key(|(_, number, _)| *number)
        } else {
            self.order.first().copied()
        };
        let (priority, number, id) = place?;
        self.order.remove(&(priority, number, id));
        self.places.remove(&id);
        Some(id)
    }

    /// The first of each priority.
    fn fronts(&self) -> impl Iterator<Item = (Reverse<Priority>, i64, HostId)> {
        let levels = (-9..=9).filter_map(Priority::new).map(Reverse);
        levels.filter_map(|level| {
            let first = self.order.range((level, i64::MIN, HostId(0))..).next()?;
            (first.0 == level).then_some(*first)
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn priority(number: i8) -> Priority {
        Priority::new(number).unwrap()
    }

    #[test]
    fn the_important_goes_first_and_then_who_waits_for_longest() {
        let mut turns = Turns::default();
        for (id, level) in [(1, 0), (2, 0), (3, 4), (4, -4)] {
            turns.offer(HostId(id), priority(level));
        }
        turns.offer(HostId(2), priority(4));
        turns.offer(HostId(3), priority(-1));
        let order: Vec<_> = std::iter::from_fn(|| turns.next()).map(|id| id.0).collect();
        assert_eq!(order, [2, 3, 1, 4], "the second has moved up, and nobody moves down");
        assert!(turns.is_empty());
    }

    #[test]
    fn who_is_given_back_is_the_first_again() {
        let mut turns = Turns::default();
        turns.offer(HostId(1), Priority::NORMAL);
        turns.offer(HostId(2), Priority::NORMAL);
        let first = turns.next().unwrap();
        turns.give_back(first, Priority::NORMAL);
        assert_eq!(turns.next(), Some(first));
    }

    #[test]
    fn hosts_with_important_mail_stop_no_other_even_where_turns_are_given_back() {
        let mut turns = Turns::default();
        for id in 1..=3 {
            turns.offer(HostId(id), priority(-9));
        }
        let mut low = 0;
        for id in 100..140 {
            turns.offer(HostId(id), priority(9));
            turns.offer(HostId(id + 1_000), priority(9));
            let given = turns.next().unwrap();
            low += usize::from(given.0 < 100);
            // No connection is left for the next one.
            let refused = turns.next().unwrap();
            turns.give_back(refused, if refused.0 < 100 { priority(-9) } else { priority(9) });
        }
        assert_eq!(low, 3, "every tenth turn");
    }
}
