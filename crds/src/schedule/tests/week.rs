//! The week that a picture is drawn from.

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZoneDatabase};

use super::{at, office_hours, spec};
use crate::schedule::{CalendarDay, Schedule, Stretch};

/// `08:00-19:30 Open windows[0] (…)`.
fn words(stretch: &Stretch) -> String {
    let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    let pause = stretch.pause.map(|pause| format!(" every {pause}")).unwrap_or_default();
    format!("{}-{} {:?}{pause} {}", clock(stretch.begins), clock(stretch.ends), stretch.link, stretch.rule)
}

fn hours(days: &[CalendarDay], date: &str) -> Vec<String> {
    let day = days.iter().find(|day| day.date.to_string() == date).unwrap_or_else(|| panic!("{date} in {days:?}"));
    day.stretches.iter().map(words).collect()
}

#[test]
fn a_week_begins_with_today_and_shows_windows_pauses_and_exceptions() {
    // A Tuesday.
    let week = office_hours().week(at("2026-12-22T09:10:11+01:00"));
    let days: Vec<_> = week.iter().map(|day| format!("{} {}", day.day, day.date)).collect();
    assert_eq!(days.first().map(String::as_str), Some("Tue 2026-12-22"));
    assert_eq!(days.last().map(String::as_str), Some("Mon 2026-12-28"));
    assert_eq!(days.len(), 7);
    let office = [
        "00:00-08:00 Closed default",
        "08:00-19:30 Open windows[0] (Mon-Fri 08:00-19:30)",
        "19:30-24:00 Closed default",
    ];
    assert_eq!(hours(&week, "2026-12-22"), office);
    assert_eq!(hours(&week, "2026-12-28"), office);
    assert_eq!(hours(&week, "2026-12-25"), ["00:00-24:00 Closed exceptions[0] (2026-12-25)"]);
    let night = "Open every 30m windows[1] (Sat 22:00-02:00)";
    assert_eq!(hours(&week, "2026-12-26"), ["00:00-22:00 Closed default".into(), format!("22:00-24:00 {night}")]);
    assert_eq!(hours(&week, "2026-12-27"), [format!("00:00-02:00 {night}"), "02:00-24:00 Closed default".into()]);
    assert_eq!(week[0].stretches[1].from, at("2026-12-22T08:00+01:00"));
}

#[test]
fn a_repeated_hour_is_there_twice_and_a_skipped_one_not_at_all() {
    let always =
        Schedule::new("always", &spec(serde_json::json!({"timeZone": "Europe/Rome", "default": "Open"}))).unwrap();
    let spring = hours(&always.week(at("2026-03-27T12:00+01:00")), "2026-03-29");
    assert_eq!(spring, ["00:00-02:00 Open default", "03:00-24:00 Open default"]);
    let autumn = hours(&always.week(at("2026-10-25T12:00+01:00")), "2026-10-25");
    assert_eq!(autumn, ["00:00-03:00 Open default", "02:00-24:00 Open default"]);
}

#[test]
fn every_minute_is_in_one_stretch_of_its_date_at_its_place() {
    let minute = SignedDuration::from_mins(1);
    for (zone, from, dates) in [
        ("Europe/Rome", "2026-03-27T10:00Z", 7),
        ("Australia/Lord_Howe", "2026-04-01T10:00Z", 7),
        // Its clock was moved a minute after midnight, back into the day before.
        ("America/St_Johns", "2006-10-27T10:00Z", 7),
        // It left a date out.
        ("Pacific/Apia", "2011-12-28T10:00Z", 6),
        ("UTC", "2026-03-27T10:00Z", 7),
    ] {
        let fields = serde_json::json!({
            "timeZone": zone,
            "windows": [{"days": ["Sat", "Sun"], "from": "01:30", "to": "02:45", "link": "Open"},
                {"from": "22:00", "to": "02:15", "link": "Open", "pause": "30m"}],
        });
        let schedule = Schedule::new("s", &spec(fields)).unwrap();
        let tz = TimeZoneDatabase::bundled().get(zone).unwrap();
        let at = at(from);
        let week = schedule.week(at);
        assert_eq!(week.len(), dates, "{zone}");
        assert_eq!(week[0].date, tz.to_datetime(at).date(), "{zone}");
        let end =
            week[0].date.checked_add(jiff::Span::new().days(7)).unwrap().to_zoned(tz.clone()).unwrap().timestamp();
        let mut now = at;
        while now < end {
            let local: DateTime = tz.to_datetime(now);
            let found: Vec<(&CalendarDay, &Stretch)> = week
                .iter()
                .flat_map(|day| day.stretches.iter().map(move |stretch| (day, stretch)))
                .filter(|(_, stretch)| stretch.from <= now && now < until(stretch))
                .collect();
            let [(day, stretch)] = found[..] else { panic!("{zone} at {now}: {found:?}") };
            let place = i64::from(stretch.begins) + now.duration_since(stretch.from).as_mins();
            assert_eq!(day.date, local.date(), "{zone} at {now}");
            assert_eq!(place, i64::from(local.hour()) * 60 + i64::from(local.minute()), "{zone} at {now}");
            let decision = schedule.decide(now);
            assert_eq!((stretch.link, stretch.pause), (decision.link, decision.pause), "{zone} at {now}");
            now += minute;
        }
    }
}

fn until(stretch: &Stretch) -> Timestamp {
    stretch.from + SignedDuration::from_mins(i64::from(stretch.ends - stretch.begins))
}
