//! From the stored text to the wire.

use bytes::BytesMut;

/// Where in a line the text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Nothing written yet, or an LF was the last octet.
    LineStart,
    /// A CR was the last octet.
    Cr,
    /// Elsewhere.
    Text,
}

/// Stuffs dots and ends the message; the text may come in chunks of any size.
///
/// A dot is stuffed after every LF, also one without CR. In stored text there is none; should one get there by a fault, a host
/// that takes `LF.LF` for an end still sees none.
#[derive(Debug)]
pub struct Encoder {
    at: At,
    /// Whether the last two octets were CRLF, or there were none.
    line_ended: bool,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// An encoder at the start of a message.
    #[must_use]
    pub fn new() -> Self {
        Self { at: At::LineStart, line_ended: true }
    }

    /// Appends the next piece of the text to `output`.
    pub fn encode(&mut self, text: &[u8], output: &mut BytesMut) {
        let Some(&last) = text.last() else {
            return;
        };
        output.reserve(text.len());
        if self.at == At::LineStart && text.first() == Some(&b'.') {
            output.extend_from_slice(b".");
        }
        let mut rest = text;
        while let Some(at) = memchr::memmem::find(rest, b"\n.") {
            let Some((line, after)) = rest.split_at_checked(at + 1) else {
                break;
            };
            output.extend_from_slice(line);
            output.extend_from_slice(b".");
            rest = after;
        }
        output.extend_from_slice(rest);

        let cr_before = match text {
            [.., before, _] => *before == b'\r',
            _ => self.at == At::Cr,
        };
        self.line_ended = last == b'\n' && cr_before;
        self.at = match last {
            b'\n' => At::LineStart,
            b'\r' => At::Cr,
            _ => At::Text,
        };
    }

    /// Appends the end of the message: the closing dot, after a CRLF if the text did not end in one.
    pub fn finish(self, output: &mut BytesMut) {
        if !self.line_ended {
            output.extend_from_slice(b"\r\n");
        }
        output.extend_from_slice(b".\r\n");
    }
}
