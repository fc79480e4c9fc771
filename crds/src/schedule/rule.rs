//! One window or exception, made ready to be asked about moments, and the words it is called by.

use std::{fmt, sync::Arc};

use jiff::civil::{Date, DateTime};

use super::{ClockTime, Day, Exception, LinkState, Window};
use crate::quantity::Interval;

/// What decided about a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RuleSource {
    /// `spec.exceptions` at that index.
    Exception(usize),
    /// `spec.windows` at that index.
    Window(usize),
    /// `spec.default`: neither an exception nor a window matched.
    Default,
}

/// What decided about a moment, as data and in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Where in the TCPSchedule it stands.
    pub source: RuleSource,
    /// How messages and log records call it: `windows[0] (Mon-Fri 08:00-19:30)`.
    pub words: Arc<str>,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

/// The days on which a rule's time begins.
#[derive(Debug)]
enum Starts {
    /// By the day of the week, Monday first.
    Weekly([bool; 7]),
    /// On these dates, in order.
    Dates(Vec<Date>),
}

/// A window or an exception, made ready to be asked.
#[derive(Debug)]
pub(super) struct Compiled {
    starts: Starts,
    /// In minutes after the midnight of the day on which it starts.
    from: u16,
    /// In minutes after a midnight: the same day's where it is after `from`, else the next day's.
    to: u16,
    pub(super) link: LinkState,
    pub(super) pause: Option<Interval>,
    pub(super) rule: Rule,
}

impl Compiled {
    pub(super) fn window(index: usize, window: &Window) -> Self {
        let mut week = [window.days.is_empty(); 7];
        for day in &window.days {
            if let Some(place) = week.get_mut(usize::from(day.index())) {
                *place = true;
            }
        }
        let words = format!("windows[{index}] ({}{})", days_in_words(week), times(window.from, window.to));
        Compiled {
            starts: Starts::Weekly(week),
            from: window.from.minutes(),
            to: window.to.minutes(),
            link: window.link,
            pause: window.pause,
            rule: Rule { source: RuleSource::Window(index), words: words.into() },
        }
    }

    pub(super) fn exception(index: usize, exception: &Exception) -> Self {
        let mut dates = exception.dates.clone();
        dates.sort_unstable();
        let words = match exception.dates.as_slice() {
            [date, others @ ..] if !others.is_empty() => {
                format!("{date} and {} more", others.len())
            }
            dates => dates.first().map(Date::to_string).unwrap_or_default(),
        };
        let words = format!("exceptions[{index}] ({words}{})", times(exception.from, exception.to));
        Compiled {
            starts: Starts::Dates(dates),
            from: exception.from.minutes(),
            to: exception.to.minutes(),
            link: exception.link,
            pause: exception.pause,
            rule: Rule { source: RuleSource::Exception(index), words: words.into() },
        }
    }

    /// Whether that wall-clock time lies in it.
    pub(super) fn contains(&self, local: DateTime) -> bool {
        let minute = minute_of_day(local);
        let today = || self.starts_on(local.date());
        if self.from < self.to {
            (self.from..self.to).contains(&minute) && today()
        } else {
            (minute >= self.from && today())
                || (minute < self.to && local.date().yesterday().is_ok_and(|date| self.starts_on(date)))
        }
    }

    /// The minutes after midnight at which it begins and ends.
    pub(super) fn boundaries(&self) -> [u16; 2] {
        [self.from, self.to]
    }

    /// Its dates; none where it recurs weekly.
    pub(super) fn dates(&self) -> &[Date] {
        match &self.starts {
            Starts::Weekly(_) => &[],
            Starts::Dates(dates) => dates,
        }
    }

    fn starts_on(&self, date: Date) -> bool {
        match &self.starts {
            Starts::Weekly(week) => week.get(usize::from(Day::from(date.weekday()).index())).copied().unwrap_or(false),
            Starts::Dates(dates) => dates.binary_search(&date).is_ok(),
        }
    }
}

fn minute_of_day(local: DateTime) -> u16 {
    let minute = i32::from(local.hour()) * 60 + i32::from(local.minute());
    u16::try_from(minute).unwrap_or_default()
}

/// The times of a rule, unless it lasts all day.
fn times(from: ClockTime, to: ClockTime) -> String {
    if (from, to) == (ClockTime::MIDNIGHT, ClockTime::END_OF_DAY) { String::new() } else { format!(" {from}-{to}") }
}

/// `Mon-Fri`, `Sat, Sun`, `every day`.
fn days_in_words(week: [bool; 7]) -> String {
    if week.iter().all(|set| *set) {
        return "every day".into();
    }
    let set: Vec<Day> = Day::ALL.into_iter().zip(week).filter(|(_, set)| *set).map(|(day, _)| day).collect();
    let runs = set.chunk_by(|a, b| a.index() + 1 == b.index()).map(|run| match run {
        [first, _, .., last] => format!("{first}-{last}"),
        short => short.iter().map(Day::to_string).collect::<Vec<_>>().join(", "),
    });
    runs.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_called_by_its_place_its_days_and_its_times() {
        use Day::*;
        for (days, from, to, words) in [
            (vec![Mon, Tue, Wed, Thu, Fri], "08:00", "19:30", "windows[3] (Mon-Fri 08:00-19:30)"),
            (vec![Sun, Sat], "22:00", "02:00", "windows[3] (Sat, Sun 22:00-02:00)"),
            (vec![Mon, Wed, Thu, Fri, Sun], "00:00", "24:00", "windows[3] (Mon, Wed-Fri, Sun)"),
            (vec![], "00:00", "06:00", "windows[3] (every day 00:00-06:00)"),
        ] {
            let window = Window {
                days,
                from: from.parse().unwrap(),
                to: to.parse().unwrap(),
                link: LinkState::Open,
                pause: None,
            };
            assert_eq!(&*Compiled::window(3, &window).rule.words, words);
        }
    }
}
