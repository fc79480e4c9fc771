//! The client's side of a session: hands messages to a host over any connection.
//!
//! Decisions:
//! - EHLO first; HELO if that gets a 5yz (RFC 5321 section 3.2), but not after 521.
//! - Where PIPELINING is offered, MAIL, RCPT and DATA go out as one write (RFC 2920), many recipients in batches of
//!   [`BATCH_COMMANDS`], all of whose replies are read before the next batch is written. What the host says is read while a write
//!   waits, so that the two never wait for each other with full buffers. If no recipient is accepted and DATA is answered with 354 nevertheless, a lone dot ends it.
//! - A transaction that fails, midway or at its end, is ended by RSET, which goes out in front of the next MAIL; after the last
//!   message QUIT does it.
//! - A 421 at any place is the connection's end, as an error that carries it. Any other 4yz or 5yz is the message's or the
//!   recipient's, and the connection goes on (after 521 it does not).
//! - A body with octets above 127 towards a host without 8BITMIME fails with 5.6.3 without being sent (RFC 6152 section 3): the
//!   relay passes bodies on as they are and does not convert them.
//! - A body that is not made of lines goes by BDAT, as one chunk, to a host that offers BINARYMIME, and fails with 5.6.3 elsewhere
//!   (RFC 3030 section 3).
//! - Towards a host without SMTPUTF8, recipients outside ASCII fail with 5.6.7 and the others get the message; where the sender or
//!   the header is outside ASCII, all fail. Domains are in A-labels already, so they never stand in the way (RFC 6531 section 3.2).
//! - A message that is not to be delivered late (BY with mode R) fails with 5.4.7 without being sent where the host offers no DELIVERBY
//!   (RFC 2852 section 4.1.4.1: nobody there would take it back), or no time as short as is left. BY and MT-PRIORITY are passed on
//!   to hosts that offer them, HOLDFOR and HOLDUNTIL never: by then the message has been held.
//! - A message with REQUIRETLS fails with 5.7.30 without being sent where the host does not offer it; a bounce goes without it there
//!   (RFC 8689 section 5). That the host is who it should be is for the caller to know.
//! - A message larger than the SIZE which the host announced fails with 5.3.4 without being sent (RFC 1870 section 6).
//! - Before a message, the connection is looked at for what came unasked: a 421 or a close of an idle connection is noticed
//!   before anything is sent.
//! - If writing the body fails, what the host said last is read: a host that refuses a message in its middle says why and
//!   hangs up.
//! - AUTH once, before any message, and only where the caller has something to show: what a host says to it is no message's. To one that
//!   has let the client in, MAIL says who submitted the message, as far as that is known (RFC 4954 section 5); where it answers 555 to
//!   that (RFC 5321 section 4.1.1.11), it is asked again without, and so on this connection from then on.
//! - STARTTLS only at the beginning, before any message. The handshake gets the connection with nothing in any buffer: a host that says
//!   more in clear than its reply to STARTTLS ends the session, and what it offered in clear is forgotten (RFC 3207 section 4.2).
//!
//! Writes are whole flights: a small message is two of them. Give the session a TCP connection with `TCP_NODELAY`.

mod auth;
mod binary;
mod capabilities;
mod error;
mod observe;
mod outcome;
mod pass;
mod probe;
mod require_tls;
mod start_tls;
mod timing;
mod utf8;
mod wire;

pub use auth::{AuthFault, Called};
pub use capabilities::Capabilities;
pub use error::{ClientError, ErrorKind, Fate};
pub use observe::{Observer, Stage};
pub use outcome::{DecidedBy, Outcome, Refusal, Verdict};
pub use start_tls::StartTls;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use super::data::Encoder;
use super::envelope::{BodyType, Envelope};
use super::extensions::{mail_parameters, rcpt_parameters, submitter_parameter, time_parameters};
use super::reply::{Reply, ReplyError, Severity};
use wire::Wire;

/// Commands in one batch: some 10 KiB of commands and of replies, which fit into any socket buffer.
pub const BATCH_COMMANDS: usize = 100;
/// Octets of the body in one write; bounds what a session buffers.
const BODY_WRITE: usize = 32 * 1024;
/// How long to wait for a host's last words after the connection broke: they are here already or never come.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long each step may take (RFC 5321 section 4.5.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the greeting is here.
    pub banner: Duration,
    /// Until EHLO or HELO is answered; the RFC names none, Postfix waits five minutes.
    pub hello: Duration,
    /// Until STARTTLS is answered; Postfix waits five minutes.
    pub start_tls: Duration,
    /// Until a line of AUTH is answered: as long as EHLO may take.
    pub auth: Duration,
    /// Until MAIL is answered.
    pub mail: Duration,
    /// Until a RCPT is answered.
    pub rcpt: Duration,
    /// Until DATA is answered.
    pub data: Duration,
    /// Until one write is taken by the connection.
    pub block: Duration,
    /// Until the final dot is answered. Long, since a host that is given up here may have accepted the message.
    pub end: Duration,
    /// Until RSET is answered; Postfix waits twenty seconds.
    pub reset: Duration,
    /// Until QUIT is answered. Short: nothing depends on the answer.
    pub quit: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        Self {
            banner: 5 * MINUTE,
            hello: 5 * MINUTE,
            start_tls: 5 * MINUTE,
            auth: 5 * MINUTE,
            mail: 5 * MINUTE,
            rcpt: 5 * MINUTE,
            data: 2 * MINUTE,
            block: 3 * MINUTE,
            end: 10 * MINUTE,
            reset: Duration::from_secs(20),
            quit: Duration::from_secs(5),
        }
    }
}

/// How a client presents itself and how long it waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The name for EHLO and HELO: the host's own, or an address literal.
    pub hello: String,
    /// The time limits.
    pub timeouts: Timeouts,
}

impl Config {
    /// A configuration with the time limits of RFC 5321.
    #[must_use]
    pub fn new(hello: impl Into<String>) -> Self {
        Self { hello: hello.into(), timeouts: Timeouts::default() }
    }
}

/// Where a message's text comes from, chunk by chunk: stored text (lines end in CRLF, no dot stuffed, no closing dot).
pub trait BodySource {
    /// The next chunk, of any size, or None at the end.
    ///
    /// # Errors
    /// The text cannot be had to its end; the message is not sent then.
    fn next_chunk(&mut self) -> impl Future<Output = io::Result<Option<Bytes>>> + Send;
}

/// A body that is in memory.
#[derive(Debug, Clone)]
pub struct WholeBody(Option<Bytes>);

impl WholeBody {
    /// A body of this text.
    #[must_use]
    pub fn new(text: impl Into<Bytes>) -> Self {
        Self(Some(text.into()))
    }
}

impl BodySource for WholeBody {
    async fn next_chunk(&mut self) -> io::Result<Option<Bytes>> {
        Ok(self.0.take())
    }
}

/// A session with one host, ready for messages.
#[derive(Debug)]
pub struct Client<S, O> {
    wire: Wire<S, O>,
    config: Arc<Config>,
    banner: Reply,
    capabilities: Capabilities,
    /// Whether the host may still be in a transaction that failed.
    reset_first: bool,
    /// Whether MAIL says who submitted the message.
    names_submitter: bool,
    usable: bool,
}

/// A command that was sent and awaits its reply.
#[derive(Debug, Clone, Copy)]
enum Command {
    Rset,
    Mail,
    Rcpt(usize),
    Data,
}

/// What the commands of a transaction have come to.
#[derive(Debug, Default)]
struct Commands {
    mail_refused: Option<Reply>,
    accepted: usize,
    refused: Vec<Refusal>,
    /// The reply to DATA.
    data: Option<Reply>,
}

impl Commands {
    /// Whether MAIL was refused for a parameter (RFC 5321 section 4.1.1.11), and nothing after it was taken.
    fn is_parameter_refused(&self) -> bool {
        self.mail_refused.as_ref().is_some_and(|reply| reply.code() == 555) && !self.data.as_ref().is_some_and(goes_on)
    }
}

impl<S, O> Client<S, O>
where
    S: AsyncRead + AsyncWrite + Unpin,
    O: Observer,
{
    /// Takes a fresh connection through the greeting and EHLO.
    ///
    /// # Errors
    /// The host refuses, does not speak SMTP, or the connection fails.
    pub async fn start(stream: S, config: Arc<Config>, observer: O) -> Result<Self, ClientError> {
        let timeouts = config.timeouts;
        let mut wire = Wire::new(stream, observer);
        wire.enter(Stage::Banner);
        let banner = wire.reply(timeouts.banner).await?;
        if !banner.is_success() {
            return Err(wire.error(ErrorKind::Reply(banner)));
        }
        Self::greeted(wire, config, banner).await
    }

    /// Says EHLO, or HELO, to a host whose greeting is known.
    async fn greeted(mut wire: Wire<S, O>, config: Arc<Config>, banner: Reply) -> Result<Self, ClientError> {
        wire.enter(Stage::Ehlo);
        let mut hello = Self::hello(&mut wire, "EHLO ", &config).await?;
        let mut capabilities = Capabilities::of(&hello);
        if hello.is_permanent() && !hello.closes() {
            hello = Self::hello(&mut wire, "HELO ", &config).await?;
            capabilities = Capabilities::default();
        }
        if !hello.is_success() {
            return Err(wire.error(ErrorKind::Reply(hello)));
        }
        wire.enter(Stage::Idle);
        Ok(Self { wire, config, banner, capabilities, reset_first: false, names_submitter: false, usable: true })
    }

    async fn hello(wire: &mut Wire<S, O>, verb: &str, config: &Config) -> Result<Reply, ClientError> {
        wire.command(&[verb, &config.hello]);
        wire.flush(config.timeouts.block).await?;
        wire.reply(config.timeouts.hello).await
    }

    /// The host's greeting.
    #[must_use]
    pub fn banner(&self) -> &Reply {
        &self.banner
    }

    /// What the host offers.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Whether another message can be sent. Never again after an error, nor after a `send` that was dropped midway.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.usable
    }

    /// The connection.
    pub fn stream(&self) -> &S {
        self.wire.stream()
    }

    /// Who is told what happens.
    pub fn observer_mut(&mut self) -> &mut O {
        &mut self.wire.observer
    }

    /// Hands over one message. [`Envelope::body`] and [`Envelope::size`] must be true of the body.
    ///
    /// # Errors
    /// The connection is at its end, not the message: [`ClientError::fate`] says whether the message may have been accepted.
    pub async fn send<B: BodySource>(&mut self, envelope: &Envelope, body: &mut B) -> Result<Outcome, ClientError> {
        if !self.usable {
            return Err(self.wire.error(ErrorKind::Closed));
        }
        if let Some(outcome) = self.refuse_unsent(envelope) {
            return Ok(outcome);
        }
        // Set back only at the end: an error, or a future that is dropped midway, leaves replies of unknown meaning behind.
        self.usable = false;
        self.wire.expect_silence(LAST_WORDS).await?;
        let binary = envelope.body == BodyType::BinaryMime;
        // What is not made of lines goes by BDAT, once it is known that there is somebody for it.
        let mut commands = self.transaction(envelope, (!binary).then_some(Command::Data)).await?;
        let outcome = match self.settled_before_body(&mut commands) {
            Some((stage, reply)) => {
                self.reset_first = true;
                if commands.data.as_ref().is_some_and(goes_on) {
                    self.lone_dot().await?;
                }
                Outcome::of_peer(stage, reply, commands.refused)
            }
            None if commands.data.as_ref().is_some_and(goes_on) => {
                let (stage, reply) = self.body(body).await?;
                Outcome::of_peer(stage, reply, commands.refused)
            }
            None if binary => {
                let (stage, reply) = self.chunk(envelope, body).await?;
                Outcome::of_peer(stage, reply, commands.refused)
            }
            // DATA is left out only when what went before it has settled the message.
            None => return Err(self.wire.error(ErrorKind::Closed)),
        };
        // In mid-body the host broke off; after a 521 it will.
        self.usable = outcome.stage != Stage::Body && !outcome.any_reply_closes();
        self.wire.enter(Stage::Idle);
        self.wire.shrink();
        Ok(outcome)
    }

    /// Takes leave and closes the connection.
    ///
    /// # Errors
    /// The host did not answer, which does no harm to any message.
    pub async fn quit(mut self) -> Result<(), ClientError> {
        let timeouts = self.config.timeouts;
        self.wire.enter(Stage::Quit);
        self.wire.command(&["QUIT"]);
        self.wire.flush(timeouts.quit).await?;
        self.wire.reply(timeouts.quit).await?;
        self.wire.shut_down(timeouts.quit).await
    }

    /// What can be refused without asking the host.
    fn refuse_unsent(&self, envelope: &Envelope) -> Option<Outcome> {
        let refuse = |stage, reply| Some(Outcome::of_client(stage, reply));
        if envelope.recipients.is_empty() {
            return refuse(Stage::RcptTo, Reply::enhanced(554, (5, 1), "The message has no recipients"));
        }
        if envelope.body == BodyType::EightBitMime && !self.capabilities.eight_bit_mime {
            return refuse(
                Stage::MailFrom,
                Reply::enhanced(
                    554,
                    (6, 3),
                    "The message holds 8-bit text, which the host does not take (it offers no 8BITMIME)",
                ),
            );
        }
        if let Some(reply) = binary::refusal(envelope, &self.capabilities) {
            return refuse(Stage::MailFrom, reply);
        }
        if let Some(reply) = timing::refusal(envelope, &self.capabilities) {
            return refuse(Stage::MailFrom, reply);
        }
        if let Some(reply) = require_tls::refusal(envelope, &self.capabilities) {
            return refuse(Stage::MailFrom, reply);
        }
        if let Some(reply) = utf8::refusal(envelope, &self.capabilities) {
            return refuse(Stage::MailFrom, reply);
        }
        match (self.capabilities.size, envelope.size) {
            (Some(limit), Some(size)) if limit > 0 && size > limit => refuse(
                Stage::MailFrom,
                Reply::enhanced(552, (3, 4), format!("The message has {size} octets, the host takes at most {limit}")),
            ),
            _ => None,
        }
    }

    /// The commands of a transaction, again where the host knows no submitters.
    async fn transaction(&mut self, envelope: &Envelope, data: Option<Command>) -> Result<Commands, ClientError> {
        let commands = self.commands(envelope, data).await?;
        if self.names_submitter && commands.is_parameter_refused() {
            self.names_submitter = false;
            self.reset_first = true;
            return self.commands(envelope, data).await;
        }
        Ok(commands)
    }

    /// RSET if needed, MAIL, RCPT, and `data` where there is one, in as few flights as the host allows.
    async fn commands(&mut self, envelope: &Envelope, data: Option<Command>) -> Result<Commands, ClientError> {
        let timeouts = self.config.timeouts;
        let batch_max = if self.capabilities.pipelining { BATCH_COMMANDS } else { 1 };
        let rset = self.reset_first.then_some(Command::Rset);
        let unsendable = utf8::unsendable(envelope, &self.capabilities);
        let rcpts = (0..envelope.recipients.len()).filter(|index| !unsendable.contains(index)).map(Command::Rcpt);
        let mut left = rset.into_iter().chain([Command::Mail]).chain(rcpts).chain(data).peekable();
        let mut done = Commands::default();
        while let Some(&next) = left.peek() {
            // What is known by now may make the rest pointless.
            if done.mail_refused.is_some()
                || (matches!(next, Command::Data) && !done.refused.is_empty() && done.accepted == 0)
            {
                break;
            }
            let batch = left.clone().take(batch_max);
            for command in left.by_ref().take(batch_max) {
                self.put(command, envelope);
            }
            self.wire.enter(stage_of(next));
            self.wire.flush(timeouts.block).await?;
            for command in batch {
                self.wire.enter(stage_of(command));
                let limit = match command {
                    Command::Rset => timeouts.reset,
                    Command::Mail => timeouts.mail,
                    Command::Rcpt(_) => timeouts.rcpt,
                    Command::Data => timeouts.data,
                };
                let reply = self.wire.reply(limit).await?;
                self.take(command, reply, &mut done)?;
            }
        }
        if !unsendable.is_empty() && done.mail_refused.is_none() {
            done.refused.extend(unsendable.iter().copied().map(utf8::recipient_refusal));
            done.refused.sort_by_key(|refusal| refusal.recipient);
        }
        Ok(done)
    }

    /// Puts a command into the next flight.
    fn put(&mut self, command: Command, envelope: &Envelope) {
        match command {
            Command::Rset => self.wire.command(&["RSET"]),
            Command::Data => self.wire.command(&["DATA"]),
            Command::Rcpt(index) => {
                if let Some(recipient) = envelope.recipients.get(index) {
                    let time = envelope.time.as_deref();
                    let utf8 = utf8::is_said(envelope, &self.capabilities);
                    let more = rcpt_parameters(recipient.extensions.as_deref(), time, utf8, &self.capabilities);
                    self.wire.command(&["RCPT TO:<", recipient.path.as_str(), ">", &more]);
                }
            }
            Command::Mail => {
                let size = match (self.capabilities.size, envelope.size) {
                    (Some(_), Some(size)) => format!(" SIZE={size}"),
                    _ => String::new(),
                };
                let body = match envelope.body {
                    BodyType::EightBitMime => " BODY=8BITMIME",
                    BodyType::BinaryMime => " BODY=BINARYMIME",
                    BodyType::SevenBit => "",
                };
                let utf8 = if utf8::is_said(envelope, &self.capabilities) { " SMTPUTF8" } else { "" };
                let more = envelope.extensions.as_ref().map(|asked| mail_parameters(asked, &self.capabilities));
                let more = more.unwrap_or_default();
                let submitter = self.names_submitter.then(|| submitter_parameter(envelope.extensions.as_deref()));
                let more = more + &submitter.unwrap_or_default();
                let time = envelope.time.as_ref().map(|time| time_parameters(time, &self.capabilities));
                let time = time.unwrap_or_default();
                self.wire.command(&["MAIL FROM:<", envelope.from.as_str(), ">", &size, body, utf8, &more, &time]);
            }
        }
    }

    /// Notes the reply to a command.
    fn take(&mut self, command: Command, reply: Reply, done: &mut Commands) -> Result<(), ClientError> {
        let intermediate = reply.severity() == Severity::Intermediate;
        match command {
            // A host that cannot forget one transaction cannot be given another.
            Command::Rset if !reply.is_success() => {
                return Err(self.wire.error(ErrorKind::Reply(reply)));
            }
            Command::Rset => self.reset_first = false,
            Command::Mail | Command::Rcpt(_) if intermediate => {
                return Err(self.wire.unexpected(reply));
            }
            Command::Mail if !reply.is_success() => done.mail_refused = Some(reply),
            Command::Mail => {}
            Command::Rcpt(recipient) if !reply.is_success() => {
                done.refused.push(Refusal { recipient, reply, decided_by: DecidedBy::Peer });
            }
            Command::Rcpt(_) => done.accepted += 1,
            Command::Data if reply.is_success() => return Err(self.wire.unexpected(reply)),
            Command::Data => done.data = Some(reply),
        }
        Ok(())
    }

    /// The reply that decided the message before any of it was sent, if one did.
    fn settled_before_body(&self, done: &mut Commands) -> Option<(Stage, Reply)> {
        if let Some(reply) = done.mail_refused.take() {
            // The recipients were refused for want of a sender, which says nothing about them.
            done.refused.clear();
            return Some((Stage::MailFrom, reply));
        }
        if done.accepted == 0
            && let Some(last) = done.refused.last()
        {
            return Some((Stage::RcptTo, last.reply.clone()));
        }
        match &done.data {
            Some(reply) if goes_on(reply) => None,
            Some(reply) => Some((Stage::Data, reply.clone())),
            None => None,
        }
    }

    /// Ends a DATA that has no recipients (RFC 2920 section 3.1); the host's answer is of no interest.
    async fn lone_dot(&mut self) -> Result<(), ClientError> {
        self.wire.enter(Stage::Reply);
        self.wire.output.extend_from_slice(b".\r\n");
        self.wire.flush(self.config.timeouts.block).await?;
        self.wire.reply(self.config.timeouts.end).await?;
        Ok(())
    }

    /// Sends the body and its final dot; gives the reply to it, or to part of it.
    async fn body<B: BodySource>(&mut self, body: &mut B) -> Result<(Stage, Reply), ClientError> {
        let timeouts = self.config.timeouts;
        self.wire.enter(Stage::Body);
        match self.write_body(body).await {
            Ok(()) => {}
            Err(error) => {
                return match self.wire.last_words(&error, LAST_WORDS).await {
                    Some(reply) if reply.code() == 421 => Err(self.wire.error(ErrorKind::Reply(reply))),
                    Some(reply) => Ok((Stage::Body, reply)),
                    None => Err(error),
                };
            }
        }
        self.wire.enter(Stage::Reply);
        let reply = self.wire.reply(timeouts.end).await?;
        if reply.severity() == Severity::Intermediate {
            return Err(self.wire.unexpected(reply));
        }
        self.wire.fate = Fate::NotAccepted;
        // Postfix keeps a transaction open whose text it refused by smtpd_end_of_data_restrictions.
        self.reset_first = !reply.is_success();
        Ok((Stage::Reply, reply))
    }

    async fn write_body<B: BodySource>(&mut self, body: &mut B) -> Result<(), ClientError> {
        let block = self.config.timeouts.block;
        let mut encoder = Encoder::new();
        while let Some(chunk) = body.next_chunk().await.map_err(|error| self.wire.error(ErrorKind::Body(error)))? {
            for piece in chunk.chunks(BODY_WRITE) {
                if self.wire.output.len() + piece.len() > BODY_WRITE {
                    self.wire.flush(block).await?;
                }
                encoder.encode(piece, &mut self.wire.output);
            }
        }
        encoder.finish(&mut self.wire.output);
        // From the first octet of this write on, the dot may reach the host even if we never learn it.
        self.wire.fate = Fate::Unknown;
        self.wire.flush(block).await
    }
}

fn stage_of(command: Command) -> Stage {
    match command {
        Command::Rset => Stage::Rset,
        Command::Mail => Stage::MailFrom,
        Command::Rcpt(_) => Stage::RcptTo,
        Command::Data => Stage::Data,
    }
}

/// Whether the reply to DATA asks for the message.
fn goes_on(reply: &Reply) -> bool {
    reply.severity() == Severity::Intermediate
}

impl From<ReplyError> for ErrorKind {
    fn from(error: ReplyError) -> Self {
        Self::Protocol(error)
    }
}

#[cfg(test)]
mod tests;
