//! Notices that the clock on the wall is set while the relay runs, against time that only passes (pure).
//!
//! Which of the two readings is right cannot be known. What cannot be taken back is done by the cautious one: a clock that was set forward is
//! believed after an hour, and mail is not returned for its age by it before. Whoever set it wrongly has that hour to set it back.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// A smaller difference is a look that came late.
const STEP: SignedDuration = SignedDuration::from_secs(60);
/// After so long a clock that was set forward is believed.
const BELIEVED: Duration = Duration::from_secs(3_600);

/// What has been seen of both clocks.
#[derive(Debug)]
pub struct Steps {
    /// What they showed at the last look.
    last: (Timestamp, Instant),
    /// By how much the wall's was set forward, as far as that is not believed yet; and when.
    doubted: SignedDuration,
    doubted_since: Instant,
    /// By how much it was set, all in all, since somebody asked.
    untold: SignedDuration,
}

impl Steps {
    /// From here on.
    #[must_use]
    pub fn new(wall: Timestamp, passing: Instant) -> Steps {
        Steps {
            last: (wall, passing),
            doubted: SignedDuration::ZERO,
            doubted_since: passing,
            untold: SignedDuration::ZERO,
        }
    }

    /// Looks at both clocks. The moment by which it may be judged how old mail is: never later than the wall's.
    pub fn look(&mut self, wall: Timestamp, passing: Instant) -> Timestamp {
        let (last_wall, last_passing) = std::mem::replace(&mut self.last, (wall, passing));
        let passed = SignedDuration::try_from(passing.saturating_duration_since(last_passing)).unwrap_or_default();
        let step = last_wall.duration_until(wall).saturating_sub(passed);
        if step.abs() >= STEP {
            self.untold = self.untold.saturating_add(step);
            self.doubted = self.doubted.saturating_add(step).max(SignedDuration::ZERO);
            if step.is_positive() {
                self.doubted_since = passing;
            }
        }
        if passing.saturating_duration_since(self.doubted_since) >= BELIEVED {
            self.doubted = SignedDuration::ZERO;
        }
        wall.saturating_sub(self.doubted).unwrap_or(wall)
    }

    /// By how much the clock was set since this was asked last: forward, or back where it is negative.
    pub fn take_step(&mut self) -> Option<SignedDuration> {
        let step = std::mem::take(&mut self.untold);
        (step.abs() >= STEP).then_some(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each look: seconds that have passed, what the wall's clock shows beyond the start, what age is judged by, and the step that is told.
    fn check(looks: &[(u64, i64, i64, Option<i64>)]) {
        let (start, passing) = (Timestamp::from_second(1_790_000_000).unwrap(), Instant::now());
        let mut steps = Steps::new(start, passing);
        for look in looks {
            let (passed, wall, judged_by, step) = *look;
            let after = |seconds| start + SignedDuration::from_secs(seconds);
            assert_eq!(steps.look(after(wall), passing + Duration::from_secs(passed)), after(judged_by), "{look:?}");
            assert_eq!(steps.take_step(), step.map(SignedDuration::from_secs), "{look:?}");
        }
    }

    #[test]
    fn a_clock_that_goes_on_as_time_passes_is_believed_though_it_is_looked_at_late() {
        check(&[
            (1, 1, 1, None),
            (2, 3, 3, None),
            (900, 900, 900, None),
            (901, 930, 930, None),
            (2_000, 2_001, 2_001, None),
        ]);
    }

    #[test]
    fn what_was_set_forward_and_back_again_was_never_believed() {
        check(&[
            (1, 1, 1, None),
            (2, 3_602, 2, Some(3_600)),
            (60, 3_660, 60, None),
            (61, 61, 61, Some(-3_600)),
            (70, 70, 70, None),
        ]);
    }

    #[test]
    fn what_was_set_forward_is_believed_after_an_hour() {
        check(&[(10, 7_210, 10, Some(7_200)), (3_609, 10_809, 3_609, None), (3_610, 10_810, 10_810, None)]);
        // Forward again, and the hour counts anew.
        check(&[
            (10, 110, 10, Some(100)),
            (20, 220, 20, Some(100)),
            (3_615, 3_815, 3_615, None),
            (3_620, 3_820, 3_820, None),
        ]);
    }

    #[test]
    fn what_was_set_back_is_believed_at_once() {
        check(&[(10, -3_590, -3_590, Some(-3_600)), (11, -3_589, -3_589, None), (12, 12, -3_588, Some(3_600))]);
    }

    #[test]
    fn steps_that_nobody_asked_for_meanwhile_are_told_together() {
        let (start, passing) = (Timestamp::UNIX_EPOCH, Instant::now());
        let mut steps = Steps::new(start, passing);
        for wall in [1_000, 0, 500] {
            steps.look(start + SignedDuration::from_secs(wall), passing);
        }
        assert_eq!(steps.take_step(), Some(SignedDuration::from_secs(500)));
        assert_eq!(steps.take_step(), None);
    }
}
