//! What an error means for the host, and how the Monitor shows it. Pure.

use jiff::Timestamp;
use mailsluice_crds::monitor::{LastError, Reason, Stage};
use rustix::io::Errno;

use crate::{
    errors::{errno_name, shortened},
    route::RouteError,
    smtp::{
        EnhancedCode, Reply,
        client::{self, AuthFault, ClientError, ErrorKind},
    },
    tcp::ConnectError,
    tls::TlsFault,
};

/// The longest text of an error in the Monitor, in characters.
pub(super) const TEXT_LENGTH: usize = 256;

/// What a failure says something about. A refused recipient or message is an [`Outcome`](super::outcome::Outcome) and no
/// fault at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// This connection only: it has taken mail, and a new one goes on.
    Connection,
    /// The address, whatever mail goes there.
    Address,
    /// The address, as far as mail of this host is concerned.
    HostAtAddress,
    /// The host, over whatever address.
    Host,
    /// The relay itself: nothing can be sent anywhere.
    Everything,
}

/// An attempt that failed for more than a recipient or a message.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) scope: Scope,
    pub(super) reason: Reason,
    pub(super) error: LastError,
    /// Whether it is a want of TLS that stays till somebody changes the host or the domain.
    pub(super) lasting: bool,
}

/// Errors that are the relay's own want: of file descriptors, of memory, of a network.
const OWN: [Errno; 5] = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::NETDOWN];

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
        Fault { scope: Scope::Host, reason: Reason::DnsFailed, error, lasting: false }
    }

    /// A domain's policy lets none of its hosts take its mail.
    pub(super) fn policy(code: &str, text: &str, now: Timestamp) -> Fault {
        let error = LastError {
            code: code.to_owned(),
            number: None,
            stage: Stage::Dns,
            peer: None,
            at: now,
            text: shortened(text, TEXT_LENGTH),
        };
        Fault { scope: Scope::Host, reason: Reason::TlsFailed, error, lasting: true }
    }

    /// The relay cannot log in at the host, whatever its address.
    pub(super) fn auth(code: &str, text: &str, peer: Option<&str>, now: Timestamp) -> Fault {
        let error = LastError {
            code: code.to_owned(),
            number: None,
            stage: Stage::Auth,
            peer: peer.map(str::to_owned),
            at: now,
            text: shortened(text, TEXT_LENGTH),
        };
        Fault { scope: Scope::Host, reason: Reason::AuthFailed, error, lasting: false }
    }

    pub(super) fn connect(from: &ConnectError, peer: &str, now: Timestamp) -> Fault {
        let number = from.errno();
        let error = LastError {
            code: number.map_or_else(|| "EIO".to_owned(), errno_name),
            number,
            stage: Stage::Connect,
            peer: Some(peer.to_owned()),
            at: now,
            text: shortened(&from.to_string(), TEXT_LENGTH),
        };
        let own = number.is_some_and(|number| OWN.iter().any(|errno| errno.raw_os_error() == number));
        let scope = match from {
            _ if own => Scope::Everything,
            // Nothing is known against the address: other routes may reach it from other sources.
            ConnectError::Source { .. } => Scope::Host,
            _ => Scope::Address,
        };
        Fault { scope, reason: Reason::ConnectionFailed, error, lasting: false }
    }

    /// An error of a session with `peer`, or of one that could not begin.
    pub(super) fn client(error: &ClientError, peer: Option<&str>, now: Timestamp) -> Fault {
        let refused = error.reply().is_some_and(Reply::is_permanent);
        let (kind, at_stage) = (&error.kind, error.stage);
        let (reason, code, number) = match kind {
            ErrorKind::Reply(reply) => {
                let reason = match at_stage {
                    client::Stage::StartTls => Reason::TlsFailed,
                    client::Stage::Auth => Reason::AuthFailed,
                    _ => Reason::HostRefused,
                };
                (reason, reply_code(reply), Some(i32::from(reply.code())))
            }
            ErrorKind::Tls(fault) => (Reason::TlsFailed, fault.code().to_owned(), fault.number()),
            ErrorKind::Auth(AuthFault::Refused { reply, .. }) => {
                (Reason::AuthFailed, reply_code(reply), Some(i32::from(reply.code())))
            }
            ErrorKind::Auth(fault) => (Reason::AuthFailed, fault.code().to_owned(), None),
            ErrorKind::Protocol(_) => (Reason::HostRefused, "PROTOCOL".to_owned(), None),
            ErrorKind::TimedOut(_) => {
                let errno = Errno::TIMEDOUT.raw_os_error();
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
            ErrorKind::Tls(fault) => fault.to_string(),
            _ => error.to_string(),
        };
        let error = LastError {
            code,
            number,
            stage: stage(error.stage),
            peer: peer.map(str::to_owned),
            at: now,
            text: shortened(&text, TEXT_LENGTH),
        };
        let scope = match at_stage {
            _ if peer.is_none() => Scope::Host,
            client::Stage::Auth if refused => Scope::Host,
            // Till then the host cannot know whose mail it is.
            client::Stage::Banner | client::Stage::Ehlo => Scope::Address,
            _ => Scope::HostAtAddress,
        };
        Fault { scope, reason, error, lasting: is_lasting(kind, at_stage) }
    }

    /// Whether the host's other addresses would give the same.
    pub(super) fn is_of_all_addresses(&self) -> bool {
        self.scope == Scope::Host && self.reason == Reason::AuthFailed
    }

    /// The sentence for the Monitor's Problem.
    pub(super) fn problem(&self, failures: u32, till: Timestamp) -> String {
        let LastError { code, stage, peer, text, .. } = &self.error;
        let attempts = if failures == 1 { "1 attempt".to_owned() } else { format!("{failures} attempts") };
        let place = peer.as_ref().map(|peer| format!(" with {peer}")).unwrap_or_default();
        shortened(&format!("{code} at {stage:?}{place} after {attempts}, next at {till:.0}: {text}"), TEXT_LENGTH)
    }
}

/// Whether a host has shown that there is no TLS with it: not so where the connection broke, or the relay's own Secret is missing.
fn is_lasting(kind: &ErrorKind, stage: client::Stage) -> bool {
    match kind {
        ErrorKind::Tls(TlsFault::Io(_) | TlsFault::TimedOut(_) | TlsFault::NotReady(_)) => false,
        ErrorKind::Tls(_) => true,
        ErrorKind::Reply(reply) => stage == client::Stage::StartTls && reply.is_permanent(),
        _ => false,
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
        client::Stage::StartTls => Stage::StartTls,
        client::Stage::Auth => Stage::Auth,
        client::Stage::MailFrom | client::Stage::Rset => Stage::MailFrom,
        client::Stage::RcptTo => Stage::RcptTo,
        client::Stage::Data => Stage::Data,
        client::Stage::Body => Stage::Body,
        client::Stage::Reply => Stage::Reply,
        client::Stage::Quit => Stage::Quit,
        client::Stage::Idle => Stage::Idle,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::smtp::client::Fate;

    #[test]
    fn a_failure_has_the_scope_of_what_it_says_something_about() {
        use client::Stage::{Auth, Banner, Body, Data, Ehlo, Idle, MailFrom, RcptTo, Reply as End, StartTls};
        let said = |code| ErrorKind::Reply(Reply::enhanced(code, (0, 0), "no"));
        let refused =
            |code| ErrorKind::Auth(AuthFault::Refused { reply: Reply::enhanced(code, (7, 8), "no"), said: None });
        let broke = || ErrorKind::Io(io::Error::from_raw_os_error(104));
        for (stage, kind, scope) in [
            (Banner, said(421), Scope::Address),
            (Banner, said(554), Scope::Address),
            (Banner, ErrorKind::Closed, Scope::Address),
            (Ehlo, said(421), Scope::Address),
            (Ehlo, broke(), Scope::Address),
            // Another host may be reached there under another policy.
            (StartTls, ErrorKind::Tls(TlsFault::NotOffered), Scope::HostAtAddress),
            (StartTls, said(454), Scope::HostAtAddress),
            // Its other addresses would say the same.
            (Auth, refused(535), Scope::Host),
            (Auth, refused(454), Scope::HostAtAddress),
            (Auth, said(421), Scope::HostAtAddress),
            (Auth, ErrorKind::Auth(AuthFault::NotOffered), Scope::HostAtAddress),
            (Auth, ErrorKind::Closed, Scope::HostAtAddress),
            (MailFrom, said(421), Scope::HostAtAddress),
            (RcptTo, said(421), Scope::HostAtAddress),
            (Data, ErrorKind::Closed, Scope::HostAtAddress),
            (Body, broke(), Scope::HostAtAddress),
            (End, ErrorKind::TimedOut(std::time::Duration::from_secs(600)), Scope::HostAtAddress),
            (Idle, ErrorKind::Closed, Scope::HostAtAddress),
        ] {
            let error = ClientError { stage, kind, fate: Fate::NotAccepted };
            assert_eq!(Fault::client(&error, Some("192.0.2.1:25"), Timestamp::UNIX_EPOCH).scope, scope, "{error}");
        }
        for (errno, scope) in [
            (Errno::CONNREFUSED, Scope::Address),
            (Errno::TIMEDOUT, Scope::Address),
            (Errno::HOSTUNREACH, Scope::Address),
            (Errno::MFILE, Scope::Everything),
            (Errno::NETDOWN, Scope::Everything),
        ] {
            let source = io::Error::from_raw_os_error(errno.raw_os_error());
            let error = ConnectError::Io { peer: ([192, 0, 2, 1], 25).into(), source };
            assert_eq!(Fault::connect(&error, "192.0.2.1:25", Timestamp::UNIX_EPOCH).scope, scope, "{error}");
        }
    }

    #[test]
    fn a_want_of_tls_lasts_where_the_host_has_shown_it() {
        use client::Stage::{Ehlo, StartTls};
        let said = |code| ErrorKind::Reply(Reply::enhanced(code, (7, 0), "no"));
        for (stage, kind, lasting) in [
            (StartTls, ErrorKind::Tls(TlsFault::NotOffered), true),
            (StartTls, ErrorKind::Tls(TlsFault::Alert(rustls::AlertDescription::HandshakeFailure)), true),
            (StartTls, ErrorKind::Tls(TlsFault::Io(io::Error::from_raw_os_error(104))), false),
            (StartTls, ErrorKind::Tls(TlsFault::NotReady("no Secret".into())), false),
            (StartTls, said(502), true),
            (StartTls, said(454), false),
            (Ehlo, said(554), false),
            (StartTls, ErrorKind::Closed, false),
        ] {
            let error = ClientError { stage, kind, fate: Fate::NotAccepted };
            assert_eq!(Fault::client(&error, None, Timestamp::UNIX_EPOCH).lasting, lasting, "{error}");
        }
    }
}
