//! What MAIL and RCPT ask for beyond an address: the parameters of SMTP extensions, as values, and as they are written.
//!
//! Nearly all mail has none of them, so an envelope holds them behind one pointer that is null then. [`super::command`] reads
//! them, the spool keeps them, and [`super::client`] writes those that the next host's extensions know.

mod dsn;
pub mod timing;
mod write;
pub mod xtext;

pub use dsn::{Notify, OriginalRecipient, Return};
pub use timing::TimeParameters;
pub(super) use write::{mail_parameters, rcpt_parameters, submitter_parameter, time_parameters};

/// What MAIL asks for a message as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extensions {
    /// SMTPUTF8: addresses and header may be UTF-8 (RFC 6531).
    pub smtp_utf8: bool,
    /// Whether the header of a message that came with SMTPUTF8 is UTF-8, as was measured.
    pub utf8_header: bool,
    /// Whether the text is not made of lines, so that only hosts with BINARYMIME can have it (RFC 3030), as was measured.
    pub binary: bool,
    /// REQUIRETLS: no hop is to pass the message on but under TLS with a verified host that promises the same (RFC 8689).
    pub require_tls: bool,
    /// Whether the header says `TLS-Required: No`, and MAIL nothing else: the message goes whatever the recipient's domain asks of TLS
    /// (RFC 8689 section 3), as was measured.
    pub tls_optional: bool,
    /// RET: how much of the message a report of its failure returns (RFC 3461 section 4.3).
    pub ret: Option<Return>,
    /// ENVID: the sender's own name for this envelope, which a report repeats; in xtext, as it was given (RFC 3461 section 4.4).
    /// [`xtext::decode`] gives its plain text.
    pub envid: Option<Box<str>>,
    /// AUTH: who first submitted the message, as the client says; in xtext, or `<>` where nobody says it who is trusted (RFC 4954
    /// section 5).
    pub auth: Option<Box<str>>,
}

/// What RCPT asks for one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecipientExtensions {
    /// NOTIFY: on which occasions the sender wants a report (RFC 3461 section 4.1); FAILURE and perhaps DELAY, where absent.
    pub notify: Option<Notify>,
    /// ORCPT: the recipient as the message's author named it (RFC 3461 section 4.2).
    pub original: Option<OriginalRecipient>,
}

impl Extensions {
    /// The same, or None where nothing is asked for: no memory is spent on mail without extensions.
    #[must_use]
    pub fn boxed(self) -> Option<Box<Self>> {
        if self == Self::default() { None } else { Some(Box::new(self)) }
    }
}

impl RecipientExtensions {
    /// The same, or None where nothing is asked for.
    #[must_use]
    pub fn boxed(self) -> Option<Box<Self>> {
        if self == Self::default() { None } else { Some(Box::new(self)) }
    }
}
