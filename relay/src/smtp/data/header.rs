//! What the relay has to know of a message's header while the text goes by.

/// Goes through the header of a text that comes in pieces, cut anywhere; past the header it costs nothing.
#[derive(Debug, Default)]
pub struct HeaderScan {
    ended: bool,
    /// Octets of the line so far; beyond [`RECEIVED`] and its colon it does not matter how many.
    column: usize,
    /// Whether the line so far is the beginning of [`RECEIVED`].
    matches: bool,
    last: u8,
    hops: u32,
    eight_bit: bool,
}

/// The trace field that every relay adds (RFC 5321 section 4.4), in lower case.
const RECEIVED: &[u8] = b"received:";

impl HeaderScan {
    /// At the start of a text.
    #[must_use]
    pub fn new() -> Self {
        Self { matches: true, ..Self::default() }
    }

    /// Takes the next piece.
    pub fn feed(&mut self, text: &[u8]) {
        let mut rest = text;
        while !self.ended && !rest.is_empty() {
            // What follows a field's name is passed over as a whole, up to the line's end.
            let whole =
                if self.column > RECEIVED.len() { memchr::memchr(b'\n', rest).unwrap_or(rest.len()) } else { 0 };
            let (passed, after) = rest.split_at_checked(whole).unwrap_or((rest, &[]));
            self.eight_bit |= !passed.is_ascii();
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
            self.matches = true;
        } else {
            self.eight_bit |= !octet.is_ascii();
            self.matches = self.matches && RECEIVED.get(self.column) == Some(&octet.to_ascii_lowercase());
            self.column += 1;
            if self.matches && self.column == RECEIVED.len() {
                self.hops = self.hops.saturating_add(1);
            }
        }
        self.last = octet;
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
}
