//! Random schedules in zones with odd rules, asked around their transitions, against the walk through every minute.

use jiff::{
    SignedDuration, Timestamp,
    civil::Date,
    tz::{TimeZone, TimeZoneDatabase},
};
use proptest::{prelude::*, sample::subsequence};

use super::walk;
use crate::{
    log_level::LogLevel,
    quantity::Interval,
    schedule::{ClockTime, Day, Exception, LinkState, Schedule, TCPScheduleSpec, Window},
};

/// Cases in each zone, of which each walks through weeks of minutes; PROPTEST_CASES asks for more.
fn cases() -> u32 {
    const CASES: u32 = 48;
    std::env::var_os("PROPTEST_CASES").map_or(CASES, |_| ProptestConfig::default().cases)
}

/// As far as the walk goes: more than two weeks, in which whatever recurs weekly shows itself.
const WALK_MINUTES: i64 = 23 * 24 * 60;
const DAY: SignedDuration = SignedDuration::from_hours(24);

fn link() -> impl Strategy<Value = LinkState> {
    prop_oneof![Just(LinkState::Open), Just(LinkState::Closed)]
}

/// Times from 00:00 to 23:59, most of them in the hours in which zones change their clocks.
fn minute() -> impl Strategy<Value = u16> {
    prop_oneof![
        3 => (0u16..20).prop_map(|quarter| quarter * 15),
        1 => (0u16..8).prop_map(|quarter| 1_320 + quarter * 15),
        1 => 0u16..1_440,
    ]
}

fn clock(minute: u16) -> ClockTime {
    ClockTime::new(minute / 60, minute % 60).unwrap()
}

/// From and to, which differ; the end of the day among them.
fn times() -> impl Strategy<Value = (ClockTime, ClockTime)> {
    let to = prop_oneof![4 => minute(), 1 => Just(1_440)];
    (minute(), to)
        .prop_filter("a rule that lasts no time is refused", |(from, to)| from != to)
        .prop_map(|(from, to)| (clock(from), clock(to)))
}

/// Open with or without a pause, or closed.
fn link_and_pause() -> impl Strategy<Value = (LinkState, Option<Interval>)> {
    let pause = prop_oneof![(1u32..600).prop_map(|minutes| minutes * 60), 1u32..90_000, Just(7 * 86_400)];
    (link(), prop::option::of(pause))
        .prop_map(|(link, pause)| (link, pause.filter(|_| link == LinkState::Open).map(Interval::from_secs)))
}

fn window() -> impl Strategy<Value = Window> {
    let days = prop_oneof![2 => subsequence(Day::ALL.to_vec(), 0..=7), 1 => subsequence(Day::ALL.to_vec(), 1)];
    (days, times(), link_and_pause()).prop_map(|(days, (from, to), (link, pause))| Window {
        days,
        from,
        to,
        link,
        pause,
    })
}

/// Exceptions on dates around `near`.
fn exception(near: Date) -> impl Strategy<Value = Exception> {
    let date = (-6i64..18).prop_map(move |days| near + jiff::Span::new().days(days));
    (prop::collection::vec(date, 1..4), times(), link_and_pause())
        .prop_map(|(dates, (from, to), (link, pause))| Exception { dates, from, to, link, pause })
}

/// A moment around one of the zone's transitions (or anywhere, in a zone without), and schedules to ask about it.
fn questions(zone: &'static str) -> impl Strategy<Value = (TCPScheduleSpec, Timestamp, Option<i64>)> {
    let tz = TimeZoneDatabase::bundled().get(zone).unwrap();
    let between = ("2005-01-01T00:00Z".parse().unwrap(), "2036-01-01T00:00Z".parse().unwrap());
    let mut around = transitions(&tz, between);
    if around.is_empty() {
        around.push("2026-11-23T00:00Z".parse().unwrap());
    }
    if zone == "Pacific/Apia" {
        // The skipped date as often as all the others together.
        let skipped: Timestamp = "2011-12-30T10:00Z".parse().unwrap();
        around.extend(vec![skipped; around.len()]);
    }
    let moment = (prop::sample::select(around), prop_oneof![-6 * 3_600i64..6 * 3_600, -16 * 86_400i64..2 * 86_400])
        .prop_map(|(transition, seconds)| transition + SignedDuration::from_secs(seconds));
    moment.prop_flat_map(move |moment| {
        let near = tz.to_datetime(moment).date();
        let spec = (
            link(),
            prop::collection::vec(window(), 0..4),
            prop_oneof![1 => Just(vec![]).boxed(), 1 => prop::collection::vec(exception(near), 1..3).boxed()],
        )
            .prop_map(move |(default, windows, exceptions)| TCPScheduleSpec {
                time_zone: zone.into(),
                default,
                windows,
                exceptions,
                log: LogLevel::Major,
            });
        let last = prop::option::of(prop_oneof![0i64..7_200, 0i64..8 * 86_400]);
        (spec, Just(moment), last)
    })
}

fn transitions(zone: &TimeZone, (begin, end): (Timestamp, Timestamp)) -> Vec<Timestamp> {
    zone.following(begin).map(|transition| transition.timestamp()).take_while(|at| *at < end).collect()
}

/// The schedule's answer and the walk's are the same, or the schedule's lies beyond where the walk went.
fn agree(ours: Option<Timestamp>, walked: Option<Timestamp>, walked_till: Timestamp) -> bool {
    ours == walked || (walked.is_none() && ours.is_some_and(|ours| ours > walked_till))
}

fn compare(zone: &'static str) {
    let tz = TimeZoneDatabase::bundled().get(zone).unwrap();
    let config = ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |((spec, at, since_last) in questions(zone))| {
        let schedule = Schedule::new("random", &spec).unwrap();
        let last_began = since_last.map(|seconds| at - SignedDuration::from_secs(seconds));
        let walked_till = at + DAY * i32::try_from(WALK_MINUTES / 1_440).unwrap() - DAY;

        let decision = schedule.decide(at);
        prop_assert_eq!((decision.link, decision.rule.source, decision.pause), walk::decide(&spec, &tz, at));

        let verdict = schedule.verdict(at);
        prop_assert_eq!((verdict.link, &verdict.rule, verdict.pause), (decision.link, &decision.rule, decision.pause));
        let walked = walk::next_change(&spec, &tz, at, WALK_MINUTES);
        prop_assert!(
            agree(verdict.changes_at, walked, walked_till),
            "the link changes at {:?}, but minute by minute at {walked:?}", verdict.changes_at,
        );

        let next = schedule.next_session(last_began, at);
        let walked = walk::next_session(&spec, &tz, last_began, at, WALK_MINUTES);
        prop_assert!(
            agree(next, walked, walked_till),
            "a session after {last_began:?} may begin at {next:?}, but minute by minute at {walked:?}",
        );
    });
}

macro_rules! zones {
    ($($test:ident: $zone:literal,)*) => {
        /// The schedule says what a walk through every minute says.
        mod says_what_a_walk_through_every_minute_says_in {
            $(#[test] fn $test() { super::compare($zone); })*
        }
    };
}

zones! {
    rome: "Europe/Rome",
    new_york: "America/New_York",
    lord_howe: "Australia/Lord_Howe",
    kolkata: "Asia/Kolkata",
    casablanca: "Africa/Casablanca",
    apia: "Pacific/Apia",
    st_johns: "America/St_Johns",
    utc: "UTC",
    kathmandu: "Asia/Kathmandu",
    cairo: "Africa/Cairo",
}

/// The comparison itself can fail: a walk in a neighbouring zone disagrees.
#[test]
fn the_walk_tells_one_zone_from_another() {
    let spec = super::spec(
        serde_json::json!({"timeZone": "Europe/Rome", "windows": [{"from": "08:00", "to": "09:00", "link": "Open"}]}),
    );
    let at = "2026-11-23T00:00Z".parse().unwrap();
    let ours = Schedule::new("rome", &spec).unwrap().verdict(at).changes_at;
    let walked =
        |zone: &str| walk::next_change(&spec, &TimeZoneDatabase::bundled().get(zone).unwrap(), at, WALK_MINUTES);
    assert_eq!(ours, walked("Europe/Rome"));
    assert_ne!(ours, walked("Europe/Athens"));
}
