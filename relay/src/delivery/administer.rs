//! Mail that an administrator takes out of the queue: returned to its sender, or removed without a word.

use mailsluice_crds::LogLevel;
use mailsluice_ctl::Line;

use super::{Courier, bounce::BounceError, outcome::Failure};
use crate::{
    log::Tag,
    queue::{InHand, Settled, Work},
    spool::{self, Envelope, Mark, SpoolError},
};

/// Why a message could not be returned. It is as it was, in the hand of the caller.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotReturned {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(SpoolError),
    /// Its report cannot be stored now.
    #[error(transparent)]
    Bounce(BounceError),
}

impl Courier {
    /// Returns a message for its recipients at one host, and writes that down; `failed` says of each what its sender is told.
    pub(super) async fn give_up(
        &self,
        work: &Work,
        failed: impl FnOnce(&Envelope) -> Vec<Failure>,
    ) -> Result<(), NotReturned> {
        let (envelope, body) = self.spool.read(work.location).await.map_err(NotReturned::Unreadable)?;
        self.bounce(&envelope, Some(body), &failed(&envelope)).await.map_err(NotReturned::Bounce)?;
        let outcomes = work.recipients.iter().map(|recipient| (*recipient, spool::Outcome::Failed)).collect();
        self.spool.mark(Mark { id: work.id, location: work.location, outcomes });
        Ok(())
    }

    /// Returns a message that was taken out of turn, because an administrator wants it. False when that could not be done now:
    /// then it waits as before.
    pub async fn reject(&self, in_hand: InHand, reason: Option<&Line>) -> bool {
        let Some(work) = in_hand.work().cloned() else { return false };
        let text = match reason {
            Some(reason) => format!("rejected by the administrator of this relay: {reason}"),
            None => "rejected by the administrator of this relay".to_owned(),
        };
        let failure = |recipient: &u16| Failure {
            recipient: *recipient,
            // RFC 3463 section 3.8: X.7.1, delivery not authorised, message refused.
            status: "5.7.1".into(),
            reply: None,
            remote: None,
            text: text.clone(),
        };
        match self.give_up(&work, |_| work.recipients.iter().map(failure).collect()).await {
            Ok(()) => {
                in_hand.settle(Settled::Gone);
                true
            }
            Err(NotReturned::Unreadable(error)) if error.is_damage() => {
                self.unreadable(&work, &error, in_hand);
                false
            }
            Err(error) => {
                self.log
                    .at(LogLevel::Problems, Tag::Report)
                    .field("message", work.id)
                    .say(format_args!("a rejected message could not be returned, and waits as before: {error}"));
                in_hand.settle(Settled::Untried);
                false
            }
        }
    }

    /// Removes a message that was taken out of turn, for its recipients at one host, without a report.
    pub fn remove(&self, in_hand: InHand, host: &str, by: &Line) {
        let Some(work) = in_hand.work().cloned() else { return };
        let outcomes = work.recipients.iter().map(|recipient| (*recipient, spool::Outcome::Removed)).collect();
        self.spool.mark(Mark { id: work.id, location: work.location, outcomes });
        self.metrics.removed.inc_by(work.recipients.len() as u64);
        self.log
            .at_host(LogLevel::Major, Tag::Queue, host)
            .field("message", work.id)
            .field("by", by)
            .number("recipients", work.recipients.len() as u64)
            .say("removed by an administrator, without a report");
        in_hand.settle(Settled::Gone);
    }
}
