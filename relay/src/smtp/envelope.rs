//! What travels beside a message: who sent it, who is to get it, and what its body needs.

use super::{
    address::{ForwardPath, ReversePath},
    extensions::{Extensions, RecipientExtensions, TimeParameters},
};

/// What the body of a message needs from every hop (RFC 6152).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BodyType {
    /// No octet above 127.
    #[default]
    SevenBit,
    /// May hold octets above 127; lines end in CRLF.
    EightBitMime,
    /// Any octets, lines or none (RFC 3030): only BDAT can carry it.
    BinaryMime,
}

/// One recipient of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The address of RCPT.
    pub path: ForwardPath,
    /// What else RCPT asked for; None for nearly all.
    pub extensions: Option<Box<RecipientExtensions>>,
}

impl Recipient {
    /// A recipient without parameters.
    #[must_use]
    pub fn new(path: ForwardPath) -> Self {
        Self { path, extensions: None }
    }
}

/// The envelope of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The reverse-path of MAIL; null for bounces.
    pub from: ReversePath,
    /// The recipients, in the order of their RCPT commands.
    pub recipients: Vec<Recipient>,
    /// In a server session what MAIL declared, and what was measured once the message has ended; in a client session what
    /// is true of the body.
    pub body: BodyType,
    /// Octets of the message as RFC 1870 counts them (CRLF counted, dot-stuffing not): declared, measured or true as for
    /// [`Envelope::body`].
    pub size: Option<u64>,
    /// What MAIL says of the message's time; None for nearly all.
    pub time: Option<Box<TimeParameters>>,
    /// What else MAIL asked for; None for nearly all.
    pub extensions: Option<Box<Extensions>>,
}

impl Envelope {
    /// Whether MAIL said SMTPUTF8 (RFC 6531).
    #[must_use]
    pub fn is_smtp_utf8(&self) -> bool {
        self.extensions.as_ref().is_some_and(|asked| asked.smtp_utf8)
    }

    /// Whether MAIL said REQUIRETLS (RFC 8689).
    #[must_use]
    pub fn requires_tls(&self) -> bool {
        self.extensions.as_ref().is_some_and(|asked| asked.require_tls)
    }

    /// An envelope without recipients, for a 7-bit body of unknown size.
    #[must_use]
    pub fn new(from: ReversePath) -> Self {
        Self { from, recipients: Vec::new(), body: BodyType::SevenBit, size: None, time: None, extensions: None }
    }
}
