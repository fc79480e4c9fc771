//! Replies: what a server answers, as a value, as bytes, and read back from a peer's bytes (RFC 5321 section 4.2, RFC 2034).

mod parser;

pub use parser::{REPLY_MAX, ReplyError, ReplyParser, TEXT_KEPT_MAX};

use std::borrow::Cow;
use std::fmt;

use bytes::{BufMut, BytesMut};

/// Octets of a reply line with its CRLF (RFC 5321 section 4.5.3.1.5); longer texts are wrapped when they are sent.
pub const REPLY_LINE_MAX: usize = 512;

/// What the first digit of a reply says (RFC 5321 section 4.2.1). All that a client may rely on for a code that it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// 2yz: done.
    Success,
    /// 3yz: go on.
    Intermediate,
    /// 4yz: not now.
    Transient,
    /// 5yz: not like this, ever.
    Permanent,
}

/// An enhanced status code such as 5.7.1 (RFC 3463).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EnhancedCode {
    /// 2, 4 or 5: always the first digit of the reply that carries it.
    pub class: u8,
    /// What it is about, 0 to 999.
    pub subject: u16,
    /// The detail, 0 to 999.
    pub detail: u16,
}

impl EnhancedCode {
    /// Reads `class.subject.detail` at the start of a reply's text; gives the code and the text behind it.
    ///
    /// None unless it is followed by a blank or the end and its class is `first_digit`: a number that contradicts the reply
    /// is text.
    fn read(text: &str, first_digit: u8) -> Option<(Self, &str)> {
        let (word, rest) = match text.split_once(' ') {
            Some((word, rest)) => (word, rest),
            None => (text, ""),
        };
        let mut parts = word.split('.');
        let (class, subject, detail) = (parts.next()?, parts.next()?, parts.next()?);
        let number = |part: &str| -> Option<u16> {
            let plain = (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
            if plain { part.parse().ok() } else { None }
        };
        if parts.next().is_some() || class.len() != 1 || !matches!(first_digit, 2 | 4 | 5) {
            return None;
        }
        let code =
            Self { class: u8::try_from(number(class)?).ok()?, subject: number(subject)?, detail: number(detail)? };
        (code.class == first_digit).then_some((code, rest))
    }
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// A reply.
///
/// The text is free of control characters except `\n`, which stands between the lines of a multi-line reply. In a reply from a
/// peer the enhanced code is taken out of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    enhanced: Option<EnhancedCode>,
    text: Cow<'static, str>,
}

impl Reply {
    /// A reply without enhanced code, such as the greeting and 354. A static text costs no allocation.
    ///
    /// # Panics
    /// If the code is not within 200 to 599; codes are literals of the program.
    #[must_use]
    pub fn new(code: u16, text: impl Into<Cow<'static, str>>) -> Self {
        assert!((200..600).contains(&code), "{code} is no reply code");
        Self { code, enhanced: None, text: clean(text.into()) }
    }

    /// A reply with the enhanced code whose class is the first digit of `code` and whose subject and detail are given:
    /// `enhanced(550, (7, 1), …)` is `550 5.7.1 …`.
    ///
    /// # Panics
    /// If the code is not within 200 to 599; codes are literals of the program.
    #[must_use]
    pub fn enhanced(code: u16, (subject, detail): (u16, u16), text: impl Into<Cow<'static, str>>) -> Self {
        let mut reply = Self::new(code, text);
        reply.enhanced = Some(EnhancedCode { class: reply.first_digit(), subject, detail });
        reply
    }

    /// The three digits.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced status code, if there is one that agrees with the reply's first digit.
    #[must_use]
    pub fn enhanced_code(&self) -> Option<EnhancedCode> {
        self.enhanced
    }

    /// The text, lines separated by `\n`; may be empty.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What the first digit says.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self.first_digit() {
            2 => Severity::Success,
            3 => Severity::Intermediate,
            4 => Severity::Transient,
            _ => Severity::Permanent,
        }
    }

    /// Whether it is a 2yz.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.severity() == Severity::Success
    }

    /// Whether it is a 4yz.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.severity() == Severity::Transient
    }

    /// Whether it is a 5yz.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.severity() == Severity::Permanent
    }

    /// Whether its sender closes the connection after it: 421 (RFC 5321 section 3.8) and 521 (RFC 7504).
    #[must_use]
    pub fn closes(&self) -> bool {
        matches!(self.code, 421 | 521)
    }

    fn first_digit(&self) -> u8 {
        u8::try_from(self.code / 100).unwrap_or(5)
    }

    /// Appends the reply as it goes over the wire, in as many lines as the text has, each at most [`REPLY_LINE_MAX`] octets.
    ///
    /// Octets outside printable ASCII become `?`: without SMTPUTF8 a reply is ASCII (RFC 5321 section 4.2).
    pub fn render(&self, output: &mut BytesMut) {
        let mut lines = self.text.split('\n').peekable();
        while let Some(line) = lines.next() {
            self.render_line(line, lines.peek().is_none(), output);
        }
    }

    /// One line of the text, wrapped if it is too long.
    fn render_line(&self, line: &str, last: bool, output: &mut BytesMut) {
        // "250-5.123.123 " and CRLF are the most that stands around a line.
        const ROOM: usize = REPLY_LINE_MAX - 16;
        let mut chunks = line.as_bytes().chunks(ROOM).peekable();
        loop {
            let chunk = chunks.next().unwrap_or_default();
            let final_line = last && chunks.peek().is_none();
            put_decimal(self.code, output);
            if final_line && chunk.is_empty() && self.enhanced.is_none() {
                // "250" alone is legal, "250 " is what every client can read.
                output.put_u8(b' ');
            } else {
                output.put_u8(if final_line { b' ' } else { b'-' });
            }
            if let Some(enhanced) = self.enhanced {
                put_decimal(u16::from(enhanced.class), output);
                output.put_u8(b'.');
                put_decimal(enhanced.subject, output);
                output.put_u8(b'.');
                put_decimal(enhanced.detail, output);
                output.put_u8(b' ');
            }
            output.extend(chunk.iter().map(|&octet| match octet {
                b'\t' | b' '..=b'~' => octet,
                _ => b'?',
            }));
            output.put_slice(b"\r\n");
            if chunks.peek().is_none() {
                return;
            }
        }
    }
}

impl fmt::Display for Reply {
    /// On one line, as it is shown to people: `550 5.7.1 first line / second line`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        for (index, line) in self.text.split('\n').enumerate() {
            match (index, line) {
                (0, "") => {}
                (0, line) => write!(f, " {line}")?,
                (_, line) => write!(f, " / {line}")?,
            }
        }
        Ok(())
    }
}

/// Puts a number of at most three digits (enhanced codes) or exactly three (codes).
fn put_decimal(number: u16, output: &mut BytesMut) {
    let digit = |n: u16| b'0' + u8::try_from(n % 10).unwrap_or(0);
    if number >= 100 {
        output.put_u8(digit(number / 100));
    }
    if number >= 10 {
        output.put_u8(digit(number / 10));
    }
    output.put_u8(digit(number));
}

/// Whether a character of a text may be shown and logged: no control character, nothing that changes the direction of writing.
fn is_shown(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Replaces what must not be shown by `?`, a tab by a blank; `\n` stays. Most texts need nothing and are not copied.
fn clean(text: Cow<'static, str>) -> Cow<'static, str> {
    if text.chars().all(|c| c == '\n' || is_shown(c)) {
        return text;
    }
    text.chars()
        .map(|c| match c {
            '\n' => c,
            '\t' => ' ',
            c if is_shown(c) => c,
            _ => '?',
        })
        .collect::<String>()
        .into()
}

#[cfg(test)]
mod tests;
