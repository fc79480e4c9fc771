//! A week of a TCPSchedule as a calendar shows it: what a picture of it is drawn from.

use jiff::{Timestamp, ToSpan, civil::Date};
use serde::Serialize;

use super::{Day, Decision, LinkState, Schedule, moments};
use crate::quantity::Interval;

/// How many days a week shows.
const DAYS: i64 = 7;

/// A date of the week that is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CalendarDay {
    /// The date, in the schedule's zone.
    pub date: Date,
    /// The day of the week that it is.
    pub day: Day,
    /// Its hours from midnight to midnight, in the order in which they pass.
    pub stretches: Vec<Stretch>,
}

/// A part of a date in which the schedule says one thing and nobody moves the wall's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stretch {
    /// When it begins.
    pub from: Timestamp,
    /// The same on the wall's clock, in minutes after midnight.
    pub begins: u16,
    /// When it ends on the wall's clock, in minutes after midnight: 1440 is the end of the day.
    pub ends: u16,
    /// Whether connections may be opened.
    pub link: LinkState,
    /// Where they may: a session may begin so long after the one before it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause: Option<Interval>,
    /// What decides it, as messages call it: `windows[0] (Mon-Fri 08:00-19:30)`.
    pub rule: String,
}

impl Schedule {
    /// The date of `at` and the six after it, in the schedule's zone. An hour that the wall's clock skips is in none of their
    /// stretches, one that it repeats is in two, and a date that a zone has left out is not among them.
    #[must_use]
    pub fn week(&self, at: Timestamp) -> Vec<CalendarDay> {
        let today = at.to_zoned(self.zone().clone()).date();
        let midnight = |date: Date| date.to_zoned(self.zone().clone()).and_then(|begin| begin.start_of_day());
        // Only beyond the years that time reaches there is no such midnight.
        let (Ok(begin), Ok(end)) = (midnight(today), midnight(today.saturating_add(DAYS.days()))) else {
            return Vec::new();
        };
        let (begin, end) = (begin.timestamp(), end.timestamp());
        let news = moments::after(self, begin, end).take_while(|moment| *moment < end);
        let starts: Vec<Timestamp> = std::iter::once(begin).chain(news).collect();
        let ends = starts.iter().skip(1).copied().chain([end]);
        let mut days: Vec<CalendarDay> = Vec::new();
        for (from, to) in starts.iter().copied().zip(ends) {
            let date = self.zone().to_datetime(from).date();
            let stretch = self.stretch(from, to);
            match days.iter_mut().find(|day| day.date == date) {
                Some(day) => push(&mut day.stretches, stretch),
                None => days.push(CalendarDay { date, day: date.weekday().into(), stretches: vec![stretch] }),
            }
        }
        days
    }

    /// From one moment at which something may be new to the next one, which no midnight and no shift of the zone lies between.
    fn stretch(&self, from: Timestamp, to: Timestamp) -> Stretch {
        let Decision { link, rule, pause } = self.decide(from);
        let local = self.zone().to_datetime(from);
        let begins = i64::from(local.hour()) * 60 + i64::from(local.minute());
        let ends = begins + to.duration_since(from).as_mins();
        let minute = |minutes: i64| u16::try_from(minutes).unwrap_or_default();
        Stretch { from, begins: minute(begins), ends: minute(ends), link, pause, rule: rule.to_string() }
    }
}

/// Adds a stretch, or makes the last one longer where nothing is new.
fn push(stretches: &mut Vec<Stretch>, next: Stretch) {
    let same = |last: &&mut Stretch| {
        last.ends == next.begins && (last.link, last.pause, &last.rule) == (next.link, next.pause, &next.rule)
    };
    match stretches.last_mut().filter(same) {
        Some(last) => last.ends = next.ends,
        None => stretches.push(next),
    }
}
