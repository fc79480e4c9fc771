//! The TCP Schedule as it is looked at: what it says now, as a sentence, and its week. Pure.

use jiff::Timestamp;
use mailsluice_crds::schedule::CalendarDay;
use serde::Serialize;

use super::link::missing;
use crate::config::TcpSchedule;

/// A TCP Schedule at one moment: the JSON of `/schedule`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Timetable {
    /// The moment, by the relay's clock.
    pub now: Timestamp,
    /// The TCP Schedule's name; absent where the relay has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// The zone in which its days and times are meant; absent where there is no schedule to have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// What it says of the moment, as the problem of a host that waits for it does.
    pub said: String,
    /// The seven days from today; empty where there is no schedule.
    pub week: Vec<CalendarDay>,
}

impl Timetable {
    /// The timetable at `now`, where the last session began then.
    #[must_use]
    pub(super) fn new(schedule: &TcpSchedule, began: Option<Timestamp>, now: Timestamp) -> Timetable {
        let without = |schedule, said| Timetable { now, schedule, time_zone: None, said, week: Vec::new() };
        match schedule {
            TcpSchedule::None => {
                without(None, "the relay has no TCP Schedule: connections may always be opened".into())
            }
            TcpSchedule::Missing(name) => without(Some(name.clone()), missing(name)),
            TcpSchedule::Known(schedule) => Timetable {
                now,
                schedule: Some(schedule.name().to_owned()),
                time_zone: Some(schedule.time_zone().to_owned()),
                said: schedule.explain(began, now),
                week: schedule.week(now),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use mailsluice_crds::schedule::{Schedule, TCPScheduleSpec};

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn office() -> TcpSchedule {
        let spec: TCPScheduleSpec = serde_json::from_value(serde_json::json!({
            "timeZone": "Europe/Rome", "windows": [{"from": "08:00", "to": "19:30", "link": "Open"}],
        }))
        .unwrap();
        TcpSchedule::Known(Box::new(Schedule::new("office-hours", &spec).unwrap()))
    }

    #[test]
    fn a_timetable_says_what_waiting_hosts_say_and_has_seven_days() {
        let closed = Timetable::new(&office(), None, at("2026-11-25T01:05:00Z"));
        assert_eq!(
            closed.said,
            "TCP Schedule office-hours allows no connections on Wed 02:05 (Europe/Rome); it opens Wed 08:00"
        );
        assert_eq!(
            (closed.schedule.as_deref(), closed.time_zone.as_deref()),
            (Some("office-hours"), Some("Europe/Rome"))
        );
        assert_eq!(closed.week.len(), 7);
        let open = Timetable::new(&office(), None, at("2026-11-25T08:05:00Z"));
        assert_eq!(
            open.said,
            "TCP Schedule office-hours allows connections on Wed 09:05 (Europe/Rome); it closes Wed 19:30"
        );
    }

    #[test]
    fn its_json_has_moments_and_minutes() {
        let json = serde_json::to_value(Timetable::new(&office(), None, at("2026-11-25T01:05:00Z"))).unwrap();
        assert_eq!(json["now"], "2026-11-25T01:05:00Z");
        assert_eq!(json["week"][0]["day"], "Wed");
        assert_eq!(json["week"][0]["date"], "2026-11-25");
        assert_eq!(
            json["week"][0]["stretches"][1],
            serde_json::json!({
                "from": "2026-11-25T07:00:00Z", "begins": 480, "ends": 1170, "link": "Open",
                "rule": "windows[0] (every day 08:00-19:30)",
            })
        );
    }

    #[test]
    fn without_a_schedule_there_is_no_week() {
        let none = Timetable::new(&TcpSchedule::None, None, at("2026-11-25T01:05:00Z"));
        assert_eq!((none.schedule, none.week.len()), (None, 0));
        assert!(none.said.contains("always"), "{}", none.said);
        let missing = Timetable::new(&TcpSchedule::Missing("gate".into()), None, at("2026-11-25T01:05:00Z"));
        assert_eq!((missing.schedule.as_deref(), missing.week.len()), (Some("gate"), 0));
        assert!(missing.said.contains("TCP Schedule gate, which does not exist"), "{}", missing.said);
    }
}
