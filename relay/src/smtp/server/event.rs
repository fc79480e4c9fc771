//! What a session tells its driver and asks of it.

use crate::smtp::{
    command::Site,
    envelope::{Envelope, Recipient},
    reply::Reply,
    sasl::scram::{Binding, StoredKeys},
    xclient::XClient,
};

/// How the client introduced itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Whether by EHLO.
    pub extended: bool,
    /// The name that it gave; unverified, but safe in a Received line.
    pub name: String,
}

impl Hello {
    /// The protocol's name for a Received line (RFC 3848, and 6531 section 4.3 for SMTPUTF8), in clear or under TLS, and with AUTH
    /// or without.
    #[must_use]
    pub fn protocol(&self, utf8: bool, tls: bool, authenticated: bool) -> &'static str {
        match (self.extended, utf8, tls, authenticated) {
            // There is no name for HELO under TLS.
            (false, ..) => "SMTP",
            (true, false, false, false) => "ESMTP",
            (true, false, false, true) => "ESMTPA",
            (true, false, true, false) => "ESMTPS",
            (true, false, true, true) => "ESMTPSA",
            (true, true, false, false) => "UTF8SMTP",
            (true, true, false, true) => "UTF8SMTPA",
            (true, true, true, false) => "UTF8SMTPS",
            (true, true, true, true) => "UTF8SMTPSA",
        }
    }
}

/// Why a session ends by the server's will.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The client said QUIT.
    Quit,
    /// Too many junk commands.
    TooManyErrors,
    /// The client does not speak SMTP.
    NotSmtp,
    /// A bare CR or LF.
    BareNewline,
    /// A chunk of unknown length.
    BadChunk,
    /// Octets behind STARTTLS, in clear.
    ClearBehindStartTls,
    /// The driver refused with 421 or 521.
    Refused,
    /// [`Session::time_out`].
    TimedOut,
    /// [`Session::shut_down`].
    ShutDown,
}

/// What a client shows by AUTH.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Credentials<'a> {
    /// A name and a password: are they a user's? To be accepted or refused.
    Password {
        /// The name.
        user: &'a str,
        /// The password, in UTF-8.
        password: &'a [u8],
    },
    /// A bearer token: is it good? To be accepted or refused; 535 is told to the client as its mechanism wants it.
    Token(&'a [u8]),
    /// A name, for which SCRAM needs keys: [`Session::answer_scram`](super::Session::answer_scram), or refuse.
    ScramUser {
        /// The name.
        user: &'a str,
        /// What the client binds the exchange to.
        binding: Option<Binding>,
    },
    /// SCRAM is over. To be accepted, or refused where it is not proven.
    Scram {
        /// The name.
        user: &'a str,
        /// Whether the client has proven to know the password.
        proven: bool,
    },
}

impl std::fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Password { user, .. } => write!(f, "Password({user:?}, …)"),
            Self::Token(_) => f.write_str("Token(…)"),
            Self::ScramUser { user, binding } => write!(f, "ScramUser({user:?}, {binding:?})"),
            Self::Scram { user, proven } => write!(f, "Scram({user:?}, {proven})"),
        }
    }
}

/// What SCRAM needs to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScramAnswer {
    /// The user's keys.
    pub keys: StoredKeys,
    /// What TLS has of the binding that was asked for; empty where none was.
    pub binding: Vec<u8>,
    /// Printable ASCII without commas, random, and never twice the same.
    pub nonce: String,
}

/// What a session wants of its driver.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// All input is used up: write `output`, then read more.
    NeedInput,
    /// All input is used up, in the middle of a message: write `output`, take from `body` what there is, then read more.
    NeedBody,
    /// Replies have piled up: write `output`; there may be more input to go through, so call [`Session::next`] before reading.
    Flush,
    /// ETRN: send what waits for this site now? To be answered, in the words of RFC 1985.
    Turn {
        /// Whose mail is asked for.
        site: &'a Site,
    },
    /// STARTTLS: can a handshake be made now? To be answered; accepting sends the 220.
    StartTls,
    /// Write `output`, throw `input` away, make the handshake, and call [`Session::secured`](super::Session::secured); or close.
    Handshake,
    /// XCLIENT, from whom it is allowed: is this client let in? To be answered; accepting sends the greeting again.
    XClient(&'a XClient),
    /// AUTH: is the client who it says? To be answered.
    Authenticate(Credentials<'a>),
    /// MAIL: may this sender send? To be answered.
    CheckSender {
        /// Sender, SIZE and BODY; no recipients yet.
        envelope: &'a Envelope,
    },
    /// RCPT: may mail go there? To be answered.
    CheckRecipient {
        /// The envelope so far, without this recipient.
        envelope: &'a Envelope,
        /// The recipient in question.
        recipient: &'a Recipient,
    },
    /// DATA, or the first BDAT, with at least one recipient: can a message be taken now? To be answered; accepting DATA sends the
    /// 354.
    BodyStart {
        /// The envelope, complete but for what is measured.
        envelope: &'a Envelope,
        /// How the client introduced itself.
        hello: &'a Hello,
    },
    /// The message is complete, its last octets are in `body`: store it. To be answered; its client waits.
    MessageEnd(Envelope),
    /// The message has ended and was refused here; what there is of it is to be thrown away. The reply is in `output`.
    MessageRefused {
        /// What the client is told.
        reply: Reply,
    },
    /// The client gave a message up between two chunks: what there is of it is to be thrown away.
    MessageDropped,
    /// Write `output` and close.
    Close {
        /// Why.
        reason: CloseReason,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_received_line_names_the_protocol_that_was_spoken() {
        let hello = |extended| Hello { extended, name: "client.test".into() };
        for (extended, utf8, tls, authenticated, name) in [
            (false, false, false, false, "SMTP"),
            (false, false, true, false, "SMTP"),
            (true, false, false, false, "ESMTP"),
            (true, false, true, false, "ESMTPS"),
            (true, false, false, true, "ESMTPA"),
            (true, false, true, true, "ESMTPSA"),
            (true, true, false, false, "UTF8SMTP"),
            (true, true, true, false, "UTF8SMTPS"),
            (true, true, false, true, "UTF8SMTPA"),
            (true, true, true, true, "UTF8SMTPSA"),
        ] {
            assert_eq!(hello(extended).protocol(utf8, tls, authenticated), name);
        }
    }
}
