//! The code of an error: what the Monitor, the log and the status name it by.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Alert, AuthCode, Entry, Errno, OwnCode, ReplyCode, RouteCode, TlsCode, entry};

/// The longest code, in characters.
pub const LENGTH: usize = 32;

/// The code of an error.
///
/// In JSON it is a text: `ECONNREFUSED`, `NXDOMAIN`, `CERT_EXPIRED`, `TLS_ALERT 40`, `451 4.7.1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// The operating system's.
    System(Errno),
    /// Of the DNS and the routes.
    Route(RouteCode),
    /// A fault of TLS.
    Tls(TlsCode),
    /// The host's alert.
    Alert(Alert),
    /// Of logging in.
    Auth(AuthCode),
    /// The host's reply.
    Reply(ReplyCode),
    /// Mailsluice's own.
    Own(OwnCode),
    /// One that only another version knows.
    Foreign(Foreign),
}

/// A code that was read and is not known here, as when operator and relay are of different versions. Nothing else makes one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Foreign(Box<str>);

impl Code {
    /// The code as it is shown, at most [`LENGTH`] characters.
    #[must_use]
    pub fn name(&self) -> Cow<'static, str> {
        match self {
            Code::System(errno) => errno.name().map_or_else(|| errno.to_string().into(), Into::into),
            Code::Route(code) => code.name().into(),
            Code::Tls(code) => code.name().into(),
            Code::Auth(code) => code.name().into(),
            Code::Own(code) => code.name().into(),
            Code::Alert(alert) => alert.to_string().into(),
            Code::Reply(reply) => reply.to_string().into(),
            Code::Foreign(Foreign(name)) => name.to_string().into(),
        }
    }

    /// The code's own number where it has one: the errno, the alert's, or the reply's.
    #[must_use]
    pub fn number(&self) -> Option<i32> {
        match self {
            Code::System(errno) => Some(errno.number()),
            Code::Alert(alert) => Some(i32::from(alert.number())),
            Code::Reply(reply) => Some(i32::from(reply.code())),
            Code::Route(_) | Code::Tls(_) | Code::Auth(_) | Code::Own(_) | Code::Foreign(_) => None,
        }
    }

    /// What the catalogue says of it; of a reply with an enhanced code, what it says of that.
    #[must_use]
    pub fn entry(&self) -> Entry {
        match self {
            Code::System(errno) => errno.entry(),
            Code::Route(code) => code.entry(),
            Code::Tls(code) => code.entry(),
            Code::Auth(code) => code.entry(),
            Code::Alert(alert) => alert.entry(),
            Code::Own(code) => code.entry(),
            Code::Reply(reply) => reply.enhanced().map_or_else(|| reply.entry(), super::Enhanced::entry),
            Code::Foreign(_) => FOREIGN,
        }
    }

    /// The code of this name; none where the catalogue has no such name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Code> {
        let closed = || RouteCode::from_name(name).map(Code::Route).or_else(|| TlsCode::from_name(name).map(Code::Tls));
        let open = || Alert::from_name(name).map(Code::Alert).or_else(|| ReplyCode::from_name(name).map(Code::Reply));
        Errno::from_name(name)
            .map(Code::System)
            .or_else(closed)
            .or_else(|| AuthCode::from_name(name).map(Code::Auth))
            .or_else(|| OwnCode::from_name(name).map(Code::Own))
            .or_else(open)
    }

    /// All that have an entry of their own. Of replies and enhanced codes it has those without the other.
    pub fn all() -> impl Iterator<Item = Code> {
        let system = Errno::all().map(Code::System);
        let route = RouteCode::ALL.into_iter().map(Code::Route);
        let tls = TlsCode::ALL.into_iter().map(Code::Tls);
        let alerts = Alert::all().map(Code::Alert);
        let auth = AuthCode::ALL.into_iter().map(Code::Auth);
        let replies = ReplyCode::all().map(Code::Reply);
        let own = OwnCode::ALL.into_iter().map(Code::Own);
        system.chain(route).chain(tls).chain(alerts).chain(auth).chain(replies).chain(own)
    }
}

/// For codes of another version.
const FOREIGN: Entry = entry(
    "Only another version of Mailsluice knows this code.",
    "Operator, relay and tool are of different versions, as while an upgrade is under way.",
    "Ask the relay's own program: `mailsluice-relay explain`.",
);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Code, D::Error> {
        let name = String::deserialize(deserializer)?;
        Ok(Code::from_name(&name).unwrap_or_else(|| {
            let cut: String = name.chars().take(LENGTH).collect();
            Code::Foreign(Foreign(cut.into()))
        }))
    }
}

macro_rules! from {
    ($($part:ident => $kind:ident),+) => {
        $(impl From<$part> for Code {
            fn from(code: $part) -> Code {
                Code::$kind(code)
            }
        })+
    };
}

from!(Errno => System, RouteCode => Route, TlsCode => Tls, Alert => Alert, AuthCode => Auth, ReplyCode => Reply, OwnCode => Own);
