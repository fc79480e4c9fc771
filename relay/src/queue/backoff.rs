//! How long to wait after a failure.

use jiff::{SignedDuration, Timestamp};
use mailsluice_crds::relay::Retry;

/// The wait after a failure: the first, doubled with each one in a row, up to the longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure.
    pub first: SignedDuration,
    /// The longest wait.
    pub longest: SignedDuration,
}

impl Backoff {
    /// The moment of the next attempt after `failures` of them in a row (at least one), the last of them at `now`.
    #[must_use]
    pub fn till(&self, failures: u32, now: Timestamp) -> Timestamp {
        // 2^20 times a second is twelve days: no wait gets beyond that.
        let doublings = failures.saturating_sub(1).min(20);
        let wait = self.first.checked_mul(1 << doublings).unwrap_or(self.longest).min(self.longest);
        now.checked_add(wait).unwrap_or(Timestamp::MAX)
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff::from(&Retry::default())
    }
}

impl From<&Retry> for Backoff {
    fn from(retry: &Retry) -> Self {
        Backoff { first: retry.first.duration(), longest: retry.longest.duration() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_the_longest() {
        let backoff = Backoff { first: SignedDuration::from_mins(5), longest: SignedDuration::from_hours(4) };
        let now = Timestamp::UNIX_EPOCH;
        for (failures, minutes) in [(1, 5), (2, 10), (3, 20), (6, 160), (7, 240), (1_000, 240)] {
            assert_eq!(backoff.till(failures, now), now + SignedDuration::from_mins(minutes), "after {failures}");
        }
    }
}
