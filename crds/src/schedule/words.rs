//! What a TCPSchedule says, in words: the text behind "TCP/IP link is down".

use jiff::{RoundMode, Timestamp, TimestampRound, Unit, civil::DateTime, tz::AmbiguousOffset};

use super::{Day, LinkState, Schedule};

/// A weekday names a day without doubt up to so many days ahead; further on, its date is shown too.
const SAME_WEEK_DAYS: i32 = 6;

impl Schedule {
    /// Why a session may or may not begin at that moment, and when that changes: one sentence, times in the schedule's
    /// zone. `last_began` is when the last session began, for a rule with a pause.
    #[must_use]
    pub fn explain(&self, last_began: Option<Timestamp>, at: Timestamp) -> String {
        let verdict = self.verdict(at);
        let when = format!("{} ({})", self.local(at), self.time_zone());
        let said = match (verdict.link, verdict.pause) {
            (LinkState::Open, None) => {
                let then = match verdict.changes_at {
                    Some(changes) => format!("it closes {}", self.local_from(at, changes)),
                    None => "it never closes".into(),
                };
                format!("allows connections on {when}; {then}")
            }
            (LinkState::Open, Some(pause)) => {
                let then = match self.next_session(last_began, at) {
                    Some(next) if next <= at => format!("the next may begin now, on {when}"),
                    Some(next) => format!("the next may begin {} ({})", self.local_from(at, next), self.time_zone()),
                    None => "no other may begin".into(),
                };
                format!("allows a session every {pause}; {then}")
            }
            (LinkState::Closed, _) => {
                let then = match verdict.changes_at {
                    Some(opens) => format!("it opens {}", self.local_from(at, opens)),
                    None => "it never opens again".into(),
                };
                format!("allows no connections on {when}; {then}")
            }
        };
        format!("TCP Schedule {} {said}", self.name())
    }

    /// A moment on the schedule's wall clock: `Mon 21:40`. In an hour that is repeated, the zone's abbreviation says which
    /// pass is meant: `Sun 02:30 CET`.
    #[must_use]
    pub fn local(&self, at: Timestamp) -> String {
        let local = self.zone().to_datetime(at);
        format!("{} {}{}", Day::from(local.weekday()), clock(local), self.pass(at, local))
    }

    /// A later moment as it is shown at `at`: with its date where the weekday alone could mean a nearer day, and with its
    /// seconds where it has any, so that it is never shown as earlier than it is.
    fn local_from(&self, at: Timestamp, then: Timestamp) -> String {
        let up = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Ceil);
        let then = then.round(up).unwrap_or(then);
        let local = self.zone().to_datetime(then);
        let ahead = local.date().since(self.zone().to_datetime(at).date()).map_or(i32::MAX, |span| span.get_days());
        let day = Day::from(local.weekday());
        let date = if ahead > SAME_WEEK_DAYS { format!(" {}", local.date()) } else { String::new() };
        let seconds = if local.second() == 0 { String::new() } else { format!(":{:02}", local.second()) };
        format!("{day}{date} {}{seconds}{}", clock(local), self.pass(then, local))
    }

    fn pass(&self, at: Timestamp, local: DateTime) -> String {
        match self.zone().to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Fold { .. } => {
                format!(" {}", self.zone().to_offset_info(at).abbreviation())
            }
            _ => String::new(),
        }
    }
}

fn clock(local: DateTime) -> String {
    format!("{:02}:{:02}", local.hour(), local.minute())
}
