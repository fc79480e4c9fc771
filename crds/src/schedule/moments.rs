//! The moments at which a TCPSchedule may say something new.
//!
//! What it says depends on the wall clock alone, so it changes only where the wall clock passes a rule's boundary or a
//! midnight, or where the zone moves the wall clock. Those moments are few, and this finds them without a walk over
//! the minutes between.

use std::collections::BTreeSet;

use jiff::{
    SignedDuration, Timestamp, ToSpan,
    civil::Date,
    tz::{AmbiguousOffset, Offset},
};

use super::Schedule;

/// How far ahead rules that recur weekly can say something new for the first time, in days.
///
/// A week shows every weekly boundary, unless it falls into a gap of the zone's, or on a date that the zone skips: then
/// the week after shows it. One day more for each end, where the moment lies inside a rule, and one for the zone's shift.
const RECURRENCE_DAYS: i64 = 17;
/// How long before the UTC midnight of its date an exception can begin, in days: zones are at most 26 hours from UTC.
const EXCEPTION_LEAD_DAYS: i64 = 2;
/// Moments are looked up for so many days at a time: most changes lie within a week.
const STRIDE_DAYS: i64 = 7;

/// The moments after `at`, in order, at which the schedule may say something new; complete up to `through` and as far
/// beyond it as anything new can follow.
pub(super) fn after(schedule: &Schedule, at: Timestamp, through: Timestamp) -> impl Iterator<Item = Timestamp> {
    let clock = boundaries(schedule);
    ranges(schedule, at, through)
        .into_iter()
        .flat_map(strides)
        .flat_map(move |(start, end)| within(schedule, &clock, start, end))
}

/// Each rule's boundaries, and midnight, in minutes after midnight.
fn boundaries(schedule: &Schedule) -> BTreeSet<u16> {
    // 24:00 is the next day's 00:00, which every day has.
    schedule.rules().flat_map(|rule| rule.boundaries()).filter(|minute| *minute < 24 * 60).chain([0]).collect()
}

/// The stretches of time, apart and in order, in which something new may be said: from `at` on, and around each
/// exception. Between them a week without news repeats itself.
fn ranges(schedule: &Schedule, at: Timestamp, through: Timestamp) -> Vec<(Timestamp, Timestamp)> {
    let recurrence = days(RECURRENCE_DAYS);
    let mut ranges = vec![(at, later(through.max(at), recurrence))];
    for date in schedule.rules().flat_map(|rule| rule.dates()) {
        let Ok(midnight) = Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)) else {
            continue;
        };
        let begin = later(midnight, days(-EXCEPTION_LEAD_DAYS)).max(at);
        // Its own day, the tail of one that crosses midnight, and what recurs after it.
        let end = later(midnight, days(EXCEPTION_LEAD_DAYS + 1) + recurrence);
        if end > at {
            ranges.push((begin, end));
        }
    }
    ranges.sort_unstable();
    let mut apart: Vec<(Timestamp, Timestamp)> = Vec::new();
    for (begin, end) in ranges {
        match apart.last_mut() {
            Some(last) if begin <= last.1 => last.1 = last.1.max(end),
            _ => apart.push((begin, end)),
        }
    }
    apart
}

/// A range cut into pieces of at most [`STRIDE_DAYS`].
fn strides((begin, end): (Timestamp, Timestamp)) -> impl Iterator<Item = (Timestamp, Timestamp)> {
    std::iter::successors(Some(begin), move |start| {
        let next = later(*start, days(STRIDE_DAYS));
        (next < end && next > *start).then_some(next)
    })
    .map(move |start| (start, later(start, days(STRIDE_DAYS)).min(end)))
}

/// The moments in `(start, end]`, in order.
fn within(schedule: &Schedule, clock: &BTreeSet<u16>, start: Timestamp, end: Timestamp) -> Vec<Timestamp> {
    let zone = schedule.zone();
    let mut moments: Vec<Timestamp> =
        zone.following(start).map(|transition| transition.timestamp()).take_while(|at| *at <= end).collect();
    // The wall clock can go back over midnight, so a date's moments can lie beside its neighbours'.
    let first = zone.to_datetime(start).date().saturating_sub(1.day());
    let last = zone.to_datetime(end).date().saturating_add(1.day());
    for date in first.series(1.day()).take_while(|date| *date <= last) {
        moments.extend(clock.iter().flat_map(|minute| on_the_clock(schedule, date, *minute)));
    }
    moments.retain(|moment| start < *moment && *moment <= end);
    moments.sort_unstable();
    moments.dedup();
    moments
}

/// When the wall clock shows that time: once, twice in a repeated hour, or never in a gap, whose end is a transition.
fn on_the_clock(schedule: &Schedule, date: Date, minute: u16) -> impl Iterator<Item = Timestamp> {
    let local = date.to_datetime(jiff::civil::Time::midnight()).saturating_add(i64::from(minute).minutes());
    let (first, second) = match schedule.zone().to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } => (Some(offset), None),
        AmbiguousOffset::Gap { .. } => (None, None),
        AmbiguousOffset::Fold { before, after } => (Some(before), Some(after)),
    };
    [first, second].into_iter().flatten().filter_map(move |offset| offset.to_timestamp(local).ok())
}

fn days(count: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * count)
}

/// `at` moved by `duration`, no further than time reaches.
pub(super) fn later(at: Timestamp, duration: SignedDuration) -> Timestamp {
    at.saturating_add(duration).unwrap_or(at)
}
