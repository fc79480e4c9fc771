//! The server's side of a session (RFC 5321 section 3), without I/O: bytes in, events and bytes out.
//!
//! The driver owns the connection and three buffers. It reads into `input`, calls [`Session::next`], does what the event says,
//! and calls it again. It writes `output` to the peer when it is asked for input, and before it closes. So the replies
//! to a pipelined group of commands (RFC 2920) leave in one write. Where an event is a question (may this client send from
//! here, to there; is there room; is the message safe), the driver answers by [`Session::accept`], [`Session::accept_with`]
//! or [`Session::refuse`] before it calls `next` again, and until then nothing that was pipelined behind is looked at.
//!
//! ```text
//! loop {
//!     match session.next(&mut input, &mut output, &mut body) {
//!         Event::NeedInput | Event::NeedBody => { write output; spill body; read into input, with a time limit }
//!         Event::Flush => { write output }
//!         Event::CheckRecipient { envelope, recipient } => accept or refuse
//!         Event::MessageEnd(envelope) => { store body and envelope; accept_with(250 …) or refuse(451 …) }
//!         Event::Close { .. } => { write output; close }
//!         …
//!     }
//! }
//! ```
//!
//! Decisions:
//! - MAIL needs HELO or EHLO before it (section 4.1.4), and a second MAIL within a transaction gets 503 (section 4.1.1.2).
//! - DATA without an accepted recipient gets 554 5.5.1 (section 3.3), refused or not: 503 without a MAIL.
//! - A bare CR or LF, in a command or in a message, ends the session with 521 5.5.2, in a message after its true end.
//!   Whoever sent it may take other octets for the end of a line or a message than we do, so what is pipelined behind may be a
//!   message smuggled inside a message; none of it is looked at. 521 is what Postfix documents for
//!   `smtpd_forbid_bare_newline = reject` with disconnection: permanent, so that the message returns to its author instead
//!   of being retried for days, and announcing the close (RFC 7504).
//! - Clients that do not speak SMTP (an HTTP request, a TLS handshake) are cut off with 521 5.5.1 at the first line, or at the
//!   first octet that no command begins with; Postfix has `smtpd_forbidden_commands` for it. A web page that makes a
//!   browser post to port 25 must not get to the lines which it planted in the body.
//! - After [`Config::max_errors`] commands that are unknown, malformed or out of order, 421 4.7.0 ends the session; an accepted
//!   message sets the count back, as in Postfix. What the driver refuses is not counted: a list with twenty dead
//!   addresses is no attack.
//! - Bytes that arrive before they should (after DATA, before the 354) are simply read later: the result never depends on how
//!   the network cut the input.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};

use super::address::{ForwardPath, ReversePath};
use super::command::{self, COMMAND_LINE_MAX, Command, CommandError, MailParameters};
use super::data::{Decoder, Fault};
use super::envelope::{BodyType, Envelope, Recipient};
use super::reply::Reply;

/// How long a server waits for the next command or the next piece of a message (RFC 5321 section 4.5.3.2.7).
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Recipients of one message: Postfix's `smtpd_recipient_limit`; RFC 5321 section 4.5.3.1.8 wants at least 100.
pub const MAX_RECIPIENTS: usize = 1000;

/// Junk commands before the session ends: Postfix's `smtpd_hard_error_limit`.
pub const MAX_ERRORS: u32 = 20;

/// Octets of replies that pile up before they are to be written, so that a client which sends commands and reads nothing costs
/// no memory.
const OUTPUT_SOFT_MAX: usize = 8 * 1024;

/// What a server says of itself and how much it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The name in the greeting and in the replies to HELO and EHLO.
    pub hostname: String,
    /// Octets of a message, as SIZE announces them.
    pub max_size: u64,
    /// Recipients of a message; one more gets 452 4.5.3.
    pub max_recipients: usize,
    /// Junk commands until 421.
    pub max_errors: u32,
}

impl Config {
    /// A configuration with [`MAX_RECIPIENTS`] and [`MAX_ERRORS`].
    #[must_use]
    pub fn new(hostname: impl Into<String>, max_size: u64) -> Self {
        Self { hostname: hostname.into(), max_size, max_recipients: MAX_RECIPIENTS, max_errors: MAX_ERRORS }
    }
}

/// How the client introduced itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Whether by EHLO.
    pub extended: bool,
    /// The name that it gave; unverified, but safe in a Received line.
    pub name: String,
}

impl Hello {
    /// The protocol's name for a Received line (RFC 3848).
    #[must_use]
    pub fn protocol(&self) -> &'static str {
        if self.extended { "ESMTP" } else { "SMTP" }
    }
}

/// Why a session ends by the server's will.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The client said QUIT.
    Quit,
    /// Too many junk commands.
    TooManyErrors,
    /// The client does not speak SMTP.
    NotSmtp,
    /// A bare CR or LF.
    BareNewline,
    /// The driver refused with 421 or 521.
    Refused,
    /// [`Session::time_out`].
    TimedOut,
    /// [`Session::shut_down`].
    ShutDown,
}

/// What a session wants of its driver.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// All input is used up: write `output`, then read more.
    NeedInput,
    /// All input is used up, in the middle of a message: write `output`, take from `body` what there is, then read more.
    NeedBody,
    /// Replies have piled up: write `output`; there may be more input to go through, so call [`Session::next`] before reading.
    Flush,
    /// MAIL: may this sender send? To be answered.
    CheckSender {
        /// Sender, SIZE and BODY; no recipients yet.
        envelope: &'a Envelope,
    },
    /// RCPT: may mail go there? To be answered.
    CheckRecipient {
        /// The envelope so far, without this recipient.
        envelope: &'a Envelope,
        /// The recipient in question.
        recipient: &'a Recipient,
    },
    /// DATA with at least one recipient: can a message be taken now? To be answered; accepting sends the 354.
    BodyStart {
        /// The envelope, complete but for what is measured.
        envelope: &'a Envelope,
        /// How the client introduced itself.
        hello: &'a Hello,
    },
    /// The message is complete, its last octets are in `body`: store it. To be answered; its client waits.
    MessageEnd(Envelope),
    /// The message has ended and was refused here; what there is of it is to be thrown away. The reply is in `output`.
    MessageRefused {
        /// What the client is told.
        reply: Reply,
    },
    /// Write `output` and close.
    Close {
        /// Why.
        reason: CloseReason,
    },
}

/// A question that waits for the driver's answer.
#[derive(Debug)]
enum Question {
    Sender,
    Recipient(Recipient),
    Body,
}

#[derive(Debug)]
enum Answer {
    Accept(Option<Reply>),
    Refuse(Reply),
}

#[derive(Debug)]
enum State {
    /// Nothing said yet.
    Greeting,
    /// No transaction.
    Ready,
    /// MAIL was accepted.
    Transaction(Envelope),
    /// A question is with the driver.
    Asked(Envelope, Question),
    /// A message is with the driver.
    Storing,
    /// In a message.
    Data(Envelope, Decoder),
    /// Over.
    Closed(CloseReason),
}

/// An event before it borrows from the session.
enum Step {
    NeedInput,
    NeedBody,
    Flush,
    Ask,
    MessageEnd(Envelope),
    MessageRefused(Reply),
    Close(CloseReason),
}

/// One session with one client.
#[derive(Debug)]
pub struct Session {
    config: Arc<Config>,
    hello: Option<Hello>,
    state: State,
    answer: Option<Answer>,
    errors: u32,
    /// Whether the input stands inside a line that was too long.
    skipping: bool,
}

impl Session {
    /// A session whose greeting is still to be sent.
    #[must_use]
    pub fn new(config: Arc<Config>) -> Self {
        Self { config, hello: None, state: State::Greeting, answer: None, errors: 0, skipping: false }
    }

    /// Goes on with a changed configuration; what has been announced or accepted already stays.
    pub fn set_config(&mut self, config: Arc<Config>) {
        self.config = config;
    }

    /// How the client introduced itself, if it has.
    #[must_use]
    pub fn hello(&self) -> Option<&Hello> {
        self.hello.as_ref()
    }

    /// The envelope of the transaction under way, until [`Event::MessageEnd`] gives it away.
    #[must_use]
    pub fn envelope(&self) -> Option<&Envelope> {
        match &self.state {
            State::Transaction(envelope) | State::Asked(envelope, _) | State::Data(envelope, _) => Some(envelope),
            State::Greeting | State::Ready | State::Storing | State::Closed(_) => None,
        }
    }

    /// Answers the last event's question with yes, in the usual words.
    pub fn accept(&mut self) {
        self.answer = Some(Answer::Accept(None));
    }

    /// Answers with yes, in these words. A reply that is no success refuses; the 354 of DATA has no other words.
    pub fn accept_with(&mut self, reply: Reply) {
        self.answer = Some(if reply.is_success() { Answer::Accept(Some(reply)) } else { Answer::Refuse(reply) });
    }

    /// Answers with no. A 421 or 521 ends the session as well.
    pub fn refuse(&mut self, reply: Reply) {
        self.answer = Some(Answer::Refuse(reply));
    }

    /// Ends the session because the client was silent for too long: appends 421 4.4.2. Where an unfinished message holds a bare
    /// CR or LF, the client most likely waits in the belief to have ended it, and is told so.
    pub fn time_out(&mut self, output: &mut BytesMut) {
        let reply = match &self.state {
            State::Data(_, decoder) if decoder.fault() == Some(Fault::BareNewline) => CommandError::BareNewline.reply(),
            _ => Reply::enhanced(421, (4, 2), "Timed out waiting for the client; closing"),
        };
        self.close(CloseReason::TimedOut, &reply, output);
    }

    /// Ends the session because the server stops: appends 421 4.3.2 (RFC 5321 section 3.8).
    pub fn shut_down(&mut self, output: &mut BytesMut) {
        let reply = Reply::enhanced(421, (3, 2), "Server is shutting down; try again later");
        self.close(CloseReason::ShutDown, &reply, output);
    }

    /// Uses up input until there is something for the driver to do.
    ///
    /// A question that was not answered counts as refused with 451 4.3.0.
    pub fn next(&mut self, input: &mut BytesMut, output: &mut BytesMut, body: &mut Vec<u8>) -> Event<'_> {
        self.settle(output);
        let step = loop {
            if output.len() > OUTPUT_SOFT_MAX {
                break Step::Flush;
            }
            if let Some(step) = self.step(input, output, body) {
                break step;
            }
        };
        match step {
            Step::NeedInput => Event::NeedInput,
            Step::NeedBody => Event::NeedBody,
            Step::Flush => Event::Flush,
            Step::MessageEnd(envelope) => Event::MessageEnd(envelope),
            Step::MessageRefused(reply) => Event::MessageRefused { reply },
            Step::Close(reason) => Event::Close { reason },
            Step::Ask => match &self.state {
                State::Asked(envelope, Question::Sender) => Event::CheckSender { envelope },
                State::Asked(envelope, Question::Recipient(recipient)) => Event::CheckRecipient { envelope, recipient },
                State::Asked(envelope, Question::Body) => match &self.hello {
                    Some(hello) => Event::BodyStart { envelope, hello },
                    // MAIL was not taken without it.
                    None => Event::NeedInput,
                },
                _ => Event::NeedInput,
            },
        }
    }

    /// Carries out the driver's answer, if there was a question.
    fn settle(&mut self, output: &mut BytesMut) {
        let answer = self.answer.take();
        if !matches!(self.state, State::Asked(..) | State::Storing) {
            return;
        }
        let answer =
            answer.unwrap_or_else(|| Answer::Refuse(Reply::enhanced(451, (3, 0), "Local error; try again later")));
        match std::mem::replace(&mut self.state, State::Ready) {
            State::Asked(mut envelope, question) => match (question, answer) {
                (Question::Sender, Answer::Accept(reply)) => {
                    self.state = State::Transaction(envelope);
                    say(reply, (1, 0), output);
                }
                (Question::Recipient(recipient), Answer::Accept(reply)) => {
                    envelope.recipients.push(recipient);
                    self.state = State::Transaction(envelope);
                    say(reply, (1, 5), output);
                }
                (Question::Body, Answer::Accept(_)) => {
                    self.state = State::Data(envelope, Decoder::new(self.config.max_size));
                    Reply::new(354, "End the message with <CR><LF>.<CR><LF>").render(output);
                }
                (Question::Recipient(_), Answer::Refuse(reply)) => {
                    self.state = State::Transaction(envelope);
                    self.refused(&reply, output);
                }
                (Question::Sender | Question::Body, Answer::Refuse(reply)) => {
                    self.refused(&reply, output);
                }
            },
            State::Storing => match answer {
                Answer::Accept(reply) => {
                    self.errors = 0;
                    say(reply, (0, 0), output);
                }
                Answer::Refuse(reply) => self.refused(&reply, output),
            },
            other => self.state = other,
        }
    }

    fn refused(&mut self, reply: &Reply, output: &mut BytesMut) {
        if reply.closes() {
            self.close(CloseReason::Refused, reply, output);
        } else {
            reply.render(output);
        }
    }

    fn close(&mut self, reason: CloseReason, reply: &Reply, output: &mut BytesMut) {
        self.state = State::Closed(reason);
        reply.render(output);
    }

    /// Does one thing: None when there is more to do at once.
    fn step(&mut self, input: &mut BytesMut, output: &mut BytesMut, body: &mut Vec<u8>) -> Option<Step> {
        match &mut self.state {
            State::Greeting => {
                Reply::new(220, format!("{} ESMTP", self.config.hostname)).render(output);
                self.state = State::Ready;
                None
            }
            State::Closed(reason) => Some(Step::Close(*reason)),
            State::Asked(..) | State::Storing => Some(Step::Ask),
            State::Data(_, decoder) => {
                let progress = decoder.decode(input, body);
                input.advance(progress.consumed);
                if progress.ended { Some(self.message_ended(output)) } else { Some(Step::NeedBody) }
            }
            State::Ready | State::Transaction(_) => self.line(input, output),
        }
    }

    /// Judges a message whose last octet has come.
    fn message_ended(&mut self, output: &mut BytesMut) -> Step {
        let (mut envelope, decoder) = match std::mem::replace(&mut self.state, State::Ready) {
            State::Data(envelope, decoder) => (envelope, decoder),
            other => {
                self.state = other;
                return Step::NeedInput;
            }
        };
        match decoder.fault() {
            None => {
                envelope.size = Some(decoder.octets());
                envelope.body = if decoder.eight_bit() { BodyType::EightBitMime } else { BodyType::SevenBit };
                self.state = State::Storing;
                Step::MessageEnd(envelope)
            }
            Some(Fault::TooLarge) => {
                let reply = self.too_large();
                reply.render(output);
                Step::MessageRefused(reply)
            }
            Some(Fault::BareNewline) => {
                let reply = CommandError::BareNewline.reply();
                self.close(CloseReason::BareNewline, &reply, output);
                Step::MessageRefused(reply)
            }
        }
    }

    fn too_large(&self) -> Reply {
        let text = format!("Message is larger than {} octets", self.config.max_size);
        Reply::enhanced(552, (3, 4), text)
    }

    /// Takes one command line from the input and carries it out.
    fn line(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Option<Step> {
        match self.take_line(input) {
            Line::Missing => Some(Step::NeedInput),
            Line::Bad(error) => self.bad(error, output),
            Line::Whole(line) => {
                let line = line.strip_suffix(b"\r\n").unwrap_or(&line);
                match command::parse(line) {
                    Ok(command) => self.command(command, output),
                    Err(error) => self.bad(error, output),
                }
            }
        }
    }

    fn take_line(&mut self, input: &mut BytesMut) -> Line {
        if self.skipping {
            return self.skip_line(input);
        }
        match input.first() {
            None => return Line::Missing,
            // A TLS handshake or another binary protocol may never send a line end.
            Some(b'\r' | b'\n' | b'\t' | b' '..=b'~') => {}
            Some(_) => return Line::Bad(CommandError::NotSmtp),
        }
        let window = input.get(..COMMAND_LINE_MAX).unwrap_or(input);
        match memchr::memchr(b'\n', window) {
            Some(end) => {
                let line = input.split_to(end + 1);
                if line.ends_with(b"\r\n") { Line::Whole(line) } else { Line::Bad(CommandError::BareNewline) }
            }
            None if input.len() < COMMAND_LINE_MAX => Line::Missing,
            None => {
                self.skipping = true;
                self.skip_line(input)
            }
        }
    }

    /// Drops the rest of a line that is too long.
    fn skip_line(&mut self, input: &mut BytesMut) -> Line {
        match memchr::memchr(b'\n', input) {
            Some(end) => {
                self.skipping = false;
                let line = input.split_to(end + 1);
                Line::Bad(if line.ends_with(b"\r\n") { CommandError::TooLong } else { CommandError::BareNewline })
            }
            None => {
                // A CR at the end may be half of the line's end.
                let keep = usize::from(input.last() == Some(&b'\r'));
                input.advance(input.len() - keep);
                Line::Missing
            }
        }
    }

    fn command(&mut self, command: Command, output: &mut BytesMut) -> Option<Step> {
        match command {
            Command::Mail(from, parameters) => return self.mail(from, parameters, output),
            Command::Rcpt(path) => return self.rcpt(path, output),
            Command::Data => return self.data(output),
            Command::Ehlo(name) => {
                self.introduce(true, name);
                self.ehlo_reply().render(output);
            }
            Command::Helo(name) => {
                self.introduce(false, name);
                Reply::new(250, self.config.hostname.clone()).render(output);
            }
            Command::Rset => {
                self.state = State::Ready;
                say(None, (0, 0), output);
            }
            Command::Noop => say(None, (0, 0), output),
            Command::Vrfy => {
                Reply::enhanced(252, (0, 0), "Not verified, but mail to it will be tried").render(output);
            }
            Command::Help => {
                Reply::enhanced(214, (0, 0), "See RFC 5321").render(output);
            }
            Command::Expn => {
                let reply = Reply::enhanced(502, (5, 1), "EXPN is not implemented");
                return self.junk(&reply, output);
            }
            Command::Quit => {
                let reply = Reply::enhanced(221, (0, 0), "Bye");
                self.close(CloseReason::Quit, &reply, output);
            }
        }
        None
    }

    /// HELO and EHLO end a transaction (RFC 5321 section 4.1.4).
    fn introduce(&mut self, extended: bool, name: String) {
        self.hello = Some(Hello { extended, name });
        self.state = State::Ready;
    }

    fn ehlo_reply(&self) -> Reply {
        let Config { hostname, max_size, .. } = &*self.config;
        Reply::new(250, format!("{hostname}\nPIPELINING\nSIZE {max_size}\n8BITMIME\nENHANCEDSTATUSCODES"))
    }

    fn mail(&mut self, from: ReversePath, parameters: MailParameters, output: &mut BytesMut) -> Option<Step> {
        if self.hello.is_none() {
            return self.out_of_order("Send HELO or EHLO first", output);
        }
        if matches!(self.state, State::Transaction(_)) {
            return self.out_of_order("MAIL within a transaction; send RSET first", output);
        }
        if parameters.size.is_some_and(|size| size > self.config.max_size) {
            self.too_large().render(output);
            return None;
        }
        let envelope = Envelope { size: parameters.size, body: parameters.body, ..Envelope::new(from) };
        self.ask(envelope, Question::Sender)
    }

    fn rcpt(&mut self, path: ForwardPath, output: &mut BytesMut) -> Option<Step> {
        match std::mem::replace(&mut self.state, State::Ready) {
            State::Transaction(envelope) if envelope.recipients.len() < self.config.max_recipients => {
                self.ask(envelope, Question::Recipient(Recipient::new(path)))
            }
            State::Transaction(envelope) => {
                self.state = State::Transaction(envelope);
                Reply::enhanced(452, (5, 3), "Too many recipients in one message").render(output);
                None
            }
            _ => self.out_of_order("Send MAIL first", output),
        }
    }

    fn data(&mut self, output: &mut BytesMut) -> Option<Step> {
        match std::mem::replace(&mut self.state, State::Ready) {
            State::Transaction(envelope) if envelope.recipients.is_empty() => {
                self.state = State::Transaction(envelope);
                // Not junk: a client that pipelines says DATA before it knows that no recipient was accepted.
                Reply::enhanced(554, (5, 1), "No valid recipients").render(output);
                None
            }
            State::Transaction(envelope) => self.ask(envelope, Question::Body),
            _ => self.out_of_order("Send MAIL first", output),
        }
    }

    fn ask(&mut self, envelope: Envelope, question: Question) -> Option<Step> {
        self.state = State::Asked(envelope, question);
        Some(Step::Ask)
    }

    fn out_of_order(&mut self, text: &'static str, output: &mut BytesMut) -> Option<Step> {
        self.junk(&Reply::enhanced(503, (5, 1), text), output)
    }

    fn bad(&mut self, error: CommandError, output: &mut BytesMut) -> Option<Step> {
        let reply = error.reply();
        match error {
            CommandError::BareNewline => self.close(CloseReason::BareNewline, &reply, output),
            CommandError::NotSmtp => self.close(CloseReason::NotSmtp, &reply, output),
            _ => return self.junk(&reply, output),
        }
        None
    }

    /// Refuses a junk command, and the client with the last one that it is allowed.
    fn junk(&mut self, reply: &Reply, output: &mut BytesMut) -> Option<Step> {
        reply.render(output);
        self.errors += 1;
        if self.errors >= self.config.max_errors {
            let reply = Reply::enhanced(421, (7, 0), "Too many errors; closing");
            self.close(CloseReason::TooManyErrors, &reply, output);
        }
        None
    }
}

/// What stands at the start of the input.
enum Line {
    Whole(BytesMut),
    Missing,
    Bad(CommandError),
}

/// Says yes: in the driver's words, or as 250 with this enhanced code.
fn say(reply: Option<Reply>, detail: (u16, u16), output: &mut BytesMut) {
    match reply {
        Some(reply) => reply.render(output),
        None => Reply::enhanced(250, detail, "Ok").render(output),
    }
}

#[cfg(test)]
mod tests;
