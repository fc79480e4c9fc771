//! What an error means for the host, and how the Monitor shows it. Pure.

use jiff::Timestamp;
use mailsluice_crds::{
    catalogue::{AuthCode, Code, Errno, OwnCode, ReplyCode, TlsCode},
    monitor::{LastError, Reason, Stage},
};
use rustix::io::Errno as System;

use crate::{
    errors::{io_code, shortened},
    queue::Run,
    route::RouteError,
    smtp::{
        Reply,
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
const OWN: [System; 5] = [System::MFILE, System::NFILE, System::NOBUFS, System::NOMEM, System::NETDOWN];

impl Fault {
    pub(super) fn route(error: &RouteError, now: Timestamp) -> Fault {
        let error = last_error(error.code, Stage::Dns, None, now, &error.text);
        Fault { scope: Scope::Host, reason: Reason::DnsFailed, error, lasting: false }
    }

    /// A domain's policy lets none of its hosts take its mail.
    pub(super) fn policy(code: TlsCode, text: &str, now: Timestamp) -> Fault {
        let error = last_error(code, Stage::Dns, None, now, text);
        Fault { scope: Scope::Host, reason: Reason::TlsFailed, error, lasting: true }
    }

    /// The relay cannot log in at the host, whatever its address.
    pub(super) fn auth(code: AuthCode, text: &str, peer: Option<&str>, now: Timestamp) -> Fault {
        let error = last_error(code, Stage::Auth, peer, now, text);
        Fault { scope: Scope::Host, reason: Reason::AuthFailed, error, lasting: false }
    }

    pub(super) fn connect(from: &ConnectError, peer: &str, now: Timestamp) -> Fault {
        let error = last_error(from.code(), Stage::Connect, Some(peer), now, &from.to_string());
        let number = error.number;
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
        let (reason, code) = match kind {
            ErrorKind::Reply(reply) => {
                let reason = match at_stage {
                    client::Stage::StartTls => Reason::TlsFailed,
                    client::Stage::Auth => Reason::AuthFailed,
                    _ => Reason::HostRefused,
                };
                (reason, reply_code(reply).into())
            }
            ErrorKind::Auth(AuthFault::Refused { reply, .. }) => (Reason::AuthFailed, reply_code(reply).into()),
            ErrorKind::Auth(AuthFault::NotOffered) => (Reason::AuthFailed, AuthCode::NotOffered.into()),
            ErrorKind::Auth(AuthFault::NoMechanism(_)) => (Reason::AuthFailed, AuthCode::NoMechanism.into()),
            ErrorKind::Auth(AuthFault::Exchange(_)) => (Reason::AuthFailed, AuthCode::BrokenOff.into()),
            ErrorKind::Tls(fault) => (Reason::TlsFailed, fault.code()),
            ErrorKind::Protocol(_) => (Reason::HostRefused, OwnCode::Protocol.into()),
            ErrorKind::TimedOut(_) => (Reason::ConnectionFailed, Errno::TIMED_OUT.into()),
            ErrorKind::Closed => (Reason::ConnectionFailed, OwnCode::Closed.into()),
            ErrorKind::Io(error) | ErrorKind::Body(error) => (Reason::ConnectionFailed, io_code(error)),
        };
        let text = match kind {
            ErrorKind::Reply(reply) => reply.to_string(),
            ErrorKind::Tls(fault) => fault.to_string(),
            _ => error.to_string(),
        };
        let mut error = last_error(code, stage(at_stage), peer, now, &text);
        if let ErrorKind::Tls(fault) = kind {
            error.number = fault.number();
        }
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
    pub(super) fn problem(&self, run: Run) -> String {
        shortened(&format!("{}, {run}, next at {:.0}: {}", self.error.place(), run.till, self.error.text), TEXT_LENGTH)
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

fn last_error(code: impl Into<Code>, stage: Stage, peer: Option<&str>, at: Timestamp, text: &str) -> LastError {
    LastError::new(code.into(), stage, peer.map(str::to_owned), at, shortened(text, TEXT_LENGTH))
}

/// A reply that put a single message off.
pub(super) fn refusal(reply: &Reply, at_stage: client::Stage, peer: &str, now: Timestamp) -> LastError {
    last_error(reply_code(reply), stage(at_stage), Some(peer), now, &reply.to_string())
}

fn reply_code(reply: &Reply) -> ReplyCode {
    ReplyCode::new(reply.code(), reply.enhanced_code().map(|code| (code.subject, code.detail)))
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
            (System::CONNREFUSED, Scope::Address),
            (System::TIMEDOUT, Scope::Address),
            (System::HOSTUNREACH, Scope::Address),
            (System::MFILE, Scope::Everything),
            (System::NETDOWN, Scope::Everything),
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

    #[test]
    fn the_problem_has_its_facts_first_and_is_explained() {
        let at = |seconds: i64| Timestamp::from_second(1_764_140_400 + seconds).unwrap();
        let refused = ConnectError::Io { peer: ([192, 0, 2, 1], 25).into(), source: io::Error::from_raw_os_error(111) };
        let fault = Fault::connect(&refused, "192.0.2.1:25", at(600));
        let problem = |failures| fault.problem(Run { failures, since: at(0), till: at(1_200) });
        assert_eq!(
            problem(3),
            "ECONNREFUSED at Connect with 192.0.2.1:25, 3 attempts since 2025-11-26T07:00:00Z, next at 2025-11-26T07:20:00Z: \
             connect to 192.0.2.1:25: Connection refused (os error 111)"
        );
        assert!(problem(1).contains(", 1 attempt since 2025-11-26T07:00:00Z, next at "), "{}", problem(1));
        let topics = mailsluice_crds::catalogue::topics(&[problem(3)]);
        assert_eq!(topics, Ok(vec![mailsluice_crds::catalogue::Topic::Code(Errno::new(111).into())]));

        let said = Reply::enhanced(451, (7, 1), "x".repeat(900));
        let error = ClientError { stage: client::Stage::Banner, kind: ErrorKind::Reply(said), fate: Fate::NotAccepted };
        let fault = Fault::client(&error, Some("[2001:db8:1234:5678:9abc:def0:1234:5678]:65535"), at(0));
        let problem = fault.problem(Run { failures: u32::MAX, since: at(0), till: at(1) });
        assert_eq!(problem.chars().count(), TEXT_LENGTH);
        assert!(problem.contains("next at 2025-11-26T07:00:01Z: 451 4.7.1 xxx"), "{problem}");
    }

    #[test]
    fn a_code_keeps_the_number_of_what_it_names() {
        let of = |stage, kind| {
            let fault =
                Fault::client(&ClientError { stage, kind, fate: Fate::NotAccepted }, None, Timestamp::UNIX_EPOCH);
            (fault.error.code.to_string(), fault.error.number)
        };
        use client::Stage::{Body, StartTls};
        let alert = rustls::AlertDescription::UnknownCA;
        for (stage, kind, code, number) in [
            (Body, ErrorKind::Io(io::Error::from_raw_os_error(32)), "EPIPE", Some(32)),
            (Body, ErrorKind::Io(io::Error::other("no number")), "BROKEN", None),
            (Body, ErrorKind::TimedOut(std::time::Duration::from_secs(1)), "ETIMEDOUT", Some(110)),
            (Body, ErrorKind::Reply(Reply::new(421, "no")), "421", Some(421)),
            (StartTls, ErrorKind::Reply(Reply::enhanced(454, (7, 0), "no")), "454 4.7.0", Some(454)),
            (StartTls, ErrorKind::Tls(TlsFault::Alert(alert)), "TLS_ALERT 48", Some(48)),
            (StartTls, ErrorKind::Tls(TlsFault::Io(io::Error::from_raw_os_error(104))), "TLS_BROKEN", Some(104)),
        ] {
            assert_eq!(of(stage, kind), (code.to_owned(), number));
        }
    }
}
