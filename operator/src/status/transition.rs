//! Conditions against the ones before: what changed, and since when each has been so.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::monitor::bound;

/// Characters of a condition's message: enough for any sentence, and bounded.
const MESSAGE: usize = 512;

/// What a condition is found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// True, False or Unknown.
    pub status: Truth,
    /// Stable, in CamelCase.
    pub reason: &'static str,
    /// A sentence with the facts and what to do.
    pub message: String,
}

/// A condition's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// It is so.
    True,
    /// It is not so.
    False,
    /// It cannot be told.
    Unknown,
}

impl Truth {
    /// As the API spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Truth::True => "True",
            Truth::False => "False",
            Truth::Unknown => "Unknown",
        }
    }
}

impl Finding {
    /// It is so.
    #[must_use]
    pub fn yes(reason: &'static str, message: impl Into<String>) -> Finding {
        Finding { status: Truth::True, reason, message: message.into() }
    }

    /// It is not so.
    #[must_use]
    pub fn no(reason: &'static str, message: impl Into<String>) -> Finding {
        Finding { status: Truth::False, reason, message: message.into() }
    }

    /// It cannot be told.
    #[must_use]
    pub fn unknown(reason: &'static str, message: impl Into<String>) -> Finding {
        Finding { status: Truth::Unknown, reason, message: message.into() }
    }
}

/// The condition of that type: with the time of its last transition kept where its status is what it was. Without a
/// finding it stays as it was.
#[must_use]
pub fn settle(
    kind: &str,
    finding: Option<Finding>,
    before: &[Condition],
    generation: Option<i64>,
    now: Timestamp,
) -> Option<Condition> {
    let before = before.iter().find(|condition| condition.type_ == kind);
    let Some(finding) = finding else { return before.cloned() };
    let status = finding.status.name();
    let unmoved = before.filter(|before| before.status == status).map(|before| before.last_transition_time.clone());
    // The API keeps whole seconds.
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    Some(Condition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: finding.reason.to_owned(),
        message: bound::shortened(&finding.message, MESSAGE),
        observed_generation: generation,
        last_transition_time: unmoved.unwrap_or(Time(now)),
    })
}

/// Whether the two say the same, but for their words.
#[must_use]
pub fn same(left: &Condition, right: &Condition) -> bool {
    left.type_ == right.type_ && left.status == right.status && left.reason == right.reason
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_time_of_a_transition_moves_with_the_status_only() {
        let first = settle("Ready", Some(Finding::no("A", "a")), &[], Some(1), at(10)).unwrap();
        assert_eq!((first.last_transition_time.0, first.observed_generation), (at(10), Some(1)));
        for (finding, moved) in [
            (Finding::no("A", "a"), 10),
            (Finding::no("A", "other words"), 10),
            (Finding::no("B", "b"), 10),
            (Finding::yes("C", "c"), 20),
            (Finding::unknown("D", "d"), 20),
        ] {
            let next = settle("Ready", Some(finding.clone()), std::slice::from_ref(&first), Some(2), at(20)).unwrap();
            assert_eq!(next.last_transition_time.0, at(moved), "{finding:?}");
            assert_eq!(next.observed_generation, Some(2), "{finding:?}");
        }
    }

    #[test]
    fn a_condition_without_a_finding_stays_as_it_was() {
        let first = settle("Delivering", Some(Finding::no("A", "a")), &[], Some(1), at(10)).unwrap();
        assert_eq!(settle("Delivering", None, std::slice::from_ref(&first), Some(2), at(20)), Some(first));
        assert_eq!(settle("Delivering", None, &[], Some(2), at(20)), None);
    }

    #[test]
    fn a_message_has_a_bound() {
        let long = settle("Ready", Some(Finding::no("A", "ü".repeat(5_000))), &[], None, at(0)).unwrap();
        assert_eq!(long.message.chars().count(), MESSAGE);
    }
}
