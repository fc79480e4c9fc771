//! A batch of messages as octets: what is held of them, where anything is, as JSON with its length in front, and for each message the length of its head (4 octets, little-endian), the head as the spool writes it, and its text, as
//! long as the head says.

use bytes::{Buf as _, Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use mailsluice_ctl::hold::HoldOn;

use crate::spool::{Body, BodyWriter, NotWaiting, Spool, SpoolError, Waiting};

/// The type of a batch; another version of the format would have another.
pub(super) const CONTENT_TYPE: &str = "application/vnd.mailsluice.handover; version=1";
/// That of one that begins with holds. A relay that does not know them takes nothing of it.
pub(super) const WITH_HOLDS: &str = "application/vnd.mailsluice.handover; version=2";

/// Messages of a batch at most.
pub(super) const MESSAGES: usize = 256;

/// Octets of a head at most: half of the spool's segments.
const HEAD: usize = 8 << 20;
/// Octets of its length.
const LENGTH: usize = 4;

/// Why a batch cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    #[error("the batch broke off")]
    BrokenOff,
    #[error("the batch has more than {MESSAGES} messages, or one whose head is longer than {} MiB", HEAD >> 20)]
    TooLong,
    #[error(transparent)]
    Head(#[from] NotWaiting),
    #[error("what is held of it cannot be read: {0}")]
    Holds(#[from] serde_json::Error),
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// What stands before the messages.
pub(super) fn holds(holds: &[HoldOn]) -> serde_json::Result<Bytes> {
    Ok(with_length(&serde_json::to_vec(holds)?))
}

/// What stands before a message's text.
pub(super) fn head(waiting: &Waiting) -> Bytes {
    with_length(&waiting.encode())
}

fn with_length(octets: &[u8]) -> Bytes {
    let length = u32::try_from(octets.len()).unwrap_or(u32::MAX);
    [&length.to_le_bytes(), octets].concat().into()
}

/// Reads a batch as it comes.
pub(super) struct Reader<S> {
    chunks: S,
    /// What came and is not used yet.
    rest: BytesMut,
}

impl<S, E> Reader<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    pub(super) fn new(chunks: S) -> Self {
        Reader { chunks, rest: BytesMut::new() }
    }

    /// What is held of a batch of that type; to be read before the messages.
    pub(super) async fn holds(&mut self, content_type: Option<&str>) -> Result<Vec<HoldOn>, WireError> {
        if content_type != Some(WITH_HOLDS) {
            return Ok(Vec::new());
        }
        Ok(serde_json::from_slice(&self.with_length().await?)?)
    }

    /// All messages of the batch, their texts with the spool and nothing stored yet.
    pub(super) async fn all(mut self, spool: &Spool) -> Result<Vec<(Waiting, Body)>, WireError> {
        let mut messages = Vec::new();
        while self.fill(1).await? {
            if messages.len() >= MESSAGES {
                return Err(WireError::TooLong);
            }
            let waiting = Waiting::decode(&self.with_length().await?)?;
            let text = self.text(waiting.envelope().size, spool.begin_body()).await?;
            messages.push((waiting, text));
        }
        Ok(messages)
    }

    async fn text(&mut self, mut size: u64, mut writer: BodyWriter) -> Result<Body, WireError> {
        while size > 0 {
            if !self.fill(1).await? {
                return Err(WireError::BrokenOff);
            }
            let piece = self.rest.len().min(usize::try_from(size).unwrap_or(usize::MAX));
            writer.write(self.rest.copy_to_bytes(piece)).await?;
            size -= piece as u64;
        }
        Ok(writer.finish().await?)
    }

    /// What a length stands before.
    async fn with_length(&mut self) -> Result<Bytes, WireError> {
        let length = u32::from_le_bytes(self.exactly(LENGTH).await?.as_ref().try_into().unwrap_or_default());
        let length = usize::try_from(length).ok().filter(|length| *length <= HEAD).ok_or(WireError::TooLong)?;
        self.exactly(length).await
    }

    async fn exactly(&mut self, octets: usize) -> Result<Bytes, WireError> {
        if !self.fill(octets).await? {
            return Err(WireError::BrokenOff);
        }
        Ok(self.rest.copy_to_bytes(octets))
    }

    /// Whether so many octets are at hand; not, where the batch ends before any of them.
    async fn fill(&mut self, octets: usize) -> Result<bool, WireError> {
        while self.rest.len() < octets {
            match self.chunks.next().await {
                // Taken over, not copied, where nothing is left of what came before.
                Some(Ok(chunk)) if self.rest.is_empty() => self.rest = chunk.into(),
                Some(Ok(chunk)) => self.rest.extend_from_slice(&chunk),
                Some(Err(_)) => return Err(WireError::BrokenOff),
                None if self.rest.is_empty() => return Ok(false),
                None => return Err(WireError::BrokenOff),
            }
        }
        Ok(true)
    }
}
