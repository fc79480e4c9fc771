//! A peer's replies, read from its bytes as they come in, however they are cut.
//!
//! Decisions:
//! - A line may end in LF alone. Servers that do so exist, and in this direction nothing can be smuggled by it: a reply
//!   too many is noticed by the client session as unexpected.
//! - A code is a digit from 2 to 5 and any two digits: 571 is none of RFC 5321's, and its first digit says enough (section 4.2.1).
//! - After the code stand a blank, a hyphen, or nothing (section 4.2.1: "250" alone is a reply).
//! - The lines of a reply should have one code (section 4.2.1). Where they do not, the last line's counts, as in Postfix, unless
//!   the first digits contradict each other: then nobody knows what was answered.
//! - The enhanced code is the first line's that has one, and is taken out of every line that repeats it.
//! - Of an over-long reply the start is kept and the rest read past; what goes on beyond [`REPLY_MAX`] is no SMTP server.

use std::borrow::Cow;

use bytes::BytesMut;

use super::{EnhancedCode, Reply, clean};

/// Octets of one reply, all lines, that are read before the peer is given up: far beyond any EHLO reply ever seen (some 2 KiB).
pub const REPLY_MAX: usize = 64 * 1024;
/// Octets of a reply's text that are kept; the rest is of no use to anybody.
pub const TEXT_KEPT_MAX: usize = 8 * 1024;
/// Octets of a line that is no reply that are shown.
const SHOWN_MAX: usize = 128;

/// What a peer sent that is no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A line that does not begin with a reply code.
    #[error("the peer sent what is no SMTP reply: \"{0}\"")]
    NotAReply(String),
    /// A multi-line reply whose lines say different things.
    #[error("the peer sent a reply that contradicts itself: {0} and {1}")]
    Contradiction(u16, u16),
    /// A reply without end.
    #[error("the peer sent a reply of more than {REPLY_MAX} octets")]
    TooLong,
    /// A reply to nothing that was asked, or one that makes no sense as an answer to it.
    #[error("the peer sent a reply that makes no sense here: {0}")]
    Unexpected(Box<Reply>),
}

/// Reads replies from what a peer sends.
#[derive(Debug, Default)]
pub struct ReplyParser {
    /// The code of the lines read so far, if the reply has begun.
    code: Option<u16>,
    enhanced: Option<EnhancedCode>,
    text: String,
    /// Octets of the reply read so far.
    octets: usize,
}

impl ReplyParser {
    /// A parser at the start of a reply.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether part of a reply has been read and the rest is missing.
    #[must_use]
    pub fn is_midway(&self) -> bool {
        self.code.is_some()
    }

    /// Takes lines from `input` until a reply is complete; None if more input is needed. What follows the reply stays in `input`.
    ///
    /// # Errors
    /// What the peer sent is not SMTP; nothing after it can be trusted.
    pub fn parse(&mut self, input: &mut BytesMut) -> Result<Option<Reply>, ReplyError> {
        while let Some(end) = memchr::memchr(b'\n', input) {
            let line = input.split_to(end + 1);
            self.octets += line.len();
            if self.octets > REPLY_MAX {
                return Err(ReplyError::TooLong);
            }
            if let Some(reply) = self.line(&line)? {
                return Ok(Some(reply));
            }
        }
        if self.octets + input.len() > REPLY_MAX {
            return Err(ReplyError::TooLong);
        }
        Ok(None)
    }

    /// Takes one line with its end; gives the reply if it was the last one.
    fn line(&mut self, line: &[u8]) -> Result<Option<Reply>, ReplyError> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (code, more, text) = split_line(line).ok_or_else(|| not_a_reply(line))?;
        if let Some(before) = self.code
            && before / 100 != code / 100
        {
            return Err(ReplyError::Contradiction(before, code));
        }
        if self.code.is_some() {
            self.push("\n");
        }
        self.code = Some(code);
        let text = String::from_utf8_lossy(text);
        let mut shown: &str = &text;
        let first_digit = u8::try_from(code / 100).unwrap_or_default();
        if let Some((enhanced, rest)) = EnhancedCode::read(&text, first_digit)
            && *self.enhanced.get_or_insert(enhanced) == enhanced
        {
            shown = rest;
        }
        self.push(&clean_line(shown));
        if more {
            return Ok(None);
        }
        let done = std::mem::take(self);
        Ok(Some(Reply { code, enhanced: done.enhanced, text: Cow::Owned(done.text) }))
    }

    /// Appends to the text what there is still room for.
    fn push(&mut self, text: &str) {
        let mut room = TEXT_KEPT_MAX.saturating_sub(self.text.len()).min(text.len());
        while !text.is_char_boundary(room) {
            room -= 1;
        }
        self.text.push_str(text.get(..room).unwrap_or_default());
    }
}

/// Splits a line into its code, whether more lines follow, and its text.
fn split_line(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (code, rest) = line.split_first_chunk::<3>()?;
    if !matches!(code, [b'2'..=b'5', b'0'..=b'9', b'0'..=b'9']) {
        return None;
    }
    let code = code.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    match rest.split_first() {
        None => Some((code, false, b"")),
        Some((b' ', text)) => Some((code, false, text)),
        Some((b'-', text)) => Some((code, true, text)),
        Some(_) => None,
    }
}

/// A line's text, fit to be shown.
fn clean_line(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|octet| matches!(octet, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    clean(Cow::Owned(text.to_owned()))
}

fn not_a_reply(line: &[u8]) -> ReplyError {
    let shown = line.get(..SHOWN_MAX).unwrap_or(line);
    ReplyError::NotAReply(clean_line(&String::from_utf8_lossy(shown)).into_owned())
}
