//! What the application says, without I/O: octets in, groups of steps out.
//!
//! A group is what has come at once (RFC 2920) up to a command that nothing can follow before it is carried out. Its commands
//! are passed on together, so that it costs one round trip to the gateway however many they are. What the gateway need not be asked is
//! answered here, in its place among the others.
//!
//! Decisions:
//! - Only commands that the parser of the relay's own server understands are passed on, as they were written. So the two can have no
//!   two minds about where a line ends.
//! - A bare CR or LF ends the session with 521, as in the relay.
//! - Commands of a transaction are passed on while there may be one at the gateway, which knows best whether they are in order.
//! - When a transaction is lost with its connection, or its MAIL refused after it was answered, what belongs to it gets the reply that
//!   says so, until the application begins another.
//! - MAIL with AUTH= or REQUIRETLS gets 555, since neither is offered.

use bytes::{Bytes, BytesMut};

use super::needs::Needs;
use crate::smtp::{
    Reply,
    client::BATCH_COMMANDS,
    command::{self, Command, CommandError},
    server::{Line, LineReader, MAX_ERRORS, Transcript},
};

/// A command that is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Mail,
    Rcpt,
    Data,
    Rset,
}

/// What is to be done about a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// The gateway is not asked.
    Say(Reply),
    /// The gateway's reply is the application's. The line is without its CRLF.
    Pass(Verb, Bytes),
}

/// What comes after the steps of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Then {
    /// The application has to say more.
    Read,
    /// There is more to do at once.
    GoOn,
    /// EHLO or HELO is to be answered.
    Hello { extended: bool },
    /// The text follows, if the gateway's last reply asks for it.
    Text,
    /// So many octets of a chunk follow.
    Chunk { size: u64, last: bool },
    /// The application takes leave.
    Quit,
    /// The session ends with this.
    Close(Reply),
}

/// What has come at once.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) steps: Vec<Step>,
    pub(super) then: Then,
}

impl Group {
    /// Whether all that the gateway is asked by it is a MAIL, and the application waits for the reply.
    pub(super) fn is_mail_alone(&self) -> bool {
        let mut passed = self.steps.iter().filter_map(|step| match step {
            Step::Pass(verb, _) => Some(*verb),
            Step::Say(_) => None,
        });
        self.then == Then::Read && passed.next() == Some(Verb::Mail) && passed.next().is_none()
    }
}

/// The lines that are passed on of these steps.
pub(super) fn passed(steps: &[Step]) -> Vec<&[u8]> {
    let lines = steps.iter().filter_map(|step| match step {
        Step::Pass(_, line) => Some(line.as_ref()),
        Step::Say(_) => None,
    });
    lines.collect()
}

/// Whether the gateway may have a transaction open for the application.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Transaction {
    /// It has none.
    #[default]
    None,
    /// MAIL was answered 250.
    Open,
    /// It was lost, or its MAIL refused behind the 250, and this is why.
    Lost(Reply),
}

/// One application's session, as far as its commands go.
#[derive(Debug, Default)]
pub(super) struct Dialog {
    lines: LineReader,
    greeted: bool,
    transaction: Transaction,
    /// Whether the last MAIL said SMTPUTF8.
    smtp_utf8: bool,
    /// What the last MAIL that began a transaction needs.
    needs: Needs,
    errors: u32,
    transcript: Transcript,
}

impl Dialog {
    /// What is said, for whoever listens.
    pub(super) fn transcript(&mut self) -> &mut Transcript {
        &mut self.transcript
    }

    /// Takes from the input what can be done at once.
    pub(super) fn take(&mut self, input: &mut BytesMut) -> Group {
        let mut steps = Vec::new();
        // As far as is known before the gateway has answered.
        let mut ahead = self.transaction.clone();
        let then = loop {
            if steps.len() >= BATCH_COMMANDS {
                break Then::GoOn;
            }
            let line = match self.lines.take(input, command::line_max(input)) {
                Line::Missing => break Then::Read,
                Line::Bad(error) => Err(error),
                Line::Whole(line) => Ok(line.freeze()),
            };
            let parsed = match line {
                Ok(line) => {
                    let text = line.strip_suffix(b"\r\n").unwrap_or(&line).trim_ascii_end();
                    let line = line.slice_ref(text);
                    let parsed = command::parse(&line, self.smtp_utf8);
                    self.transcript.command(&line, &parsed);
                    parsed.map(|command| (command, line))
                }
                Err(error) => {
                    self.transcript.hidden();
                    Err(error)
                }
            };
            let (command, line) = match parsed {
                Ok(parsed) => parsed,
                Err(error) if error.ends_session() => break Then::Close(error.reply()),
                Err(error) => {
                    if let Some(close) = self.junk(error.reply(), &mut steps) {
                        break close;
                    }
                    continue;
                }
            };
            match command {
                Command::Mail(..) if !self.greeted => {
                    if let Some(close) = self.junk(out_of_order("Send HELO or EHLO first"), &mut steps) {
                        break close;
                    }
                }
                Command::Mail(_, parameters) => {
                    let asked = parameters.extensions.as_ref();
                    if asked.is_some_and(|asked| asked.require_tls || asked.auth.is_some()) {
                        steps.push(Step::Say(CommandError::ParameterUnknown.reply()));
                    } else {
                        self.smtp_utf8 = asked.is_some_and(|asked| asked.smtp_utf8);
                        if ahead != Transaction::Open {
                            self.needs = Needs::of(&parameters);
                        }
                        ahead = Transaction::Open;
                        steps.push(Step::Pass(Verb::Mail, line));
                    }
                }
                Command::Rcpt(..) | Command::Data => {
                    let verb = if matches!(command, Command::Data) { Verb::Data } else { Verb::Rcpt };
                    match &ahead {
                        Transaction::Open => steps.push(Step::Pass(verb, line)),
                        Transaction::Lost(why) => steps.push(Step::Say(why.clone())),
                        Transaction::None => {
                            if let Some(close) = self.junk(no_mail(), &mut steps) {
                                break close;
                            }
                        }
                    }
                    if verb == Verb::Data && ahead == Transaction::Open {
                        break Then::Text;
                    }
                }
                Command::Bdat { size, last } => break Then::Chunk { size, last },
                Command::Rset => {
                    match std::mem::take(&mut ahead) {
                        Transaction::Open => steps.push(Step::Pass(Verb::Rset, line)),
                        Transaction::None | Transaction::Lost(_) => {
                            self.transaction = Transaction::None;
                            steps.push(Step::Say(done()));
                        }
                    }
                    self.smtp_utf8 = false;
                }
                Command::Ehlo(_) => break Then::Hello { extended: true },
                Command::Helo(_) => break Then::Hello { extended: false },
                Command::Quit => break Then::Quit,
                Command::Noop => steps.push(Step::Say(done())),
                Command::Vrfy => {
                    steps.push(Step::Say(Reply::enhanced(252, (0, 0), "Not verified, but mail to it will be tried")));
                }
                Command::Help => steps.push(Step::Say(Reply::enhanced(214, (0, 0), "See RFC 5321"))),
                Command::Expn | Command::Etrn(_) | Command::StartTls | Command::Auth { .. } | Command::XClient(_) => {
                    let reply = Reply::enhanced(502, (5, 1), "Not offered here: this is the way to the mail gateway");
                    if let Some(close) = self.junk(reply, &mut steps) {
                        break close;
                    }
                }
            }
        };
        Group { steps, then }
    }

    /// What the MAIL of the transaction needs.
    pub(super) fn needs(&self) -> &Needs {
        &self.needs
    }

    /// Where the application stands.
    pub(super) fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// The application has introduced itself, which ends a transaction (RFC 5321 section 4.1.4).
    pub(super) fn greeted(&mut self) {
        self.greeted = true;
        self.ended();
    }

    /// A command was answered, by the gateway or ahead of it.
    pub(super) fn answered(&mut self, verb: Verb, reply: &Reply) {
        match verb {
            Verb::Mail if reply.is_success() => self.transaction = Transaction::Open,
            // Another one may still be open, and what was lost is over.
            Verb::Mail if self.transaction != Transaction::Open => self.transaction = Transaction::None,
            Verb::Rset if reply.is_success() => self.transaction = Transaction::None,
            Verb::Mail | Verb::Rcpt | Verb::Data | Verb::Rset => {}
        }
    }

    /// The gateway cannot answer a command, or refused one after it was answered; what the application is told.
    pub(super) fn lost(&mut self, verb: Verb, why: &Reply) -> Reply {
        if verb == Verb::Rset {
            self.ended();
            return done();
        }
        self.transaction = Transaction::Lost(why.clone());
        why.clone()
    }

    /// A message was taken.
    pub(super) fn accepted(&mut self) {
        self.errors = 0;
        self.ended();
    }

    /// The transaction is over, whatever became of it.
    pub(super) fn ended(&mut self) {
        self.transaction = Transaction::None;
        self.smtp_utf8 = false;
    }

    /// Refuses a junk command, and the session with the last one that it is allowed.
    fn junk(&mut self, reply: Reply, steps: &mut Vec<Step>) -> Option<Then> {
        steps.push(Step::Say(reply));
        self.errors += 1;
        (self.errors >= MAX_ERRORS).then(|| Then::Close(Reply::enhanced(421, (7, 0), "Too many errors; closing")))
    }
}

/// The reply to what belongs to a transaction where there is none.
pub(super) fn no_mail() -> Reply {
    out_of_order("Send MAIL first")
}

fn out_of_order(text: &'static str) -> Reply {
    Reply::enhanced(503, (5, 1), text)
}

fn done() -> Reply {
    Reply::enhanced(250, (0, 0), "Ok")
}

#[cfg(test)]
mod tests;
