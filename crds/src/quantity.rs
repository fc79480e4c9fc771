//! Sizes and times as manifests write them: `50Mi`, `5m`.

use std::{borrow::Cow, fmt, str::FromStr};

use jiff::SignedDuration;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::crd::{rules, schema};

/// A size or a time that is not written as it must be; the text says what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct QuantityError(String);

/// A length of time in whole seconds, written as a whole number and a unit: 90s, 5m, 4h, 5d (a day is 24 hours).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Interval(u32);

impl Interval {
    /// What [`Interval::from_str`] takes: at most 99,999 seconds, minutes or hours, or 9,999 days.
    pub const PATTERN: &'static str = "^([1-9][0-9]{0,4}[smh]|[1-9][0-9]{0,3}d)$";

    const UNITS: [(char, u32); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

    /// An interval of so many seconds.
    #[must_use]
    pub const fn from_secs(seconds: u32) -> Self {
        Interval(seconds)
    }

    /// Its length in seconds.
    #[must_use]
    pub const fn as_secs(self) -> u32 {
        self.0
    }

    /// Its length as a duration that can be added to a timestamp.
    #[must_use]
    pub const fn duration(self) -> SignedDuration {
        SignedDuration::from_secs(self.0 as i64)
    }
}

impl FromStr for Interval {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let refused = || {
            QuantityError(format!(
                "{text:?} is no length of time: write a whole number and a unit, such as \"90s\", \"5m\", \"4h\" or \"5d\""
            ))
        };
        let unit = text.chars().next_back().ok_or_else(refused)?;
        let (_, seconds) = Self::UNITS.into_iter().find(|(name, _)| *name == unit).ok_or_else(refused)?;
        let digits = &text[..text.len() - unit.len_utf8()];
        let plain = !digits.is_empty()
            && digits.len() <= if unit == 'd' { 4 } else { 5 }
            && !digits.starts_with('0')
            && digits.bytes().all(|byte| byte.is_ascii_digit());
        let count: u32 = if plain {
            digits.parse().map_err(|_| refused())?
        } else {
            return Err(refused());
        };
        count.checked_mul(seconds).map(Interval).ok_or_else(refused)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The largest unit that divides it, so that what was read is what is shown, or shorter.
        let (unit, seconds) =
            Self::UNITS.into_iter().find(|(_, seconds)| self.0.is_multiple_of(*seconds)).unwrap_or(('s', 1));
        write!(f, "{}{unit}", self.0 / seconds)
    }
}

impl TryFrom<String> for Interval {
    type Error = QuantityError;

    fn try_from(text: String) -> Result<Self, QuantityError> {
        text.parse()
    }
}

impl From<Interval> for String {
    fn from(interval: Interval) -> String {
        interval.to_string()
    }
}

impl JsonSchema for Interval {
    fn schema_name() -> Cow<'static, str> {
        "Interval".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema::word(&[rules::interval()])
    }

    fn inline_schema() -> bool {
        true
    }
}

/// A size in octets, written as a Kubernetes quantity without fractions: 50Mi, 10Gi, 500k, 1048576.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(u64);

impl ByteSize {
    /// What [`ByteSize::from_str`] takes: at most twelve digits, or six before a unit, so that none is out of reach.
    pub const PATTERN: &'static str = "^([1-9][0-9]{0,11}|[1-9][0-9]{0,5}([KMGT]i|[kMGT]))$";

    const UNITS: [(&'static str, u64); 8] = [
        ("Ti", 1 << 40),
        ("Gi", 1 << 30),
        ("Mi", 1 << 20),
        ("Ki", 1 << 10),
        ("T", 1_000_000_000_000),
        ("G", 1_000_000_000),
        ("M", 1_000_000),
        ("k", 1_000),
    ];

    /// A size of so many octets.
    #[must_use]
    pub const fn from_bytes(octets: u64) -> Self {
        ByteSize(octets)
    }

    /// Its octets.
    #[must_use]
    pub const fn as_bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let refused = || {
            QuantityError(format!(
                "{text:?} is no size: write a whole number of octets, with a unit if you like, such as \"50Mi\" or \"10Gi\""
            ))
        };
        let (digits, unit) = Self::UNITS
            .into_iter()
            .find_map(|(name, octets)| text.strip_suffix(name).map(|digits| (digits, octets)))
            .unwrap_or((text, 1));
        let plain = !digits.is_empty()
            && digits.len() <= if unit == 1 { 12 } else { 6 }
            && !digits.starts_with('0')
            && digits.bytes().all(|byte| byte.is_ascii_digit());
        let count: u64 = if plain {
            digits.parse().map_err(|_| refused())?
        } else {
            return Err(refused());
        };
        count.checked_mul(unit).map(ByteSize).ok_or_else(refused)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::UNITS.into_iter().find(|(_, octets)| self.0 != 0 && self.0.is_multiple_of(*octets)) {
            Some((unit, octets)) => write!(f, "{}{unit}", self.0 / octets),
            None => write!(f, "{}", self.0),
        }
    }
}

impl TryFrom<String> for ByteSize {
    type Error = QuantityError;

    fn try_from(text: String) -> Result<Self, QuantityError> {
        text.parse()
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> String {
        size.to_string()
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema::word(&[rules::byte_size()])
    }

    fn inline_schema() -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    #[test]
    fn intervals_are_read_and_shown_in_their_largest_unit() {
        for (text, seconds, shown) in
            [("90s", 90, "90s"), ("5m", 300, "5m"), ("60m", 3_600, "1h"), ("4h", 14_400, "4h"), ("5d", 432_000, "5d")]
        {
            let interval: Interval = text.parse().unwrap();
            assert_eq!((interval.as_secs(), interval.to_string().as_str()), (seconds, shown), "{text}");
        }
        for text in ["", "5", "m", "05m", "-5m", "5 m", "1.5h", "5min", "99999d9", "100000s", "5µ", "99999d"] {
            assert!(text.parse::<Interval>().is_err(), "{text:?} was taken for an interval");
        }
    }

    #[test]
    fn sizes_are_read_and_shown_in_their_largest_unit() {
        for (text, octets, shown) in
            [("50Mi", 50 << 20, "50Mi"), ("1024Ki", 1 << 20, "1Mi"), ("500k", 500_000, "500k"), ("7", 7, "7")]
        {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!((size.as_bytes(), size.to_string().as_str()), (octets, shown), "{text}");
        }
        for text in ["", "Mi", "0", "05Mi", "-1", "1.5Gi", "50MB", "999999999999Ti"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text:?} was taken for a size");
        }
    }

    proptest! {
        /// The API server goes by the pattern, and the program by the parser.
        #[test]
        fn the_patterns_and_the_parsers_take_the_same_texts(interval in "[0-9]{1,6}[smhdw ]?", size in "[0-9]{1,13}([KMGTkmB]i?)?") {
            let matches = |pattern: &str, text: &str| Regex::new(pattern).unwrap().is_match(text);
            prop_assert_eq!(matches(Interval::PATTERN, &interval), interval.parse::<Interval>().is_ok(), "{}", interval);
            prop_assert_eq!(matches(ByteSize::PATTERN, &size), size.parse::<ByteSize>().is_ok(), "{}", size);
        }
    }
}
