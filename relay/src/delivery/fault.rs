//! What an error means for the host, and how the Monitor shows it. Pure.

use jiff::Timestamp;
use mailsluice_crds::monitor::{LastError, Reason, Stage};

use crate::{
    errors::{errno_name, shortened},
    route::RouteError,
    smtp::{
        EnhancedCode, Reply,
        client::{self, ClientError, ErrorKind},
    },
    tcp::ConnectError,
};

/// The longest text of an error in the Monitor, in characters.
const TEXT_LENGTH: usize = 256;

/// An attempt that failed for the host as a whole.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) reason: Reason,
    pub(super) error: LastError,
}

impl Fault {
    pub(super) fn route(error: &RouteError, now: Timestamp) -> Fault {
        let error = LastError {
            code: error.code.to_string(),
            number: None,
            stage: Stage::Dns,
            peer: None,
            at: now,
            text: shortened(&error.text, TEXT_LENGTH),
        };
        Fault { reason: Reason::DnsFailed, error }
    }

    pub(super) fn connect(error: &ConnectError, peer: &str, now: Timestamp) -> Fault {
        let number = error.errno();
        let error = LastError {
            code: number.map_or_else(|| "EIO".to_owned(), errno_name),
            number,
            stage: Stage::Connect,
            peer: Some(peer.to_owned()),
            at: now,
            text: shortened(&error.to_string(), TEXT_LENGTH),
        };
        Fault { reason: Reason::ConnectionFailed, error }
    }

    pub(super) fn client(error: &ClientError, peer: &str, now: Timestamp) -> Fault {
        let (reason, code, number) = match &error.kind {
            ErrorKind::Reply(reply) => (Reason::HostRefused, reply_code(reply), Some(i32::from(reply.code()))),
            ErrorKind::Protocol(_) => (Reason::HostRefused, "PROTOCOL".to_owned(), None),
            ErrorKind::TimedOut(_) => {
                let errno = rustix::io::Errno::TIMEDOUT.raw_os_error();
                (Reason::ConnectionFailed, errno_name(errno), Some(errno))
            }
            ErrorKind::Closed => (Reason::ConnectionFailed, "CLOSED".to_owned(), None),
            ErrorKind::Io(_) | ErrorKind::Body(_) => {
                let number = error.errno();
                (Reason::ConnectionFailed, number.map_or_else(|| "EIO".to_owned(), errno_name), number)
            }
        };
        let text = match &error.kind {
            ErrorKind::Reply(reply) => reply.to_string(),
            _ => error.to_string(),
        };
        let error = LastError {
            code,
            number,
            stage: stage(error.stage),
            peer: Some(peer.to_owned()),
            at: now,
            text: shortened(&text, TEXT_LENGTH),
        };
        Fault { reason, error }
    }

    /// The sentence for the Monitor's Problem.
    pub(super) fn problem(&self, failures: u32, till: Timestamp) -> String {
        let LastError { code, stage, peer, text, .. } = &self.error;
        let attempts = if failures == 1 { "1 attempt".to_owned() } else { format!("{failures} attempts") };
        let place = peer.as_ref().map(|peer| format!(" with {peer}")).unwrap_or_default();
        shortened(&format!("{code} at {stage:?}{place} after {attempts}, next at {till:.0}: {text}"), TEXT_LENGTH)
    }
}

/// A reply that put a single message off.
pub(super) fn refusal(reply: &Reply, at_stage: client::Stage, peer: &str, now: Timestamp) -> LastError {
    LastError {
        code: reply_code(reply),
        number: Some(i32::from(reply.code())),
        stage: stage(at_stage),
        peer: Some(peer.to_owned()),
        at: now,
        text: shortened(&reply.to_string(), TEXT_LENGTH),
    }
}

fn reply_code(reply: &Reply) -> String {
    match reply.enhanced_code() {
        Some(EnhancedCode { class, subject, detail }) => format!("{} {class}.{subject}.{detail}", reply.code()),
        None => reply.code().to_string(),
    }
}

/// The client's stage in the Monitor's words.
pub(super) fn stage(stage: client::Stage) -> Stage {
    match stage {
        client::Stage::Banner => Stage::Banner,
        client::Stage::Ehlo => Stage::Ehlo,
        client::Stage::MailFrom | client::Stage::Rset => Stage::MailFrom,
        client::Stage::RcptTo => Stage::RcptTo,
        client::Stage::Data => Stage::Data,
        client::Stage::Body => Stage::Body,
        client::Stage::Reply => Stage::Reply,
        client::Stage::Quit => Stage::Quit,
        client::Stage::Idle => Stage::Idle,
    }
}
