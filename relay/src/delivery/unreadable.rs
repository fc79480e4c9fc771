//! Mail that the spool cannot give back: set aside where what is on the disk is damaged, tried again where the trouble may pass.

use mailsluice_crds::LogLevel;

use super::Courier;
use crate::{
    clock,
    log::{Record, Tag},
    queue::{InHand, Queue, Settled, Work},
    spool::SpoolError,
};

impl Courier {
    /// The message could not be read. A damaged one is not tried again before a restart has looked at it; the spool counts it.
    pub(super) fn unreadable(&self, work: &Work, error: &SpoolError, in_hand: InHand) {
        let done = matches!(error, SpoolError::Gone(_) | SpoolError::NoRecord { .. });
        let settled = if done || error.is_damage() {
            Settled::Gone
        } else {
            let till = self.queue.read(|queue| queue.retry_at(work.attempts + 1, clock::now()));
            Settled::Deferred { recipients: work.recipients.clone(), till }
        };
        let level = match settled {
            Settled::Gone if !done => LogLevel::CrashesOnly,
            _ => LogLevel::Problems,
        };
        let next = match &settled {
            Settled::Deferred { till, .. } => Some(till),
            _ => None,
        };
        self.of_message(level, work)
            .maybe("till", next)
            .say(format_args!("a message cannot be read from the spool: {error}"));
        in_hand.settle(settled);
    }

    /// What was read is sound and still no message that can be sent: `what` is wrong with it.
    pub(super) fn unusable(&self, work: &Work, what: &str, in_hand: InHand) {
        self.spool.note_unusable(work.location, what);
        self.of_message(LogLevel::CrashesOnly, work).say(format_args!("a message cannot be sent: {what}"));
        in_hand.settle(Settled::Gone);
    }

    fn of_message(&self, level: LogLevel, work: &Work) -> Record<'_> {
        let host = self.queue.read(|queue: &Queue| queue.host_name(work.host).unwrap_or_default().to_owned());
        self.log.at_host(level, Tag::Spool, &host).field("message", work.id)
    }
}
