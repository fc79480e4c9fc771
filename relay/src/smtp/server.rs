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
//! - BDAT is framed by its counts alone: the octets of a chunk are passed over where it is refused, and where its count cannot be
//!   read, 521 5.5.4 ends the session, for nobody could tell what follows from commands. A bare CR or LF in a text that is not
//!   BODY=BINARYMIME ends it as in DATA, at the end of the chunk. After a chunk that failed, others get 503 until the next MAIL.
//! - Clients that do not speak SMTP (an HTTP request, a TLS handshake) are cut off with 521 5.5.1 at the first line, or at the
//!   first octet that no command begins with; Postfix has `smtpd_forbidden_commands` for it. A web page that makes a
//!   browser post to port 25 must not get to the lines which it planted in the body.
//! - After [`Config::max_errors`] commands that are unknown, malformed or out of order, 421 4.7.0 ends the session; an accepted
//!   message sets the count back, as in Postfix. What the driver refuses is not counted: a list with twenty dead
//!   addresses is no attack.
//! - Octets that are in the input behind STARTTLS end the session with 521 5.5.1: they came in clear, and whoever put them there
//!   wants them to be taken for the client's own under TLS (CVE-2011-0411 and its kin).
//! - FUTURERELEASE belongs to submission (RFC 4865 sections 3 and 4.2): where [`Config::future_release`] is none, HOLDFOR and
//!   HOLDUNTIL get 555 5.5.4 as any parameter of an extension that is not offered. ETRN does not (RFC 6409 section 7). DELIVERBY is
//!   offered without a least time, and MT-PRIORITY without a policy's name, since the order of priorities is all of it (RFC 6710
//!   section 3). Its sibling MT-Priority (RFC 6758), a header field for
//!   ways that lose the parameter, is neither read nor written: whoever may write a text would set it, and a signed text may
//!   not be changed. Who may use ETRN is the driver's to say.
//! - Bytes that arrive before they should (after DATA, before the 354) are simply read later: the result never depends on how
//!   the network cut the input.

mod announce;
mod auth;
mod command;
mod config;
mod etrn;
mod event;
mod line;
mod message;
mod refusals;
mod state;
mod transaction;
mod transcript;
mod xclient;

use std::sync::Arc;

use bytes::BytesMut;

use super::command::CommandError;
use super::data::{Decoder, Fault, HeaderScan};
use super::envelope::Envelope;
use super::reply::Reply;
use state::{Answer, Chunked, Question, State, Step};

pub use auth::{AUTH_LINE_MAX, AuthOffer};
pub use config::{COMMAND_TIMEOUT, Config, FutureRelease, MAX_ERRORS, MAX_HOPS, MAX_RECIPIENTS};
pub use event::{CloseReason, Credentials, Event, Hello, ScramAnswer};
pub(crate) use line::{Line, LineReader};
pub use refusals::{Refusals, Verb};
pub use transcript::Said;
pub(crate) use transcript::Transcript;

/// Octets of replies that pile up before they are to be written, so that a client which sends commands and reads nothing costs
/// no memory.
const OUTPUT_SOFT_MAX: usize = 8 * 1024;

/// One session with one client.
#[derive(Debug)]
pub struct Session {
    config: Arc<Config>,
    hello: Option<Hello>,
    state: State,
    answer: Option<Answer>,
    errors: u32,
    lines: LineReader,
    /// Whether TLS is active.
    tls: bool,
    /// Whether the client has shown who it is.
    authenticated: bool,
    /// What SCRAM needs to go on, between the driver's answer and its being carried out.
    scram: Option<Box<ScramAnswer>>,
    transcript: Transcript,
    noted: refusals::Noted,
}

impl Session {
    /// A session whose greeting is still to be sent.
    #[must_use]
    pub fn new(config: Arc<Config>) -> Self {
        let (hello, answer, lines) = (None, None, LineReader::default());
        Self {
            config,
            hello,
            state: State::Greeting,
            answer,
            errors: 0,
            lines,
            tls: false,
            authenticated: false,
            scram: None,
            transcript: Transcript::default(),
            noted: refusals::Noted::default(),
        }
    }

    /// The connection is under TLS from here on. What the client said before it counts for nothing (RFC 3207 section 4.2).
    pub fn secured(&mut self) {
        self.tls = true;
        self.authenticated = false;
        self.lines = LineReader::default();
        if !matches!(self.state, State::Greeting) {
            self.hello = None;
            self.state = State::Ready;
        }
    }

    /// The commands that were refused without asking the driver since this was asked last.
    pub fn refusals(&mut self) -> Option<Refusals> {
        self.noted.take()
    }

    /// Whether what is said is noted from here on, for [`Session::said`].
    pub fn listen(&mut self, on: bool) {
        self.transcript.listen(on);
    }

    /// What was said since this was asked last, without secrets and without any of a message's text.
    pub fn said(&mut self) -> Vec<Said> {
        self.transcript.take()
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

    /// Whether the client has shown who it is, and that was accepted.
    #[must_use]
    pub fn is_authenticated(&self) -> bool {
        self.authenticated
    }

    /// The envelope of the transaction under way, until [`Event::MessageEnd`] gives it away.
    #[must_use]
    pub fn envelope(&self) -> Option<&Envelope> {
        match &self.state {
            State::Transaction(envelope) | State::Asked(envelope, _) | State::Data(envelope, ..) => Some(envelope),
            State::Chunk { message, .. } | State::BetweenChunks(message) => Some(&message.envelope),
            _ => None,
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

    /// Answers [`Credentials::ScramUser`] with what SCRAM needs to go on.
    pub fn answer_scram(&mut self, answer: ScramAnswer) {
        self.scram = Some(Box::new(answer));
        self.answer = Some(Answer::Accept(None));
    }

    /// Answers with no. A 421 or 521 ends the session as well.
    pub fn refuse(&mut self, reply: Reply) {
        self.answer = Some(Answer::Refuse(reply));
    }

    /// Ends the session because the client was silent for too long: appends 421 4.4.2. Where an unfinished message holds a bare
    /// CR or LF, the client most likely waits in the belief to have ended it, and is told so.
    pub fn time_out(&mut self, output: &mut BytesMut) {
        let reply = match &self.state {
            State::Data(_, decoder, _) if decoder.fault() == Some(Fault::BareNewline) => {
                CommandError::BareNewline.reply()
            }
            _ => Reply::enhanced(421, (4, 2), "Timed out waiting for the client; closing"),
        };
        let mut noted = output.len();
        self.close(CloseReason::TimedOut, &reply, output);
        self.note_replies(output, &mut noted);
    }

    /// Ends the session because the server stops: appends 421 4.3.2 (RFC 5321 section 3.8).
    pub fn shut_down(&mut self, output: &mut BytesMut) {
        let reply = Reply::enhanced(421, (3, 2), "Server is shutting down; try again later");
        let mut noted = output.len();
        self.close(CloseReason::ShutDown, &reply, output);
        self.note_replies(output, &mut noted);
    }

    /// Uses up input until there is something for the driver to do.
    ///
    /// A question that was not answered counts as refused with 451 4.3.0.
    pub fn next(&mut self, input: &mut BytesMut, output: &mut BytesMut, body: &mut Vec<u8>) -> Event<'_> {
        let mut noted = output.len();
        self.settle(output);
        self.note_replies(output, &mut noted);
        let step = loop {
            if output.len() > OUTPUT_SOFT_MAX {
                break Step::Flush;
            }
            // What is passed over then was refused by the driver.
            let skips = matches!(self.state, State::Skip { .. });
            let step = self.step(input, output, body);
            if !skips && !matches!(step, Some(Step::MessageRefused(_))) {
                self.noted.look(output.get(noted..).unwrap_or_default());
            }
            self.note_replies(output, &mut noted);
            if let Some(step) = step {
                break step;
            }
        };
        match step {
            Step::NeedInput => Event::NeedInput,
            Step::NeedBody => Event::NeedBody,
            Step::Flush => Event::Flush,
            Step::MessageEnd(envelope) => Event::MessageEnd(envelope),
            Step::MessageRefused(reply) => Event::MessageRefused { reply },
            Step::MessageDropped => Event::MessageDropped,
            Step::StartTls => Event::StartTls,
            Step::Handshake => Event::Handshake,
            Step::Close(reason) => Event::Close { reason },
            Step::Authenticate => match &self.state {
                State::Authenticating(claim) => Event::Authenticate(Self::credentials(claim)),
                _ => Event::NeedInput,
            },
            Step::Ask => match &self.state {
                State::Asked(envelope, Question::Sender) => Event::CheckSender { envelope },
                State::Asked(envelope, Question::Recipient(recipient)) => Event::CheckRecipient { envelope, recipient },
                State::Asked(envelope, Question::Body | Question::Chunk { .. }) => match &self.hello {
                    Some(hello) => Event::BodyStart { envelope, hello },
                    // MAIL was not taken without it.
                    None => Event::NeedInput,
                },
                State::XClient(said) => Event::XClient(said),
                _ => Event::NeedInput,
            },
            Step::Turn => match &self.state {
                State::Turn(site) => Event::Turn { site },
                _ => Event::NeedInput,
            },
        }
    }

    /// Carries out the driver's answer, if there was a question.
    fn settle(&mut self, output: &mut BytesMut) {
        let answer = self.answer.take();
        if !matches!(
            self.state,
            State::Asked(..)
                | State::Storing
                | State::StartTls
                | State::XClient(_)
                | State::Turn(_)
                | State::Authenticating(_)
        ) {
            return;
        }
        let answer = answer.unwrap_or_else(|| Answer::Refuse(local_error()));
        match std::mem::replace(&mut self.state, State::Ready) {
            State::Authenticating(claim) => self.settle_claim(*claim, answer, output),
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
                    self.state = State::Data(
                        envelope,
                        Decoder::new(self.config.max_size, self.config.bare_lf),
                        HeaderScan::new(),
                    );
                    Reply::new(354, "End the message with <CR><LF>.<CR><LF>").render(output);
                }
                (Question::Chunk { size, last }, Answer::Accept(_)) => {
                    let message = Box::new(Chunked::new(envelope, self.config.max_size));
                    self.state = State::Chunk { message, size, left: size, last };
                }
                (Question::Chunk { size, .. }, Answer::Refuse(reply)) if !reply.closes() => {
                    self.state = State::Skip { left: size, reply };
                }
                (Question::Recipient(_), Answer::Refuse(reply)) => {
                    self.state = State::Transaction(envelope);
                    self.refused(&reply, output);
                }
                (Question::Sender | Question::Body | Question::Chunk { .. }, Answer::Refuse(reply)) => {
                    self.refused(&reply, output);
                }
            },
            State::Turn(_) => match answer {
                Answer::Accept(reply) => say(reply, (0, 0), output),
                Answer::Refuse(reply) => self.refused(&reply, output),
            },
            State::StartTls => match answer {
                Answer::Accept(_) => {
                    self.state = State::Handshake;
                    Reply::enhanced(220, (0, 0), "Ready to start TLS").render(output);
                }
                Answer::Refuse(reply) => self.refused(&reply, output),
            },
            State::XClient(said) => match answer {
                Answer::Accept(_) => self.greet_anew(*said, output),
                Answer::Refuse(reply) => self.refused(&reply, output),
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

    /// Notes the replies behind this octet, and where the next begin.
    fn note_replies(&mut self, output: &BytesMut, noted: &mut usize) {
        if output.len() > *noted {
            self.transcript.replies(output.get(*noted..).unwrap_or_default());
            *noted = output.len();
        }
    }

    fn greeting(&self) -> Reply {
        Reply::new(220, format!("{} ESMTP", self.config.hostname))
    }

    /// Does one thing: None when there is more to do at once.
    fn step(&mut self, input: &mut BytesMut, output: &mut BytesMut, body: &mut Vec<u8>) -> Option<Step> {
        match &mut self.state {
            State::Greeting => {
                self.greeting().render(output);
                self.state = State::Ready;
                None
            }
            State::Closed(reason) => Some(Step::Close(*reason)),
            State::Asked(..) | State::Storing | State::XClient(_) => Some(Step::Ask),
            State::Turn(_) => Some(Step::Turn),
            State::StartTls => Some(Step::StartTls),
            State::Handshake => Some(Step::Handshake),
            State::Auth(_) => self.auth_line(input, output),
            State::Authenticating(_) => Some(Step::Authenticate),
            State::Data(..) => Some(self.text(input, output, body)),
            State::Chunk { .. } => self.chunk(input, output, body),
            State::Skip { .. } => self.skip(input, output),
            State::Ready | State::Transaction(_) | State::BetweenChunks(_) => self.line(input, output),
        }
    }
}

/// What is said where the driver has no answer.
fn local_error() -> Reply {
    Reply::enhanced(451, (3, 0), "Local error; try again later")
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
