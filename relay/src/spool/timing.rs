//! The time of a message as it is stored: moments, counted from nothing.

use jiff::Timestamp;

use super::codec::{Malformed, Octets};
use crate::smtp::extensions::{
    TimeParameters,
    timing::{DeliverBy, Late, Priority},
};

/// When a message may be sent, by when it is to be delivered, and how much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timing {
    /// Not to be sent before (RFC 4865).
    pub hold_until: Option<Timestamp>,
    /// To be delivered by (RFC 2852).
    pub deliver_by: Option<Deadline>,
    /// Its priority, where its client gave one (RFC 6710).
    pub priority: Option<Priority>,
}

/// The moment by which a message is to be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Deadline {
    /// The moment.
    pub at: Timestamp,
    /// What is done then.
    pub late: Late,
    /// Whether each relay tells the sender that it passed the message on.
    pub trace: bool,
}

impl Timing {
    /// What MAIL asked for, of a message that came at `received_at`.
    #[must_use]
    pub fn of(asked: &TimeParameters, received_at: Timestamp) -> Timing {
        let deadline = |by: DeliverBy| {
            let at = received_at.checked_add(jiff::SignedDuration::from_secs(by.seconds.into()));
            Deadline { at: whole(at.unwrap_or(Timestamp::MAX)), late: by.late, trace: by.trace }
        };
        Timing {
            hold_until: asked.hold.map(|hold| whole(hold.until(received_at))),
            deliver_by: asked.deliver_by.map(deadline),
            priority: asked.priority,
        }
    }

    /// With its times as a clock has them that shows `difference` more, of a message that came at `received_at` by the other one.
    #[must_use]
    pub(super) fn moved_by(self, difference: jiff::SignedDuration, received_at: Timestamp) -> Timing {
        // HOLDFOR ends so many whole seconds after the reception; HOLDUNTIL at a moment that its sender named, whatever clocks show.
        let was_counted = |until: Timestamp| received_at.duration_until(until).subsec_nanos() == 0;
        Timing {
            hold_until: self.hold_until.map(|until| if was_counted(until) { moved(until, difference) } else { until }),
            deliver_by: self.deliver_by.map(|by| Deadline { at: moved(by.at, difference), ..by }),
            priority: self.priority,
        }
    }

    /// What MAIL says of it to the next host at `now`: the time that is left.
    #[must_use]
    pub fn left(&self, now: Timestamp) -> TimeParameters {
        let by = |deadline: Deadline| {
            // RFC 2852 section 4: at most nine digits; what is left of a last second still counts.
            let seconds = now.duration_until(deadline.at).as_secs().clamp(-999_999_999, 999_999_999) as i32;
            let seconds = if deadline.late == Late::Return { seconds.max(1) } else { seconds };
            DeliverBy { seconds, late: deadline.late, trace: deadline.trace }
        };
        TimeParameters { hold: None, deliver_by: self.deliver_by.map(by), priority: self.priority }
    }
}

/// A moment, later by `difference`.
pub(super) fn moved(at: Timestamp, difference: jiff::SignedDuration) -> Timestamp {
    whole(at.saturating_add(difference).unwrap_or(at))
}

/// As exact as the spool keeps times.
fn whole(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

const RETURN: u8 = 1;
const TRACE: u8 = 2;

pub(super) fn deadline_octets(deadline: &Deadline) -> Vec<u8> {
    let mut octets = deadline.at.as_microsecond().to_le_bytes().to_vec();
    let returned = if deadline.late == Late::Return { RETURN } else { 0 };
    octets.push(returned | if deadline.trace { TRACE } else { 0 });
    octets
}

pub(super) fn deadline(from: &mut Octets<'_>) -> Result<Deadline, Malformed> {
    let at = from.time()?;
    let flags = from.octet()?;
    if flags & !(RETURN | TRACE) != 0 {
        return Err(Malformed);
    }
    let late = if flags & RETURN == 0 { Late::Notify } else { Late::Return };
    Ok(Deadline { at, late, trace: flags & TRACE != 0 })
}

pub(super) fn priority(from: &mut Octets<'_>) -> Result<Priority, Malformed> {
    Priority::new(from.octet()?.cast_signed()).ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::smtp::extensions::timing::Hold;

    #[test]
    fn what_was_asked_becomes_a_moment_and_the_next_host_is_told_what_is_left() {
        let start = Timestamp::UNIX_EPOCH;
        let after = |seconds| start + SignedDuration::from_secs(seconds);
        let asked = |seconds, late| TimeParameters {
            hold: Some(Hold::For(10)),
            deliver_by: Some(DeliverBy { seconds, late, trace: true }),
            priority: Priority::new(3),
        };
        let timing = Timing::of(&asked(60, Late::Return), start);
        assert_eq!((timing.hold_until, timing.deliver_by.unwrap().at), (Some(after(10)), after(60)));
        for (late, now, left) in [
            (Late::Return, after(0), 60),
            (Late::Return, after(59), 1),
            (Late::Return, after(61), 1),
            (Late::Notify, after(59), 1),
            (Late::Notify, after(90), -30),
        ] {
            let left = DeliverBy { seconds: left, late, trace: true };
            let told = Timing::of(&asked(60, late), start).left(now);
            let expected = TimeParameters { hold: None, deliver_by: Some(left), priority: Priority::new(3) };
            assert_eq!(told, expected, "{late:?} at {now}");
        }
    }
}
