//! BINARYMIME on the way out (RFC 3030): a text that is not made of lines, as one chunk of BDAT.

use tokio::io::{AsyncRead, AsyncWrite};

use super::{BODY_WRITE, BodySource, Capabilities, Client, ClientError, ErrorKind, Fate, LAST_WORDS, Observer, Stage};
use crate::smtp::{
    envelope::{BodyType, Envelope},
    reply::{Reply, Severity},
};

/// Why a host cannot have the message.
pub(super) fn refusal(envelope: &Envelope, host: &Capabilities) -> Option<Reply> {
    let taken = host.chunking && host.binary_mime && envelope.size.is_some();
    (envelope.body == BodyType::BinaryMime && !taken).then(|| {
        Reply::enhanced(
            554,
            (6, 3),
            "The message holds binary text, which the host does not take (it offers no BINARYMIME)",
        )
    })
}

impl<S, O> Client<S, O>
where
    S: AsyncRead + AsyncWrite + Unpin,
    O: Observer,
{
    /// Sends the text as the only chunk; gives the reply to it, or to part of it.
    pub(super) async fn chunk<B: BodySource>(
        &mut self,
        envelope: &Envelope,
        body: &mut B,
    ) -> Result<(Stage, Reply), ClientError> {
        self.wire.enter(Stage::Body);
        if let Err(error) = self.write_chunk(envelope.size.unwrap_or_default(), body).await {
            return match self.wire.last_words(&error, LAST_WORDS).await {
                Some(reply) if reply.code() == 421 => Err(self.wire.error(ErrorKind::Reply(reply))),
                Some(reply) => Ok((Stage::Body, reply)),
                None => Err(error),
            };
        }
        self.wire.enter(Stage::Reply);
        let reply = self.wire.reply(self.config.timeouts.end).await?;
        if reply.severity() == Severity::Intermediate {
            return Err(self.wire.unexpected(reply));
        }
        self.wire.fate = Fate::NotAccepted;
        // A transaction whose chunk was refused is still open (RFC 3030 section 2).
        self.reset_first = !reply.is_success();
        Ok((Stage::Reply, reply))
    }

    async fn write_chunk<B: BodySource>(&mut self, size: u64, body: &mut B) -> Result<(), ClientError> {
        let block = self.config.timeouts.block;
        self.wire.command(&["BDAT ", &size.to_string(), " LAST"]);
        let mut left = size;
        while let Some(chunk) = body.next_chunk().await.map_err(|error| self.wire.error(ErrorKind::Body(error)))? {
            left = left.checked_sub(chunk.len() as u64).ok_or_else(|| self.wire.error(miscounted()))?;
            for piece in chunk.chunks(BODY_WRITE) {
                if self.wire.output.len() + piece.len() > BODY_WRITE {
                    self.wire.flush(block).await?;
                }
                self.wire.output.extend_from_slice(piece);
            }
        }
        if left > 0 {
            return Err(self.wire.error(miscounted()));
        }
        // From the first octet of this write on, the last octet may reach the host even if we never learn it.
        self.wire.fate = Fate::Unknown;
        self.wire.flush(block).await
    }
}

/// The text has not the octets that were announced: the host must not take what there is of it for the whole.
fn miscounted() -> ErrorKind {
    ErrorKind::Body(std::io::Error::other("the text has not the size that it should have"))
}
