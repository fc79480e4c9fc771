//! Commands: one line in, one [`Command`] out, or the reply that refuses it (RFC 5321 sections 4.1.1 and 4.1.2).
//!
//! Decisions where the RFC, practice and Postfix differ:
//! - A line is at most [`COMMAND_LINE_MAX`] octets.
//! - Verbs are read in any case; blanks and tabs at the end of a line are dropped, as Postfix does (section 4.1.1 asks for it).
//! - Blanks after `FROM:` and `TO:` are tolerated as in Postfix: appliances write them, and nothing is ambiguous. An address without
//!   angle brackets is refused: Postfix takes it unless told otherwise, but RFC 5321 never allowed it.
//! - A bare CR or LF, or a NUL, anywhere in the line refuses it. After a bare CR or LF the session is over as well: sender and
//!   receiver disagree on where lines end, so whatever follows may be something else than it seems.
//! - The name that HELO or EHLO gives is not held against the client, however odd it is (section 4.1.4); what could break a
//!   Received line is replaced by `?`, as Postfix does.
//! - A parameter that belongs to no extension offered here gets 555; which ones are, and in what order they are read, is in
//!   [`parameters`].

mod etrn;
mod parameters;

use super::address::{AddressError, ForwardPath, ReversePath, split_path};
use super::extensions::RecipientExtensions;
use super::reply::Reply;
use super::sasl::Opaque;
use super::server::AUTH_LINE_MAX;
use super::xclient::{self, XClient};

pub use etrn::Site;
pub use parameters::MailParameters;

/// Octets of a command line with its CRLF: Postfix's `line_length_limit`.
///
/// RFC 5321 section 4.5.3.1.4 asks for 512; SIZE adds 26 to MAIL and BODY 17. The rest is room for clients that pad and for the
/// parameters of further extensions, the longest of which (AUTH= and ORCPT=) add 500 each.
pub const COMMAND_LINE_MAX: usize = 2048;

/// Octets of a host name that are kept of HELO and EHLO; DNS has none longer.
const HELLO_NAME_MAX: usize = 255;

/// A command, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// HELO with the client's name, safe to put into a Received line.
    Helo(String),
    /// EHLO with the client's name, safe to put into a Received line.
    Ehlo(String),
    /// MAIL FROM.
    Mail(ReversePath, MailParameters),
    /// RCPT TO.
    Rcpt(ForwardPath, Option<Box<RecipientExtensions>>),
    /// DATA.
    Data,
    /// BDAT: a chunk of so many octets follows (RFC 3030).
    Bdat {
        /// Octets of the chunk.
        size: u64,
        /// Whether it is the last of its message.
        last: bool,
    },
    /// RSET.
    Rset,
    /// ETRN: send what waits for a site (RFC 1985).
    Etrn(Site),
    /// NOOP, its argument ignored.
    Noop,
    /// STARTTLS (RFC 3207).
    StartTls,
    /// AUTH with a mechanism's name, and what the client shows at once (RFC 4954).
    Auth {
        /// The name as it was given.
        mechanism: Vec<u8>,
        /// In base64, or `=`.
        initial: Option<Opaque>,
    },
    /// QUIT.
    Quit,
    /// VRFY; whom it asks for is nobody's business.
    Vrfy,
    /// EXPN; not implemented.
    Expn,
    /// HELP, its argument ignored.
    Help,
    /// XCLIENT: who the client is that the peer speaks for.
    XClient(Box<XClient>),
}

/// Why a line was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// More than [`COMMAND_LINE_MAX`] octets.
    #[error("line is longer than 2048 octets")]
    TooLong,
    /// A CR or LF that is not part of a CRLF.
    #[error("bare CR or LF received: lines end in CR LF")]
    BareNewline,
    /// A NUL.
    #[error("NUL received")]
    Nul,
    /// Nothing but blanks.
    #[error("command expected")]
    Empty,
    /// A verb of HTTP, a PROXY header where none is believed, or what is not text at all.
    #[error("this is an SMTP server")]
    NotSmtp,
    /// BDAT whose count cannot be read: what follows are so many octets of a message, and nobody knows how many.
    #[error("syntax: BDAT octets [LAST]")]
    ChunkSize,
    /// A verb that is not known.
    #[error("command not recognized")]
    Unknown,
    /// A command that is written wrongly; the text shows how to write it.
    #[error("syntax: {0}")]
    Syntax(&'static str),
    /// MAIL with an address that breaks a rule.
    #[error("sender {0}")]
    Sender(AddressError),
    /// RCPT with an address that breaks a rule.
    #[error("recipient {0}")]
    Recipient(AddressError),
    /// A parameter that is no `keyword` or `keyword=value`, or stands twice, or has a value that makes no sense.
    #[error("malformed parameter: write KEYWORD=value, each once")]
    ParameterSyntax,
    /// A parameter, or a value of BODY, that no extension offered here defines.
    #[error("unsupported parameter")]
    ParameterUnknown,
}

impl CommandError {
    /// The reply that refuses the line.
    #[must_use]
    pub fn reply(&self) -> Reply {
        match self {
            Self::TooLong => Reply::enhanced(500, (5, 2), "Line too long"),
            Self::BareNewline => {
                Reply::enhanced(521, (5, 2), "Bare CR or LF received; lines must end in CR LF; closing")
            }
            Self::Nul => Reply::enhanced(500, (5, 2), "NUL in command"),
            Self::Empty => Reply::enhanced(500, (5, 2), "Command expected"),
            Self::NotSmtp => Reply::enhanced(521, (5, 1), "This is an SMTP server; closing"),
            Self::ChunkSize => Reply::enhanced(521, (5, 4), "Syntax: BDAT octets [LAST]; closing"),
            Self::Unknown => Reply::enhanced(500, (5, 1), "Command not recognized"),
            Self::Syntax(usage) => Reply::enhanced(501, (5, 4), *usage),
            Self::Sender(error) => address_reply(*error, (1, 7), "Sender"),
            Self::Recipient(error) => address_reply(*error, (1, 3), "Recipient"),
            Self::ParameterSyntax => Reply::enhanced(501, (5, 4), "Malformed parameter"),
            Self::ParameterUnknown => Reply::enhanced(555, (5, 4), "Unsupported parameter"),
        }
    }

    /// Whether the session must end with this error, because nothing that follows can be trusted to be SMTP.
    #[must_use]
    pub fn ends_session(&self) -> bool {
        matches!(self, Self::BareNewline | Self::ChunkSize | Self::NotSmtp)
    }
}

fn address_reply(error: AddressError, detail: (u16, u16), whose: &'static str) -> Reply {
    match error {
        // RFC 6531 section 3.5 gives the code.
        AddressError::NotAscii => Reply::enhanced(553, (6, 7), format!("{whose} {error}")),
        _ => Reply::enhanced(501, detail, format!("{whose} {error}")),
    }
}

/// Reads one command line, given without its CRLF. `smtp_utf8` says whether a recipient outside ASCII may be named: whether the
/// transaction's MAIL said SMTPUTF8 (RFC 6531 section 3.4).
///
/// # Errors
/// Why it is refused; [`CommandError::reply`] says it to the client.
pub fn parse(line: &[u8], smtp_utf8: bool) -> Result<Command, CommandError> {
    if line.len() + "\r\n".len() > line_max(line) {
        return Err(CommandError::TooLong);
    }
    match memchr::memchr3(b'\r', b'\n', 0, line).and_then(|at| line.get(at)) {
        None => {}
        Some(0) => {
            return Err(match memchr::memchr2(b'\r', b'\n', line) {
                Some(_) => CommandError::BareNewline,
                None => CommandError::Nul,
            });
        }
        Some(_) => return Err(CommandError::BareNewline),
    }
    let line = line.trim_ascii_end();
    let end = memchr::memchr2(b' ', b'\t', line).unwrap_or(line.len());
    let (verb, rest) = line.split_at_checked(end).unwrap_or((line, b""));
    let rest = rest.trim_ascii_start();
    let is = |name: &[u8]| verb.eq_ignore_ascii_case(name);
    if is(b"MAIL") {
        mail(rest)
    } else if is(b"RCPT") {
        rcpt(rest, smtp_utf8)
    } else if is(b"DATA") {
        alone(rest, Command::Data, "DATA")
    } else if is(b"BDAT") {
        bdat(rest)
    } else if is(b"RSET") {
        alone(rest, Command::Rset, "RSET")
    } else if is(b"EHLO") {
        hello(rest, "EHLO hostname").map(Command::Ehlo)
    } else if is(b"HELO") {
        hello(rest, "HELO hostname").map(Command::Helo)
    } else if is(b"QUIT") {
        alone(rest, Command::Quit, "QUIT")
    } else if is(b"STARTTLS") {
        alone(rest, Command::StartTls, "STARTTLS")
    } else if is(b"ETRN") {
        etrn::etrn(rest).map(Command::Etrn)
    } else if is(b"AUTH") {
        auth(rest)
    } else if is(b"NOOP") {
        Ok(Command::Noop)
    } else if is(b"HELP") {
        Ok(Command::Help)
    } else if is(b"VRFY") {
        match rest {
            b"" => Err(CommandError::Syntax("VRFY address")),
            _ => Ok(Command::Vrfy),
        }
    } else if is(b"EXPN") {
        Ok(Command::Expn)
    } else if is(b"XCLIENT") {
        xclient::parse(rest).map(|said| Command::XClient(Box::new(said)))
    } else if line.is_empty() {
        Err(CommandError::Empty)
    } else if [&b"GET"[..], b"POST", b"PUT", b"HEAD", b"CONNECT", b"OPTIONS", b"PROXY"].iter().any(|name| is(name)) {
        Err(CommandError::NotSmtp)
    } else {
        Err(CommandError::Unknown)
    }
}

/// Octets that the line with this beginning may have, its CRLF counted: AUTH may carry a token.
pub(crate) fn line_max(start: &[u8]) -> usize {
    let is_auth = start.get(..5).is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH "));
    if is_auth { AUTH_LINE_MAX } else { COMMAND_LINE_MAX }
}

fn auth(rest: &[u8]) -> Result<Command, CommandError> {
    let mut words = rest.split(|octet| matches!(octet, b' ' | b'\t')).filter(|word| !word.is_empty());
    match (words.next(), words.next(), words.next()) {
        (Some(mechanism), initial, None) => {
            Ok(Command::Auth { mechanism: mechanism.to_owned(), initial: initial.map(|word| Opaque(word.to_owned())) })
        }
        _ => Err(CommandError::Syntax("AUTH mechanism [initial-response]")),
    }
}

/// A command that takes no argument.
fn alone(rest: &[u8], command: Command, usage: &'static str) -> Result<Command, CommandError> {
    if rest.is_empty() { Ok(command) } else { Err(CommandError::Syntax(usage)) }
}

/// The name that follows HELO or EHLO.
fn hello(rest: &[u8], usage: &'static str) -> Result<String, CommandError> {
    if rest.is_empty() {
        return Err(CommandError::Syntax(usage));
    }
    Ok(safe_name(rest))
}

/// A name of the client's, safe to put into a Received line.
pub(super) fn safe_name(name: &[u8]) -> String {
    let safe = |&octet: &u8| match octet {
        b'(' | b')' | b'<' | b'>' | b'\\' | b'"' | b';' | b'@' | b',' => '?',
        b'!'..=b'~' => char::from(octet),
        _ => '?',
    };
    name.iter().take(HELLO_NAME_MAX).map(safe).collect()
}

/// BDAT with the octets that follow, at most 20 digits (RFC 3030 section 2).
fn bdat(rest: &[u8]) -> Result<Command, CommandError> {
    let mut words = rest.split(|octet| matches!(octet, b' ' | b'\t')).filter(|word| !word.is_empty());
    let digits = words.next().and_then(|word| std::str::from_utf8(word).ok()).unwrap_or_default();
    let plain = digits.bytes().all(|octet| octet.is_ascii_digit());
    let size = if plain { digits.parse().ok() } else { None };
    let last = words.next();
    match (size, last.is_none_or(|word| word.eq_ignore_ascii_case(b"LAST")), words.next()) {
        (Some(size), true, None) => Ok(Command::Bdat { size, last: last.is_some() }),
        _ => Err(CommandError::ChunkSize),
    }
}

fn mail(rest: &[u8]) -> Result<Command, CommandError> {
    const USAGE: CommandError = CommandError::Syntax("MAIL FROM:<address>");
    let (path, rest) = split_path(after_keyword(rest, b"FROM:").ok_or(USAGE)?).map_err(CommandError::Sender)?;
    let from = path.parse().map_err(CommandError::Sender)?;
    let parameters = parameters::mail(words(rest, USAGE)?)?;
    if !path.is_ascii() && !parameters.extensions.as_ref().is_some_and(|asked| asked.smtp_utf8) {
        return Err(CommandError::Sender(AddressError::NotAscii));
    }
    Ok(Command::Mail(from, parameters))
}

fn rcpt(rest: &[u8], smtp_utf8: bool) -> Result<Command, CommandError> {
    const USAGE: CommandError = CommandError::Syntax("RCPT TO:<address>");
    let (path, rest) = split_path(after_keyword(rest, b"TO:").ok_or(USAGE)?).map_err(CommandError::Recipient)?;
    let to = path.parse().map_err(CommandError::Recipient)?;
    if !path.is_ascii() && !smtp_utf8 {
        return Err(CommandError::Recipient(AddressError::NotAscii));
    }
    Ok(Command::Rcpt(to, parameters::rcpt(words(rest, USAGE)?, smtp_utf8)?))
}

/// What follows `FROM:` or `TO:`.
fn after_keyword<'a>(rest: &'a [u8], keyword: &[u8]) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(keyword.len())?;
    head.eq_ignore_ascii_case(keyword).then(|| tail.trim_ascii_start())
}

/// The words after an address; the first of them is set off from the address by a blank.
fn words(rest: &[u8], usage: CommandError) -> Result<impl Iterator<Item = &[u8]>, CommandError> {
    let blank = |octet: &u8| matches!(octet, b' ' | b'\t');
    if rest.first().is_some_and(|octet| !blank(octet)) {
        return Err(usage);
    }
    Ok(rest.split(blank).filter(|word| !word.is_empty()))
}

#[cfg(test)]
mod tests;
