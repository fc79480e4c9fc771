//! Why the gateway has not taken something, in the words that the application gets.
//!
//! All of it is a matter of the way to the gateway and says nothing about the message, so it is a 451: try again.

use std::{io, net::SocketAddr, time::Duration};

use crate::{
    errors::shortened,
    smtp::{
        Reply,
        client::{AuthFault, ClientError, ErrorKind},
    },
    tls::TlsFault,
};

/// Characters of a reason in a reply, which then fits into a line.
const REASON_LENGTH: usize = 350;

/// Why there is no connection to the gateway.
#[derive(Debug, thiserror::Error)]
pub(super) enum Away {
    /// The DNS does not answer, or knows no such name.
    #[error("its name cannot be looked up: {0}")]
    Lookup(#[source] io::Error),
    /// The name leads nowhere.
    #[error("its name has no address")]
    NoAddress,
    /// The address cannot be had.
    #[error("{0}: {1}")]
    Connect(SocketAddr, #[source] io::Error),
    /// The address does not answer.
    #[error("{address}: no answer within {} s", limit.as_secs())]
    Silent { address: SocketAddr, limit: Duration },
    /// It speaks in clear alone.
    #[error("{0}: it offers no STARTTLS, and a token is shown under TLS alone")]
    InClear(SocketAddr),
    /// There is no session with it.
    #[error("{0}: {1}")]
    Session(SocketAddr, #[source] ClientError),
    /// All connections that there may be are in use.
    #[error("all {0} connections to it are in use")]
    Busy(usize),
}

impl Away {
    /// Whether it may pass by itself within seconds.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Away::Lookup(_) | Away::NoAddress | Away::Connect(..) | Away::Silent { .. } => true,
            Away::InClear(_) | Away::Busy(_) => false,
            Away::Session(_, error) => match &error.kind {
                ErrorKind::Tls(fault) => matches!(fault, TlsFault::Io(_) | TlsFault::TimedOut(_)),
                ErrorKind::Auth(AuthFault::Refused { reply, .. }) | ErrorKind::Reply(reply) => reply.is_transient(),
                ErrorKind::Auth(_) | ErrorKind::Protocol(_) | ErrorKind::Body(_) => false,
                ErrorKind::Io(_) | ErrorKind::TimedOut(_) | ErrorKind::Closed => true,
            },
        }
    }

    /// What the application is told.
    pub(super) fn reply(&self, gateway: &str) -> Reply {
        let detail = match self {
            Away::Lookup(_) | Away::NoAddress => (4, 3),
            Away::Busy(_) => (4, 5),
            _ => (4, 1),
        };
        let reason = shortened(&self.to_string(), REASON_LENGTH);
        Reply::enhanced(451, detail, format!("The mail gateway {gateway} cannot be used now: {reason}"))
    }
}

/// What the application is told when the connection was lost, and the gateway cannot have the message.
pub(super) fn lost(gateway: &str, error: &ClientError) -> Reply {
    let reason = shortened(&error.to_string(), REASON_LENGTH);
    Reply::enhanced(451, (4, 2), format!("The connection to the mail gateway {gateway} was lost: {reason}"))
}

/// What it is told when another connection has not brought its transaction to where it was.
pub(super) fn not_resumed(gateway: &str, reply: &Reply) -> Reply {
    let reason = shortened(&reply.to_string(), REASON_LENGTH);
    let text = format!("The connection to the mail gateway {gateway} was lost, and over another it says: {reason}");
    Reply::enhanced(451, (4, 2), text)
}

/// What it is told when the gateway answers DATA by what neither asks for the text nor refuses it.
pub(super) fn not_asked_for(gateway: &str, reply: &Reply) -> Reply {
    let reason = shortened(&reply.to_string(), REASON_LENGTH);
    Reply::enhanced(451, (4, 2), format!("The mail gateway {gateway} has not asked for the text: it says {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::client::{Fate, Stage};

    fn session(kind: ErrorKind) -> Away {
        let error = ClientError { stage: Stage::Auth, kind, fate: Fate::NotAccepted };
        Away::Session(([192, 0, 2, 1], 587).into(), error)
    }

    #[test]
    fn the_application_is_told_why_and_what_may_pass_is_waited_for() {
        let address = ([192, 0, 2, 1], 587).into();
        let refused = |code| ErrorKind::Auth(AuthFault::Refused { reply: Reply::new(code, "No"), said: None });
        for (away, may_pass, says) in [
            (
                Away::NoAddress,
                true,
                "451 4.4.3 The mail gateway mail.test:587 cannot be used now: its name has no address",
            ),
            (
                Away::Connect(address, io::Error::other("refused")),
                true,
                "451 4.4.1 The mail gateway mail.test:587 cannot be used now: 192.0.2.1:587: refused",
            ),
            (
                Away::Silent { address, limit: Duration::from_secs(3) },
                true,
                "451 4.4.1 The mail gateway mail.test:587 cannot be used now: 192.0.2.1:587: no answer within 3 s",
            ),
            (
                session(refused(535)),
                false,
                "451 4.4.1 The mail gateway mail.test:587 cannot be used now: 192.0.2.1:587: at stage Auth: 535 No",
            ),
            (
                session(refused(454)),
                true,
                "451 4.4.1 The mail gateway mail.test:587 cannot be used now: 192.0.2.1:587: at stage Auth: 454 No",
            ),
            (
                session(ErrorKind::Tls(TlsFault::Injection)),
                false,
                "451 4.4.1 The mail gateway mail.test:587 cannot be used now: 192.0.2.1:587: at stage Auth: \
                 more than its reply to STARTTLS came in clear before the handshake",
            ),
            (
                Away::Busy(20),
                false,
                "451 4.4.5 The mail gateway mail.test:587 cannot be used now: all 20 connections to it are in use",
            ),
        ] {
            assert_eq!((away.reply("mail.test:587").to_string().as_str(), away.may_pass()), (says, may_pass));
        }
        let long = session(ErrorKind::Reply(Reply::new(554, "x".repeat(2_000)))).reply("mail.test:587");
        assert!(long.to_string().len() < 500, "it fits into a line");
    }
}
