//! Why a session ended before it should.

use std::io;
use std::time::Duration;

use super::{AuthFault, Stage};
use crate::{
    smtp::reply::{Reply, ReplyError},
    tls::TlsFault,
};

/// Whether the host may have the message on which a session broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It was not accepted: the final dot was not sent, or was answered with a refusal.
    NotAccepted,
    /// The final dot was on its way and no answer came. The message must be sent again, at the risk of a duplicate (RFC 5321
    /// section 6.1 prefers that to a loss).
    Unknown,
}

/// The end of a session: of the connection's doing, not of a message's.
#[derive(Debug, thiserror::Error)]
#[error("at stage {stage}: {kind}")]
pub struct ClientError {
    /// Where the session stood.
    pub stage: Stage,
    /// What happened.
    #[source]
    pub kind: ErrorKind,
    /// What it means for the message under way; [`Fate::NotAccepted`] where there was none.
    pub fate: Fate,
}

/// What ended a session.
#[derive(Debug, thiserror::Error)]
pub enum ErrorKind {
    /// The connection failed.
    #[error("{0}")]
    Io(#[source] io::Error),
    /// The host did not answer, or did not read, for this long.
    #[error("the host was silent for {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The host closed the connection without a word.
    #[error("the host closed the connection")]
    Closed,
    /// The host does not speak SMTP, or not as it should.
    #[error("{0}")]
    Protocol(#[source] ReplyError),
    /// The host refused the session, or ended it with 421.
    #[error("the host said: {0}")]
    Reply(Reply),
    /// There is no TLS with the host.
    #[error("{0}")]
    Tls(#[source] TlsFault),
    /// The host does not let the client in.
    #[error("{0}")]
    Auth(#[source] AuthFault),
    /// The body could not be read to its end. Not the host's fault; it was left without the final dot.
    #[error("the message could not be read: {0}")]
    Body(#[source] io::Error),
}

impl ClientError {
    /// The operating system's number of the error, if it had one.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match &self.kind {
            ErrorKind::Io(error) | ErrorKind::Body(error) => error.raw_os_error(),
            _ => None,
        }
    }

    /// The host's reply, if it gave one.
    #[must_use]
    pub fn reply(&self) -> Option<&Reply> {
        match &self.kind {
            ErrorKind::Reply(reply) | ErrorKind::Auth(AuthFault::Refused { reply, .. }) => Some(reply),
            ErrorKind::Protocol(ReplyError::Unexpected(reply)) => Some(reply),
            _ => None,
        }
    }
}
