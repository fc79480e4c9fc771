//! The parameters of delivery status notifications (RFC 3461).

use std::borrow::Cow;
use std::fmt;

use super::xtext;

/// How much of a message that failed is returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Return {
    /// RET=FULL: all of it.
    Full,
    /// RET=HDRS: its header.
    Headers,
}

impl Return {
    /// The value as RET has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Headers => "HDRS",
        }
    }
}

/// On which occasions the sender wants a report about a recipient. NEVER is none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Notify(u8);

impl Notify {
    /// NOTIFY=NEVER.
    pub const NEVER: Self = Self(0);
    /// NOTIFY=SUCCESS: when the message is delivered, or handed to a host that does not know this extension.
    pub const SUCCESS: Self = Self(1);
    /// NOTIFY=FAILURE: when the recipient is given up.
    pub const FAILURE: Self = Self(2);
    /// NOTIFY=DELAY: when delivery is late.
    pub const DELAY: Self = Self(4);
    const ALL: u8 = 7;

    /// The occasions of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other`'s occasions are among these.
    #[must_use]
    pub const fn includes(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The occasions as bits: 1 SUCCESS, 2 FAILURE, 4 DELAY.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Reads what [`Notify::bits`] gives.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        if bits & !Self::ALL == 0 { Some(Self(bits)) } else { None }
    }
}

impl fmt::Display for Notify {
    /// The value as NOTIFY has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NEVER {
            return f.write_str("NEVER");
        }
        let names = [(Self::SUCCESS, "SUCCESS"), (Self::FAILURE, "FAILURE"), (Self::DELAY, "DELAY")];
        let mut first = true;
        for (_, name) in names.into_iter().filter(|(one, _)| self.includes(*one)) {
            f.write_str(if first { "" } else { "," })?;
            f.write_str(name)?;
            first = false;
        }
        Ok(())
    }
}

/// A recipient as the message's author named it: `rfc822;user@example.com`, kept as it was given.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OriginalRecipient(Box<str>);

impl OriginalRecipient {
    /// Reads `type;address`: the address in xtext, or, for the type `utf-8`, as RFC 6533 section 3 writes it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        /// Octets of the parameter's value (RFC 3461 section 4.2).
        const MAX: usize = 500;
        let (kind, address) = text.split_once(';')?;
        let kind_ok = !kind.is_empty() && kind.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
        let address_ok = if kind.eq_ignore_ascii_case("utf-8") {
            !address.is_empty() && !address.contains(|c: char| c.is_ascii_control() || matches!(c, ' ' | '+' | '='))
        } else {
            !address.is_empty() && xtext::is_xtext(address)
        };
        (text.len() <= MAX && kind_ok && address_ok).then(|| Self(text.into()))
    }

    /// The value as ORCPT has it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As a report writes it (RFC 3464 section 2.3.1): `type;address`, the address in plain text.
    #[must_use]
    pub fn decoded(&self) -> Cow<'_, str> {
        match self.0.split_once(';') {
            Some((kind, address)) if !kind.eq_ignore_ascii_case("utf-8") => match xtext::decode(address) {
                Some(Cow::Owned(plain)) => Cow::Owned(format!("{kind};{plain}")),
                _ => Cow::Borrowed(&self.0),
            },
            _ => Cow::Borrowed(&self.0),
        }
    }
}
