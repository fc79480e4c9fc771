//! The columns of the matrix: what is sent in each, and what must arrive.

use super::link::Link;
use crate::letter::{Letter, REFUSED_DOMAIN, malformed};

/// A column of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// A message of short ASCII lines.
    Plain,
    /// The same under STARTTLS, with the server's certificate verified: nothing goes while nobody who is trusted vouches for it.
    StartTls,
    /// The same by a client that must show a password.
    Auth,
    /// A body in UTF-8, declared as BODY=8BITMIME by clients that do so.
    EightBit,
    /// An address and a header in UTF-8 (RFC 6531).
    Utf8,
    /// Lines of dots, and messages that end in an odd way.
    Dots,
    /// A message of 20 MB.
    Large,
    /// Many recipients, two of which are refused.
    Recipients,
    /// Several messages on one connection.
    Several,
}

/// Who refuses the two recipients of [`Cell::Recipients`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refuser {
    /// The relay.
    Relay,
    /// The next hop.
    Hop,
}

/// Recipients that are not refused.
const RECIPIENTS: usize = 60;

/// Messages of [`Cell::Several`].
const SEVERAL: usize = 10;

impl Cell {
    /// All of them, in the order of the columns.
    pub const ALL: [Cell; 9] = [
        Cell::Plain,
        Cell::StartTls,
        Cell::Auth,
        Cell::EightBit,
        Cell::Utf8,
        Cell::Dots,
        Cell::Large,
        Cell::Recipients,
        Cell::Several,
    ];

    /// The head of its column.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Cell::Plain => "plain",
            Cell::StartTls => "STARTTLS",
            Cell::Auth => "AUTH",
            Cell::EightBit => "8-bit",
            Cell::Utf8 => "SMTPUTF8",
            Cell::Dots => "dots",
            Cell::Large => "20 MB",
            Cell::Recipients => "refused",
            Cell::Several => "several",
        }
    }

    /// How the relay and the peer speak in it.
    #[must_use]
    pub fn link(self) -> Link {
        match self {
            Cell::StartTls => Link::StartTls,
            Cell::Auth => Link::Auth,
            _ => Link::Clear,
        }
    }

    /// What is sent, by one client on one connection where it can; `row` sets the letters apart from those of other rows.
    #[must_use]
    pub fn letters(self, row: &str, refuser: Refuser) -> Vec<Letter> {
        let name = |part: &str| format!("{row}-{self:?}-{part}").to_lowercase();
        match self {
            Cell::Plain | Cell::StartTls | Cell::Auth => {
                vec![Letter::new(&name("1"), b"plain text\r\n\ttab\r\ntrailing space \r\n\r\nFrom here\r\n=3D %d\r\n")]
            }
            Cell::EightBit => {
                // Latin-1 too: octets that are no UTF-8.
                vec![
                    Letter::new(&name("utf"), "caffè, Käse, 日本\r\n".as_bytes()),
                    Letter::new(&name("latin"), b"caff\xe8 \x80\xff\r\n"),
                ]
            }
            Cell::Utf8 => {
                let mut letter = Letter::new(&name("1"), "caffè\r\n".as_bytes()).to(vec!["käse@one.test".into()]);
                letter.text = [b"X-Origin: caff\xc3\xa8\r\n", letter.text.as_slice()].concat();
                letter.utf8 = true;
                vec![letter]
            }
            Cell::Dots => {
                let long = "0".repeat(998);
                [
                    ("dots", ".\r\n..\r\n.leading\r\n...\r\n. \r\nend.\r\n.\r\n"),
                    ("blank", "text\r\n\r\n\r\n\r\n"),
                    ("spaces", "text\r\n \r\n\t\r\n"),
                    ("empty", ""),
                    ("long", &format!("{long}\r\n.{}\r\n", &long[..997])),
                ]
                .map(|(part, body)| Letter::new(&name(part), body.as_bytes()))
                .into()
            }
            Cell::Large => {
                let line = b".123456789 123456789 123456789 123456789 123456789 123456789 123456789\r\n";
                vec![Letter::new(&name("1"), &line.repeat((20 << 20) / line.len()))]
            }
            Cell::Recipients => {
                let mut recipients: Vec<String> = (0..RECIPIENTS).map(|number| format!("r{number}@one.test")).collect();
                for (at, who) in [(10, "first"), (40, "second")] {
                    let refused = match refuser {
                        Refuser::Relay => malformed(who),
                        Refuser::Hop => format!("{who}@{REFUSED_DOMAIN}"),
                    };
                    recipients.insert(at, refused);
                }
                vec![Letter::new(&name("1"), b"to many\r\n").to(recipients)]
            }
            Cell::Several => {
                let numbers = (0..SEVERAL).map(|number| name(&number.to_string()));
                numbers.map(|name| Letter::new(&name, format!("message {name}\r\n.\r\n").as_bytes())).collect()
            }
        }
    }
}

/// Whether a recipient of these letters is one that is refused.
#[must_use]
pub fn is_refused(recipient: &str) -> bool {
    recipient.len() > 64 || recipient.ends_with(REFUSED_DOMAIN)
}
