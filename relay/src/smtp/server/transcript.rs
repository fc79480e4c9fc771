//! What is said in a session, for a log of it: the client's commands, and the server's replies.
//!
//! Decisions:
//! - A line is shown whole only where it is a command whose words are addresses, names and numbers. Of AUTH no more than the mechanism
//!   is shown, of its exchange nothing, and of a challenge its code. Of what is no command nothing is shown either: it may be a password
//!   that was sent out of turn, or the text of a message that was refused.
//! - Nobody pays for it who does not listen.

use bytes::BytesMut;

use crate::smtp::{
    command::{Command, CommandError},
    reply::{Reply, ReplyParser, Severity},
    sasl::Mechanism,
};

/// What is shown in the place of what is hidden.
const HIDDEN: &str = "…";

/// Something that was said, on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// By the client: a command, without what is secret.
    Client(String),
    /// By the server: a reply.
    Server(String),
}

/// What was said since it was asked for last; none while nobody listens.
#[derive(Debug, Default)]
pub(crate) struct Transcript(Option<Vec<Said>>);

impl Transcript {
    /// Whether somebody listens.
    pub(crate) fn listen(&mut self, on: bool) {
        if on != self.0.is_some() {
            self.0 = on.then(Vec::new);
        }
    }

    /// What was said since this was asked last.
    pub(crate) fn take(&mut self) -> Vec<Said> {
        self.0.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// A command line came, without its CRLF.
    pub(crate) fn command(&mut self, line: &[u8], parsed: &Result<Command, CommandError>) {
        if let Some(said) = &mut self.0 {
            said.push(Said::Client(shown(line, parsed)));
        }
    }

    /// A line came that is none of a command's.
    pub(crate) fn hidden(&mut self) {
        if let Some(said) = &mut self.0 {
            said.push(Said::Client(HIDDEN.to_owned()));
        }
    }

    /// These are replies that go out.
    pub(crate) fn replies(&mut self, rendered: &[u8]) {
        let Some(said) = &mut self.0 else { return };
        let (mut rendered, mut parser) = (BytesMut::from(rendered), ReplyParser::new());
        while let Ok(Some(reply)) = parser.parse(&mut rendered) {
            said.push(Said::Server(if reply.code() == 334 && reply.severity() == Severity::Intermediate {
                Reply::new(334, HIDDEN).to_string()
            } else {
                reply.to_string()
            }));
        }
    }
}

/// A command line as it is shown.
fn shown(line: &[u8], parsed: &Result<Command, CommandError>) -> String {
    let whole = || String::from_utf8_lossy(line).trim_ascii_end().to_owned();
    match parsed {
        Ok(Command::Auth { mechanism, initial }) => {
            let name = Mechanism::read(mechanism).map_or(HIDDEN, Mechanism::name);
            format!("AUTH {name}{}", if initial.is_some() { " …" } else { "" })
        }
        Ok(
            Command::Helo(_)
            | Command::Ehlo(_)
            | Command::Mail(..)
            | Command::Rcpt(..)
            | Command::Bdat { .. }
            | Command::Etrn(_)
            | Command::XClient(_),
        ) => whole(),
        Ok(Command::Data) => "DATA".to_owned(),
        Ok(Command::Rset) => "RSET".to_owned(),
        Ok(Command::Noop) => "NOOP".to_owned(),
        Ok(Command::StartTls) => "STARTTLS".to_owned(),
        Ok(Command::Quit) => "QUIT".to_owned(),
        Ok(Command::Vrfy) => "VRFY".to_owned(),
        Ok(Command::Expn) => "EXPN".to_owned(),
        Ok(Command::Help) => "HELP".to_owned(),
        Err(_) if is_of_envelope(line) => whole(),
        Err(_) => HIDDEN.to_owned(),
    }
}

/// Whether a line that is written wrongly is still one that names a sender or a recipient.
fn is_of_envelope(line: &[u8]) -> bool {
    let begins = |with: &[u8]| line.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    begins(b"MAIL FROM:") || begins(b"RCPT TO:")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::command;

    #[test]
    fn commands_are_shown_without_what_is_secret() {
        for (line, expected) in [
            ("EHLO client.test", "EHLO client.test"),
            ("MAIL FROM:<a@one.test> SIZE=100", "MAIL FROM:<a@one.test> SIZE=100"),
            ("rcpt to:<b@two.test>", "rcpt to:<b@two.test>"),
            ("RCPT TO: b@two.test", "RCPT TO: b@two.test"),
            ("BDAT 86 LAST", "BDAT 86 LAST"),
            ("AUTH PLAIN AHVzZXIAc2VjcmV0", "AUTH PLAIN …"),
            ("auth login", "AUTH LOGIN"),
            ("AUTH XOAUTH2 dXNlcj1h", "AUTH XOAUTH2 …"),
            ("AUTH AHVzZXIAc2VjcmV0", "AUTH …"),
            ("AUTH", "…"),
            ("AHVzZXIAc2VjcmV0", "…"),
            ("Subject: secret", "…"),
            ("Mail is secret", "…"),
            ("HELP with what is secret", "HELP"),
            ("NOOP secret", "NOOP"),
            ("quit", "QUIT"),
        ] {
            assert_eq!(shown(line.as_bytes(), &command::parse(line.as_bytes(), false)), expected, "{line}");
        }
    }

    #[test]
    fn replies_are_shown_but_for_challenges_and_only_to_who_listens() {
        let mut transcript = Transcript::default();
        transcript.replies(b"220 mail.test ESMTP\r\n");
        assert_eq!(transcript.take(), []);
        transcript.listen(true);
        transcript.replies(b"250-mail.test\r\n250 SIZE 10\r\n334 VXNlcm5hbWU6\r\n354 go on\r\n");
        let server = |text: &str| Said::Server(text.to_owned());
        let expected = [server("250 mail.test / SIZE 10"), server("334 …"), server("354 go on")];
        assert_eq!(transcript.take(), expected);
        assert_eq!(transcript.take(), [], "each once");
    }
}
