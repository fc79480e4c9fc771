//! A message on its way from the client into the spool.

use bytes::Bytes;
use jiff::Timestamp;

use crate::{
    header::HeaderPass,
    smtp::Reply,
    spool::{BodyWriter, MessageId, SpoolError},
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
