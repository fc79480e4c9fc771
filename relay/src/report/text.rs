//! Lines that fit, and characters that pass every host.

use std::fmt::Write as _;

/// Characters of a line, where the words allow it: less than the 78 of RFC 5322 section 2.1.1, so that it can be
/// quoted.
const LINE: usize = 74;

/// The longest word that is left whole: a line of it, with what stands before it, stays far below 998 octets.
const WORD_MAX: usize = 500;

/// Octets of a line that every host takes, without its CRLF (RFC 5321 section 4.5.3.1.6).
const LINE_MAX: usize = 998;

/// Text in printable ASCII: other characters as RFC 6533 writes them, such as `\x{FC}` for `ü`, white space as blanks.
pub(super) fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' '..='~' => out.push(c),
            '\t' | '\r' | '\n' => out.push(' '),
            // Writing into a String cannot fail.
            _ => {
                let _ = write!(out, "\\x{{{:02X}}}", u32::from(c));
            }
        }
    }
    out
}

/// What of a text can stand in a Message-ID and in a boundary.
pub(super) fn token(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect()
}

/// Appends a header field, folded where it is long.
pub(super) fn put_field(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push_str(": ");
    put_wrapped(out, name.len() + 2, &ascii(value), "\r\n ");
    out.push_str("\r\n");
}

/// As [`put_field`], for text that stays in UTF-8.
pub(super) fn put_utf8_field(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push_str(": ");
    let printable: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    put_wrapped(out, name.len() + 2, &printable, "\r\n ");
    out.push_str("\r\n");
}

/// Appends words, with `line_break` where a line would become too long; `column` characters stand in the first line
/// already.
pub(super) fn put_wrapped(out: &mut String, column: usize, text: &str, line_break: &str) {
    let indent = line_break.trim_start_matches(['\r', '\n']).len();
    let mut column = column;
    let mut first = true;
    for word in text.split_whitespace().flat_map(pieces) {
        let length = word.chars().count();
        if first {
            first = false;
        } else if column + 1 + length <= LINE {
            out.push(' ');
            column += 1;
        } else {
            out.push_str(line_break);
            column = indent;
        }
        out.push_str(word);
        column += length;
    }
}

/// A word in pieces of at most [`WORD_MAX`] octets.
fn pieces(word: &str) -> impl Iterator<Item = &str> {
    let mut rest = word;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, behind) = rest.split_at_checked(rest.floor_char_boundary(WORD_MAX))?;
        rest = behind;
        Some(piece)
    })
}

/// As many whole lines as fit into `most` octets. A last line without an end, which is a part of one, is left out.
pub(super) fn whole_lines(text: &[u8], most: usize) -> &[u8] {
    let text = text.get(..most).unwrap_or(text);
    let end = memchr::memmem::rfind(text, b"\r\n").map_or(0, |at| at + 2);
    text.get(..end).unwrap_or_default()
}

/// Whether lines pass every host as they are.
pub(super) fn passes(text: &[u8]) -> bool {
    text.iter().all(|octet| matches!(octet, b'\t' | b'\r' | b'\n' | b' '..=b'~'))
        && text.split(|octet| *octet == b'\n').all(|line| line.len() <= LINE_MAX + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wrapped(text: &str) -> String {
        let mut out = String::new();
        put_wrapped(&mut out, 0, text, "\r\n  ");
        out
    }

    #[test]
    fn text_becomes_printable_ascii() {
        for (text, expected) in [
            ("550 5.1.1 no such user", "550 5.1.1 no such user"),
            ("unbekannter Empfänger", "unbekannter Empf\\x{E4}nger"),
            ("用户", "\\x{7528}\\x{6237}"),
            ("two\r\nlines\tand a tab", "two  lines and a tab"),
            ("bell \u{7}", "bell \\x{07}"),
        ] {
            assert_eq!(ascii(text), expected);
        }
    }

    #[test]
    fn a_part_of_a_line_is_left_out() {
        for (text, most, expected) in [
            ("a: b\r\nc: d\r\n", 100, "a: b\r\nc: d\r\n"),
            ("a: b\r\nc: d\r\n", 11, "a: b\r\n"),
            ("a: b\r\nc: d", 100, "a: b\r\n"),
            ("a: b", 100, ""),
            ("", 100, ""),
        ] {
            assert_eq!(whole_lines(text.as_bytes(), most), expected.as_bytes());
        }
    }

    #[test]
    fn what_passes_is_ascii_in_lines_that_are_not_too_long() {
        assert!(passes(b"Subject: x\r\n\ty\r\n"));
        assert!(passes(format!("{}\r\n", "x".repeat(998)).as_bytes()));
        assert!(!passes(format!("{}\r\n", "x".repeat(999)).as_bytes()));
        assert!(!passes("Subject: grün\r\n".as_bytes()));
        assert!(!passes(b"Subject: \0\r\n"));
    }

    proptest! {
        #[test]
        fn words_stay_the_same_and_lines_fit(words in prop::collection::vec("[!-~ä]{1,40}", 0..60)) {
            let out = wrapped(&words.join(" "));
            prop_assert_eq!(out.split_whitespace().collect::<Vec<_>>(), words);
            prop_assert!(out.split("\r\n").all(|line| line.chars().count() <= LINE), "{}", out);
        }

        #[test]
        fn no_text_makes_a_line_too_long(text in "\\PC{0,60}", times in 0..60_usize) {
            let mut field = String::new();
            put_field(&mut field, "Diagnostic-Code", &text.repeat(times));
            prop_assert!(passes(field.as_bytes()), "{}", field);
        }
    }
}
