//! The parameters of mail that has a time: FUTURERELEASE (RFC 4865), DELIVERBY (RFC 2852) and MT-PRIORITY (RFC 6710), as MAIL
//! has them. Times are as the wire has them, mostly counted from MAIL on; what they mean as moments is in the spool's
//! [`Timing`](crate::spool::Timing).
//!
//! Decisions:
//! - HOLDFOR and HOLDUNTIL exclude each other; both together get 501 (RFC 4865 section 4.2). HOLDFOR is 1 at least (section 3). HOLDUNTIL is a date-time of RFC 3339 with
//!   any offset, as the RFC's erratum 2040 has it. One that has passed holds nothing: clocks differ, and the mail is due then.
//! - BY of zero or less with mode R gets 501, as RFC 2852 section 4 says: the message would be returned before it was taken.
//!   With mode N it says that the time was over and told of before, and asks for nothing but to be passed on.
//! - MT-PRIORITY has no `+`, no leading zero and no `-0`, as the grammar of RFC 6710 section 7 has it.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

/// How long a message is held before it is sent (RFC 4865 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hold {
    /// HOLDFOR: for so many seconds.
    For(u32),
    /// HOLDUNTIL: till this moment.
    Until(Timestamp),
}

impl Hold {
    /// The moment from which on a message that came at `received_at` may be sent.
    #[must_use]
    pub fn until(self, received_at: Timestamp) -> Timestamp {
        match self {
            Self::For(seconds) => {
                received_at.checked_add(SignedDuration::from_secs(i64::from(seconds))).unwrap_or(Timestamp::MAX)
            }
            Self::Until(at) => at,
        }
    }
}

/// What is done with a message that is late (RFC 2852 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Late {
    /// R: it is not delivered any more, and goes back.
    Return,
    /// N: its sender is told, and it is delivered all the same.
    Notify,
}

/// BY: within how many seconds a message is to be delivered (RFC 2852 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeliverBy {
    /// The seconds from now on; below zero, it has been late for so long.
    pub seconds: i32,
    /// What is done when the time is over.
    pub late: Late,
    /// T: each relay tells the sender that it passed the message on.
    pub trace: bool,
}

impl fmt::Display for DeliverBy {
    /// The value as BY has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.late {
            Late::Return => 'R',
            Late::Notify => 'N',
        };
        write!(f, "{};{mode}{}", self.seconds, if self.trace { "T" } else { "" })
    }
}

/// The priority of a message, -9 to 9, 0 for nearly all (RFC 6710 section 3). A higher one goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Priority(i8);

impl Priority {
    /// That of nearly all mail.
    pub const NORMAL: Self = Self(0);

    /// A priority; none beyond -9 and 9.
    #[must_use]
    pub fn new(priority: i8) -> Option<Self> {
        (-9..=9).contains(&priority).then_some(Self(priority))
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> i8 {
        self.0
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What MAIL says of a message's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeParameters {
    /// HOLDFOR or HOLDUNTIL.
    pub hold: Option<Hold>,
    /// BY.
    pub deliver_by: Option<DeliverBy>,
    /// MT-PRIORITY.
    pub priority: Option<Priority>,
}

/// A value that does not fit its keyword, or a keyword that stands twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotATime;

impl TimeParameters {
    /// Takes a parameter in, if it is one of time: false when it is another.
    ///
    /// # Errors
    /// [`NotATime`] when its value makes no sense, or it was there before.
    pub fn read(&mut self, keyword: &[u8], value: Option<&[u8]>) -> Result<bool, NotATime> {
        let is = |name: &str| keyword.eq_ignore_ascii_case(name.as_bytes());
        let text = || value.and_then(|value| std::str::from_utf8(value).ok()).ok_or(NotATime);
        if is("HOLDFOR") {
            once(&mut self.hold, Hold::For(interval(text()?)?))?;
        } else if is("HOLDUNTIL") {
            once(&mut self.hold, Hold::Until(text()?.parse().map_err(|_| NotATime)?))?;
        } else if is("BY") {
            once(&mut self.deliver_by, deliver_by(text()?)?)?;
        } else if is("MT-PRIORITY") {
            once(&mut self.priority, priority(text()?)?)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// The same, or None where nothing is asked for.
    #[must_use]
    pub fn boxed(self) -> Option<Box<Self>> {
        if self == Self::default() { None } else { Some(Box::new(self)) }
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), NotATime> {
    if place.replace(value).is_some() { Err(NotATime) } else { Ok(()) }
}

/// One to nine digits.
fn digits(text: &str) -> Result<i32, NotATime> {
    let plain = (1..=9).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_digit());
    if plain { text.parse().map_err(|_| NotATime) } else { Err(NotATime) }
}

/// The `future-release-integer` of RFC 4865 section 3: no zero in front.
fn interval(text: &str) -> Result<u32, NotATime> {
    let seconds = digits(text)?;
    if text.starts_with('0') { Err(NotATime) } else { u32::try_from(seconds).map_err(|_| NotATime) }
}

/// `by-time ";" by-mode [by-trace]`.
fn deliver_by(text: &str) -> Result<DeliverBy, NotATime> {
    let (time, mode) = text.split_once(';').ok_or(NotATime)?;
    let seconds = match time.strip_prefix('-') {
        Some(late) => -digits(late)?,
        None => digits(time.strip_prefix('+').unwrap_or(time))?,
    };
    let (late, trace) = match mode.to_ascii_uppercase().as_str() {
        "R" => (Late::Return, false),
        "RT" => (Late::Return, true),
        "N" => (Late::Notify, false),
        "NT" => (Late::Notify, true),
        _ => return Err(NotATime),
    };
    if late == Late::Return && seconds <= 0 {
        return Err(NotATime);
    }
    Ok(DeliverBy { seconds, late, trace })
}

fn priority(text: &str) -> Result<Priority, NotATime> {
    let (sign, digit) = text.strip_prefix('-').map_or((1, text), |digit| (-1, digit));
    match (sign, digit.as_bytes()) {
        (_, [digit @ b'1'..=b'9']) | (1, [digit @ b'0']) => Ok(Priority(sign * (digit - b'0') as i8)),
        _ => Err(NotATime),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(parameters: &[&str]) -> Result<TimeParameters, NotATime> {
        let mut read = TimeParameters::default();
        for parameter in parameters {
            let (keyword, value) = parameter.split_once('=').map_or((*parameter, None), |(k, v)| (k, Some(v)));
            assert!(read.read(keyword.as_bytes(), value.map(str::as_bytes))?, "{parameter} is one of time");
        }
        Ok(read)
    }

    #[test]
    fn what_the_rfcs_write_is_read() {
        let at: Timestamp = "2026-12-01T09:00:00Z".parse().unwrap();
        for (parameter, hold) in [
            ("HOLDFOR=86400", Hold::For(86_400)),
            ("holdfor=1", Hold::For(1)),
            ("HOLDUNTIL=2026-12-01T09:00:00Z", Hold::Until(at)),
            ("HOLDUNTIL=2026-12-01T10:00:00+01:00", Hold::Until(at)),
        ] {
            assert_eq!(read(&[parameter]).unwrap().hold, Some(hold), "{parameter}");
        }
        for (parameter, seconds, late, trace, written) in [
            ("BY=120;R", 120, Late::Return, false, "120;R"),
            ("BY=+120;rt", 120, Late::Return, true, "120;RT"),
            ("BY=-5;N", -5, Late::Notify, false, "-5;N"),
            ("BY=0;NT", 0, Late::Notify, true, "0;NT"),
            ("BY=999999999;N", 999_999_999, Late::Notify, false, "999999999;N"),
        ] {
            let by = DeliverBy { seconds, late, trace };
            assert_eq!(read(&[parameter]).unwrap().deliver_by, Some(by), "{parameter}");
            assert_eq!(by.to_string(), written);
        }
        for (parameter, number) in [("MT-PRIORITY=9", 9), ("MT-PRIORITY=-9", -9), ("mt-priority=0", 0)] {
            assert_eq!(read(&[parameter]).unwrap().priority, Priority::new(number), "{parameter}");
        }
    }

    #[test]
    fn what_they_do_not_write_is_refused() {
        for parameters in [
            &["HOLDFOR"][..],
            &["HOLDFOR=-1"],
            &["HOLDFOR=0"],
            &["HOLDFOR=060"],
            &["HOLDFOR=1234567890"],
            &["HOLDFOR=1h"],
            &["HOLDUNTIL=tomorrow"],
            &["HOLDUNTIL=2026-12-01T09:00:00"],
            &["HOLDFOR=60", "HOLDUNTIL=2026-12-01T09:00:00Z"],
            &["HOLDFOR=60", "HOLDFOR=60"],
            &["BY=120"],
            &["BY=120;X"],
            &["BY=120;TR"],
            &["BY=0;R"],
            &["BY=-1;R"],
            &["BY=;R"],
            &["BY=1234567890;N"],
            &["BY=60;R", "BY=60;R"],
            &["MT-PRIORITY"],
            &["MT-PRIORITY=10"],
            &["MT-PRIORITY=+3"],
            &["MT-PRIORITY=-0"],
            &["MT-PRIORITY=03"],
        ] {
            assert_eq!(read(parameters), Err(NotATime), "{parameters:?}");
        }
    }

    #[test]
    fn there_is_no_priority_beyond_nine() {
        for (number, some) in [(-10, false), (-9, true), (9, true), (10, false)] {
            assert_eq!(Priority::new(number).is_some(), some, "{number}");
        }
    }
}
