//! What the application has been told of its transaction: enough to begin it again over another connection, unseen.
//!
//! Only commands are repeated, never a text: a message may be delivered twice where its text was sent twice, and commands deliver nothing.

use bytes::Bytes;

use super::dialog::Verb;
use crate::smtp::Reply;

/// Octets of commands that are kept; a message with more recipients than that is not begun again.
const KEPT_MAX: usize = 64 << 10;

/// The commands of a transaction that were accepted.
#[derive(Debug, Default)]
pub(super) struct Journal {
    lines: Vec<Bytes>,
    octets: usize,
    /// Whether it cannot be begun again.
    sealed: bool,
    /// Whether a chunk of the text went to the gateway.
    chunked: bool,
    /// Octets of the chunks.
    text: u64,
    sender: String,
    recipients: u64,
}

impl Journal {
    /// That of a transaction of whose MAIL the gateway knows nothing yet.
    pub(super) fn ahead(mail: &[u8]) -> Journal {
        Journal { sender: address(mail), ..Journal::default() }
    }

    /// Notes the gateway's reply to a command.
    pub(super) fn note(&mut self, verb: Verb, line: &[u8], reply: &Reply) {
        match verb {
            Verb::Mail | Verb::Rcpt if !reply.is_success() => {}
            Verb::Mail => {
                *self = Journal::ahead(line);
                self.keep(line);
            }
            Verb::Rcpt => {
                self.recipients += 1;
                self.keep(line);
            }
            Verb::Rset if reply.is_success() => *self = Journal::default(),
            Verb::Data | Verb::Rset => {}
        }
    }

    /// A chunk of the text goes to the gateway, so that commands alone do not begin the transaction again.
    pub(super) fn chunk(&mut self, size: u64) {
        self.sealed = true;
        self.chunked = true;
        self.text = self.text.saturating_add(size);
    }

    /// Whether the text has begun by chunks, and can go on by nothing else.
    pub(super) fn is_chunked(&self) -> bool {
        self.chunked
    }

    /// Octets of the chunks.
    pub(super) fn octets(&self) -> u64 {
        self.text
    }

    /// The commands that begin the transaction again; none where nothing can.
    pub(super) fn repeated(&self) -> Option<&[Bytes]> {
        (!self.sealed).then_some(self.lines.as_slice())
    }

    /// Whom the message is from, as MAIL had it.
    pub(super) fn sender(&self) -> &str {
        &self.sender
    }

    /// How many recipients were accepted.
    pub(super) fn recipients(&self) -> u64 {
        self.recipients
    }

    fn keep(&mut self, line: &[u8]) {
        self.octets += line.len();
        if self.octets > KEPT_MAX {
            self.sealed = true;
            self.lines = Vec::new();
        } else {
            // A copy: the line is a part of a buffer that may be much larger.
            self.lines.push(Bytes::copy_from_slice(line));
        }
    }
}

/// What stands between the angle brackets of a command.
pub(super) fn address(line: &[u8]) -> String {
    let from = line.iter().position(|octet| *octet == b'<').unwrap_or(line.len());
    let to = line.iter().position(|octet| *octet == b'>').unwrap_or(line.len());
    String::from_utf8_lossy(line.get(from + 1..to).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yes() -> Reply {
        Reply::new(250, "Ok")
    }

    #[test]
    fn accepted_commands_are_repeated_and_no_others() {
        let mut journal = Journal::default();
        assert_eq!(journal.repeated(), Some(&[][..]));
        journal.note(Verb::Mail, b"MAIL FROM:<a@one.test> SIZE=10", &yes());
        journal.note(Verb::Rcpt, b"RCPT TO:<b@one.test>", &yes());
        journal.note(Verb::Rcpt, b"RCPT TO:<c@one.test>", &Reply::new(550, "No"));
        journal.note(Verb::Mail, b"MAIL FROM:<x@one.test>", &Reply::new(503, "No"));
        journal.note(Verb::Data, b"DATA", &Reply::new(354, "Go on"));
        let repeated: Vec<&[u8]> = journal.repeated().unwrap().iter().map(AsRef::as_ref).collect();
        assert_eq!(repeated, [&b"MAIL FROM:<a@one.test> SIZE=10"[..], b"RCPT TO:<b@one.test>"]);
        assert_eq!((journal.sender(), journal.recipients()), ("a@one.test", 1));
        journal.note(Verb::Rset, b"RSET", &yes());
        assert_eq!((journal.repeated(), journal.recipients()), (Some(&[][..]), 0));
    }

    #[test]
    fn a_mail_that_the_gateway_has_not_seen_is_none_of_what_is_repeated() {
        let mut journal = Journal::ahead(b"MAIL FROM:<a@one.test> SIZE=10");
        assert_eq!((journal.sender(), journal.repeated()), ("a@one.test", Some(&[][..])));
        journal.note(Verb::Mail, b"MAIL FROM:<a@one.test> SIZE=10", &yes());
        assert_eq!(journal.repeated().map(<[Bytes]>::len), Some(1));
    }

    #[test]
    fn a_transaction_with_a_part_of_its_text_or_too_many_recipients_is_not_repeated() {
        let mut journal = Journal::default();
        journal.note(Verb::Mail, b"MAIL FROM:<>", &yes());
        assert_eq!((journal.sender(), journal.is_chunked()), ("", false));
        journal.chunk(10);
        journal.chunk(5);
        assert_eq!((journal.repeated(), journal.octets(), journal.is_chunked()), (None, 15, true));
        journal.note(Verb::Mail, b"MAIL FROM:<>", &yes());
        let line = [b'x'; 1000];
        for _ in 0..66 {
            assert!(journal.repeated().is_some() || journal.recipients() >= 65);
            journal.note(Verb::Rcpt, &line, &yes());
        }
        assert_eq!((journal.repeated(), journal.recipients(), journal.is_chunked()), (None, 66, false));
    }
}
