//! The TCP Schedule's specification as tables of cases.

use serde_json::{Value, json};

use super::{at, office_hours, spec};
use crate::schedule::{LinkState::*, RuleSource, Schedule, ScheduleError};

fn schedule(fields: Value) -> Schedule {
    Schedule::new("s", &spec(fields)).unwrap()
}

#[test]
fn the_last_matching_window_decides_and_exceptions_beat_windows() {
    let schedule = schedule(json!({
        "timeZone": "UTC",
        "windows": [
            {"from": "08:00", "to": "20:00", "link": "Open"},
            {"days": ["Wed"], "from": "12:00", "to": "13:00", "link": "Closed"},
            {"days": ["Wed"], "from": "12:30", "to": "12:45", "link": "Open", "pause": "5m"},
        ],
        "exceptions": [
            {"dates": ["2026-11-25"], "from": "09:00", "to": "10:00", "link": "Closed"},
            {"dates": ["2026-11-25"], "from": "09:30", "to": "09:40", "link": "Open"},
        ],
    }));
    for (moment, link, rule, words) in [
        ("2026-11-25T07:59:59Z", Closed, RuleSource::Default, "default"),
        ("2026-11-25T08:00Z", Open, RuleSource::Window(0), "windows[0] (every day 08:00-20:00)"),
        ("2026-11-25T09:00Z", Closed, RuleSource::Exception(0), "exceptions[0] (2026-11-25 09:00-10:00)"),
        ("2026-11-25T09:30Z", Open, RuleSource::Exception(1), "exceptions[1] (2026-11-25 09:30-09:40)"),
        ("2026-11-25T09:40Z", Closed, RuleSource::Exception(0), "exceptions[0] (2026-11-25 09:00-10:00)"),
        ("2026-11-25T12:00Z", Closed, RuleSource::Window(1), "windows[1] (Wed 12:00-13:00)"),
        ("2026-11-25T12:30Z", Open, RuleSource::Window(2), "windows[2] (Wed 12:30-12:45)"),
        ("2026-11-26T12:30Z", Open, RuleSource::Window(0), "windows[0] (every day 08:00-20:00)"),
        ("2026-11-25T20:00Z", Closed, RuleSource::Default, "default"),
    ] {
        let said = schedule.decide(at(moment));
        assert_eq!((said.link, said.rule.source, &*said.rule.words), (link, rule, words), "{moment}");
    }
}

#[test]
fn a_window_that_crosses_midnight_belongs_to_the_day_on_which_it_starts() {
    let schedule = office_hours();
    for (moment, link) in [
        ("2026-11-28T01:59+01:00", Closed),
        ("2026-11-28T22:00+01:00", Open),
        ("2026-11-29T01:59+01:00", Open),
        ("2026-11-29T02:00+01:00", Closed),
        ("2026-11-29T22:00+01:00", Closed),
    ] {
        assert_eq!(schedule.decide(at(moment)).link, link, "{moment}");
    }
    // An exception for a date reaches into the next one, and leaves its own small hours alone.
    let night = super::spec(json!({
        "default": "Open",
        "exceptions": [{"dates": ["2026-12-31"], "from": "23:00", "to": "01:00", "link": "Closed"}],
    }));
    let night = Schedule::new("night", &night).unwrap();
    for (moment, link) in [
        ("2026-12-31T00:30Z", Open),
        ("2026-12-31T23:00Z", Closed),
        ("2027-01-01T00:59Z", Closed),
        ("2027-01-01T01:00Z", Open),
    ] {
        assert_eq!(night.decide(at(moment)).link, link, "{moment}");
    }
}

/// Zone, windows, moment, link then, and when it changes next.
#[test]
fn the_next_change_is_found_across_gaps_repeated_hours_and_skipped_dates() {
    let night = |from: &str, to: &str| json!([{"from": from, "to": to, "link": "Open"}]);
    let on = |day: &str, from: &str, to: &str| json!([{"days": [day], "from": from, "to": to, "link": "Open"}]);
    for (case, zone, windows, moment, link, changes) in [
        (
            "a boundary inside a gap takes effect at the gap's end",
            "Europe/Rome",
            night("02:30", "05:00"),
            "2026-03-29T01:00+01:00",
            Closed,
            "2026-03-29T03:00+02:00",
        ),
        (
            "an end inside a gap takes effect where the gap begins",
            "Europe/Rome",
            night("01:00", "02:30"),
            "2026-03-29T01:30+01:00",
            Open,
            "2026-03-29T03:00+02:00",
        ),
        (
            "a window wholly within a gap does not happen that day",
            "Europe/Rome",
            night("02:15", "02:45"),
            "2026-03-28T12:00+01:00",
            Closed,
            "2026-03-30T02:15+02:00",
        ),
        (
            "a weekly window hidden by a gap is found a week later",
            "Europe/Rome",
            on("Sun", "02:15", "02:45"),
            "2026-03-22T02:45+01:00",
            Closed,
            "2026-04-05T02:15+02:00",
        ),
        (
            "in a repeated hour both passes are inside: the first ends where the clock goes back",
            "Europe/Rome",
            night("02:30", "05:00"),
            "2026-10-25T02:30+02:00",
            Open,
            "2026-10-25T02:00+01:00",
        ),
        (
            "in a repeated hour both passes are inside: the second begins on the clock",
            "Europe/Rome",
            night("02:30", "05:00"),
            "2026-10-25T02:00+01:00",
            Closed,
            "2026-10-25T02:30+01:00",
        ),
        (
            "a shift of half an hour",
            "Australia/Lord_Howe",
            night("02:00", "02:15"),
            "2026-10-04T01:00+10:30",
            Closed,
            "2026-10-05T02:00+11:00",
        ),
        (
            "a shift one minute past midnight, back into the day before",
            "America/St_Johns",
            night("23:30", "23:45"),
            "2006-10-28T23:45-02:30",
            Closed,
            "2006-10-28T23:30-03:30",
        ),
        (
            "a date that the zone skipped",
            "Pacific/Apia",
            on("Fri", "08:00", "09:00"),
            "2011-12-23T09:00-10:00",
            Closed,
            "2012-01-06T08:00+14:00",
        ),
        (
            "the night of a skipped date still has its morning",
            "Pacific/Apia",
            on("Fri", "22:00", "02:00"),
            "2011-12-29T12:00-10:00",
            Closed,
            "2011-12-31T00:00+14:00",
        ),
        (
            "a zone of half hours without shifts",
            "Asia/Kolkata",
            night("08:00", "09:00"),
            "2026-03-29T00:00Z",
            Closed,
            "2026-03-29T08:00+05:30",
        ),
        (
            "Ramadan's change",
            "Africa/Casablanca",
            night("02:30", "06:00"),
            "2026-02-15T02:30+01:00",
            Open,
            "2026-02-15T02:00+00:00",
        ),
        (
            "midnight is no change where the next window follows on",
            "UTC",
            json!([{"days": ["Mon", "Tue"], "link": "Open"}]),
            "2026-11-23T12:00Z",
            Open,
            "2026-11-25T00:00Z",
        ),
        (
            "an end at 24:00 is the next day's midnight",
            "UTC",
            night("20:00", "24:00"),
            "2026-11-23T21:00Z",
            Open,
            "2026-11-24T00:00Z",
        ),
    ] {
        let schedule = schedule(json!({"timeZone": zone, "windows": windows}));
        let said = schedule.verdict(at(moment));
        assert_eq!((said.link, said.changes_at), (link, Some(at(changes))), "{case}");
    }
}

#[test]
fn exceptions_change_the_link_however_far_ahead_they_are() {
    let closed_once = schedule(json!({"default": "Open", "exceptions": [{"dates": ["2031-07-14"], "link": "Closed"}]}));
    for (moment, link, changes) in [
        ("2026-11-23T12:00Z", Open, Some("2031-07-14T00:00Z")),
        ("2031-07-14T00:00Z", Closed, Some("2031-07-15T00:00Z")),
        ("2031-07-15T00:00Z", Open, None),
    ] {
        let said = closed_once.verdict(at(moment));
        assert_eq!((said.link, said.changes_at), (link, changes.map(at)), "{moment}");
    }
    // All its Mondays are taken for two months; the next one is no exception any more.
    let mondays = ["2026-11-30", "2026-12-07", "2026-12-14", "2026-12-21", "2026-12-28", "2027-01-04", "2027-01-11"];
    let weekly = schedule(json!({
        "windows": [{"days": ["Mon"], "link": "Open"}],
        "exceptions": [{"dates": mondays, "link": "Closed"}],
    }));
    assert_eq!(weekly.verdict(at("2026-11-24T12:00Z")).changes_at, Some(at("2027-01-18T00:00Z")));
}

#[test]
fn an_open_ended_schedule_has_no_next_change() {
    for (fields, link) in [
        (json!({}), Closed),
        (json!({"default": "Open"}), Open),
        (json!({"windows": [{"link": "Open"}]}), Open),
        (
            json!({"default": "Open", "windows": [{"from": "08:00", "to": "09:00", "link": "Open", "pause": "5m"}]}),
            Open,
        ),
        (json!({"exceptions": [{"dates": ["2026-11-22"], "link": "Open"}]}), Closed),
    ] {
        let said = schedule(fields.clone()).verdict(at("2026-11-23T12:00Z"));
        assert_eq!((said.link, said.changes_at), (link, None), "{fields}");
    }
}

#[test]
fn a_session_begins_when_the_link_is_open_and_the_pause_is_over() {
    let office_hours = office_hours();
    let seldom = schedule(
        json!({"windows": [{"days": ["Sat"], "from": "22:00", "to": "02:00", "link": "Open", "pause": "7d"}]}),
    );
    let never = schedule(json!({}));
    let mixed = schedule(json!({
        "default": "Open",
        "windows": [{"from": "08:00", "to": "09:00", "link": "Open", "pause": "2h"}],
    }));
    for (case, schedule, last, moment, next) in [
        (
            "an open link without a pause",
            &office_hours,
            Some("2026-11-23T09:59Z"),
            "2026-11-23T10:00Z",
            Some("2026-11-23T10:00Z"),
        ),
        ("a closed link", &office_hours, None, "2026-11-23T21:40+01:00", Some("2026-11-24T08:00+01:00")),
        (
            "the first of a window with a pause",
            &office_hours,
            None,
            "2026-11-28T22:07+01:00",
            Some("2026-11-28T22:07+01:00"),
        ),
        (
            "a pause under way",
            &office_hours,
            Some("2026-11-28T22:00:20+01:00"),
            "2026-11-28T22:10+01:00",
            Some("2026-11-28T22:30:20+01:00"),
        ),
        (
            "a pause that ends after the window",
            &office_hours,
            Some("2026-11-29T01:45+01:00"),
            "2026-11-29T01:50+01:00",
            Some("2026-11-30T08:00+01:00"),
        ),
        (
            "a pause that is over",
            &office_hours,
            Some("2026-11-28T12:00Z"),
            "2026-11-28T22:10+01:00",
            Some("2026-11-28T22:10+01:00"),
        ),
        ("a pause of a week", &seldom, Some("2026-11-28T22:00Z"), "2026-11-28T22:01Z", Some("2026-12-05T22:00Z")),
        (
            "a pause of a week, begun late",
            &seldom,
            Some("2026-11-29T01:59Z"),
            "2026-11-29T01:59Z",
            Some("2026-12-06T01:59Z"),
        ),
        (
            "a pause ends where a rule without one decides",
            &mixed,
            Some("2026-11-23T08:30Z"),
            "2026-11-23T08:31Z",
            Some("2026-11-23T09:00Z"),
        ),
        (
            "a pause counts from sessions of other rules",
            &mixed,
            Some("2026-11-23T07:59Z"),
            "2026-11-23T08:00Z",
            Some("2026-11-23T09:00Z"),
        ),
        (
            "a clock that was set back",
            &office_hours,
            Some("2027-11-28T22:00+01:00"),
            "2026-11-28T22:10+01:00",
            Some("2026-11-28T22:10+01:00"),
        ),
        ("a schedule that never opens", &never, None, "2026-11-23T10:00Z", None),
    ] {
        assert_eq!(schedule.next_session(last.map(at), at(moment)), next.map(at), "{case}");
    }
}

#[test]
fn a_schedule_explains_itself_in_its_own_local_time() {
    let office_hours = office_hours();
    let holidays = Schedule::new(
        "holidays",
        &spec(json!({
            "timeZone": "Europe/Rome",
            "default": "Open",
            "exceptions": [{"dates": ["2026-12-24", "2026-12-25", "2026-12-26", "2026-12-27", "2026-12-28", "2026-12-29", "2026-12-30"], "link": "Closed"}],
        })),
    )
    .unwrap();
    let shut = Schedule::new("shut", &spec(json!({}))).unwrap();
    let night = Schedule::new(
        "night",
        &spec(json!({"timeZone": "Europe/Rome", "windows": [{"from": "02:30", "to": "05:00", "link": "Open"}]})),
    )
    .unwrap();
    let once = Schedule::new(
        "once",
        &spec(json!({"exceptions": [{"dates": ["2026-11-23"], "from": "12:00", "to": "12:10", "link": "Open", "pause": "10m"}]})),
    )
    .unwrap();
    for (schedule, last, moment, text) in [
        (
            &office_hours,
            None,
            "2026-11-23T21:40+01:00",
            "TCP Schedule office-hours allows no connections on Mon 21:40 (Europe/Rome); it opens Tue 08:00",
        ),
        (
            &office_hours,
            None,
            "2026-11-23T10:00+01:00",
            "TCP Schedule office-hours allows connections on Mon 10:00 (Europe/Rome); it closes Mon 19:30",
        ),
        (
            &office_hours,
            Some("2026-11-28T22:00+01:00"),
            "2026-11-28T22:10+01:00",
            "TCP Schedule office-hours allows a session every 30m; the next may begin Sat 22:30 (Europe/Rome)",
        ),
        (
            &office_hours,
            Some("2026-11-28T22:00:06.5+01:00"),
            "2026-11-28T22:10+01:00",
            "TCP Schedule office-hours allows a session every 30m; the next may begin Sat 22:30:07 (Europe/Rome)",
        ),
        (
            &office_hours,
            None,
            "2026-11-28T22:10+01:00",
            "TCP Schedule office-hours allows a session every 30m; the next may begin now, on Sat 22:10 (Europe/Rome)",
        ),
        (
            &once,
            Some("2026-11-23T12:00Z"),
            "2026-11-23T12:01Z",
            "TCP Schedule once allows a session every 10m; no other may begin",
        ),
        (
            &shut,
            None,
            "2026-11-23T10:00Z",
            "TCP Schedule shut allows no connections on Mon 10:00 (UTC); it never opens again",
        ),
        (
            &holidays,
            None,
            "2026-12-24T10:00+01:00",
            "TCP Schedule holidays allows no connections on Thu 10:00 (Europe/Rome); it opens Thu 2026-12-31 00:00",
        ),
        (
            &holidays,
            None,
            "2026-12-25T10:00+01:00",
            "TCP Schedule holidays allows no connections on Fri 10:00 (Europe/Rome); it opens Thu 00:00",
        ),
        (
            &holidays,
            None,
            "2027-01-01T10:00+01:00",
            "TCP Schedule holidays allows connections on Fri 10:00 (Europe/Rome); it never closes",
        ),
        (
            &night,
            None,
            "2026-10-25T02:10+01:00",
            "TCP Schedule night allows no connections on Sun 02:10 CET (Europe/Rome); it opens Sun 02:30 CET",
        ),
    ] {
        assert_eq!(schedule.explain(last.map(at), at(moment)), text);
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_what_to_write_instead() {
    let refused = |fields: Value| Schedule::new("s", &spec(fields)).unwrap_err();
    for (fields, message) in [
        (
            json!({"timeZone": "Europe/Roma"}),
            r#"spec.timeZone: "Europe/Roma" is no time zone: did you mean "Europe/Rome"?"#,
        ),
        (
            json!({"windows": [{"link": "Open"}, {"from": "08:00", "to": "08:00", "link": "Open"}]}),
            r#"spec.windows[1]: `from` and `to` are the same time: for the whole day leave both out or write from "00:00" to "24:00""#,
        ),
        (
            json!({"exceptions": [{"dates": ["2026-12-25"], "from": "24:00", "to": "08:00", "link": "Open"}]}),
            r#"spec.exceptions[0]: it cannot start at "24:00": write "00:00" and the day after"#,
        ),
        (
            json!({"windows": [{"link": "Closed", "pause": "5m"}]}),
            "spec.windows[0]: `pause` belongs to an open link: leave it out, or write link: Open",
        ),
        (
            json!({"windows": [{"link": "Open", "pause": "8d"}]}),
            "spec.windows[0]: `pause` is longer than 7d, in which every window comes again: make it shorter",
        ),
    ] {
        assert_eq!(refused(fields).to_string(), message);
    }
    assert!(matches!(refused(json!({"timeZone": "Nowhere"})), ScheduleError::UnknownZone(_)));
}
