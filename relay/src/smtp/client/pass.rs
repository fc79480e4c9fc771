//! Passing on what somebody else says: commands as they were written, and the octets of a text as they come. For a sidecar, whose
//! application talks to the host through it.
//!
//! What a command means is the caller's to know, and so is what must not be passed on. Until the last octet of a text is on its way
//! the host cannot have the message, and [`ClientError::fate`] says so; a session that is dropped before has handed over nothing.

use tokio::io::{AsyncRead, AsyncWrite};

use super::{BATCH_COMMANDS, Capabilities, Client, ClientError, ErrorKind, Fate, LAST_WORDS, Observer, Stage};
use crate::smtp::reply::{Reply, Severity};

impl<S, O> Client<S, O>
where
    S: AsyncRead + AsyncWrite + Unpin,
    O: Observer,
{
    /// Says EHLO again, to a host that has let the client in; its reply, which may offer other things than before.
    ///
    /// # Errors
    /// The host refuses, or the connection is at its end.
    pub async fn greet_again(&mut self) -> Result<Reply, ClientError> {
        self.usable = false;
        self.wire.enter(Stage::Ehlo);
        let hello = Self::hello(&mut self.wire, "EHLO ", &self.config).await?;
        if !hello.is_success() {
            return Err(self.wire.error(ErrorKind::Reply(hello)));
        }
        self.capabilities = Capabilities::of(&hello);
        self.usable = true;
        self.wire.enter(Stage::Idle);
        Ok(hello)
    }

    /// Looks, without waiting, whether the host has hung up or said something between two messages.
    ///
    /// # Errors
    /// It has, and the session is at its end.
    pub async fn expect_silence(&mut self) -> Result<(), ClientError> {
        let silent = self.wire.expect_silence(LAST_WORDS).await;
        self.usable &= silent.is_ok();
        silent
    }

    /// Sends command lines, given without their CRLF, in as few flights as the host allows; a reply for each.
    ///
    /// # Errors
    /// The connection is at its end. The host has taken no message by any of these commands.
    pub async fn pass(&mut self, lines: &[&[u8]]) -> Result<Vec<Reply>, ClientError> {
        let timeouts = self.config.timeouts;
        self.usable = false;
        let batch_max = if self.capabilities.pipelining { BATCH_COMMANDS } else { 1 };
        let mut replies = Vec::with_capacity(lines.len());
        for batch in lines.chunks(batch_max) {
            for line in batch {
                self.wire.command_octets(line);
            }
            self.wire.enter(batch.first().map_or(Stage::Idle, |line| stage_of(line)));
            self.wire.flush(timeouts.block).await?;
            for line in batch {
                self.wire.enter(stage_of(line));
                let limit = match stage_of(line) {
                    Stage::Rset => timeouts.reset,
                    Stage::MailFrom => timeouts.mail,
                    Stage::Data => timeouts.data,
                    _ => timeouts.rcpt,
                };
                replies.push(self.wire.reply(limit).await?);
            }
        }
        // Behind a 354 whatever is sent is text.
        self.usable = !replies.iter().any(|reply| reply.closes() || reply.severity() == Severity::Intermediate);
        self.wire.shrink();
        Ok(replies)
    }

    /// Begins a chunk of BDAT (RFC 3030), of which so many octets are to follow; sent with the first of them.
    pub fn pass_chunk(&mut self, size: u64, last: bool) {
        self.wire.command(&["BDAT ", &size.to_string(), if last { " LAST" } else { "" }]);
    }

    /// Sends a piece of a text that has not come to its end, as it goes over the wire.
    ///
    /// # Errors
    /// The connection is at its end. The host has not taken the message; where it said why, [`ClientError::reply`] has it.
    pub async fn pass_text(&mut self, octets: &[u8]) -> Result<(), ClientError> {
        self.usable = false;
        self.wire.enter(Stage::Body);
        self.wire.output.extend_from_slice(octets);
        self.flush_text().await?;
        // A host that has heard enough says so, and hangs up.
        self.wire.expect_silence(LAST_WORDS).await
    }

    /// Sends the last piece of a text, its end included, or of a chunk; the reply. `decides`: whether the message may be taken by it.
    ///
    /// # Errors
    /// The connection is at its end: [`ClientError::fate`] says whether the host may have taken the message.
    pub async fn pass_end(&mut self, octets: &[u8], decides: bool) -> Result<Reply, ClientError> {
        self.usable = false;
        self.wire.enter(Stage::Body);
        self.wire.output.extend_from_slice(octets);
        // One that has hung up already, or refused, does not get the end, and so it is known what became of the message.
        self.wire.expect_silence(LAST_WORDS).await?;
        if decides {
            // From the first octet of this write on, the end may reach the host even if we never learn it.
            self.wire.fate = Fate::Unknown;
        }
        self.flush_text().await?;
        self.wire.enter(Stage::Reply);
        let reply = self.wire.reply(self.config.timeouts.end).await?;
        if reply.severity() == Severity::Intermediate {
            return Err(self.wire.unexpected(reply));
        }
        self.wire.fate = Fate::NotAccepted;
        self.usable = !reply.closes();
        self.wire.enter(Stage::Idle);
        self.wire.shrink();
        Ok(reply)
    }

    /// Writes out; where that fails, what the host said last is the error.
    async fn flush_text(&mut self) -> Result<(), ClientError> {
        let Err(error) = self.wire.flush(self.config.timeouts.block).await else { return Ok(()) };
        match self.wire.last_words(&error, LAST_WORDS).await {
            Some(reply) => Err(self.wire.error(ErrorKind::Reply(reply))),
            None => Err(error),
        }
    }
}

/// Where a session stands that waits for the reply to this line.
fn stage_of(line: &[u8]) -> Stage {
    let verb = line.get(..4).unwrap_or(line);
    let is = |name: &[u8]| verb.eq_ignore_ascii_case(name);
    if is(b"MAIL") {
        Stage::MailFrom
    } else if is(b"DATA") {
        Stage::Data
    } else if is(b"RSET") {
        Stage::Rset
    } else {
        Stage::RcptTo
    }
}
