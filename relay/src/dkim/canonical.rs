//! The relaxed canonical forms of header and body (RFC 6376 section 3.4): what is hashed and signed instead of the octets
//! themselves, so that hops which fold a header or strip a trailing space break no signature. Pure.
//!
//! Only CRLF is a line's end here, as in the RFC: a CR or LF alone, which a text by BDAT with BINARYMIME may hold, is an octet
//! like others.

/// Octets of the canonical body that are gathered before they are hashed.
const GATHERED: usize = 4 << 10;

/// Makes the canonical form of a body that comes in pieces, cut anywhere, and hands it on.
#[derive(Debug, Default)]
pub struct RelaxedBody {
    out: Vec<u8>,
    /// Line ends that are only part of it when something follows.
    breaks: u64,
    /// Spaces and tabs before the present place.
    space: bool,
    /// A CR before the present place.
    cr: bool,
    /// Whether anything was handed on.
    any: bool,
}

impl RelaxedBody {
    /// Takes the next piece; `sink` gets the canonical octets.
    pub fn feed(&mut self, text: &[u8], sink: &mut impl FnMut(&[u8])) {
        let mut rest = text;
        while let Some((&octet, after)) = rest.split_first() {
            if self.cr {
                self.cr = false;
                if octet == b'\n' {
                    self.space = false;
                    self.breaks += 1;
                    rest = after;
                    continue;
                }
                self.put(b"\r", sink);
            }
            match octet {
                b' ' | b'\t' => {
                    self.space = true;
                    rest = after;
                }
                b'\r' => {
                    self.cr = true;
                    rest = after;
                }
                _ => {
                    let run = memchr::memchr3(b' ', b'\t', b'\r', rest).unwrap_or(rest.len());
                    let (run, after) = rest.split_at_checked(run).unwrap_or((rest, &[]));
                    self.put(run, sink);
                    rest = after;
                }
            }
        }
    }

    /// The text is complete: the empty lines at its end are left out, and what is left ends in CRLF.
    pub fn finish(mut self, sink: &mut impl FnMut(&[u8])) {
        if self.cr {
            self.put(b"\r", sink);
        }
        if self.any {
            self.out.extend_from_slice(b"\r\n");
        }
        sink(&self.out);
    }

    fn put(&mut self, octets: &[u8], sink: &mut impl FnMut(&[u8])) {
        self.any = true;
        while self.breaks > 0 {
            self.breaks -= 1;
            self.out.extend_from_slice(b"\r\n");
            self.hand_on(sink);
        }
        if self.space {
            self.space = false;
            self.out.push(b' ');
        }
        for piece in octets.chunks(GATHERED) {
            self.out.extend_from_slice(piece);
            self.hand_on(sink);
        }
    }

    fn hand_on(&mut self, sink: &mut impl FnMut(&[u8])) {
        if self.out.len() >= GATHERED {
            sink(&self.out);
            self.out.clear();
        }
    }
}

/// Puts the canonical form of a header field, without the CRLF that ends it.
pub fn put_relaxed_field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend(name.iter().map(u8::to_ascii_lowercase));
    out.push(b':');
    let mut space = false;
    let mut any = false;
    let mut octets = value.iter().copied().peekable();
    while let Some(octet) = octets.next() {
        match octet {
            b' ' | b'\t' => space = true,
            b'\r' if octets.peek() == Some(&b'\n') => {
                octets.next();
            }
            _ => {
                if space && any {
                    out.push(b' ');
                }
                space = false;
                any = true;
                out.push(octet);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn body(pieces: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut relaxed = RelaxedBody::default();
        for piece in pieces {
            relaxed.feed(piece, &mut |octets| out.extend_from_slice(octets));
        }
        relaxed.finish(&mut |octets| out.extend_from_slice(octets));
        out
    }

    #[test]
    fn a_body_is_the_same_wherever_it_is_cut() {
        for (text, want) in [
            (&b""[..], &b""[..]),
            (b"\r\n", b""),
            (b" \t\r\n\r\n \r\n", b""),
            // The example of RFC 6376 section 3.4.5.
            (b" C \r\nD \t E\r\n\r\n\r\n", b" C\r\nD E\r\n"),
            (b"no end", b"no end\r\n"),
            (b"no end  ", b"no end\r\n"),
            (b"a\r\n\r\n\r\nb\r\n", b"a\r\n\r\n\r\nb\r\n"),
            (b"\r\na\r\n", b"\r\na\r\n"),
            (b"a \r b\n c\r\r\n", b"a \r b\n c\r\r\n"),
            (b"a\r", b"a\r\r\n"),
            (b"caf\xc3\xa9\t\x00\xff\r\n", b"caf\xc3\xa9 \x00\xff\r\n"),
        ] {
            for cut in 0..=text.len() {
                let (one, two) = text.split_at(cut);
                assert_eq!(body(&[one, two]), want, "{} cut at {cut}", text.escape_ascii());
            }
        }
    }

    /// The rules of RFC 6376 section 3.4.4, one after the other on the whole text.
    fn by_the_rules(text: &[u8]) -> Vec<u8> {
        let mut lines: Vec<Vec<u8>> = vec![Vec::new()];
        let mut octets = text.iter().copied().peekable();
        while let Some(octet) = octets.next() {
            if octet == b'\r' && octets.next_if_eq(&b'\n').is_some() {
                lines.push(Vec::new());
            } else {
                lines.last_mut().unwrap().push(octet);
            }
        }
        for line in &mut lines {
            let mut reduced = Vec::new();
            for octet in line.drain(..) {
                let white = matches!(octet, b' ' | b'\t');
                if !white {
                    reduced.push(octet);
                } else if reduced.last() != Some(&b' ') {
                    reduced.push(b' ');
                }
            }
            if reduced.last() == Some(&b' ') {
                reduced.pop();
            }
            *line = reduced;
        }
        while lines.last().is_some_and(Vec::is_empty) {
            lines.pop();
        }
        lines.into_iter().flat_map(|line| [line, b"\r\n".to_vec()].concat()).collect()
    }

    proptest! {
        #[test]
        fn any_body_is_what_the_rules_make_of_it(
            words in prop::collection::vec(prop::sample::select(vec![&b" "[..], b"\t", b"\r", b"\n", b"\r\n", b"x", b"yz", b"\xff", b"\0"]), 0..40),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        ) {
            let text = words.concat();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect();
            prop_assert_eq!(body(&pieces), by_the_rules(&text));
        }
    }

    #[test]
    fn a_long_body_is_handed_on_in_pieces() {
        let text = [b"x".repeat(10_000), b"\r\n".repeat(10_000), b"y  z\r\n".repeat(5_000)].concat();
        assert_eq!(body(&[&text]), by_the_rules(&text));
    }

    #[test]
    fn a_field_is_on_one_line_with_single_spaces() {
        for (name, value, want) in [
            // The example of RFC 6376 section 3.4.5.
            (&b"A"[..], &b" X"[..], &b"a:X"[..]),
            (b"B", b" Y\t\r\n\tZ  ", b"b:Y Z"),
            (b"Subject", b"", b"subject:"),
            (b"Subject", b" \t \r\n ", b"subject:"),
            (b"Subject", b"caf\xc3\xa9\r\n  au   lait\n", b"subject:caf\xc3\xa9 au lait\n"),
        ] {
            let mut out = Vec::new();
            put_relaxed_field(name, value, &mut out);
            assert_eq!(out, want, "{}", value.escape_ascii());
        }
    }
}
