//! What is done about a domain's policy now: taken from what is known, fetched, or done without (RFC 8461 sections 3.3 and 5.1).
//! Pure.
//!
//! Decisions:
//! - A policy that is remembered stays in force until it is over, whatever the DNS and the web server say meanwhile.
//! - It is fetched anew when the DNS announces another, and once a day, so that one that is in use does not run out. While it is in
//!   force and cannot be fetched, that is tried every hour.
//! - With none in force, a fetch that failed is tried again after five minutes (3.3), and mail goes on as to a domain that announces
//!   nothing meanwhile.

use jiff::{SignedDuration, Timestamp};

const REFRESH: SignedDuration = SignedDuration::from_hours(24);
const AGAIN_WITH_ONE: SignedDuration = SignedDuration::from_hours(1);
const AGAIN_WITHOUT: SignedDuration = SignedDuration::from_mins(5);

/// A policy that is remembered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Remembered<'a> {
    /// What the DNS called it.
    pub(super) id: &'a str,
    pub(super) fetched: Timestamp,
    pub(super) max_age: u64,
}

impl Remembered<'_> {
    /// Whether it is still in force.
    pub(super) fn holds(&self, now: Timestamp) -> bool {
        i64::try_from(self.max_age)
            .ok()
            .and_then(|age| self.fetched.checked_add(SignedDuration::from_secs(age)).ok())
            .is_some_and(|end| now < end)
    }
}

/// What is done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The one that is remembered counts.
    Use,
    /// A new one is fetched; if that fails, the one that is remembered counts while it holds.
    Fetch,
    /// There is none.
    Nothing,
}

/// `failed`: the id and the moment of the last fetch, if it failed; `announced`: what the DNS calls the policy.
pub(super) fn step(
    remembered: Option<Remembered<'_>>,
    failed: Option<(&str, Timestamp)>,
    announced: Option<&str>,
    now: Timestamp,
) -> Step {
    let remembered = remembered.filter(|policy| policy.holds(now));
    let otherwise = if remembered.is_some() { Step::Use } else { Step::Nothing };
    let Some(announced) = announced else { return otherwise };
    let fresh = |policy: &Remembered<'_>| policy.id == announced && now.duration_since(policy.fetched) < REFRESH;
    if remembered.as_ref().is_some_and(fresh) {
        return Step::Use;
    }
    let again = if remembered.is_some() { AGAIN_WITH_ONE } else { AGAIN_WITHOUT };
    match failed {
        // The clock may have been set back.
        Some((id, at)) if id == announced && (at..at + again).contains(&now) => otherwise,
        _ => Step::Fetch,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(minutes: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes)
    }

    #[test]
    fn a_policy_in_force_outlives_what_fails_and_a_new_one_is_fetched_in_time() {
        const DAY: i64 = 24 * 60;
        let week = |id| Some(Remembered { id, fetched: minutes(0), max_age: 7 * 86_400 });
        let hour = |id| Some(Remembered { id, fetched: minutes(0), max_age: 3_600 });
        for (remembered, failed, announced, now, expected) in [
            (None, None, None, 0, Step::Nothing),
            (None, None, Some("1"), 0, Step::Fetch),
            (None, Some(("1", minutes(0))), Some("1"), 4, Step::Nothing),
            (None, Some(("1", minutes(0))), Some("2"), 4, Step::Fetch),
            (None, Some(("1", minutes(0))), Some("1"), 5, Step::Fetch),
            (None, Some(("1", minutes(10))), Some("1"), 0, Step::Fetch),
            (week("1"), None, Some("1"), 0, Step::Use),
            (week("1"), None, Some("1"), DAY - 1, Step::Use),
            (week("1"), None, Some("1"), DAY, Step::Fetch),
            (week("1"), Some(("1", minutes(DAY))), Some("1"), DAY + 59, Step::Use),
            (week("1"), Some(("1", minutes(DAY))), Some("1"), DAY + 60, Step::Fetch),
            (week("1"), None, Some("2"), 1, Step::Fetch),
            (week("1"), Some(("2", minutes(1))), Some("2"), 2, Step::Use),
            // The DNS says nothing any more, or cannot be asked.
            (week("1"), None, None, 7 * DAY - 1, Step::Use),
            (week("1"), None, None, 7 * DAY, Step::Nothing),
            (hour("1"), None, Some("1"), 59, Step::Use),
            (hour("1"), None, Some("1"), 60, Step::Fetch),
            (hour("1"), Some(("1", minutes(60))), Some("1"), 61, Step::Nothing),
        ] {
            let found = step(remembered, failed, announced, minutes(now));
            assert_eq!(found, expected, "{remembered:?} {failed:?} {announced:?} after {now} minutes");
        }
    }
}
