//! What the replies to one message mean for each of its recipients. Pure.

use jiff::Timestamp;
use mailsluice_crds::monitor::LastError;

use super::fault::refusal;
use crate::smtp::{Reply, Severity, client};

/// A recipient that is given up, or otherwise to be reported to the sender.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    /// Its index in the message's envelope.
    pub(super) recipient: u16,
    /// The status of RFC 3463.
    pub(super) status: String,
    /// The host's reply, where a host gave one.
    pub(super) reply: Option<String>,
    /// The host that gave it.
    pub(super) remote: Option<String>,
    /// Why, in words.
    pub(super) text: String,
}

/// What became of each recipient, by its index in the message's envelope.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) delivered: Vec<u16>,
    pub(super) failed: Vec<Failure>,
    pub(super) deferred: Vec<u16>,
    /// What to report of those delivered whose sender wants to know, where the host will not.
    pub(super) relayed: Vec<Failure>,
    /// The last reply that put a recipient off.
    pub(super) error: Option<LastError>,
}

impl Outcome {
    /// Sorts the verdicts of an attempt for `recipients` with `peer`.
    pub(super) fn of(outcome: &client::Outcome, recipients: &[u16], remote: &str, peer: &str, now: Timestamp) -> Self {
        let mut sorted = Outcome::default();
        for verdict in outcome.verdicts(recipients.len()) {
            let Some(&recipient) = recipients.get(verdict.recipient) else { continue };
            match verdict.reply.severity() {
                Severity::Success => sorted.delivered.push(recipient),
                Severity::Permanent => {
                    let by_peer = verdict.decided_by == client::DecidedBy::Peer;
                    sorted.failed.push(Failure {
                        recipient,
                        status: status(verdict.reply),
                        reply: by_peer.then(|| verdict.reply.to_string()),
                        remote: by_peer.then(|| remote.to_owned()),
                        text: verdict.reply.text().to_owned(),
                    });
                }
                // An answer like 354 where none is due says nothing of the message: it is tried again.
                Severity::Transient | Severity::Intermediate => {
                    sorted.deferred.push(recipient);
                    sorted.error = Some(refusal(verdict.reply, verdict.stage, peer, now));
                }
            }
        }
        sorted
    }
}

/// The reply's enhanced status, or the one that says no more than its first digit.
fn status(reply: &Reply) -> String {
    reply.enhanced_code().map_or_else(|| format!("{}.0.0", reply.code() / 100), |code| code.to_string())
}
