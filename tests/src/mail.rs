//! Messages to send and to recognise.

use std::fmt::Write as _;

/// The text of a message that says which one it is, with lines that a relay could spoil: dots, spaces, octets beyond ASCII.
#[must_use]
pub fn text(name: &str) -> Vec<u8> {
    let mut text = format!("From: <shop@example.org>\r\nTo: <someone@example.com>\r\nSubject: {name}\r\n\r\n");
    for line in [".", "..", ".leading dot", "trailing space ", "", "\ttab", "From here", "caffè", "quoted = =3D"] {
        // Writing into a String cannot fail.
        let _ = write!(text, "{line}\r\n");
    }
    text.into_bytes()
}

/// The text of a message of about so many octets.
#[must_use]
pub fn text_of_size(name: &str, size: usize) -> Vec<u8> {
    let mut text = text(name);
    while text.len() < size {
        text.extend_from_slice(b"0123456789012345678901234567890123456789012345678901234567890123456789\r\n");
    }
    text
}

/// The text as the client sent it: what follows the trace headers that the relay and the sink put before it.
#[must_use]
pub fn without_trace(received: &[u8]) -> &[u8] {
    let mut rest = received;
    loop {
        let line_end = rest.windows(2).position(|pair| pair == b"\r\n").map_or(rest.len(), |at| at + 2);
        let (line, after) = rest.split_at(line_end);
        let folded = !std::ptr::eq(rest, received) && matches!(line.first(), Some(b' ' | b'\t'));
        if !folded && !line.starts_with(b"Received:") && !line.starts_with(b"Return-Path:") {
            return rest;
        }
        rest = after;
    }
}

/// A header's value.
#[must_use]
pub fn header(message: &[u8], name: &str) -> Option<String> {
    let end = message.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(message.len());
    let headers = String::from_utf8_lossy(&message[..end]);
    headers.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_known_again_behind_its_trace() {
        let sent = text("one");
        let received =
            [b"Received: from a\r\n\tby b\r\nReceived: from c\r\n by d;\r\n\tlate\r\n".as_slice(), &sent].concat();
        assert_eq!(without_trace(&received), sent);
        assert_eq!(header(&received, "Subject").as_deref(), Some("one"));
    }
}
