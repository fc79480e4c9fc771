//! xtext (RFC 3461 section 4): any text as a parameter's value, with `+` and two upper-case hexadecimal digits for what
//! may not stand in one.

use std::borrow::Cow;

/// Whether the text is xtext.
#[must_use]
pub fn is_xtext(text: &str) -> bool {
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [] => return true,
            [b'+', high, low, after @ ..] if is_digit(*high) && is_digit(*low) => after,
            [b'!'..=b'*' | b','..=b'<' | b'>'..=b'~', after @ ..] => after,
            _ => return false,
        };
    }
}

/// The plain text behind xtext; None when that is not xtext, or not printable ASCII behind it: it goes into a report's fields.
#[must_use]
pub fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !is_xtext(text) {
        return None;
    }
    if !text.contains('+') {
        return Some(Cow::Borrowed(text));
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let (octet, after) = match (first, after) {
            (b'+', [high, low, after @ ..]) => (digit(*high) << 4 | digit(*low), after),
            _ => (*first, after),
        };
        if !matches!(octet, b' '..=b'~') {
            return None;
        }
        plain.push(char::from(octet));
        rest = after;
    }
    Some(Cow::Owned(plain))
}

/// Writes any text as xtext.
#[must_use]
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'!'..=b'*' | b','..=b'<' | b'>'..=b'~' => encoded.push(char::from(octet)),
            _ => encoded.push_str(&format!("+{octet:02X}")),
        }
    }
    encoded
}

fn is_digit(octet: u8) -> bool {
    matches!(octet, b'0'..=b'9' | b'A'..=b'F')
}

fn digit(octet: u8) -> u8 {
    match octet {
        b'0'..=b'9' => octet - b'0',
        _ => octet.saturating_sub(b'A') + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn xtext_is_read_as_rfc_3461_writes_it() {
        for (text, plain) in [
            ("", Some("")),
            ("QQ314159", Some("QQ314159")),
            ("a+2Bb+3Dc", Some("a+b=c")),
            ("a+20b", Some("a b")),
            ("+", None),
            ("a+2b", None),
            ("a=b", None),
            ("a b", None),
            ("a+0Ab", None),
            ("caf\u{e9}", None),
        ] {
            assert_eq!(decode(text).as_deref(), plain, "{text}");
        }
    }

    proptest! {
        #[test]
        fn printable_text_comes_back(text in "[ -~]{0,40}") {
            let encoded = encode(&text);
            prop_assert!(is_xtext(&encoded));
            let decoded = decode(&encoded);
            prop_assert_eq!(decoded.as_deref(), Some(text.as_str()));
        }
    }
}
