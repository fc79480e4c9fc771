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
        check(envelope.time.as_deref(), longest, clock::now()).inspect_err(|reply| self.count_refusal(reply))
    }
}

/// What FUTURERELEASE announces at `now`: it belongs to ports for submission.
pub(super) fn offer(is_submission: bool, longest: SignedDuration, now: Timestamp) -> Option<FutureRelease> {
    let latest = now.checked_add(longest).unwrap_or(Timestamp::MAX);
    is_submission.then_some(FutureRelease { longest, latest })
}

/// Whether what MAIL asks for is within the limit.
///
/// # Errors
/// The reply that refuses: 501 5.5.4 (RFC 4865 section 5).
fn check(time: Option<&TimeParameters>, longest: SignedDuration, now: Timestamp) -> Result<(), Reply> {
    let Some(hold) = time.and_then(|time| time.hold) else { return Ok(()) };
    if now.duration_until(hold.until(now)) <= longest {
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
    use crate::smtp::extensions::timing::Hold;

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
}
