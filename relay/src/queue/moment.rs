//! A moment as the queue keeps it for each message: half as long as a [`Timestamp`].

use jiff::Timestamp;

/// Microseconds since the epoch: as exact as the spool keeps them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(i64);

impl Moment {
    /// The first moment that is not before `at`: what waits for it is never early.
    pub(super) fn not_before(at: Timestamp) -> Moment {
        let whole = at.as_microsecond();
        Moment(whole + i64::from(at.subsec_nanosecond() % 1_000 > 0))
    }

    pub(super) fn timestamp(self) -> Timestamp {
        // Only what is rounded up at the end of time is beyond it.
        Timestamp::from_microsecond(self.0).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn it_is_not_before_what_it_was_made_of_and_later_by_less_than_a_microsecond() {
        for nanos in [-1_000_000_001, -1_001, -1_000, -999, -1, 0, 1, 999, 1_000, 1_001, 1_000_000_001] {
            let at = Timestamp::UNIX_EPOCH + SignedDuration::from_nanos(nanos);
            let later = at.duration_until(Moment::not_before(at).timestamp());
            assert!(later >= SignedDuration::ZERO && later < SignedDuration::from_micros(1), "{nanos}: {later}");
        }
        assert_eq!(Moment::not_before(Timestamp::MAX).timestamp(), Timestamp::MAX);
    }
}
