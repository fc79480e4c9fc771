//! Addresses as the envelope has them: RFC 5321 section 4.1.2, with the limits of 4.5.3.1.
//!
//! Decisions where the RFC, practice and Postfix differ:
//! - A domain is kept in lower case; a local part is kept exactly, quotes and case included (section 2.4).
//! - One trailing dot on a domain is dropped, as Postfix does, so that `example.com.` and `example.com` share one queue.
//! - Underscores are allowed anywhere in a label, as in Postfix: such hosts exist and DNS does not mind.
//! - A domain of one label is allowed: inside a cluster such names are real.
//! - A domain whose last label is all digits is refused: no such top-level domain exists (RFC 3696 section 2), and what was meant
//!   is an address, which is written in brackets.
//! - Source routes (`<@a,@b:user@c>`) are accepted and dropped (section 4.1.1.3).
//! - Address literals are IPv4 and IPv6; any other tag is refused, since no other has ever been registered.
//! - A local part may be UTF-8 (RFC 6531 section 3.3), and is kept as it is. Whether the session allows that is for the command's
//!   reader to say: [`AddressError::NotAscii`].
//! - A domain outside ASCII is kept as its A-labels (RFC 5890), which mean the same: so both spellings share a queue, a route and
//!   a rule, DNS is asked for what it knows, and a host without SMTPUTF8 can have such an address.

use std::borrow::Borrow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

/// Octets of a local part, quotes included (RFC 5321 section 4.5.3.1.1).
pub const LOCAL_PART_MAX: usize = 64;
/// Octets of a domain (RFC 5321 section 4.5.3.1.2).
pub const DOMAIN_MAX: usize = 255;
/// Octets of a path with its angle brackets and source route (RFC 5321 section 4.5.3.1.3).
pub const PATH_MAX: usize = 256;
/// Octets of one label of a domain (RFC 1035 section 2.3.4).
const LABEL_MAX: usize = 63;

/// Why an address was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// An octet above 127, where the transaction is not SMTPUTF8, or one that is not UTF-8.
    #[error("address is not ASCII: say SMTPUTF8 in MAIL")]
    NotAscii,
    /// No `<…>` around the address, or text after it.
    #[error("address is not in angle brackets: write <user@example.com>")]
    Brackets,
    /// More than [`PATH_MAX`] octets with the brackets.
    #[error("address is longer than 256 octets")]
    TooLong,
    /// More than [`LOCAL_PART_MAX`] octets before the `@`.
    #[error("local part is longer than 64 octets")]
    LocalPartTooLong,
    /// The local part is neither a dot-string nor a quoted string.
    #[error("local part is malformed: quote it if it holds special characters")]
    LocalPart,
    /// No `@domain` where one is needed.
    #[error("address has no domain: write user@example.com")]
    NoDomain,
    /// More than [`DOMAIN_MAX`] octets after the `@`.
    #[error("domain is longer than 255 octets")]
    DomainTooLong,
    /// The domain is not a name of labels of letters, digits, hyphens and underscores.
    #[error("domain is malformed")]
    Domain,
    /// What stands in `[…]` is not an IP address.
    #[error("address literal is malformed: write [192.0.2.1] or [IPv6:2001:db8::1]")]
    Literal,
    /// A source route (`@a,@b:`) that is malformed.
    #[error("source route is malformed")]
    SourceRoute,
}

/// What follows the `@`: a lower-case domain name without trailing dot, or an address literal in brackets. The key of a queue.
///
/// A clone shares the text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Domain(Arc<str>);

impl Domain {
    /// Reads a domain name or an address literal.
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let mut canonical = String::with_capacity(text.len());
        push_domain(text, &mut canonical)?;
        Ok(Self(canonical.into()))
    }

    /// The canonical text, such as `example.com` or `[192.0.2.1]`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The IP address, if this is an address literal.
    #[must_use]
    pub fn literal(&self) -> Option<IpAddr> {
        let inner = self.0.strip_prefix('[')?.strip_suffix(']')?;
        parse_literal(inner)
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Domain {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

impl AsRef<str> for Domain {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Domain {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A mailbox: local part, `@`, domain.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mailbox {
    text: Box<str>,
    /// Where the `@` between the two parts stands in `text`; a quoted local part may hold others.
    at: u8,
}

impl Mailbox {
    /// Reads `local@domain`, without angle brackets.
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.len() + "<>".len() > PATH_MAX {
            return Err(AddressError::TooLong);
        }
        let local = local_part(text)?;
        let at = u8::try_from(local.len()).map_err(|_| AddressError::LocalPartTooLong)?;
        let domain = text
            .get(local.len()..)
            .and_then(|rest| rest.strip_prefix('@'))
            .filter(|domain| !domain.is_empty())
            .ok_or(AddressError::NoDomain)?;
        let mut canonical = String::with_capacity(text.len());
        canonical.push_str(local);
        canonical.push('@');
        push_domain(domain, &mut canonical)?;
        // A-labels are longer than what they stand for; what is kept has to be an address when it is read again.
        if canonical.len() + "<>".len() > PATH_MAX {
            return Err(AddressError::TooLong);
        }
        Ok(Self { text: canonical.into_boxed_str(), at })
    }

    /// The whole address, without angle brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands before the `@`, exactly as it was given, quotes included.
    #[must_use]
    pub fn local_part(&self) -> &str {
        self.text.get(..usize::from(self.at)).unwrap_or_default()
    }

    /// What follows the `@`: the text of its [`Domain`].
    #[must_use]
    pub fn domain(&self) -> &str {
        self.text.get(usize::from(self.at) + 1..).unwrap_or_default()
    }

    /// Whether the local part needs SMTPUTF8; the domain never does.
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.text.is_ascii()
    }

    /// The domain as a value of its own; allocates.
    #[must_use]
    pub fn to_domain(&self) -> Domain {
        Domain(self.domain().into())
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mailbox({})", self.text)
    }
}

impl FromStr for Mailbox {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

/// Where a message came from and where its bounces go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`: a message that must never be bounced.
    Null,
    /// A sender.
    Mailbox(Mailbox),
}

impl ReversePath {
    /// The text without angle brackets, empty for the null path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Null => "",
            Self::Mailbox(mailbox) => mailbox.as_str(),
        }
    }

    /// The mailbox, unless the path is null.
    #[must_use]
    pub fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            Self::Null => None,
            Self::Mailbox(mailbox) => Some(mailbox),
        }
    }
}

impl FromStr for ReversePath {
    type Err = AddressError;
    /// Reads what [`ReversePath::as_str`] gives; a source route is dropped.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Ok(Self::Null);
        }
        Mailbox::parse(without_route(text)?).map(Self::Mailbox)
    }
}

impl fmt::Display for ReversePath {
    /// With angle brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.as_str())
    }
}

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ForwardPath {
    /// `<postmaster>` without a domain, in any case: the one that every server must know (RFC 5321 section 4.5.1).
    Postmaster,
    /// A recipient.
    Mailbox(Mailbox),
}

impl ForwardPath {
    /// The text without angle brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Postmaster => "postmaster",
            Self::Mailbox(mailbox) => mailbox.as_str(),
        }
    }

    /// The mailbox, unless this is the bare postmaster.
    #[must_use]
    pub fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            Self::Postmaster => None,
            Self::Mailbox(mailbox) => Some(mailbox),
        }
    }

    /// The domain's text, unless this is the bare postmaster.
    #[must_use]
    pub fn domain(&self) -> Option<&str> {
        self.mailbox().map(Mailbox::domain)
    }
}

impl FromStr for ForwardPath {
    type Err = AddressError;
    /// Reads what [`ForwardPath::as_str`] gives; a source route is dropped.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.eq_ignore_ascii_case("postmaster") {
            return Ok(Self::Postmaster);
        }
        Mailbox::parse(without_route(text)?).map(Self::Mailbox)
    }
}

impl fmt::Display for ForwardPath {
    /// With angle brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.as_str())
    }
}

/// Splits `<path> rest` into the path's inside and the rest; a `>` within a quoted local part does not close it.
///
/// # Errors
/// [`AddressError::Brackets`], [`AddressError::TooLong`] or [`AddressError::NotAscii`]; what is inside is not looked at.
pub(super) fn split_path(input: &[u8]) -> Result<(&str, &[u8]), AddressError> {
    let after = input.strip_prefix(b"<").ok_or(AddressError::Brackets)?;
    let mut quoted = false;
    let mut escaped = false;
    let end = after
        .iter()
        .position(|&octet| match octet {
            _ if escaped => {
                escaped = false;
                false
            }
            b'\\' if quoted => {
                escaped = true;
                false
            }
            b'"' => {
                quoted = !quoted;
                false
            }
            b'>' => !quoted,
            _ => false,
        })
        .ok_or(AddressError::Brackets)?;
    let (path, rest) = after.split_at_checked(end).ok_or(AddressError::Brackets)?;
    let rest = rest.strip_prefix(b">").ok_or(AddressError::Brackets)?;
    if path.len() + "<>".len() > PATH_MAX {
        return Err(AddressError::TooLong);
    }
    let path = std::str::from_utf8(path).map_err(|_| AddressError::NotAscii)?;
    Ok((path, rest))
}

/// Drops a source route (`@a,@b:`), having checked that its domains are domains.
fn without_route(path: &str) -> Result<&str, AddressError> {
    if !path.starts_with('@') {
        return Ok(path);
    }
    // An IPv6 literal cannot stand in a route (RFC 5321 section 4.1.2, At-domain), so the first colon ends it.
    let (route, mailbox) = path.split_once(':').ok_or(AddressError::SourceRoute)?;
    for hop in route.split(',') {
        let domain = hop.strip_prefix('@').ok_or(AddressError::SourceRoute)?;
        push_domain(domain, &mut String::new()).map_err(|_| AddressError::SourceRoute)?;
    }
    Ok(mailbox)
}

/// The local part at the start of `text`: up to, not including, its `@`.
fn local_part(text: &str) -> Result<&str, AddressError> {
    let length =
        if text.starts_with('"') { quoted_length(text.as_bytes())? } else { dot_string_length(text.as_bytes())? };
    if length > LOCAL_PART_MAX {
        return Err(AddressError::LocalPartTooLong);
    }
    let local = text.get(..length).ok_or(AddressError::LocalPart)?;
    // The control characters beyond ASCII belong into an address as little as those within it.
    if !local.is_ascii() && local.contains(char::is_control) {
        return Err(AddressError::LocalPart);
    }
    Ok(local)
}

/// The octets of a quoted string at the start of `text`, both quotes included.
fn quoted_length(text: &[u8]) -> Result<usize, AddressError> {
    let mut escaped = false;
    for (index, &octet) in text.iter().enumerate().skip(1) {
        match octet {
            0..b' ' | 127 => return Err(AddressError::LocalPart),
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Ok(index + 1),
            _ => {}
        }
    }
    Err(AddressError::LocalPart)
}

/// The octets of a dot-string at the start of `text`.
fn dot_string_length(text: &[u8]) -> Result<usize, AddressError> {
    let length = text.iter().position(|&octet| octet == b'@').unwrap_or(text.len());
    let local = text.get(..length).unwrap_or_default();
    if local.split(|&octet| octet == b'.').all(|atom| !atom.is_empty() && atom.iter().copied().all(is_atext)) {
        Ok(length)
    } else {
        Err(AddressError::LocalPart)
    }
}

/// `atext` of RFC 5322 section 3.2.3, with the UTF-8 of RFC 6531 section 3.3.
fn is_atext(octet: u8) -> bool {
    octet >= 0x80 || octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet)
}

/// Checks a domain or an address literal and appends its canonical form.
fn push_domain(text: &str, canonical: &mut String) -> Result<(), AddressError> {
    if !text.is_ascii() {
        let labels = idna::domain_to_ascii(text).map_err(|_| AddressError::Domain)?;
        // What has become of it is checked like any other name.
        return if labels.is_ascii() { push_domain(&labels, canonical) } else { Err(AddressError::Domain) };
    }
    if text.len() > DOMAIN_MAX {
        return Err(AddressError::DomainTooLong);
    }
    if let Some(rest) = text.strip_prefix('[') {
        let address = rest.strip_suffix(']').and_then(parse_literal).ok_or(AddressError::Literal)?;
        match address {
            IpAddr::V4(address) => canonical.push_str(&format!("[{address}]")),
            IpAddr::V6(address) => canonical.push_str(&format!("[IPv6:{address}]")),
        }
        return Ok(());
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let mut last = "";
    for label in name.split('.') {
        let plain = !label.is_empty()
            && label.len() <= LABEL_MAX
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_');
        if !plain {
            return Err(AddressError::Domain);
        }
        last = label;
    }
    if last.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(AddressError::Domain);
    }
    let start = canonical.len();
    canonical.push_str(name);
    if let Some(added) = canonical.get_mut(start..) {
        added.make_ascii_lowercase();
    }
    Ok(())
}

/// The inside of an address literal: `192.0.2.1` or `IPv6:2001:db8::1` (RFC 5321 section 4.1.3).
fn parse_literal(inner: &str) -> Option<IpAddr> {
    const TAG: &str = "IPv6:";
    match inner.split_at_checked(TAG.len()) {
        Some((tag, address)) if tag.eq_ignore_ascii_case(TAG) => address.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => inner.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

#[cfg(test)]
mod tests;
