//! Mail whose time is over goes back to its sender, whatever state its host is in.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use mailsluice_crds::{LogLevel, monitor::Stage};
use tokio::time;

use super::{Courier, administer::NotReturned, outcome::Failure};
use crate::{
    log::Tag,
    queue::{HostSummary, Settled, Work},
    smtp::extensions::timing::Late,
    spool::Envelope,
    tcp::Entry,
};

/// The wait before an expired message that could not be returned is tried again.
const RETURN_AGAIN: Duration = Duration::from_secs(60);

/// The longest that a host may let a session wait before it has any of the text: the client's time limits together. A message that
/// has longer to live needs nobody to look at the clock.
const LONGEST_TALK: SignedDuration = SignedDuration::from_mins(30);

/// How often it is looked whether a message that a host keeps waiting has expired.
const LOOK: Duration = Duration::from_secs(1);

impl Courier {
    /// When a message goes back, delivered or not.
    pub(super) fn expiry(&self, envelope: &Envelope) -> Timestamp {
        let age = self.config.borrow().spec.retry.expire_after.duration();
        let old = envelope.since().checked_add(age).unwrap_or(Timestamp::MAX);
        let late = envelope.timing().deliver_by.filter(|by| by.late == Late::Return);
        late.map_or(old, |by| by.at.min(old))
    }
}

/// Ends when a message expires while a host keeps it waiting and has none of its text; never once the host may take it.
pub(super) async fn in_vain(courier: &Courier, entry: &Entry, expiry: Timestamp) {
    if courier.watch.now_for_ages().duration_until(expiry) > LONGEST_TALK {
        return std::future::pending().await;
    }
    loop {
        let left = Duration::try_from(courier.watch.now_for_ages().duration_until(expiry)).unwrap_or_default();
        time::sleep(left.clamp(Duration::from_millis(1), LOOK)).await;
        let untouched = matches!(entry.now_at(), Stage::Idle | Stage::MailFrom | Stage::RcptTo | Stage::Data);
        if courier.watch.now_for_ages() >= expiry && untouched {
            return;
        }
    }
}

/// Returns a message for its recipients at one host.
pub(super) async fn give_back(courier: Arc<Courier>, work: Work) {
    let why = courier.queue.read(|queue| queue.explain(work.host));
    let in_hand = courier.queue.in_hand(work.clone());
    match courier.give_up(&work, |envelope| failures(&work, envelope, why.as_ref(), courier.watch.now_for_ages())).await
    {
        Ok(()) => in_hand.settle(Settled::Gone),
        Err(NotReturned::Unreadable(error)) if error.is_damage() => courier.unreadable(&work, &error, in_hand),
        Err(error) => {
            courier
                .log
                .at(LogLevel::Problems, Tag::Report)
                .field("message", work.id)
                .say(format_args!("an expired message could not be returned, trying again later: {error}"));
            // It stays in hand for so long, so that it is not taken again at once.
            tokio::select! {
                () = time::sleep(RETURN_AGAIN) => {}
                () = courier.stop.cancelled() => {}
            }
            in_hand.settle(Settled::Untried);
        }
    }
}

/// What its sender is told of each recipient.
fn failures(work: &Work, envelope: &Envelope, why: Option<&HostSummary>, now: Timestamp) -> Vec<Failure> {
    let since = envelope.received_at;
    let by = envelope.timing().deliver_by.filter(|by| by.late == Late::Return && by.at <= now);
    let over = match by {
        Some(by) => format!("it was to be delivered by {:.0} or not at all, and was not", by.at),
        None => format!("it could not be delivered since {since:.0}, and the time for it is over"),
    };
    let text = match why.and_then(HostSummary::sentence) {
        Some(sentence) => format!("{over}; at the last: {sentence}"),
        None => over,
    };
    let failure = |recipient: &u16| Failure {
        recipient: *recipient,
        // RFC 3463 section 3.5: X.4.7, delivery time expired.
        status: "5.4.7".into(),
        reply: None,
        remote: None,
        text: text.clone(),
    };
    work.recipients.iter().map(failure).collect()
}
