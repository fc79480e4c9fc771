//! Whether a host would take a message, as far as it says so before the text.

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Client, ClientError, LAST_WORDS, Observer, Outcome, Stage};
use crate::smtp::envelope::Envelope;

impl<S, O> Client<S, O>
where
    S: AsyncRead + AsyncWrite + Unpin,
    O: Observer,
{
    /// Asks for a transaction as [`Client::send`] does, and ends it by RSET in the place of DATA. None where the host takes the sender and
    /// at least one recipient; else who refuses them, and how.
    ///
    /// # Errors
    /// The connection is at its end.
    pub async fn probe(&mut self, envelope: &Envelope) -> Result<Option<Outcome>, ClientError> {
        if let Some(outcome) = self.refuse_unsent(envelope) {
            return Ok(Some(outcome));
        }
        // Set back only at the end, as for a message.
        self.usable = false;
        self.wire.expect_silence(LAST_WORDS).await?;
        let mut commands = self.transaction(envelope, None).await?;
        let settled = self.settled_before_body(&mut commands);
        let outcome = settled.map(|(stage, reply)| Outcome::of_peer(stage, reply, commands.refused));
        let timeouts = self.config.timeouts;
        self.wire.enter(Stage::Rset);
        self.wire.command(&["RSET"]);
        self.wire.flush(timeouts.block).await?;
        let reset = self.wire.reply(timeouts.reset).await?;
        self.reset_first = !reset.is_success();
        self.usable = true;
        Ok(outcome)
    }
}
