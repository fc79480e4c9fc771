//! What became of a message, recipient by recipient.

use super::Stage;
use crate::smtp::reply::Reply;

/// Whose words a reply is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DecidedBy {
    /// The host answered so.
    Peer,
    /// The host was not asked: what it had announced already excluded the message.
    Client,
}

/// A recipient that was refused at RCPT, or before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its index in the envelope's recipients.
    pub recipient: usize,
    /// What the host said, or what the client knew without asking.
    pub reply: Reply,
    /// Whose reply it is.
    pub decided_by: DecidedBy,
}

/// How a message was answered. The session itself is in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Where the message was decided: at [`Stage::Reply`] it was handed over in full.
    pub stage: Stage,
    /// The reply that counts for every recipient that is not in `refused`.
    pub reply: Reply,
    /// Whose reply it is.
    pub decided_by: DecidedBy,
    /// The recipients refused at RCPT, in ascending order.
    pub refused: Vec<Refusal>,
}

/// What became of one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict<'a> {
    /// Its index in the envelope's recipients.
    pub recipient: usize,
    /// Where it was decided.
    pub stage: Stage,
    /// The reply that decided; a success only at [`Stage::Reply`]: the host has the message for this recipient.
    pub reply: &'a Reply,
    /// Whose reply it is.
    pub decided_by: DecidedBy,
}

impl Outcome {
    pub(super) fn of_peer(stage: Stage, reply: Reply, refused: Vec<Refusal>) -> Self {
        Self { stage, reply, decided_by: DecidedBy::Peer, refused }
    }

    pub(super) fn of_client(stage: Stage, reply: Reply) -> Self {
        Self { stage, reply, decided_by: DecidedBy::Client, refused: Vec::new() }
    }

    /// Whether the host closes the connection with one of the replies.
    pub(super) fn any_reply_closes(&self) -> bool {
        self.reply.closes() || self.refused.iter().any(|refusal| refusal.reply.closes())
    }

    /// A verdict for each of the `recipients` recipients of the envelope, in its order.
    pub fn verdicts(&self, recipients: usize) -> impl Iterator<Item = Verdict<'_>> {
        let mut refused = self.refused.iter().peekable();
        (0..recipients).map(move |recipient| match refused.next_if(|refusal| refusal.recipient == recipient) {
            Some(Refusal { reply, decided_by, .. }) => {
                Verdict { recipient, stage: Stage::RcptTo, reply, decided_by: *decided_by }
            }
            None => Verdict { recipient, stage: self.stage, reply: &self.reply, decided_by: self.decided_by },
        })
    }
}
