//! What a signer has to know of a message's header: its fields, and whose mail it is. Pure.
//!
//! Decisions:
//! - The domain that signs is that of the header From, or one above it: only such a signature counts for DMARC (RFC 7489 section
//!   3.1.1), and the envelope sender is no concern of people who read the mail.
//! - Of several addresses in From the first counts. With no From or with two, which RFC 5322 section 3.6 allows neither, nobody can
//!   say whose mail it is: no domain signs it.

use crate::smtp::Domain;

/// A field as it stands in the header: its name without what follows it, and what stands after the colon, folds included,
/// without the CRLF that ends it.
pub type Field<'a> = (&'a [u8], &'a [u8]);

/// Where the header ends and the body begins, once that is there: behind the empty line.
#[must_use]
pub fn end_of_header(text: &[u8]) -> Option<usize> {
    if text.starts_with(b"\r\n") {
        return Some(2);
    }
    memchr::memmem::find(text, b"\r\n\r\n").map(|at| at + 4)
}

/// The fields of a header, in their order. A line that belongs to no field is passed over.
#[must_use]
pub fn fields(header: &[u8]) -> Vec<Field<'_>> {
    let mut fields = Vec::new();
    let mut rest = header;
    while !rest.is_empty() {
        let mut end = 0;
        // A line that begins with white space goes on with the field before it (RFC 5322 section 2.2.3).
        loop {
            let line = rest.get(end..).unwrap_or_default();
            end += memchr::memmem::find(line, b"\r\n").map_or(line.len(), |at| at + 2);
            if !matches!(rest.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        let (field, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        rest = after;
        let field = field.strip_suffix(b"\r\n").unwrap_or(field);
        if let Some((name, value)) = memchr::memchr(b':', field).and_then(|colon| field.split_at_checked(colon)) {
            let name = name.trim_ascii_end();
            if !name.is_empty() && name.iter().all(u8::is_ascii_graphic) {
                fields.push((name, value.get(1..).unwrap_or_default()));
            }
        }
    }
    fields
}

/// The domain of the message's author.
#[must_use]
pub fn author_domain(fields: &[Field<'_>]) -> Option<Domain> {
    let mut from = fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"From"));
    match (from.next(), from.next()) {
        (Some((_, value)), None) => domain_of_first(value),
        _ => None,
    }
}

/// The domain of the first address in a list of mailboxes (RFC 5322 section 3.4).
fn domain_of_first(value: &[u8]) -> Option<Domain> {
    let mut comments = 0_usize;
    let mut quoted = false;
    let mut angle = false;
    let mut address: Vec<u8> = Vec::new();
    let mut octets = value.iter().copied();
    while let Some(octet) = octets.next() {
        match octet {
            b'\\' if quoted || comments > 0 => {
                octets.next();
            }
            b'"' if comments == 0 => quoted = !quoted,
            _ if quoted => {}
            b'(' => comments += 1,
            b')' => comments = comments.saturating_sub(1),
            _ if comments > 0 => {}
            b'<' => {
                angle = true;
                address.clear();
            }
            b'>' => break,
            // A group's name, or an obsolete route, stands before it.
            b':' if !in_literal(&address) => address.clear(),
            b',' | b';' if !angle && address.contains(&b'@') => break,
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => address.push(octet),
        }
    }
    let at = memchr::memrchr(b'@', &address)?;
    let domain = Domain::parse(std::str::from_utf8(address.get(at + 1..)?).ok()?).ok()?;
    domain.literal().is_none().then_some(domain)
}

fn in_literal(address: &[u8]) -> bool {
    memchr::memrchr(b'[', address).is_some_and(|open| !address.get(open..).unwrap_or_default().contains(&b']'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_split_into_its_fields() {
        let header = b"From: a@b\r\nSubject :x\r\n y\r\n\tz\r\nno field\r\nEmpty:\r\nA: b:c\r\n\r\n";
        let want: Vec<Field<'_>> =
            vec![(b"From", b" a@b"), (b"Subject", b"x\r\n y\r\n\tz"), (b"Empty", b""), (b"A", b" b:c")];
        assert_eq!(fields(header), want);
        assert_eq!(fields(b""), []);
        assert_eq!(fields(b"Last: without end"), [(&b"Last"[..], &b" without end"[..])]);
    }

    #[test]
    fn the_header_ends_behind_its_empty_line() {
        for (text, end) in
            [(&b"A: b\r\n\r\nbody"[..], Some(8)), (b"\r\nbody", Some(2)), (b"A: b\r\n", None), (b"", None)]
        {
            assert_eq!(end_of_header(text), end, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn the_author_is_the_first_address_of_the_only_from() {
        for (header, want) in [
            ("From: a@shop.example\r\n", Some("shop.example")),
            ("from : Shop <a@Shop.Example>\r\n", Some("shop.example")),
            ("From: \"evil <x@evil.example>\" <a@shop.example>\r\n", Some("shop.example")),
            ("From: \"a \\\" <x@evil.example>\" <a@shop.example>\r\n", Some("shop.example")),
            ("From: a (at <x@evil.example> (nested \\) )) @ shop.example\r\n", Some("shop.example")),
            ("From: x@evil.example <a@shop.example>\r\n", Some("shop.example")),
            ("From: \"x@evil.example\"@shop.example\r\n", Some("shop.example")),
            ("From: Smith, Ann <a@shop.example>, b@two.example\r\n", Some("shop.example")),
            ("From: a@shop.example, b@two.example\r\n", Some("shop.example")),
            ("From: Shop: a@shop.example, b@two.example;\r\n", Some("shop.example")),
            ("From: <@one.example,@two.example:a@shop.example>\r\n", Some("shop.example")),
            ("From: Shop\r\n <a@shop.example>\r\n", Some("shop.example")),
            ("From: <a@bücher.example>\r\n", Some("xn--bcher-kva.example")),
            ("From: a@[192.0.2.1]\r\n", None),
            ("From: a@[IPv6:2001:db8::1]\r\n", None),
            ("From: nobody\r\n", None),
            ("From: <>\r\n", None),
            ("From:\r\n", None),
            ("To: a@shop.example\r\n", None),
            ("From: a@shop.example\r\nFrom: b@two.example\r\n", None),
        ] {
            let domain = author_domain(&fields(header.as_bytes()));
            assert_eq!(domain.as_ref().map(Domain::as_str), want, "{header:?}");
        }
    }
}
