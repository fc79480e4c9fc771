//! A message on its way from the client into the spool.

use bytes::Bytes;
use jiff::Timestamp;

use crate::{
    header::HeaderPass,
    smtp::Reply,
    spool::{BodyWriter, Health, MessageId, SpoolError},
};

/// A message on its way into the spool.
pub(super) struct Incoming {
    pub(super) writer: BodyWriter,
    pub(super) received_at: Timestamp,
    pub(super) id: MessageId,
    /// The spool could not take a part of it.
    pub(super) fault: Option<SpoolError>,
    /// What its header goes through.
    pub(super) header: Option<Box<HeaderPass>>,
}

impl Incoming {
    /// Has what came into `body` behind `start` go through what the header goes through.
    pub(super) fn pass(&mut self, start: usize, body: &mut Vec<u8>) {
        if let Some(header) = &mut self.header
            && !header.is_over()
            && start < body.len()
        {
            let fresh = body.split_off(start);
            header.feed(&fresh, body);
        }
    }

    /// The text has ended; what refuses it, if anything does.
    pub(super) fn finish(&mut self, body: &mut Vec<u8>) -> Option<Reply> {
        let header = self.header.as_mut()?;
        header.finish(body);
        header.refusal().cloned()
    }
}

/// Hands what there is of the text to the spool's writer.
pub(super) async fn spill(incoming: Option<&mut Incoming>, body: &mut Vec<u8>) {
    let chunk = Bytes::from(std::mem::take(body));
    // What is refused already is not kept.
    if let Some(message) = incoming
        && message.fault.is_none()
        && message.header.as_ref().is_none_or(|header| header.refusal().is_none())
        && let Err(error) = message.writer.write(chunk).await
    {
        message.fault = Some(error);
    }
}

/// Whether a spool of this health has room for a message.
///
/// # Errors
/// The reply that refuses it.
pub(super) fn room(health: &Health) -> Result<(), Reply> {
    match health {
        Health::Good => Ok(()),
        Health::Full(_) | Health::ReadOnly(_) => Err(no_room()),
        Health::Failing(_) => Err(failing()),
    }
}

/// What a client is told whose message could not be stored.
pub(super) fn refusal(error: &SpoolError) -> Reply {
    if error.is_temporary_room() {
        return no_room();
    }
    match error {
        SpoolError::TooLarge { .. } => Reply::enhanced(552, (3, 4), "the message is larger than this relay can store"),
        _ => failing(),
    }
}

fn no_room() -> Reply {
    Reply::enhanced(452, (3, 1), "this relay's disk is full; try again later")
}

fn failing() -> Reply {
    Reply::enhanced(451, (3, 0), "this relay cannot store mail now; try again later")
}
