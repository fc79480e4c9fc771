//! The values that pass between the spool and the rest of the relay: a message's envelope, its id and place, and its outcomes.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use jiff::Timestamp;

use super::{extras::Extras, timing::Timing};

/// A message's name: unique for ever in its spool, and ordered by reception. Written as 16 upper-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(u64);

impl MessageId {
    /// The id with this number.
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The number behind the id.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The id after `self` of a message received at `at`: microseconds since the epoch, unless those are used up already.
    /// So ids tell the time, and a clock that is set back cannot make one twice.
    pub(super) fn next(self, at: Timestamp) -> Self {
        Self(u64::try_from(at.as_microsecond()).unwrap_or(0).max(self.0.saturating_add(1)))
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", self.0)
    }
}

/// The text is not a message id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a message id: write its 16 hexadecimal digits, as in 00064A7B0C1D2E3F")]
pub struct NotAMessageId(String);

impl FromStr for MessageId {
    type Err = NotAMessageId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        match u64::from_str_radix(text, 16) {
            Ok(number) if digits => Ok(Self(number)),
            _ => Err(NotAMessageId(text.to_owned())),
        }
    }
}

/// Where a message's record was when its owner was told of it. It stays valid until the message is done: when compaction
/// moves the record, the spool forwards the old place to the new one. Keep it as it is; after a restart recovery gives a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// Number of the segment.
    pub segment: u32,
    /// Octets from the start of the segment.
    pub offset: u32,
    /// Octets of the whole record.
    pub len: u32,
}

/// The start of a record: what a [`Location`] is inside the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct At {
    pub(super) segment: u32,
    pub(super) offset: u32,
}

impl Location {
    pub(super) fn at(self) -> At {
        At { segment: self.segment, offset: self.offset }
    }
}

/// Who handed a message in: what a log record and a bounce need.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Client {
    /// The client's address; `None` for the relay's own reports.
    pub address: Option<SocketAddr>,
    /// What it said in HELO or EHLO.
    pub helo: String,
    /// The SMTP session's name in the log.
    pub session: String,
}

/// What a message is appended for: decides whether it may use the room that is kept for the queue's own work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Purpose {
    /// A client's mail: refused as soon as only the reserve is left.
    #[default]
    Client,
    /// The relay's own report (a bounce, a delay warning): may use a part of the reserve.
    Report,
}

/// A message about to be appended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Draft {
    /// Its id, where one was reserved for it by [`Spool::reserve_id`](super::Spool::reserve_id), to stand in its text;
    /// otherwise it is given one.
    pub id: Option<MessageId>,
    /// When it was received; kept to the microsecond.
    pub received_at: Timestamp,
    /// The reverse-path (RFC 5321 4.1.1.2) without angle brackets; empty for the null reverse-path.
    pub sender: String,
    /// The forward-paths without angle brackets, at most 65,536.
    pub recipients: Vec<String>,
    /// BODY=8BITMIME was declared (RFC 6152).
    pub eight_bit: bool,
    /// What SMTP extensions ask for; None for nearly all mail.
    pub extras: Option<Box<Extras>>,
    /// Who handed it in.
    pub client: Client,
    /// What it is appended for.
    pub purpose: Purpose,
}

/// A stored message without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The message's id.
    pub id: MessageId,
    /// When it was received, to the microsecond.
    pub received_at: Timestamp,
    /// The reverse-path; empty for the null reverse-path.
    pub sender: String,
    /// The forward-paths. A recipient is named by its index everywhere else.
    pub recipients: Vec<String>,
    /// BODY=8BITMIME was declared.
    pub eight_bit: bool,
    /// What SMTP extensions ask for; None for nearly all mail.
    pub extras: Option<Box<Extras>>,
    /// Octets of the stored text.
    pub size: u64,
    /// Who handed it in.
    pub client: Client,
}

impl Envelope {
    /// When it may be sent and is to be delivered, and how much it matters.
    #[must_use]
    pub fn timing(&self) -> Timing {
        self.extras.as_ref().map(|extras| extras.timing).unwrap_or_default()
    }

    /// Whether its sender requires TLS all the way (RFC 8689).
    #[must_use]
    pub fn requires_tls(&self) -> bool {
        self.extras.as_ref().is_some_and(|extras| extras.message.require_tls)
    }

    /// Whether it may go without the TLS that its recipient's domain asks for (RFC 8689 section 3).
    #[must_use]
    pub fn is_tls_optional(&self) -> bool {
        self.extras.as_ref().is_some_and(|extras| extras.message.tls_optional)
    }

    /// From when on its age counts: from its reception, or from where its sender had it held.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        self.timing().hold_until.map_or(self.received_at, |held| held.max(self.received_at))
    }
}

/// What `append` answers once the message is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The message's id.
    pub id: MessageId,
    /// Its place, to be given back in marks and reads.
    pub location: Location,
}

/// The outcome of an attempt (or an administrator's act) for some of a message's recipients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The message.
    pub id: MessageId,
    /// Its place, as `append` or recovery gave it.
    pub location: Location,
    /// Outcome by recipient index. An index twice: the later one counts.
    pub outcomes: Vec<(u16, Outcome)>,
}

/// What became of a message for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The next host has answered 250 for it.
    Delivered,
    /// It was given up; the bounce, where one is due, has been appended before.
    Failed,
    /// An administrator or a withdrawn append took it out.
    Removed,
    /// It is to be tried again.
    Deferred(Deferral),
}

/// What the sender was told already of a recipient that waits, so that a restart does not tell it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Told(u8);

impl Told {
    /// Nothing.
    pub const NOTHING: Self = Self(0);
    /// That delivery is late, as the relay itself sees it.
    pub const LATE: Self = Self(1);
    /// That the time is over by which the sender wanted it delivered (RFC 2852).
    pub const OVERDUE: Self = Self(2);
    const ALL: u8 = 3;

    /// What both tell.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` was told.
    #[must_use]
    pub const fn includes(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(super) const fn bits(self) -> u8 {
        self.0
    }

    pub(super) const fn from_bits(bits: u8) -> Option<Self> {
        if bits & !Self::ALL == 0 { Some(Self(bits)) } else { None }
    }
}

/// When a recipient is tried again, and why it was not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deferral {
    /// Attempts made so far.
    pub attempts: u32,
    /// When the next one is due; kept to the microsecond.
    pub due: Timestamp,
    /// What went wrong at the last one.
    pub error: LastError,
    /// What its sender was told.
    pub told: Told,
}

/// What went wrong at an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastError {
    /// Its code: an errno's name, an SMTP reply code with its enhanced status, …; cut at [`ERROR_TEXT_MAX`] octets.
    pub code: String,
    /// Its text; cut at [`ERROR_TEXT_MAX`] octets.
    pub text: String,
    /// When; kept to the microsecond.
    pub at: Timestamp,
}

/// Octets of an error's text that are kept: an SMTP reply line has at most 512 (RFC 5321 4.5.3.1.5), and a million queued
/// messages with longer ones would fill the disk with complaints.
pub const ERROR_TEXT_MAX: usize = 512;

/// A recipient that is not done: what the queue needs to go on after a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Index in the envelope's recipients.
    pub recipient: u16,
    /// Attempts made so far.
    pub attempts: u32,
    /// When the next one is due; `None` when it was never deferred: at once.
    pub due: Option<Timestamp>,
    /// What went wrong at the last one.
    pub error: Option<LastError>,
    /// What its sender was told.
    pub told: Told,
}

impl Pending {
    /// A recipient that was never tried.
    #[must_use]
    pub fn untried(recipient: u16) -> Self {
        Self { recipient, attempts: 0, due: None, error: None, told: Told::NOTHING }
    }

    pub(super) fn deferred(recipient: u16, deferral: Deferral) -> Self {
        Self {
            recipient,
            attempts: deferral.attempts,
            due: Some(deferral.due),
            error: Some(deferral.error),
            told: deferral.told,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_the_time_and_never_repeats_when_the_clock_goes_back() {
        let at = |micros| Timestamp::from_microsecond(micros).unwrap();
        let cases = [(0, 1_000, 1_000), (1_000, 1_000, 1_001), (1_001, 5, 1_002), (7, 2_000, 2_000), (3, -40, 4)];
        for (last, now, want) in cases {
            assert_eq!(MessageId(last).next(at(now)), MessageId(want), "after {last} at {now}");
        }
    }

    #[test]
    fn an_id_is_written_and_read_as_sixteen_hexadecimal_digits() {
        let id = MessageId(0x0006_4a7b_0c1d_2e3f);
        assert_eq!(id.to_string(), "00064A7B0C1D2E3F");
        assert_eq!("00064A7B0C1D2E3F".parse(), Ok(id));
        assert_eq!("00064a7b0c1d2e3f".parse(), Ok(id));
        for bad in
            ["", "64A7B0C1D2E3F", "00064A7B0C1D2E3G", "+0064A7B0C1D2E3F", "00064A7B0C1D2E3F0", "00064A7B0C1D2E3é"]
        {
            assert_eq!(bad.parse::<MessageId>(), Err(NotAMessageId(bad.to_owned())), "{bad}");
        }
    }
}
