//! The reference that the schedule is compared with: it knows no boundaries and no transitions, and asks every minute.
//!
//! Written from the definitions in [`crate::schedule`] alone, and shares no code with what it checks.

use jiff::{Timestamp, ToSpan, civil::DateTime, tz::TimeZone};

use crate::{
    quantity::Interval,
    schedule::{LinkState, RuleSource, TCPScheduleSpec},
};

/// What the spec says of a moment.
pub(super) fn decide(
    spec: &TCPScheduleSpec,
    zone: &TimeZone,
    at: Timestamp,
) -> (LinkState, RuleSource, Option<Interval>) {
    let local = zone.to_datetime(at);
    for (index, exception) in spec.exceptions.iter().enumerate().rev() {
        let dates = |date| exception.dates.contains(&date);
        if inside(local, (exception.from.minutes(), exception.to.minutes()), dates) {
            return (exception.link, RuleSource::Exception(index), exception.pause);
        }
    }
    for (index, window) in spec.windows.iter().enumerate().rev() {
        let days = |date: jiff::civil::Date| {
            window.days.is_empty()
                || window
                    .days
                    .iter()
                    .any(|day| i32::from(day.index()) == i32::from(date.weekday().to_monday_zero_offset()))
        };
        if inside(local, (window.from.minutes(), window.to.minutes()), days) {
            return (window.link, RuleSource::Window(index), window.pause);
        }
    }
    (spec.default, RuleSource::Default, None)
}

/// Whether a wall-clock time lies between the times of a rule that starts on the dates that `starts` names.
fn inside(local: DateTime, (from, to): (u16, u16), starts: impl Fn(jiff::civil::Date) -> bool) -> bool {
    [local.date(), local.date().yesterday().unwrap()].into_iter().filter(|date| starts(*date)).any(|date| {
        let begin = date.at(0, 0, 0, 0) + i64::from(from).minutes();
        let end = date.at(0, 0, 0, 0) + i64::from(if to > from { to } else { to + 24 * 60 }).minutes();
        begin <= local && local < end
    })
}

/// The whole minutes from the first one after `at` until `minutes` later.
fn minutes_after(at: Timestamp, minutes: i64) -> impl Iterator<Item = Timestamp> {
    let first = at.as_second().div_euclid(60) + 1;
    (first..first + minutes).map(|minute| Timestamp::from_second(minute * 60).unwrap())
}

/// The first minute after `at`, among so many, at which the link is another.
pub(super) fn next_change(spec: &TCPScheduleSpec, zone: &TimeZone, at: Timestamp, minutes: i64) -> Option<Timestamp> {
    let (link, ..) = decide(spec, zone, at);
    minutes_after(at, minutes).find(|minute| decide(spec, zone, *minute).0 != link)
}

/// The first moment from `at` on, within so many minutes, at which a session may begin.
pub(super) fn next_session(
    spec: &TCPScheduleSpec,
    zone: &TimeZone,
    last_began: Option<Timestamp>,
    at: Timestamp,
    minutes: i64,
) -> Option<Timestamp> {
    std::iter::once(at).chain(minutes_after(at, minutes)).find_map(|begin| {
        let end = minutes_after(begin, 1).next().unwrap();
        let (link, _, pause) = decide(spec, zone, begin);
        let allowed = match (last_began, pause) {
            (Some(last), Some(pause)) => begin.max(last + pause.duration()),
            _ => begin,
        };
        (link == LinkState::Open && allowed < end).then_some(allowed)
    })
}
