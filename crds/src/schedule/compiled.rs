//! A TCPSchedule made ready to be asked: its zone looked up, its rules compiled.

use std::sync::Arc;

use jiff::{Timestamp, tz::TimeZone};

use super::{
    LinkState, Rule, RuleSource, TCPScheduleSpec,
    rule::Compiled,
    texts,
    zone::{UnknownZone, zone},
};
use crate::{log_level::LogLevel, quantity::Interval};

/// A TCPSchedule made ready to be asked. Immutable, and cheap to clone.
#[derive(Clone, Debug)]
pub struct Schedule(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    zone: TimeZone,
    zone_name: String,
    log: LogLevel,
    default: LinkState,
    default_rule: Rule,
    windows: Vec<Compiled>,
    exceptions: Vec<Compiled>,
}

/// Why a TCPSchedule cannot be obeyed; the message says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// `timeZone` names no zone of the compiled-in database.
    #[error("spec.timeZone: {0}")]
    UnknownZone(#[from] UnknownZone),
    /// A window or an exception begins when it ends.
    #[error("spec.{}: {}", place(.0), texts::EMPTY)]
    Empty(RuleSource),
    /// A window or an exception begins at `24:00`.
    #[error("spec.{}: {}", place(.0), texts::STARTS_AT_END_OF_DAY)]
    StartsAtEndOfDay(RuleSource),
    /// A closed window or exception has a pause.
    #[error("spec.{}: {}", place(.0), texts::PAUSE_WHILE_CLOSED)]
    PauseWhileClosed(RuleSource),
    /// A pause is longer than a week.
    #[error("spec.{}: {}", place(.0), texts::PAUSE_TOO_LONG)]
    PauseTooLong(RuleSource),
}

/// The longest pause: a schedule is a week, and the search for the next session stays short.
pub(crate) const LONGEST_PAUSE: Interval = Interval::from_secs(7 * 86_400);

/// What a TCPSchedule says about a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether connections may be opened.
    pub link: LinkState,
    /// What decided it.
    pub rule: Rule,
    /// In an open link: a session may begin so long after the one before it began.
    pub pause: Option<Interval>,
}

impl Schedule {
    /// Compiles the TCPSchedule of that name.
    ///
    /// # Errors
    /// Where the zone is unknown, or a window or an exception makes no sense, although the API server refuses the latter.
    pub fn new(name: &str, spec: &TCPScheduleSpec) -> Result<Self, ScheduleError> {
        let zone = zone(&spec.time_zone)?;
        for (index, window) in spec.windows.iter().enumerate() {
            sound(RuleSource::Window(index), (window.from, window.to), window.link, window.pause)?;
        }
        for (index, exception) in spec.exceptions.iter().enumerate() {
            sound(RuleSource::Exception(index), (exception.from, exception.to), exception.link, exception.pause)?;
        }
        Ok(Schedule(Arc::new(Inner {
            name: name.to_owned(),
            zone,
            zone_name: spec.time_zone.clone(),
            log: spec.log,
            default: spec.default,
            default_rule: Rule { source: RuleSource::Default, words: "default".into() },
            windows: spec.windows.iter().enumerate().map(|(index, window)| Compiled::window(index, window)).collect(),
            exceptions: spec
                .exceptions
                .iter()
                .enumerate()
                .map(|(index, exception)| Compiled::exception(index, exception))
                .collect(),
        })))
    }

    /// The TCPSchedule's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The IANA name of the zone in which its days and times are meant.
    #[must_use]
    pub fn time_zone(&self) -> &str {
        &self.0.zone_name
    }

    /// What is logged of the questions to it.
    #[must_use]
    pub fn log(&self) -> LogLevel {
        self.0.log
    }

    /// What it says about a moment, without a look at what comes after: one zone look-up and a pass over the rules.
    #[must_use]
    pub fn decide(&self, at: Timestamp) -> Decision {
        let local = self.zone().to_datetime(at);
        let last = |rules: &[Compiled]| {
            rules.iter().rev().find(|rule| rule.contains(local)).map(|found| Decision {
                link: found.link,
                rule: found.rule.clone(),
                pause: found.pause,
            })
        };
        last(&self.0.exceptions).or_else(|| last(&self.0.windows)).unwrap_or_else(|| Decision {
            link: self.0.default,
            rule: self.0.default_rule.clone(),
            pause: None,
        })
    }

    pub(super) fn zone(&self) -> &TimeZone {
        &self.0.zone
    }

    pub(super) fn rules(&self) -> impl Iterator<Item = &Compiled> {
        self.0.exceptions.iter().chain(&self.0.windows)
    }

    /// Whether no rule says anything other than the default, so that the link never changes.
    pub(super) fn never_changes(&self) -> bool {
        self.rules().all(|rule| rule.link == self.0.default)
    }
}

fn sound(
    source: RuleSource,
    (from, to): (super::ClockTime, super::ClockTime),
    link: LinkState,
    pause: Option<Interval>,
) -> Result<(), ScheduleError> {
    if from == super::ClockTime::END_OF_DAY {
        return Err(ScheduleError::StartsAtEndOfDay(source));
    }
    if from == to {
        return Err(ScheduleError::Empty(source));
    }
    match pause {
        Some(_) if link == LinkState::Closed => Err(ScheduleError::PauseWhileClosed(source)),
        Some(pause) if pause > LONGEST_PAUSE => Err(ScheduleError::PauseTooLong(source)),
        _ => Ok(()),
    }
}

fn place(source: &RuleSource) -> String {
    match source {
        RuleSource::Exception(index) => format!("exceptions[{index}]"),
        RuleSource::Window(index) => format!("windows[{index}]"),
        RuleSource::Default => "default".into(),
    }
}
