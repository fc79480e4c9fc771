//! How far the clocks of a cluster are apart: mail that waits for a moment, and certificates, go by them.

use jiff::{SignedDuration, Timestamp, fmt::rfc2822};

/// A difference that changes what a schedule or a certificate says, and more than asking over a network explains.
const NOTABLE: SignedDuration = SignedDuration::from_secs(5);

/// A clock that was asked what time it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Whose clock.
    pub(crate) whose: String,
    /// By how much it is ahead of this machine's.
    pub(crate) ahead: SignedDuration,
    /// How far off that can be: half of the time that asking took, and what the answer leaves out.
    pub(crate) give_or_take: SignedDuration,
}

impl Reading {
    /// What a clock said, asked and answered between two moments of this machine's clock. `grain` is what the answer leaves out.
    pub(crate) fn new(
        whose: impl Into<String>,
        said: Timestamp,
        (asked, answered): (Timestamp, Timestamp),
        grain: SignedDuration,
    ) -> Reading {
        let half = asked.duration_until(answered) / 2;
        // What leaves out a fraction is on average half of it later than it says.
        let ahead = asked.duration_until(said) - half + grain / 2;
        Reading { whose: whose.into(), ahead, give_or_take: half.abs() + grain / 2 }
    }

    /// Whether the clocks differ by more than can be explained.
    pub(crate) fn is_off(&self) -> bool {
        self.ahead.abs() - self.give_or_take > NOTABLE
    }

    /// The reading in words.
    pub(crate) fn text(&self) -> String {
        let seconds = |time: SignedDuration| time.as_millis_f64() / 1_000.0;
        let off = if self.is_off() { "  <- these clocks differ" } else { "" };
        format!(
            "{:<24} {:+8.2} s, give or take {:.2} s{off}",
            self.whose,
            seconds(self.ahead),
            seconds(self.give_or_take)
        )
    }
}

/// The moment in an HTTP `Date` header, which leaves out fractions of a second (RFC 9110 §5.6.7).
pub(crate) fn http_date(text: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_off_when_the_way_does_not_explain_it() {
        let at = |milliseconds: i64| Timestamp::from_millisecond(1_800_000_000_000 + milliseconds).unwrap();
        let second = SignedDuration::from_secs(1);
        for (said, answered, grain, ahead, off) in [
            (at(100), at(200), SignedDuration::ZERO, 0, false),
            (at(60_100), at(200), SignedDuration::ZERO, 60_000, true),
            (at(-60_000), at(0), SignedDuration::ZERO, -60_000, true),
            (at(0), at(1_000), second, 0, false),
            (at(9_000), at(8_000), SignedDuration::ZERO, 5_000, false),
        ] {
            let reading = Reading::new("node", said, (at(0), answered), grain);
            assert_eq!((reading.ahead.as_millis(), reading.is_off()), (ahead, off), "{reading:?}");
        }
    }

    #[test]
    fn the_date_of_an_answer_is_read() {
        let at = http_date("Tue, 24 Nov 2026 07:00:00 GMT").map(|at| at.to_string());
        assert_eq!(at.as_deref(), Some("2026-11-24T07:00:00Z"));
        assert_eq!(http_date("yesterday"), None);
    }
}
