//! What the relay has to know of a message's header while the text goes by.

/// Goes through the header of a text that comes in pieces, cut anywhere; past the header it costs nothing.
#[derive(Debug, Default)]
pub struct HeaderScan {
    ended: bool,
    /// Octets of the line so far.
    column: usize,
    line: Line,
    last: u8,
    hops: u32,
    eight_bit: bool,
    tls_required: TlsRequired,
}

/// What the line so far is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Line {
    /// The beginning of this name.
    Name(&'static [u8]),
    /// The value of a TLS-Required field.
    TlsRequired,
    /// Of no interest.
    #[default]
    Other,
}

/// The trace field that every relay adds (RFC 5321 section 4.4), in lower case.
const RECEIVED: &[u8] = b"received:";

/// The field of mail for which delivery matters more than TLS (RFC 8689 section 3), in lower case.
const TLS_REQUIRED: &[u8] = b"tls-required:";

/// The TLS-Required fields so far.
#[derive(Debug, Clone, Copy, Default)]
struct TlsRequired {
    fields: u32,
    /// The beginning of the last one's value, white space left out, in lower case.
    value: [u8; 3],
    length: usize,
}

impl TlsRequired {
    fn begin(&mut self) {
        self.fields = self.fields.saturating_add(1);
        self.length = 0;
    }

    fn add(&mut self, octet: u8) {
        if !octet.is_ascii_whitespace()
            && let Some(place) = self.value.get_mut(self.length)
        {
            *place = octet.to_ascii_lowercase();
            self.length += 1;
        }
    }

    /// Whether there is one, and one only, that says `No`: nothing else is defined.
    fn is_no(&self) -> bool {
        self.fields == 1 && self.value.get(..self.length) == Some(b"no")
    }
}

impl HeaderScan {
    /// At the start of a text.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece.
    pub fn feed(&mut self, text: &[u8]) {
        let mut rest = text;
        while !self.ended && !rest.is_empty() {
            // What is of no interest is passed over as a whole, up to the line's end.
            let idle = self.column > 0 && self.line == Line::Other;
            let whole = if idle { memchr::memchr(b'\n', rest).unwrap_or(rest.len()) } else { 0 };
            let (passed, after) = rest.split_at_checked(whole).unwrap_or((rest, &[]));
            self.eight_bit |= !passed.is_ascii();
            self.column += passed.len();
            if let Some(last) = passed.last() {
                self.last = *last;
            }
            let Some((&octet, after)) = after.split_first() else { return };
            self.octet(octet);
            rest = after;
        }
    }

    fn octet(&mut self, octet: u8) {
        if octet == b'\n' {
            self.ended = self.column == 0 || (self.column == 1 && self.last == b'\r');
            self.column = 0;
        } else {
            self.eight_bit |= !octet.is_ascii();
            if self.column == 0 {
                self.line = match octet.to_ascii_lowercase() {
                    b'r' => Line::Name(RECEIVED),
                    b't' => Line::Name(TLS_REQUIRED),
                    b' ' | b'\t' => self.line,
                    _ => Line::Other,
                };
            }
            match self.line {
                Line::Name(name) => self.name(name, octet),
                Line::TlsRequired => self.tls_required.add(octet),
                Line::Other => {}
            }
            self.column += 1;
        }
        self.last = octet;
    }

    /// One more octet of what may be this name.
    fn name(&mut self, name: &'static [u8], octet: u8) {
        if name.get(self.column) != Some(&octet.to_ascii_lowercase()) {
            self.line = Line::Other;
        } else if self.column + 1 == name.len() {
            let is_received = name == RECEIVED;
            self.line = if is_received { Line::Other } else { Line::TlsRequired };
            if is_received {
                self.hops = self.hops.saturating_add(1);
            } else {
                self.tls_required.begin();
            }
        }
    }

    /// How many relays the message has passed: its Received fields (RFC 5321 section 6.3).
    #[must_use]
    pub fn hops(&self) -> u32 {
        self.hops
    }

    /// Whether the header holds octets above 127 (RFC 6532): hosts without SMTPUTF8 cannot have it.
    #[must_use]
    pub fn eight_bit(&self) -> bool {
        self.eight_bit
    }

    /// Whether the header says `TLS-Required: No` (RFC 8689 section 3).
    #[must_use]
    pub fn tls_optional(&self) -> bool {
        self.tls_required.is_no()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hops_and_octets_above_127_are_those_of_the_header_wherever_it_is_cut() {
        for (text, hops, eight_bit) in [
            (&b""[..], 0, false),
            (b"\r\nReceived: x\r\n", 0, false),
            (
                b"Received: a\r\n\tby b;\r\nRECEIVED: c\r\nReceived : d\r\nX-Received: e\r\n\r\nReceived: f\r\n",
                2,
                false,
            ),
            (b"Received", 0, false),
            (b"received:", 1, false),
            (b"Subject: caf\xc3\xa9\r\n\r\nplain\r\n", 0, true),
            (b"Subject: cafe\r\n\r\ncaf\xc3\xa9\r\n", 0, false),
            (b"\xc3\xa9", 0, true),
            (b"A: b\r\n\r\r\nReceived: x\r\n", 1, false),
        ] {
            for cut in 0..=text.len() {
                let mut scan = HeaderScan::new();
                scan.feed(&text[..cut]);
                scan.feed(&text[cut..]);
                assert_eq!((scan.hops(), scan.eight_bit()), (hops, eight_bit), "{} cut at {cut}", text.escape_ascii());
            }
        }
    }

    #[test]
    fn tls_required_says_no_or_nothing_wherever_it_is_cut() {
        for (text, optional) in [
            (&b""[..], false),
            (b"TLS-Required: No\r\n", true),
            (b"Subject: x\r\ntls-required:NO\r\nTo: a\r\n\r\ntext\r\n", true),
            (b"TLS-Required:\r\n\tNo\r\n", true),
            (b"TLS-Required: No", true),
            (b"TLS-Required: Yes\r\n", false),
            (b"TLS-Required: Not\r\n", false),
            (b"TLS-Required: No\r\n thanks\r\n", false),
            (b"TLS-Required:\r\nX: No\r\n", false),
            (b"TLS-Required: No\r\nTLS-Required: No\r\n", false),
            (b"TLS-Required: No\r\nTLS-Required: Yes\r\n", false),
            (b"X-TLS-Required: No\r\n", false),
            (b"TLS-Require: No\r\n", false),
            (b"Subject: x\r\n TLS-Required: No\r\n", false),
            (b"\r\nTLS-Required: No\r\n", false),
        ] {
            for cut in 0..=text.len() {
                let mut scan = HeaderScan::new();
                scan.feed(&text[..cut]);
                scan.feed(&text[cut..]);
                assert_eq!(scan.tls_optional(), optional, "{} cut at {cut}", text.escape_ascii());
            }
        }
    }
}
