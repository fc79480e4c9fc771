//! What an action is about: a host, a message, or all mail.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What an action is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// All mail.
    All,
    /// All mail for a host.
    Host(HostName),
    /// A message, at all its hosts.
    Message(MessageId),
}

/// As it is typed: 16 hexadecimal digits are a message's id, and everything else is a host.
impl FromStr for Target {
    type Err = NotAHost;

    fn from_str(text: &str) -> Result<Target, NotAHost> {
        match text.parse() {
            Ok(id) => Ok(Target::Message(id)),
            Err(NotAMessageId(_)) => Ok(Target::Host(text.parse()?)),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::All => f.write_str("all mail"),
            Target::Host(host) => host.fmt(f),
            Target::Message(id) => id.fmt(f),
        }
    }
}

/// A host as the Monitor names it: a recipient domain, or a smarthost; in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostName(String);

/// The text names no host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no host: write it as the Monitor does, such as example.com")]
pub struct NotAHost(String);

impl HostName {
    /// Octets of a name with a port at most.
    const MOST: usize = 300;

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = NotAHost;

    fn from_str(text: &str) -> Result<HostName, NotAHost> {
        let bad = |c: char| c.is_control() || c.is_whitespace();
        if text.is_empty() || text.len() > Self::MOST || text.chars().any(bad) {
            return Err(NotAHost(text.chars().take(Self::MOST).collect()));
        }
        Ok(HostName(text.to_lowercase()))
    }
}

impl TryFrom<String> for HostName {
    type Error = NotAHost;

    fn try_from(text: String) -> Result<HostName, NotAHost> {
        text.parse()
    }
}

impl From<HostName> for String {
    fn from(host: HostName) -> String {
        host.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A message's id, as the log and the spool write it: 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MessageId(u64);

/// The text is no message's id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no message id: write its 16 hexadecimal digits, as in 00064A7B0C1D2E3F")]
pub struct NotAMessageId(String);

impl MessageId {
    /// The id with this number.
    #[must_use]
    pub const fn from_u64(number: u64) -> MessageId {
        MessageId(number)
    }

    /// The number behind it.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl FromStr for MessageId {
    type Err = NotAMessageId;

    fn from_str(text: &str) -> Result<MessageId, NotAMessageId> {
        let digits = text.len() == 16 && text.bytes().all(|octet| octet.is_ascii_hexdigit());
        match u64::from_str_radix(text, 16) {
            Ok(number) if digits => Ok(MessageId(number)),
            _ => Err(NotAMessageId(text.to_owned())),
        }
    }
}

impl TryFrom<String> for MessageId {
    type Error = NotAMessageId;

    fn try_from(text: String) -> Result<MessageId, NotAMessageId> {
        text.parse()
    }
}

impl From<MessageId> for String {
    fn from(id: MessageId) -> String {
        id.to_string()
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_hexadecimal_digits_are_a_message_and_all_else_is_a_host() {
        for (text, json, shown) in [
            ("00064a7b0c1d2e3f", r#"{"message":"00064A7B0C1D2E3F"}"#, "00064A7B0C1D2E3F"),
            ("Example.COM", r#"{"host":"example.com"}"#, "example.com"),
            ("192.0.2.1:25", r#"{"host":"192.0.2.1:25"}"#, "192.0.2.1:25"),
            ("00064a7b0c1d2e3", r#"{"host":"00064a7b0c1d2e3"}"#, "00064a7b0c1d2e3"),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!((serde_json::to_string(&target).unwrap().as_str(), target.to_string().as_str()), (json, shown));
            assert_eq!(serde_json::from_str::<Target>(json).unwrap(), target);
        }
        for bad in ["", "a b", "a\u{1b}[2J", &"x".repeat(301)] {
            assert!(bad.parse::<Target>().is_err(), "{bad:?}");
        }
    }
}
