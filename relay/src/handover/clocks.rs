//! Clocks of siblings that differ: what the one that leaves counted by its own clock is moved by the difference, so that mail waits here
//! as long as it had left to wait there.

use jiff::{SignedDuration, Timestamp};
use mailsluice_ctl::hold::HoldOn;

/// The header of a batch that says what the clock of the relay that leaves shows.
pub const HEADER: &str = "mailsluice-clock";

/// Clocks that differ by less count as the same: so long may a request be under way on a busy machine.
const NEGLIGIBLE: SignedDuration = SignedDuration::from_secs(30);

/// What is to be added to their times here. `theirs`: what their clock showed when they said so; one that says nothing is believed.
#[must_use]
pub fn difference(theirs: Option<Timestamp>, ours: Timestamp) -> SignedDuration {
    let difference = theirs.map(|theirs| theirs.duration_until(ours)).unwrap_or_default();
    if difference.abs() < NEGLIGIBLE { SignedDuration::ZERO } else { difference }
}

/// A moment by their clock, as ours has it.
pub(super) fn moved(mut on: HoldOn, difference: SignedDuration) -> HoldOn {
    on.hold.since = on.hold.since.saturating_add(difference).unwrap_or(on.hold.since);
    on
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clock_that_is_far_off_counts_as_wrong() {
        let ours = Timestamp::from_second(1_790_000_000).unwrap();
        let after = |seconds| ours + SignedDuration::from_secs(seconds);
        for (theirs, to_add) in [
            (None, 0),
            (Some(after(0)), 0),
            (Some(after(29)), 0),
            (Some(after(-29)), 0),
            (Some(after(3_600)), -3_600),
            (Some(after(-3_600)), 3_600),
            (Some(after(30)), -30),
        ] {
            assert_eq!(difference(theirs, ours), SignedDuration::from_secs(to_add), "{theirs:?}");
        }
    }
}
