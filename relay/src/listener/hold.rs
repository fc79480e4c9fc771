//! How long mail may be held (RFC 4865).

use jiff::{SignedDuration, Timestamp, Unit};

use super::session::Session;
use crate::{
    clock,
    smtp::{Envelope, Reply, extensions::TimeParameters, server::FutureRelease},
};

impl Session {
    /// Whether what MAIL asks for is within the limit.
    pub(super) fn may_hold(&self, envelope: &Envelope) -> Result<(), Reply> {
        let longest = self.reception.config.borrow().spec.limits.future_release.duration();
        check(envelope.time.as_deref(), longest, clock::now())
    }
}

/// What FUTURERELEASE announces at `now`: it belongs to ports for submission.
pub(super) fn offer(is_submission: bool, longest: SignedDuration, now: Timestamp) -> Option<FutureRelease> {
    let latest = now.checked_add(longest).unwrap_or(Timestamp::MAX);
    is_submission.then_some(FutureRelease { longest, latest })
}

/// Whether what MAIL asks for is within the limit, and is to end before the message is late (DELIVERBY).
///
/// # Errors
/// The reply that refuses: 501 5.5.4 (RFC 4865 sections 4.2 and 5.2.2).
fn check(time: Option<&TimeParameters>, longest: SignedDuration, now: Timestamp) -> Result<(), Reply> {
    let Some((time, hold)) = time.and_then(|time| Some((time, time.hold?))) else { return Ok(()) };
    let held = now.duration_until(hold.until(now));
    if let Some(by) = time.deliver_by
        && held > SignedDuration::from_secs(by.seconds.into())
    {
        return Err(Reply::enhanced(501, (5, 4), "The message is to be held for longer than it has for its delivery"));
    }
    if held <= longest {
        return Ok(());
    }
    let latest = now.checked_add(longest).unwrap_or(Timestamp::MAX);
    let latest = latest.round(Unit::Second).unwrap_or(latest);
    let text = format!("Mail is held for at most {} seconds here, that is till {latest:.0}", longest.as_secs());
    Err(Reply::enhanced(501, (5, 4), text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::extensions::timing::{DeliverBy, Hold, Late};

    #[test]
    fn mail_is_held_for_no_longer_than_is_announced() {
        let now: Timestamp = "2026-11-24T08:00:00Z".parse().unwrap();
        let day = SignedDuration::from_hours(24);
        let at = |text: &str| Hold::Until(text.parse().unwrap());
        for (hold, within) in [
            (Some(Hold::For(86_400)), true),
            (Some(Hold::For(86_401)), false),
            (Some(at("2026-11-25T08:00:00Z")), true),
            (Some(at("2026-11-25T08:00:01Z")), false),
            (Some(at("2026-11-23T08:00:00Z")), true),
            (None, true),
        ] {
            let time = TimeParameters { hold, ..TimeParameters::default() };
            let checked = check(Some(&time), day, now);
            assert_eq!(checked.as_ref().map_err(Reply::code).err(), (!within).then_some(501), "{hold:?}");
        }
        assert_eq!(check(None, day, now), Ok(()));
    }

    #[test]
    fn mail_is_not_held_till_it_is_late() {
        let now: Timestamp = "2026-11-24T08:00:00Z".parse().unwrap();
        let day = SignedDuration::from_hours(24);
        let at = |text: &str| Hold::Until(text.parse().unwrap());
        for (hold, seconds, good) in [
            (Hold::For(60), 60, true),
            (Hold::For(61), 60, false),
            (at("2026-11-24T08:01:00Z"), 60, true),
            (at("2026-11-24T08:01:01Z"), 60, false),
            (at("2026-11-24T07:00:00Z"), 60, true),
            // It was late an hour ago.
            (Hold::For(60), -3_600, false),
        ] {
            let deliver_by = Some(DeliverBy { seconds, late: Late::Notify, trace: false });
            let time = TimeParameters { hold: Some(hold), deliver_by, ..TimeParameters::default() };
            let checked = check(Some(&time), day, now);
            assert_eq!(checked.as_ref().map_err(Reply::code).err(), (!good).then_some(501), "{hold:?} {seconds}");
        }
    }
}
