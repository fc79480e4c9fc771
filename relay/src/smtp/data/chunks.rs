//! The text of BDAT (RFC 3030): framed by counts, so that no octet in it can end it.
//!
//! Decisions:
//! - Where MAIL did not say BODY=BINARYMIME, the text is made of lines as in DATA: a bare CR or LF faults it, for the next host may
//!   get it by DATA, where it would smuggle. A last line without an end is given its CRLF, so that DATA has nothing to add.
//! - Where it did, every octet passes. A text that turns out to be of whole lines is stored as one, and may go anywhere.
//! - What is counted towards the limit are the octets of all chunks.

use super::Fault;

/// Checks one message's text, chunk by chunk, each in pieces cut anywhere.
#[derive(Debug)]
pub struct Chunks {
    limit: u64,
    binary_allowed: bool,
    octets: u64,
    eight_bit: bool,
    /// The last octet was a CR.
    cr: bool,
    /// The last two octets were CRLF, or there were none.
    line_ended: bool,
    bare: bool,
    fault: Option<Fault>,
}

impl Chunks {
    /// At the start of a message that may have `limit` octets; `binary_allowed` says whether MAIL said BODY=BINARYMIME.
    #[must_use]
    pub fn new(limit: u64, binary_allowed: bool) -> Self {
        let (octets, eight_bit, cr, line_ended, bare, fault) = (0, false, false, true, false, None);
        Self { limit, binary_allowed, octets, eight_bit, cr, line_ended, bare, fault }
    }

    /// Takes the next piece, and appends it to `text`. Once there is a fault nothing more is appended; what was appended before is
    /// to be thrown away.
    pub fn take(&mut self, piece: &[u8], text: &mut Vec<u8>) {
        self.octets += piece.len() as u64;
        self.eight_bit |= !piece.is_ascii();
        self.look_for_bare_newlines(piece);
        self.judge();
        if self.fault.is_none() {
            text.extend_from_slice(piece);
        }
    }

    /// The last chunk is over: appends what is missing of the last line.
    pub fn finish(&mut self, text: &mut Vec<u8>) {
        self.bare |= self.cr;
        self.judge();
        if self.fault.is_none() && !self.binary_allowed && !self.line_ended {
            text.extend_from_slice(b"\r\n");
            self.octets += 2;
            self.line_ended = true;
        }
    }

    fn judge(&mut self) {
        if self.bare && !self.binary_allowed {
            self.fault = Some(Fault::BareNewline);
        } else if self.octets > self.limit {
            self.fault = Some(Fault::TooLarge);
        }
    }

    fn look_for_bare_newlines(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while let Some((&first, after)) = rest.split_first() {
            if self.cr {
                self.cr = false;
                if first == b'\n' {
                    self.line_ended = true;
                    rest = after;
                    continue;
                }
                self.bare = true;
            }
            self.line_ended = false;
            let Some(at) = memchr::memchr2(b'\r', b'\n', rest) else { return };
            let (newline, after) = rest.get(at..).and_then(<[u8]>::split_first).unwrap_or((&b'\n', &[]));
            self.cr = *newline == b'\r';
            self.bare |= !self.cr;
            rest = after;
        }
    }

    /// Octets of the text so far (RFC 1870).
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// Whether the text so far holds an octet above 127.
    #[must_use]
    pub fn eight_bit(&self) -> bool {
        self.eight_bit
    }

    /// Whether the text, once finished, is not made of whole lines: then only BDAT can carry it on.
    #[must_use]
    pub fn is_binary(&self) -> bool {
        self.bare || !self.line_ended
    }

    /// What is wrong with the message so far.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_judged_the_same_wherever_its_chunks_are_cut() {
        let none: Option<Fault> = None;
        let bare = Some(Fault::BareNewline);
        for (text, fault, added, binary) in [
            (&b""[..], none, &b""[..], false),
            (b"a\r\n", none, b"", false),
            (b"a", none, b"\r\n", true),
            (b".\r\n", none, b"", false),
            (b"a\r\n.\r\nb\r\n", none, b"", false),
            (b"a\nb\r\n", bare, b"", true),
            (b"a\rb\r\n", bare, b"", true),
            (b"a\r\r\n", bare, b"", true),
            (b"a\r", bare, b"", true),
            (b"\n", bare, b"", true),
            (b"\r\n\n", bare, b"", true),
            (b"\0\xff\r\n", none, b"", false),
        ] {
            for (binary_allowed, cut) in (0..=text.len()).flat_map(|cut| [(false, cut), (true, cut)]) {
                let shown = format!("{} cut at {cut}, binary {binary_allowed}", text.escape_ascii());
                let (mut chunks, mut kept) = (Chunks::new(100, binary_allowed), Vec::new());
                chunks.take(&text[..cut], &mut kept);
                chunks.take(&text[cut..], &mut kept);
                chunks.finish(&mut kept);
                if binary_allowed {
                    assert_eq!((chunks.fault(), chunks.is_binary()), (None, binary), "{shown}");
                    assert_eq!(kept, text, "{shown}");
                } else {
                    assert_eq!(chunks.fault(), fault, "{shown}");
                    if fault.is_none() {
                        assert_eq!(kept, [text, added].concat(), "{shown}");
                        assert_eq!(chunks.octets(), kept.len() as u64, "{shown}");
                    }
                }
            }
        }
    }

    #[test]
    fn octets_over_the_limit_are_not_kept() {
        let (mut chunks, mut kept) = (Chunks::new(4, true), Vec::new());
        chunks.take(b"abcd", &mut kept);
        assert_eq!(chunks.fault(), None);
        chunks.take(b"e", &mut kept);
        chunks.take(b"f", &mut kept);
        assert_eq!((chunks.fault(), kept.as_slice()), (Some(Fault::TooLarge), &b"abcd"[..]));
    }
}
