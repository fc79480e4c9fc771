//! The parameters of MAIL and RCPT.
//!
//! Decisions:
//! - Each keyword may stand once; a second one gets 501, for nobody knows which was meant.
//! - ENVID and ORCPT have to be xtext, and no longer than RFC 3461 allows (100 and 500 octets): what is not could not be told in a report.

use super::CommandError;
use crate::smtp::{
    address::Mailbox,
    envelope::BodyType,
    extensions::{Extensions, Notify, OriginalRecipient, RecipientExtensions, Return, TimeParameters, xtext},
};

/// Octets of ENVID's value (RFC 3461 section 4.4).
const ENVID_MAX: usize = 100;

/// What MAIL may carry beside the address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MailParameters {
    /// SIZE: octets that the message will have, as the client believes (RFC 1870). A number beyond `u64` becomes its maximum.
    pub size: Option<u64>,
    /// BODY (RFC 6152, RFC 3030).
    pub body: BodyType,
    /// What it says of the message's time; None for nearly all.
    pub time: Option<Box<TimeParameters>>,
    /// All others.
    pub extensions: Option<Box<Extensions>>,
}

/// Reads the parameters of MAIL.
pub(super) fn mail<'a>(words: impl Iterator<Item = &'a [u8]>) -> Result<MailParameters, CommandError> {
    let mut parameters = MailParameters::default();
    let mut extensions = Extensions::default();
    let mut time = TimeParameters::default();
    let (mut size_seen, mut body_seen, mut ret_seen, mut envid_seen, mut auth_seen) =
        (false, false, false, false, false);
    for word in words {
        let (keyword, value) = keyword_and_value(word, false)?;
        let is = |name: &[u8]| keyword.eq_ignore_ascii_case(name);
        if is(b"SIZE") {
            once(&mut size_seen)?;
            parameters.size = Some(size(value)?);
        } else if is(b"BODY") {
            once(&mut body_seen)?;
            parameters.body = body(value)?;
        } else if is(b"SMTPUTF8") {
            flag(&mut extensions.smtp_utf8, value)?;
        } else if is(b"REQUIRETLS") {
            flag(&mut extensions.require_tls, value)?;
        } else if is(b"RET") {
            once(&mut ret_seen)?;
            extensions.ret = Some(ret(value)?);
        } else if is(b"ENVID") {
            once(&mut envid_seen)?;
            extensions.envid = Some(envid(value)?);
        } else if is(b"AUTH") {
            once(&mut auth_seen)?;
            extensions.auth = Some(auth(value)?);
        } else if !time.read(keyword, value).map_err(|_| CommandError::ParameterSyntax)? {
            return Err(CommandError::ParameterUnknown);
        }
    }
    parameters.time = time.boxed();
    parameters.extensions = extensions.boxed();
    Ok(parameters)
}

/// Reads the parameters of RCPT; their values may be UTF-8 where the transaction is SMTPUTF8 (RFC 6531 section 3.3).
pub(super) fn rcpt<'a>(
    words: impl Iterator<Item = &'a [u8]>,
    smtp_utf8: bool,
) -> Result<Option<Box<RecipientExtensions>>, CommandError> {
    let mut extensions = RecipientExtensions::default();
    let (mut notify_seen, mut original_seen) = (false, false);
    for word in words {
        let (keyword, value) = keyword_and_value(word, smtp_utf8)?;
        let is = |name: &[u8]| keyword.eq_ignore_ascii_case(name);
        if is(b"NOTIFY") {
            once(&mut notify_seen)?;
            extensions.notify = Some(notify(value)?);
        } else if is(b"ORCPT") {
            once(&mut original_seen)?;
            let original = OriginalRecipient::parse(text(value)?);
            extensions.original = Some(original.ok_or(CommandError::ParameterSyntax)?);
        } else {
            return Err(CommandError::ParameterUnknown);
        }
    }
    Ok(extensions.boxed())
}

/// Splits `keyword=value` or `keyword` after the grammar of `esmtp-param` (RFC 5321 section 4.1.2).
fn keyword_and_value(parameter: &[u8], utf8: bool) -> Result<(&[u8], Option<&[u8]>), CommandError> {
    let mut halves = parameter.splitn(2, |&octet| octet == b'=');
    let keyword = halves.next().unwrap_or_default();
    let value = halves.next();
    let keyword_ok = keyword.first().is_some_and(u8::is_ascii_alphanumeric)
        && keyword.iter().all(|&octet| octet.is_ascii_alphanumeric() || octet == b'-');
    let value_ok = value.is_none_or(|value| {
        !value.is_empty()
            && value.iter().all(|&octet| matches!(octet, b'!'..=b'<' | b'>'..=b'~') || (utf8 && octet >= 0x80))
    });
    if keyword_ok && value_ok { Ok((keyword, value)) } else { Err(CommandError::ParameterSyntax) }
}

fn once(seen: &mut bool) -> Result<(), CommandError> {
    if std::mem::replace(seen, true) { Err(CommandError::ParameterSyntax) } else { Ok(()) }
}

/// A parameter that has no value.
fn flag(seen: &mut bool, value: Option<&[u8]>) -> Result<(), CommandError> {
    once(seen)?;
    if value.is_some() { Err(CommandError::ParameterSyntax) } else { Ok(()) }
}

/// A value in ASCII, or in UTF-8.
fn text(value: Option<&[u8]>) -> Result<&str, CommandError> {
    let value = value.ok_or(CommandError::ParameterSyntax)?;
    std::str::from_utf8(value).map_err(|_| CommandError::ParameterSyntax)
}

/// The value of RET (RFC 3461 section 4.3).
fn ret(value: Option<&[u8]>) -> Result<Return, CommandError> {
    match text(value)? {
        value if value.eq_ignore_ascii_case("FULL") => Ok(Return::Full),
        value if value.eq_ignore_ascii_case("HDRS") => Ok(Return::Headers),
        _ => Err(CommandError::ParameterSyntax),
    }
}

/// The value of ENVID (RFC 3461 section 4.4).
fn envid(value: Option<&[u8]>) -> Result<Box<str>, CommandError> {
    let value = text(value)?;
    let sound = value.len() <= ENVID_MAX && xtext::decode(value).is_some();
    if sound { Ok(value.into()) } else { Err(CommandError::ParameterSyntax) }
}

/// The value of AUTH: `<>`, or a mailbox in xtext (RFC 4954 section 5).
fn auth(value: Option<&[u8]>) -> Result<Box<str>, CommandError> {
    let value = text(value)?;
    let is_mailbox = || Mailbox::parse(&xtext::decode(value)?).ok();
    if value == "<>" || is_mailbox().is_some() { Ok(value.into()) } else { Err(CommandError::ParameterSyntax) }
}

/// The value of NOTIFY: NEVER alone, or a list of occasions (RFC 3461 section 4.1).
fn notify(value: Option<&[u8]>) -> Result<Notify, CommandError> {
    let value = text(value)?;
    if value.eq_ignore_ascii_case("NEVER") {
        return Ok(Notify::NEVER);
    }
    value.split(',').try_fold(Notify::NEVER, |all, word| {
        let one = [("SUCCESS", Notify::SUCCESS), ("FAILURE", Notify::FAILURE), ("DELAY", Notify::DELAY)]
            .into_iter()
            .find(|(name, _)| word.eq_ignore_ascii_case(name));
        one.map(|(_, occasion)| all.and(occasion)).ok_or(CommandError::ParameterSyntax)
    })
}

/// The value of SIZE: 1 to 20 digits (RFC 1870 section 3).
fn size(value: Option<&[u8]>) -> Result<u64, CommandError> {
    let digits = value.unwrap_or_default();
    if !(1..=20).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return Err(CommandError::ParameterSyntax);
    }
    Ok(digits.iter().fold(0u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))))
}

/// The value of BODY (RFC 6152 section 3, RFC 3030 section 3).
fn body(value: Option<&[u8]>) -> Result<BodyType, CommandError> {
    match value {
        Some(value) if value.eq_ignore_ascii_case(b"7BIT") => Ok(BodyType::SevenBit),
        Some(value) if value.eq_ignore_ascii_case(b"8BITMIME") => Ok(BodyType::EightBitMime),
        Some(value) if value.eq_ignore_ascii_case(b"BINARYMIME") => Ok(BodyType::BinaryMime),
        Some(_) => Err(CommandError::ParameterUnknown),
        None => Err(CommandError::ParameterSyntax),
    }
}
