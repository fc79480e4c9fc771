//! The status of a TCPSchedule: whether relays can obey it, and what its link is, re-drawn exactly when that changes.

use std::time::Duration;

use jiff::Timestamp;
use mailsluice_crds::{
    TCPScheduleSpec, TCPScheduleStatus,
    schedule::{LinkState, Schedule, ScheduleError, Verdict},
};

use crate::status::transition::{self, Finding};

/// The clock may be set, and a machine may sleep: a schedule that changes later than this is looked at again by then.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

/// The TCP Schedule of a relay, as far as it can be obeyed.
#[derive(Debug, Clone)]
pub enum ScheduleUse {
    /// The relay refers to none.
    None,
    /// This one.
    Known(Box<Known>),
    /// It refers to one by this name that does not exist.
    Missing(String),
    /// It refers to one that makes no sense.
    Invalid {
        /// Its name.
        name: String,
        /// Why, and what to write instead.
        error: ScheduleError,
    },
}

/// A TCP Schedule that can be obeyed.
#[derive(Debug, Clone)]
pub struct Known {
    /// Ready to be asked.
    pub schedule: Schedule,
    /// As it was declared.
    pub spec: TCPScheduleSpec,
}

/// Draws the status of the TCP Schedule of that name, and says when to draw it again.
#[must_use]
pub fn draw(
    (name, spec): (&str, &TCPScheduleSpec),
    generation: Option<i64>,
    relays: u32,
    before: &TCPScheduleStatus,
    now: Timestamp,
) -> (TCPScheduleStatus, Option<Duration>) {
    let (finding, verdict) = match Schedule::new(name, spec) {
        Ok(schedule) => {
            let verdict = schedule.verdict(now);
            (accepted(&verdict), Some((verdict, schedule)))
        }
        Err(error) => {
            let message = format!("no relay can obey it, and those that did keep what they had: {error}");
            (Finding::no("Invalid", message), None)
        }
    };
    let conditions = transition::settle("Accepted", Some(finding), &before.conditions, generation, now);
    let mut status = TCPScheduleStatus {
        observed_generation: generation,
        conditions: conditions.into_iter().collect(),
        relays,
        ..TCPScheduleStatus::default()
    };
    let Some((verdict, schedule)) = verdict else { return (status, None) };
    status.link = Some(verdict.link);
    status.changes_at = verdict.changes_at;
    status.since = match (before.link, before.changes_at) {
        (Some(link), _) if link == verdict.link => before.since,
        // The change that was announced is the one that happened.
        (Some(_), Some(announced)) if announced <= now && schedule.decide(announced).link == verdict.link => {
            Some(announced)
        }
        _ => Some(whole_seconds(now)),
    };
    (status, verdict.changes_at.map(|changes| wait(now, changes)))
}

/// That relays obey it. One whose windows never come, or are over, is obeyed too, and is most often a mistake.
fn accepted(verdict: &Verdict) -> Finding {
    match (verdict.link, verdict.changes_at) {
        (LinkState::Closed, None) => Finding::yes(
            "NeverOpens",
            "relays obey it, and it never opens: they hold all mail until that expires and is returned; write a window with `link: Open` that comes, or `default: Open`",
        ),
        _ => Finding::yes("Accepted", "relays obey it"),
    }
}

/// How long to wait for that moment.
#[must_use]
pub fn wait(now: Timestamp, moment: Timestamp) -> Duration {
    Duration::try_from(moment.duration_since(now)).unwrap_or_default().min(LONGEST_WAIT)
}

fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> TCPScheduleSpec {
        serde_json::from_str(r#"{"windows": [{"from": "08:00", "to": "20:00", "link": "Open"}]}"#).unwrap()
    }

    fn at(time: &str) -> Timestamp {
        format!("2026-11-23T{time}Z").parse().unwrap()
    }

    fn drawn(before: &TCPScheduleStatus, now: Timestamp) -> (TCPScheduleStatus, Option<Duration>) {
        draw(("day", &spec()), Some(3), 2, before, now)
    }

    #[test]
    fn the_status_says_what_the_link_is_since_when_and_till_when() {
        let (status, again) = drawn(&TCPScheduleStatus::default(), at("19:30:00.25"));
        assert_eq!((status.link, status.relays), (Some(LinkState::Open), 2));
        assert_eq!((status.since, status.changes_at), (Some(at("19:30:00")), Some(at("20:00:00"))));
        assert_eq!(status.observed_generation, Some(3));
        let accepted = &status.conditions[0];
        assert_eq!(
            (accepted.type_.as_str(), accepted.status.as_str(), accepted.observed_generation),
            ("Accepted", "True", Some(3))
        );
        assert_eq!(again, Some(Duration::from_millis(29 * 60_000 + 59_750)), "to be drawn again at the change");
    }

    #[test]
    fn the_status_does_not_tick_and_changes_exactly_when_the_link_does() {
        let (first, _) = drawn(&TCPScheduleStatus::default(), at("19:30:00"));
        for later in ["19:30:01", "19:45:00", "19:59:59.999"] {
            assert_eq!(drawn(&first, at(later)).0, first, "{later}");
        }
        let (closed, again) = drawn(&first, at("20:00:00.003"));
        assert_eq!((closed.link, closed.since), (Some(LinkState::Closed), Some(at("20:00:00"))));
        assert_eq!(closed.changes_at, Some("2026-11-24T08:00:00Z".parse().unwrap()));
        assert_eq!(again, Some(LONGEST_WAIT), "a long wait is cut short, for the clock may be set");
        assert_eq!(closed.conditions, first.conditions, "it was accepted all the time");
    }

    #[test]
    fn a_schedule_that_cannot_be_obeyed_says_what_to_write_and_has_no_link() {
        let bad = TCPScheduleSpec { time_zone: "Europe/Roma".into(), ..spec() };
        let (first, _) = drawn(&TCPScheduleStatus::default(), at("10:00:00"));
        let (status, again) = draw(("day", &bad), Some(4), 2, &first, at("10:00:01"));
        let accepted = &status.conditions[0];
        assert_eq!((accepted.status.as_str(), accepted.reason.as_str()), ("False", "Invalid"));
        assert!(accepted.message.contains(r#"did you mean "Europe/Rome"?"#), "{}", accepted.message);
        assert_eq!((status.link, status.since, status.changes_at, again), (None, None, None, None));
    }

    #[test]
    fn a_schedule_that_never_opens_says_so_whatever_windows_it_has() {
        let day = r#"{"days": ["Mon"], "from": "08:00", "to": "18:00", "link": "Open"}"#;
        for (name, spec, reason) in [
            ("closed for good", r#"{}"#.to_owned(), "NeverOpens"),
            ("opened for a day that is over", opened_on("2026-11-22"), "NeverOpens"),
            ("opened for today", opened_on("2026-11-23"), "Accepted"),
            ("opened for a day that comes", opened_on("2026-11-24"), "Accepted"),
            ("open each Monday", format!(r#"{{"windows": [{day}]}}"#), "Accepted"),
            ("open for good", r#"{"default": "Open"}"#.to_owned(), "Accepted"),
        ] {
            let spec: TCPScheduleSpec = serde_json::from_str(&spec).unwrap();
            let (status, _) = draw((name, &spec), None, 1, &TCPScheduleStatus::default(), at("10:00:00"));
            let accepted = &status.conditions[0];
            assert_eq!((accepted.status.as_str(), accepted.reason.as_str()), ("True", reason), "{name}");
        }
    }

    fn opened_on(date: &str) -> String {
        format!(r#"{{"exceptions": [{{"dates": ["{date}"], "link": "Open"}}]}}"#)
    }

    #[test]
    fn a_schedule_that_never_changes_is_not_looked_at_again() {
        let always: TCPScheduleSpec = serde_json::from_str(r#"{"default": "Open"}"#).unwrap();
        let (status, again) = draw(("always", &always), None, 0, &TCPScheduleStatus::default(), at("10:00:00"));
        assert_eq!((status.link, status.changes_at, again), (Some(LinkState::Open), None, None));
    }
}
