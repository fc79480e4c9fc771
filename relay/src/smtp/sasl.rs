//! SASL's messages, as values: what stands in them, and what does not belong there (RFC 4422). No I/O, no state.
//!
//! They are our own. `rsasl` 2.3 is kept up and under a licence that would do, but it asks for passwords and keys in callbacks that
//! may not wait, and hashing a password takes tens of milliseconds on a thread of its own; it cannot make an unknown user cost
//! what a known one does; and what it saves are the few dozen lines of these modules.

mod bearer;
mod exchange;
mod plain;
pub mod scram;

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};

pub use bearer::{is_token, oauth_bearer, refusal as bearer_refusal, xoauth2};
pub use exchange::{Credentials, Exchange, ExchangeFault, Secret, Terms};
pub use plain::{Plain, plain};

/// A way to show who one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// SCRAM-SHA-256-PLUS: SCRAM-SHA-256, bound to the TLS connection that it happens on.
    ScramSha256Plus,
    /// SCRAM-SHA-256 (RFC 7677): neither side shows the password to the other.
    ScramSha256,
    /// OAUTHBEARER (RFC 7628): a token.
    OAuthBearer,
    /// XOAUTH2: the same as it was before it had an RFC, which is what most libraries know.
    XOAuth2,
    /// PLAIN (RFC 4616): name and password.
    Plain,
    /// LOGIN: the same in two steps, which some devices know alone.
    Login,
}

impl Mechanism {
    /// All, the best first: many clients take the first that they know.
    pub const ALL: [Mechanism; 6] = [
        Mechanism::ScramSha256Plus,
        Mechanism::ScramSha256,
        Mechanism::OAuthBearer,
        Mechanism::XOAuth2,
        Mechanism::Plain,
        Mechanism::Login,
    ];

    /// Its name, as it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::OAuthBearer => "OAUTHBEARER",
            Mechanism::XOAuth2 => "XOAUTH2",
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
        }
    }

    /// Reads its name, in any case.
    #[must_use]
    pub fn read(name: &[u8]) -> Option<Mechanism> {
        Mechanism::ALL.into_iter().find(|mechanism| mechanism.name().as_bytes().eq_ignore_ascii_case(name))
    }
}

/// Some of the mechanisms: those that a host offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mechanisms(u8);

impl Mechanisms {
    /// Adds one.
    pub fn insert(&mut self, mechanism: Mechanism) {
        self.0 |= Mechanisms::bit(mechanism);
    }

    /// Whether one is among them.
    #[must_use]
    pub fn contain(self, mechanism: Mechanism) -> bool {
        self.0 & Mechanisms::bit(mechanism) != 0
    }

    fn bit(mechanism: Mechanism) -> u8 {
        1 << (mechanism as u8)
    }
}

impl FromIterator<Mechanism> for Mechanisms {
    fn from_iter<T: IntoIterator<Item = Mechanism>>(all: T) -> Mechanisms {
        let mut some = Mechanisms::default();
        all.into_iter().for_each(|mechanism| some.insert(mechanism));
        some
    }
}

/// Octets that nobody may see: they hold a password or a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Opaque(pub Vec<u8>);

impl fmt::Debug for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opaque(…)")
    }
}

/// Reads base64 as RFC 4648 section 4 has it, padding and all; None where it is not that.
#[must_use]
pub fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(text).ok()
}

/// Writes base64.
#[must_use]
pub fn to_base64(octets: &[u8]) -> String {
    BASE64_STANDARD.encode(octets)
}

/// A text of a message: UTF-8 without control characters, not empty.
fn text(octets: &[u8]) -> Option<&str> {
    std::str::from_utf8(octets).ok().filter(|text| !text.is_empty() && !text.contains(char::is_control))
}
