//! A time on the wall clock, to the minute.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::crd::{rules, schema};

/// A wall-clock time, written HH:MM, from 00:00 to 24:00, the end of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClockTime(u16);

/// A text that is no wall-clock time; its message says what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no time of day: write hours and minutes, such as \"08:00\" or \"19:30\"; the end of the day is \"24:00\""
)]
pub struct ClockTimeError(String);

impl ClockTime {
    /// What [`ClockTime::from_str`] takes.
    pub const PATTERN: &'static str = "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$";
    /// The day's first moment.
    pub const MIDNIGHT: ClockTime = ClockTime(0);
    /// The day's end, which is the next day's midnight.
    pub const END_OF_DAY: ClockTime = ClockTime(24 * 60);

    /// The day's first moment: the default of a window's `from`.
    #[must_use]
    pub const fn midnight() -> Self {
        Self::MIDNIGHT
    }

    /// The day's end: the default of a window's `to`.
    #[must_use]
    pub const fn end_of_day() -> Self {
        Self::END_OF_DAY
    }

    /// The time at so many hours and minutes; none beyond `24:00`.
    #[must_use]
    pub fn new(hours: u16, minutes: u16) -> Option<Self> {
        let total = hours.checked_mul(60)?.checked_add(minutes)?;
        (minutes < 60 && total <= Self::END_OF_DAY.0).then_some(ClockTime(total))
    }

    /// Minutes after midnight, from 0 to 1440.
    #[must_use]
    pub const fn minutes(self) -> u16 {
        self.0
    }
}

impl FromStr for ClockTime {
    type Err = ClockTimeError;

    fn from_str(text: &str) -> Result<Self, ClockTimeError> {
        let two_digits = |part: &str| match part.as_bytes() {
            [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => Some(u16::from(tens - b'0') * 10 + u16::from(ones - b'0')),
            _ => None,
        };
        text.split_once(':')
            .and_then(|(hours, minutes)| Self::new(two_digits(hours)?, two_digits(minutes)?))
            .ok_or_else(|| ClockTimeError(text.to_owned()))
    }
}

impl fmt::Display for ClockTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl TryFrom<String> for ClockTime {
    type Error = ClockTimeError;

    fn try_from(text: String) -> Result<Self, ClockTimeError> {
        text.parse()
    }
}

impl From<ClockTime> for String {
    fn from(time: ClockTime) -> String {
        time.to_string()
    }
}

impl JsonSchema for ClockTime {
    fn schema_name() -> Cow<'static, str> {
        "ClockTime".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema::word(&[rules::clock_time()])
    }

    fn inline_schema() -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day_are_read_to_the_minute_and_shown_as_they_were_written() {
        for (text, minutes) in [("00:00", 0), ("08:00", 480), ("19:30", 1_170), ("23:59", 1_439), ("24:00", 1_440)] {
            let time: ClockTime = text.parse().unwrap();
            assert_eq!((time.minutes(), time.to_string().as_str()), (minutes, text));
        }
        for text in
            ["", "8:00", "08:0", "08:60", "24:01", "25:00", "-1:00", "08.00", "0800", "08:00:00", " 08:00", "+8:00"]
        {
            assert!(text.parse::<ClockTime>().is_err(), "{text:?} was taken for a time of day");
        }
    }
}
