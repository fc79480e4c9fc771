//! When a status is worth a write: a condition's change nearly at once, anything else at most so often, and nothing never; what clients were
//! counted goes along, and is no reason by itself.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use mailsluice_crds::SMTPRelayStatus;

use super::{clients, transition};

/// The least time between two writes that change no condition.
pub const INTERVAL: Duration = Duration::from_secs(2);
/// The least time between two writes: what follows from one another, such as pods that are ready, a rollout that is complete and a Monitor
/// that is read, comes within it, and is one write.
pub const SETTLING: Duration = Duration::from_millis(500);

/// What to do with a status that was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// It is what is stored.
    Nothing,
    /// Write it.
    Now,
    /// Look again after this time.
    In(Duration),
}

/// Decides; `since` is how long ago the last write was, if there was any.
#[must_use]
pub fn decide(stored: &SMTPRelayStatus, drawn: &SMTPRelayStatus, since: Option<Duration>) -> Pace {
    if stored == drawn || clients::differ_without_news(stored, drawn) {
        return Pace::Nothing;
    }
    let least = if conditions_changed(&stored.conditions, &drawn.conditions) { SETTLING } else { INTERVAL };
    match since.and_then(|since| least.checked_sub(since)).filter(|left| !left.is_zero()) {
        Some(left) => Pace::In(left),
        None => Pace::Now,
    }
}

/// Whether one has another status or reason, or is about another generation: those are what others wait for.
fn conditions_changed(stored: &[Condition], drawn: &[Condition]) -> bool {
    stored.len() != drawn.len()
        || stored
            .iter()
            .zip(drawn)
            .any(|(a, b)| !transition::same(a, b) || a.observed_generation != b.observed_generation)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use mailsluice_crds::monitor::QueueTotals;

    use super::*;
    use crate::status::transition::{Finding, settle};

    fn status(finding: Finding, generation: i64, messages: u64) -> SMTPRelayStatus {
        SMTPRelayStatus {
            conditions: settle("Delivering", Some(finding), &[], Some(generation), Timestamp::UNIX_EPOCH)
                .into_iter()
                .collect(),
            queue: Some(QueueTotals { messages, ..QueueTotals::default() }),
            ..SMTPRelayStatus::default()
        }
    }

    #[test]
    fn a_conditions_change_waits_for_what_follows_anything_else_is_written_every_two_seconds_and_nothing_never() {
        let stored = status(Finding::yes("Delivering", "all is well"), 1, 5);
        let (at_once, soon) = (Some(Duration::from_millis(100)), Some(Duration::from_millis(500)));
        for (name, drawn, since, pace) in [
            ("the same", stored.clone(), soon, Pace::Nothing),
            ("the same, long after", stored.clone(), None, Pace::Nothing),
            (
                "another count, soon",
                status(Finding::yes("Delivering", "all is well"), 1, 6),
                soon,
                Pace::In(Duration::from_millis(1_500)),
            ),
            (
                "another count, later",
                status(Finding::yes("Delivering", "all is well"), 1, 6),
                Some(INTERVAL),
                Pace::Now,
            ),
            ("another count, first write", status(Finding::yes("Delivering", "all is well"), 1, 6), None, Pace::Now),
            (
                "other words, soon",
                status(Finding::yes("Delivering", "well"), 1, 5),
                soon,
                Pace::In(Duration::from_millis(1_500)),
            ),
            (
                "another reason, at once",
                status(Finding::yes("HostsSuspended", "one"), 1, 5),
                at_once,
                Pace::In(Duration::from_millis(400)),
            ),
            ("another reason, soon", status(Finding::yes("HostsSuspended", "one"), 1, 5), soon, Pace::Now),
            ("another reason, first write", status(Finding::yes("HostsSuspended", "one"), 1, 5), None, Pace::Now),
            ("another status, soon", status(Finding::no("Delivering", "no"), 1, 5), soon, Pace::Now),
            ("another generation, soon", status(Finding::yes("Delivering", "all is well"), 2, 5), soon, Pace::Now),
        ] {
            assert_eq!(decide(&stored, &drawn, since), pace, "{name}");
        }
    }

    #[test]
    fn a_minute_of_constant_change_costs_thirty_writes() {
        let mut writes = 0;
        let mut last: Option<u64> = None;
        let mut stored = status(Finding::yes("Delivering", "all is well"), 1, 0);
        for millisecond in (0..60_000).step_by(250) {
            let drawn = status(Finding::yes("Delivering", "all is well"), 1, millisecond + 1);
            let since = last.map(|last| Duration::from_millis(millisecond - last));
            if decide(&stored, &drawn, since) == Pace::Now {
                (writes, last, stored) = (writes + 1, Some(millisecond), drawn);
            }
        }
        assert_eq!(writes, 30);
    }
}
