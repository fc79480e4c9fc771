//! The messages as such, each once however many hosts it goes to, in the order in which they grow old.
//!
//! Nearly all count their age from their acceptance, and ids are in that order. The few with a time of their own (held till a
//! moment, or to be delivered by one) are kept apart, so that the others cost nothing for them.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound::{Excluded, Unbounded},
};

use jiff::{SignedDuration, Timestamp};

use super::{Few, HostId, moment::Moment};
use crate::{
    smtp::extensions::timing::Late,
    spool::{Location, MessageId, Timing},
};

/// What of a message is common to all its hosts.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) location: Location,
    pub(super) size: u64,
    pub(super) received_at: Moment,
    /// The hosts that still have recipients of it. One, nearly always.
    pub(super) hosts: Few<HostId>,
}

/// A message with a time of its own.
#[derive(Debug)]
struct Timed {
    message: Message,
    /// Its age counts from here: a message that was held is not late when it is let go.
    since: Moment,
    deadline: Option<(Moment, Late)>,
}

/// All messages that wait.
#[derive(Debug, Default)]
pub(super) struct Messages {
    plain: BTreeMap<MessageId, Message>,
    timed: BTreeMap<MessageId, Timed>,
    since: BTreeSet<(Moment, MessageId)>,
    /// Those that are to be delivered by a moment, and whose sender is not told yet that it is over.
    deadlines: BTreeSet<(Moment, MessageId)>,
    /// Up to here it was looked which are late: the plain ones, and the timed ones.
    looked: (Option<MessageId>, Option<(Moment, MessageId)>),
}

impl Messages {
    pub(super) fn insert(&mut self, id: MessageId, message: Message, timing: &Timing) {
        // One that another relay hands over may be older than those that were looked at.
        if let (Some(looked), _) = &mut self.looked {
            *looked = (*looked).min(MessageId::from_u64(id.get().saturating_sub(1)));
        }
        if timing.hold_until.is_none() && timing.deliver_by.is_none() {
            self.plain.insert(id, message);
            return;
        }
        let held = timing.hold_until.map(Moment::not_before);
        let since = held.map_or(message.received_at, |held| held.max(message.received_at));
        // A time that was over when the message came was told of by the relay before (RFC 2852 section 4.1.3).
        let deadline = timing.deliver_by.map(|by| (Moment::not_before(by.at), by.late));
        let deadline = deadline.filter(|(at, _)| *at > message.received_at);
        self.since.insert((since, id));
        if let Some((at, _)) = deadline {
            self.deadlines.insert((at, id));
        }
        self.timed.insert(id, Timed { message, since, deadline });
    }

    pub(super) fn get(&self, id: MessageId) -> Option<&Message> {
        self.plain.get(&id).or_else(|| self.timed.get(&id).map(|timed| &timed.message))
    }

    pub(super) fn get_mut(&mut self, id: MessageId) -> Option<&mut Message> {
        let plain = self.plain.get_mut(&id);
        plain.or_else(|| self.timed.get_mut(&id).map(|timed| &mut timed.message))
    }

    pub(super) fn remove(&mut self, id: MessageId) {
        if self.plain.remove(&id).is_none()
            && let Some(timed) = self.timed.remove(&id)
        {
            self.since.remove(&(timed.since, id));
            if let Some((at, _)) = timed.deadline {
                self.deadlines.remove(&(at, id));
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.plain.len() + self.timed.len()
    }

    /// The one that was accepted last.
    pub(super) fn newest(&self) -> Option<MessageId> {
        let plain = self.plain.last_key_value().map(|(id, _)| *id);
        plain.max(self.timed.last_key_value().map(|(id, _)| *id))
    }

    /// When the oldest was accepted.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        let plain = self.plain.first_key_value().map(|(id, message)| (*id, message));
        let timed = self.timed.first_key_value().map(|(id, timed)| (*id, &timed.message));
        let (_, oldest) = plain.into_iter().chain(timed).min_by_key(|(id, _)| *id)?;
        Some(oldest.received_at.timestamp())
    }

    /// Those that are to go back at `now`: older than `age`, or past the moment after which they are not to be delivered.
    pub(super) fn expired(&self, age: SignedDuration, now: Timestamp) -> impl Iterator<Item = (MessageId, &Message)> {
        let old = move |since: Moment| since.timestamp().duration_until(now) >= age;
        let plain = self.plain.iter().take_while(move |(_, message)| old(message.received_at));
        let timed = self.since.iter().take_while(move |(since, _)| old(*since));
        let late = self.deadlines.iter().take_while(move |(at, _)| at.timestamp() <= now);
        let late = late.filter(|(_, id)| self.late(*id) == Some(Late::Return));
        let apart = timed.chain(late).filter_map(|(_, id)| Some((*id, &self.timed.get(id)?.message)));
        plain.map(|(id, message)| (*id, message)).chain(apart)
    }

    fn late(&self, id: MessageId) -> Option<Late> {
        Some(self.timed.get(&id)?.deadline?.1)
    }

    /// When the first one expires, or is late for its sender.
    pub(super) fn next_expiry(&self, age: SignedDuration) -> Option<Timestamp> {
        let late = self.deadlines.first().map(|(at, _)| at.timestamp());
        self.next_too_old(age).into_iter().chain(late).min()
    }

    /// When the first one is older than `age`. The age of one that its sender wanted held counts from the end of that.
    pub(super) fn next_too_old(&self, age: SignedDuration) -> Option<Timestamp> {
        let plain = self.plain.first_key_value().map(|(_, message)| message.received_at);
        let timed = self.since.first().map(|(since, _)| *since);
        let old = [plain, timed].into_iter().flatten().filter_map(|since| since.timestamp().checked_add(age).ok());
        old.min()
    }

    /// Those that have become older than `age` since this was last asked, at most `most`; none twice.
    pub(super) fn became_late(&mut self, age: SignedDuration, now: Timestamp, most: usize) -> Vec<MessageId> {
        let old = |since: Moment| since.timestamp().duration_until(now) >= age;
        let (plain_to, timed_to) = self.looked;
        let plain = self.plain.range((plain_to.map_or(Unbounded, Excluded), Unbounded));
        let mut late: Vec<_> =
            plain.take_while(|(_, message)| old(message.received_at)).map(|(id, _)| *id).take(most).collect();
        self.looked.0 = late.last().copied().or(plain_to);
        let timed = self.since.range((timed_to.map_or(Unbounded, Excluded), Unbounded));
        let timed: Vec<_> = timed.take_while(|(since, _)| old(*since)).take(most - late.len()).copied().collect();
        self.looked.1 = timed.last().copied().or(timed_to);
        late.extend(timed.into_iter().map(|(_, id)| id));
        late
    }

    /// Those whose sender wants to be told that the time is over by which they were to be delivered, at most `most`; none twice.
    pub(super) fn became_overdue(&mut self, now: Timestamp, most: usize) -> Vec<MessageId> {
        let over = self.deadlines.iter().take_while(|(at, _)| at.timestamp() <= now);
        let over = over.filter(|(_, id)| self.late(*id) == Some(Late::Notify)).take(most);
        let over: Vec<_> = over.copied().collect();
        for place in &over {
            self.deadlines.remove(place);
        }
        over.into_iter().map(|(_, id)| id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_costs_no_more_than_promised() {
        assert_eq!(size_of::<Message>(), 48);
    }
}
