//! What each command does, but for those of a transaction.

use bytes::BytesMut;

use super::{
    Session,
    announce::ehlo_reply,
    event::{CloseReason, Hello},
    line::Line,
    say,
    state::{State, Step},
};
use crate::smtp::{
    command::{self, Command, CommandError},
    envelope::{Envelope, Recipient},
    reply::Reply,
};

impl Session {
    /// Takes one command line from the input and carries it out.
    pub(super) fn line(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Option<Step> {
        match self.lines.take(input, command::line_max(input)) {
            Line::Missing => Some(Step::NeedInput),
            Line::Bad(error) => {
                self.transcript.hidden();
                self.bad(error, output)
            }
            Line::Whole(line) => {
                let line = line.strip_suffix(b"\r\n").unwrap_or(&line);
                let smtp_utf8 = self.envelope().is_some_and(Envelope::is_smtp_utf8);
                let parsed = command::parse(line, smtp_utf8);
                self.transcript.command(line, &parsed);
                self.noted.command(&parsed, line);
                match parsed {
                    Ok(Command::StartTls) => self.start_tls(!input.is_empty(), output),
                    Ok(command) => self.command(command, output),
                    Err(error) => self.bad(error, output),
                }
            }
        }
    }

    fn command(&mut self, command: Command, output: &mut BytesMut) -> Option<Step> {
        let midway = matches!(self.state, State::BetweenChunks(_));
        let dropped = midway.then_some(Step::MessageDropped);
        match command {
            Command::Mail(..) | Command::Rcpt(..) | Command::Data if midway => {
                return self.out_of_order("A message is under way by BDAT; end it by LAST or RSET", output);
            }
            Command::Bdat { size, last } => return self.bdat(size, last),
            Command::Mail(from, parameters) => return self.mail(from, parameters, output),
            Command::Rcpt(path, extensions) => return self.rcpt(Recipient { path, extensions }, output),
            Command::Data => return self.data(output),
            Command::Etrn(site) => return self.etrn(site, output),
            Command::Ehlo(name) => {
                self.introduce(true, name);
                ehlo_reply(&self.config, self.tls, self.authenticated).render(output);
                return dropped;
            }
            Command::Helo(name) => {
                self.introduce(false, name);
                Reply::new(250, self.config.hostname.clone()).render(output);
                return dropped;
            }
            Command::XClient(said) => return self.xclient(said, output),
            Command::Auth { mechanism, initial } => return self.auth(&mechanism, initial, output),
            // Carried out by the caller, who sees what is behind it.
            Command::StartTls => {}
            Command::Rset => {
                self.state = State::Ready;
                say(None, (0, 0), output);
                return dropped;
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

    /// `followed`: more octets have come in clear already.
    fn start_tls(&mut self, followed: bool, output: &mut BytesMut) -> Option<Step> {
        if self.tls {
            return self.out_of_order("TLS is active already", output);
        }
        if !self.config.start_tls {
            return self.junk(&Reply::enhanced(502, (5, 1), "STARTTLS is not offered"), output);
        }
        if matches!(self.state, State::Transaction(_) | State::BetweenChunks(_)) {
            return self.out_of_order("STARTTLS within a transaction; send RSET first", output);
        }
        if followed {
            let reply = Reply::enhanced(521, (5, 1), "Nothing may follow STARTTLS in clear; closing");
            self.close(CloseReason::ClearBehindStartTls, &reply, output);
            return None;
        }
        self.state = State::StartTls;
        Some(Step::StartTls)
    }

    pub(super) fn out_of_order(&mut self, text: &'static str, output: &mut BytesMut) -> Option<Step> {
        self.junk(&Reply::enhanced(503, (5, 1), text), output)
    }

    pub(super) fn bad(&mut self, error: CommandError, output: &mut BytesMut) -> Option<Step> {
        let reply = error.reply();
        match error {
            CommandError::BareNewline => self.close(CloseReason::BareNewline, &reply, output),
            CommandError::ChunkSize => self.close(CloseReason::BadChunk, &reply, output),
            CommandError::NotSmtp => self.close(CloseReason::NotSmtp, &reply, output),
            _ => return self.junk(&reply, output),
        }
        None
    }

    /// Refuses a junk command, and the client with the last one that it is allowed.
    pub(super) fn junk(&mut self, reply: &Reply, output: &mut BytesMut) -> Option<Step> {
        reply.render(output);
        self.errors += 1;
        if self.errors >= self.config.max_errors {
            let reply = Reply::enhanced(421, (7, 0), "Too many errors; closing");
            self.close(CloseReason::TooManyErrors, &reply, output);
        }
        None
    }
}
