//! A message on its way from one spool to another: its envelope with the state of its recipients, as compaction writes it.
//!
//! So whatever a spool can keep can be handed over, and what only a later version knows is refused rather than passed over.

use jiff::{SignedDuration, Timestamp};

use super::{
    codec::{Malformed, Octets},
    message::{At, Envelope, MessageId, Pending},
    payload::{FileRef, Head, MovedPart, put_moved},
    report::Recovered,
    timing::moved,
};

/// A message that waits, as another spool is told of it. Its text goes apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The message, with those recipients alone that are not done; of all of them `pending` says how they stand.
    envelope: Envelope,
    pending: Vec<Pending>,
}

/// The octets are no message that waits, or one that only a later version knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message that waits cannot be read: it is damaged, or a later version's")]
pub struct NotWaiting;

impl From<Malformed> for NotWaiting {
    fn from(_: Malformed) -> Self {
        NotWaiting
    }
}

/// No segment's number: the message's earlier place is in another spool.
const ELSEWHERE: At = At { segment: u32::MAX, offset: 0 };

impl Waiting {
    /// What a restart found, without the recipients that are done: those that are left are numbered anew.
    #[must_use]
    pub fn of(found: &Recovered) -> Waiting {
        let mut envelope = found.envelope.clone();
        let left = found.pending.iter().filter_map(|pending| {
            let address = found.envelope.recipients.get(usize::from(pending.recipient))?;
            Some((pending, address.clone()))
        });
        let left: Vec<_> = (0_u16..).zip(left).collect();
        envelope.recipients = left.iter().map(|(_, (_, address))| address.clone()).collect();
        if let Some(extras) = &mut envelope.extras {
            let asked = |before: u16| found.envelope.extras.as_ref().and_then(|extras| extras.of(before)).cloned();
            extras.recipients =
                left.iter().filter_map(|(now, (pending, _))| Some((*now, asked(pending.recipient)?))).collect();
        }
        let pending = left.iter().map(|(now, (pending, _))| Pending { recipient: *now, ..(*pending).clone() });
        Waiting { pending: pending.collect(), envelope }
    }

    /// The message.
    #[must_use]
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The message and the state of its recipients.
    #[must_use]
    pub fn into_parts(self) -> (Envelope, Vec<Pending>) {
        (self.envelope, self.pending)
    }

    /// The same message under another id, where its own is taken.
    #[must_use]
    pub fn renamed(mut self, id: MessageId) -> Waiting {
        self.envelope.id = id;
        self
    }

    /// As it would be, had the clock that its times were taken from shown `difference` more: its age, its due times and what is left to it are
    /// as they were. What a person named as a moment stays.
    ///
    /// Where that clock is ahead, what came before `now`, by the clock here, may have come before it was set, and nothing is to go back too
    /// early: its age and what was counted from its reception stay.
    #[must_use]
    pub fn moved_by(mut self, difference: SignedDuration, now: Timestamp) -> Waiting {
        if difference.is_zero() {
            return self;
        }
        let received_at = self.envelope.received_at;
        if difference.is_positive() || received_at > now {
            if let Some(extras) = &mut self.envelope.extras {
                extras.timing = extras.timing.moved_by(difference, received_at);
            }
            self.envelope.received_at = moved(received_at, difference);
        }
        for pending in &mut self.pending {
            pending.due = pending.due.map(|due| moved(due, difference));
            if let Some(error) = &mut pending.error {
                error.at = moved(error.at, difference);
            }
        }
        self
    }

    /// Its octets, for another spool.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut octets = self.envelope.id.get().to_le_bytes().to_vec();
        self.put(&mut octets, None);
        octets
    }

    /// Reads what [`Waiting::encode`] wrote.
    ///
    /// # Errors
    /// When it is not that.
    pub fn decode(octets: &[u8]) -> Result<Waiting, NotWaiting> {
        let mut from = Octets(octets);
        let id = MessageId::from_u64(u64::from_le_bytes(from.array()?));
        let (Head { envelope, file, moved }, len) = Head::decode(id, from.0)?;
        let pending = moved.map(|moved| moved.pending).unwrap_or_default();
        let numbered = pending.iter().map(|pending| usize::from(pending.recipient)).eq(0..envelope.recipients.len());
        if from.0.len() != len || file.is_some() || pending.is_empty() || !numbered {
            return Err(NotWaiting);
        }
        Ok(Waiting { envelope, pending })
    }

    /// Puts the payload of the record that stores it.
    pub(super) fn put(&self, out: &mut Vec<u8>, file: Option<FileRef>) {
        put_moved(out, &self.envelope, file, &MovedPart { from: ELSEWHERE, pending: self.pending.clone() });
    }

    /// With a text of this size, and without the words of its errors where they are too many.
    pub(super) fn to_store(&self, size: u64, wordless: bool) -> Waiting {
        let mut stored = self.clone();
        stored.envelope.size = size;
        if wordless {
            for error in stored.pending.iter_mut().filter_map(|pending| pending.error.as_mut()) {
                error.code.clear();
                error.text.clear();
            }
        }
        stored
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        smtp::extensions::timing::Late,
        spool::{Client, Deadline, Extras, LastError, Location, Timing, Told, extras::tests::any_extras},
    };

    fn found(extras: Option<Extras>, done: u16) -> Recovered {
        let at = |second| Timestamp::from_second(second).unwrap();
        let envelope = Envelope {
            id: MessageId::from_u64(77),
            received_at: at(1_000),
            sender: "a@example.org".into(),
            recipients: (0..4).map(|n| format!("r{n}@example.com")).collect(),
            eight_bit: true,
            extras: extras.map(Box::new),
            size: 12,
            client: Client { address: Some(([192, 0, 2, 1], 1_234).into()), helo: "c".into(), session: "S1".into() },
        };
        let deferred = |recipient: u16| Pending {
            recipient,
            attempts: 3,
            due: Some(at(2_000)),
            error: Some(LastError { code: "451 4.7.1".into(), text: "later".into(), at: at(1_500) }),
            told: Told::LATE,
        };
        let state = |n: u16| if n.is_multiple_of(2) { deferred(n) } else { Pending::untried(n) };
        let pending = (0..4).filter(|n| *n != done).map(state).collect();
        Recovered { envelope, location: Location { segment: 1, offset: 2, len: 3 }, pending }
    }

    proptest! {
        #[test]
        fn what_waits_is_told_whole_but_for_the_recipients_that_are_done(extras in prop::option::of(any_extras()), done in 0u16..6) {
            let found = found(extras, done);
            let told = Waiting::decode(&Waiting::of(&found).encode()).unwrap();
            let (envelope, pending) = told.clone().into_parts();
            let before = &found.envelope;
            prop_assert_eq!((envelope.id, envelope.received_at, envelope.size), (before.id, before.received_at, before.size));
            prop_assert_eq!(&envelope.client, &before.client);
            prop_assert_eq!(pending.len(), found.pending.len());
            for (now, was) in pending.iter().zip(&found.pending) {
                prop_assert_eq!(&envelope.recipients[usize::from(now.recipient)], &before.recipients[usize::from(was.recipient)]);
                prop_assert_eq!(Pending { recipient: was.recipient, ..now.clone() }, was.clone());
                let of = |envelope: &Envelope, n: u16| envelope.extras.as_ref().and_then(|extras| extras.of(n)).cloned();
                prop_assert_eq!(of(&envelope, now.recipient), of(before, was.recipient));
            }
            let message = |envelope: &Envelope| envelope.extras.as_ref().map(|extras| (extras.message.clone(), extras.timing));
            prop_assert_eq!(message(&envelope), message(before));
        }

        #[test]
        fn no_octets_can_make_it_panic(octets in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Waiting::decode(&octets);
        }
    }

    #[test]
    fn a_clock_that_differs_moves_what_was_counted_by_it_and_no_moment_that_somebody_named() {
        let at = |millis| Timestamp::from_millisecond(millis).unwrap();
        let waiting = |hold_until, later: i64| {
            let deliver_by = Some(Deadline { at: at(4_000_250 + later), late: Late::Return, trace: false });
            let timing = Timing { hold_until: Some(hold_until), deliver_by, priority: None };
            let mut found = found(Some(Extras { timing, ..Extras::default() }), 3);
            found.envelope.received_at = at(1_000_250 + later);
            for pending in &mut found.pending {
                pending.due = pending.due.map(|_| at(2_000_000 + later));
                if let Some(error) = &mut pending.error {
                    error.at = at(1_500_000 + later);
                }
            }
            Waiting::of(&found)
        };
        for hours in [-1, 1, 24] {
            let (difference, millis) = (SignedDuration::from_hours(hours), hours * 3_600_000);
            // A moment after its reception, by the clock that moves.
            let now = at(1_000_251 + millis);
            // Counted from the reception, and named.
            for (hold_until, after) in [(1_600_250, 1_600_250 + millis), (1_600_000, 1_600_000)] {
                let moved = waiting(at(hold_until), 0).moved_by(difference, now);
                assert_eq!(moved, waiting(at(after), millis), "{hours} h, held till {hold_until}");
            }
        }
        assert_eq!(waiting(at(9), 0).moved_by(SignedDuration::ZERO, at(0)), waiting(at(9), 0));
    }

    #[test]
    fn mail_that_came_before_a_clock_was_set_forward_does_not_grow_old_by_it() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let deliver_by = Some(Deadline { at: at(12_000), late: Late::Return, trace: false });
        let timing = Timing { hold_until: Some(at(11_000)), deliver_by, priority: None };
        let mut found = found(Some(Extras { timing, ..Extras::default() }), 3);
        found.envelope.received_at = at(10_000);
        for pending in &mut found.pending {
            pending.due = pending.due.map(|_| at(14_000));
        }
        let before = Waiting::of(&found);
        let moved = before.clone().moved_by(SignedDuration::from_hours(-1), at(10_060));
        assert_eq!(moved.envelope(), before.envelope(), "its age, and what is counted from it");
        assert!(moved.pending.iter().all(|pending| pending.due.is_none_or(|due| due == at(10_400))), "its retries");
    }

    #[test]
    fn what_is_not_whole_is_refused() {
        let octets = Waiting::of(&found(None, 9)).encode();
        for cut in 0..octets.len() {
            assert_eq!(Waiting::decode(&octets[..cut]), Err(NotWaiting), "cut at {cut}");
        }
        assert_eq!(Waiting::decode(&[octets.as_slice(), &[0]].concat()), Err(NotWaiting));
    }
}
