//! What a session refuses by itself, of which its driver is asked nothing: what is malformed, too large, or out of order.

use bytes::BytesMut;

use crate::smtp::{
    command::{Command, CommandError},
    reply::{Reply, ReplyParser},
};

/// Commands that were refused without the driver: the first of them, which the others may only follow from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusals {
    /// What the first was.
    pub verb: Verb,
    /// What it was answered.
    pub reply: Reply,
    /// How many there were.
    pub count: u64,
}

/// A command, as far as it matters for a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verb {
    /// STARTTLS.
    StartTls,
    /// AUTH, and what belongs to its exchange.
    Auth,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA and BDAT.
    Data,
    /// Any other, and what is no command.
    #[default]
    Other,
}

/// Notes refusals for the driver.
#[derive(Debug, Default)]
pub(super) struct Noted {
    verb: Verb,
    refusals: Option<Box<Refusals>>,
}

impl Noted {
    /// This command is carried out next.
    pub(super) fn command(&mut self, parsed: &Result<Command, CommandError>, line: &[u8]) {
        self.verb = match parsed {
            Ok(Command::StartTls) => Verb::StartTls,
            Ok(Command::Auth { .. }) => Verb::Auth,
            Ok(Command::Mail(..)) => Verb::Mail,
            Ok(Command::Rcpt(..)) => Verb::Rcpt,
            Ok(Command::Data | Command::Bdat { .. }) => Verb::Data,
            Ok(_) => Verb::Other,
            Err(_) => written(line),
        };
    }

    /// Looks at the replies that were given without the driver. They begin with the one that matters.
    pub(super) fn look(&mut self, rendered: &[u8]) {
        if !matches!(rendered.first(), Some(b'4' | b'5')) {
            return;
        }
        match &mut self.refusals {
            Some(refusals) => refusals.count += 1,
            None => {
                if let Ok(Some(reply)) = ReplyParser::new().parse(&mut BytesMut::from(rendered)) {
                    self.refusals = Some(Box::new(Refusals { verb: self.verb, reply, count: 1 }));
                }
            }
        }
    }

    pub(super) fn take(&mut self) -> Option<Refusals> {
        self.refusals.take().map(|refusals| *refusals)
    }
}

/// What a line that could not be read was to be.
fn written(line: &[u8]) -> Verb {
    let begins = |with: &[u8]| line.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    let verbs: [(&[u8], Verb); 6] = [
        (b"MAIL", Verb::Mail),
        (b"RCPT", Verb::Rcpt),
        (b"AUTH", Verb::Auth),
        (b"DATA", Verb::Data),
        (b"BDAT", Verb::Data),
        (b"STARTTLS", Verb::StartTls),
    ];
    verbs.into_iter().find(|(name, _)| begins(name)).map_or(Verb::Other, |(_, verb)| verb)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::smtp::server::{Config, Event, Session};

    /// What is noted of these lines, where the driver refuses every sender that it is asked about.
    fn noted(lines: &str) -> Option<(Verb, u16, u64)> {
        let mut session = Session::new(Arc::new(Config::new("mail.test", 1_000)));
        let (mut input, mut output, mut body) = (BytesMut::from(lines), BytesMut::new(), Vec::new());
        loop {
            match session.next(&mut input, &mut output, &mut body) {
                Event::NeedInput | Event::Close { .. } => break,
                Event::CheckSender { .. } => session.refuse(Reply::enhanced(550, (7, 1), "no")),
                _ => {}
            }
        }
        let refusals = session.refusals();
        assert_eq!(session.refusals(), None, "each once");
        refusals.map(|Refusals { verb, reply, count }| (verb, reply.code(), count))
    }

    #[test]
    fn what_the_driver_is_not_asked_about_is_noted_with_the_first_that_was_refused() {
        for (lines, wanted) in [
            ("EHLO a\r\nNOOP\r\nQUIT\r\n", None),
            ("EHLO a\r\nMAIL FROM:<a@b.test>\r\n", None),
            ("EHLO a\r\nMAIL FROM:<a@b.test> SIZE=2000\r\nRCPT TO:<c@d.test>\r\nDATA\r\n", Some((Verb::Mail, 552, 3))),
            ("EHLO a\r\nMAIL FROM: a@b.test x\r\n", Some((Verb::Mail, 501, 1))),
            ("EHLO a\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n", Some((Verb::Rcpt, 503, 1))),
            ("EHLO a\r\nAUTH PLAIN eA==\r\n", Some((Verb::Auth, 502, 1))),
            ("EHLO a\r\nSTARTTLS\r\n", Some((Verb::StartTls, 502, 1))),
            ("GET / HTTP/1.1\r\n", Some((Verb::Other, 521, 1))),
            ("EHLO a\r\nBDAT 3 LAST\r\nabc", None),
        ] {
            assert_eq!(noted(lines), wanted, "{lines:?}");
        }
    }
}
