//! The addresses of a field such as From (RFC 5322 section 3.4), read strictly: what readers could take for different addresses is
//! not read at all.

use crate::smtp::{AddressError, Mailbox};

/// Why a field's addresses cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    /// A quote, a comment or an angle bracket that does not end, or ends nothing.
    #[error("quotes, comments and angle brackets do not pair")]
    Unpaired,
    /// Something that is neither an address nor the name before one.
    #[error("write addresses as user@example.com or Name <user@example.com>, with commas between them")]
    Syntax,
    /// An address that breaks a rule.
    #[error("{0}")]
    Address(#[from] AddressError),
}

/// What stands between two commas.
#[derive(Default)]
struct Element {
    /// What is outside angle brackets, quoted strings in their quotes.
    words: String,
    /// What is inside them.
    angle: Option<String>,
}

impl Element {
    fn finish(&mut self, found: &mut Vec<Mailbox>) -> Result<(), Unreadable> {
        let Element { words, angle } = std::mem::take(self);
        let words = words.trim();
        match angle {
            Some(address) => {
                found.push(Mailbox::parse(address.trim())?);
                // `a@example.com <b@example.com>`: some readers show the one, some the other.
                let plain = unquoted(words);
                if plain.contains('@') {
                    found.push(Mailbox::parse(words)?);
                }
            }
            None if words.is_empty() => {}
            None => found.push(Mailbox::parse(words)?),
        }
        Ok(())
    }
}

/// The words without those in quotes.
fn unquoted(words: &str) -> String {
    let (mut plain, mut quoted, mut escaped) = (String::new(), false, false);
    for c in words.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if !quoted => plain.push(c),
            _ => {}
        }
    }
    plain
}

/// All addresses of a field's value, groups' members too. A group without members, and nothing at all, have none.
pub(super) fn mailboxes(value: &str) -> Result<Vec<Mailbox>, Unreadable> {
    let mut found = Vec::new();
    let mut element = Element::default();
    let mut in_group = false;
    let mut rest = value.chars().filter(|c| !matches!(c, '\r' | '\n'));
    while let Some(c) = rest.next() {
        match c {
            '(' => comment(&mut rest)?,
            '"' => {
                if element.angle.is_some() {
                    return Err(Unreadable::Syntax);
                }
                quoted(&mut rest, &mut element.words)?;
            }
            '<' => {
                if element.angle.is_some() {
                    return Err(Unreadable::Syntax);
                }
                element.angle = Some(angle(&mut rest)?);
            }
            '>' | ')' => return Err(Unreadable::Unpaired),
            ',' => element.finish(&mut found)?,
            ':' => {
                // What stood before it is the group's name.
                if in_group || element.angle.is_some() || unquoted(&element.words).contains('@') {
                    return Err(Unreadable::Syntax);
                }
                in_group = true;
                element = Element::default();
            }
            ';' => {
                if !in_group {
                    return Err(Unreadable::Syntax);
                }
                in_group = false;
                element.finish(&mut found)?;
            }
            c if element.angle.is_some() && !c.is_whitespace() => return Err(Unreadable::Syntax),
            c => element.words.push(c),
        }
    }
    element.finish(&mut found)?;
    if in_group { Err(Unreadable::Unpaired) } else { Ok(found) }
}

/// Passes over a comment, and those within it.
fn comment(rest: &mut impl Iterator<Item = char>) -> Result<(), Unreadable> {
    let mut depth = 1usize;
    while depth > 0 {
        match rest.next().ok_or(Unreadable::Unpaired)? {
            '\\' => drop(rest.next()),
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
    }
    Ok(())
}

/// Takes the rest of a quoted string, quotes and all.
fn quoted(rest: &mut impl Iterator<Item = char>, out: &mut String) -> Result<(), Unreadable> {
    out.push('"');
    loop {
        let c = rest.next().ok_or(Unreadable::Unpaired)?;
        out.push(c);
        match c {
            '\\' => out.push(rest.next().ok_or(Unreadable::Unpaired)?),
            '"' => return Ok(()),
            _ => {}
        }
    }
}

/// Takes what is inside angle brackets. A route (`<@a,@b:c@d>`), which only the last century had, is no address.
fn angle(rest: &mut impl Iterator<Item = char>) -> Result<String, Unreadable> {
    let mut address = String::new();
    loop {
        match rest.next().ok_or(Unreadable::Unpaired)? {
            '>' => return Ok(address),
            '(' => comment(rest)?,
            '"' => quoted(rest, &mut address)?,
            '<' => return Err(Unreadable::Unpaired),
            c => address.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_that_a_reader_could_show_is_found_or_the_field_is_refused() {
        for (value, found) in [
            (" a@one.test\r\n", Some(&["a@one.test"][..])),
            (" Name <a@One.test>", Some(&["a@one.test"])),
            (" \"Name, first\" <a@one.test>, b@two.test (two)", Some(&["a@one.test", "b@two.test"])),
            (" \"b@two.test\" <a@one.test>", Some(&["a@one.test"])),
            (" b@two.test <a@one.test>", Some(&["a@one.test", "b@two.test"])),
            (" =?utf-8?q?b=40two=2Etest?= <a@one.test>", Some(&["a@one.test"])),
            (" (b@two.test (nested \\) c@x)) a@one.test", Some(&["a@one.test"])),
            (" <a@one.test>\r\n (folded)\r\n", Some(&["a@one.test"])),
            (" \"a b\"@one.test", Some(&["\"a b\"@one.test"])),
            (" \"a>b\" <\"c>d\"@one.test>", Some(&["\"c>d\"@one.test"])),
            (" Team: a@one.test, B <b@two.test>;", Some(&["a@one.test", "b@two.test"])),
            (" Team: a@one.test;, c@three.test", Some(&["a@one.test", "c@three.test"])),
            (" undisclosed:;", Some(&[])),
            (" caf\u{e9} <a@one.test>", Some(&["a@one.test"])),
            ("", Some(&[])),
            (" ,a@one.test,", Some(&["a@one.test"])),
            (" a@one.test b@two.test", None),
            (" a@one.test <b@two.test> c", None),
            (" <a@one.test> <b@two.test>", None),
            (" <a@one.test", None),
            (" a@one.test>", None),
            (" \"a@one.test", None),
            (" (a@one.test", None),
            (" <>", None),
            (" nobody", None),
            (" <@x.test:a@one.test>", None),
            (" Team: a@one.test", None),
            (" b@two.test: a@one.test;", None),
            (" x b@two.test <a@one.test>", None),
            (" a@one.test; b@two.test", None),
            (" a @ one.test", None),
            (" <a@one.test\0>", None),
        ] {
            let read = mailboxes(value).ok();
            let read: Option<Vec<&str>> = read.as_ref().map(|all| all.iter().map(Mailbox::as_str).collect());
            assert_eq!(read.as_deref(), found, "{value:?}");
        }
    }
}
