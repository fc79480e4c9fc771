//! A letter: what a client is given to send, in one SMTP transaction.

use std::fmt::Write as _;

/// The domain whose recipients the next hops of the peers matrix refuse.
pub const REFUSED_DOMAIN: &str = "refused.test";

/// A message and its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The reverse-path.
    pub sender: String,
    /// The recipients, in their order; those that are to be refused too.
    pub recipients: Vec<String>,
    /// The message, its lines ended by CRLF.
    pub text: Vec<u8>,
    /// Whether BODY=8BITMIME is to be declared.
    pub eight_bit: bool,
    /// Whether SMTPUTF8 is to be declared.
    pub utf8: bool,
}

impl Letter {
    /// A letter to one recipient, whose header says which letter it is and whose body is this.
    ///
    /// The header has all that a server could want to add.
    #[must_use]
    pub fn new(subject: &str, body: &[u8]) -> Letter {
        let mut text = String::from("From: <shop@example.org>\r\nTo: <someone@example.com>\r\n");
        // Writing into a String cannot fail.
        let _ = write!(text, "Subject: {subject}\r\nDate: Tue, 24 Nov 2026 10:00:00 +0100\r\n");
        let _ = write!(text, "Message-ID: <{subject}@example.org>\r\nMIME-Version: 1.0\r\n");
        let charset = if body.is_ascii() { "us-ascii" } else { "utf-8" };
        let _ = write!(text, "Content-Type: text/plain; charset={charset}\r\n");
        let _ = write!(text, "Content-Transfer-Encoding: {}\r\n\r\n", if body.is_ascii() { "7bit" } else { "8bit" });
        Letter {
            sender: "shop@example.org".into(),
            recipients: vec!["a@one.test".into()],
            text: [text.as_bytes(), body].concat(),
            eight_bit: !body.is_ascii(),
            utf8: false,
        }
    }

    /// The same to other recipients.
    #[must_use]
    pub fn to(mut self, recipients: Vec<String>) -> Letter {
        self.recipients = recipients;
        self
    }
}

/// A recipient that the relay refuses with 501 5.1.3: its local part is longer than RFC 5321 allows.
#[must_use]
pub fn malformed(name: &str) -> String {
    format!("{name}{}@one.test", "x".repeat(64))
}
