//! What fuzzing checks beside "no panic, no endless loop": octets mean the same wherever the network cuts them, and what was
//! understood can be said again.

// Much of the modules is for callers that are not here.
#![allow(dead_code, unused_imports)]

#[path = "../../relay/src/proxy_protocol.rs"]
mod proxy_protocol;
#[path = "../../relay/src/smtp/mod.rs"]
mod smtp;

mod dkim;
mod sessions;
mod tls;

use bytes::BytesMut;
use smtp::{
    Domain, ForwardPath, Mailbox, ReversePath, command,
    data::{BareLf, Chunks, Decoder, Encoder},
    reply::ReplyParser,
};

/// The most octets that a message may have here.
const LIMIT: u64 = 4096;

/// The input behind its first octet, and where that octet cuts it.
fn cut(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&first, rest) = input.split_first()?;
    let (one, two) = rest.split_at(usize::from(first) % (rest.len() + 1));
    Some((first, one, two))
}

/// Command lines, and whole sessions of them.
pub fn commands(input: &[u8]) {
    for utf8 in [false, true] {
        let _ = command::parse(input, utf8);
    }
    let Some((first, one, two)) = cut(input) else { return };
    let _ = sessions::run(&[one, two], true);
    let whole = sessions::run(&[&[one, two].concat()], false);
    assert_eq!(sessions::run(&[one, two], false), whole, "cut at {}", one.len());
    if first % 8 == 0 {
        let octets: Vec<&[u8]> = input[1..].chunks(1).collect();
        assert_eq!(sessions::run(&octets, false), whole, "octet by octet");
    }
}

/// The text of DATA.
pub fn data(input: &[u8]) {
    let Some((_, one, two)) = cut(input) else { return };
    for bare_lf in [BareLf::Refuse, BareLf::Normalize] {
        let decode = |pieces: &[&[u8]]| {
            let mut decoder = Decoder::new(LIMIT, bare_lf);
            let mut text = Vec::new();
            let mut consumed = 0;
            for piece in pieces {
                let progress = decoder.decode(piece, &mut text);
                consumed += progress.consumed;
                if progress.ended {
                    let kept = decoder.fault().is_none().then_some(text);
                    return Some((consumed, kept, decoder.eight_bit(), decoder.fault()));
                }
            }
            None
        };
        let whole = decode(&[&[one, two].concat()]);
        assert_eq!(decode(&[one, two]), whole, "cut at {}", one.len());
        let Some((_, Some(text), ..)) = whole else { continue };
        assert!(text.is_empty() || text.ends_with(b"\r\n"));
        assert!(!has_bare_newline(&text), "{}", text.escape_ascii());
        // What was kept goes out so that the next host understands the same.
        let mut wire = BytesMut::new();
        let mut encoder = Encoder::new();
        let (first, second) = text.split_at(text.len().min(one.len()));
        encoder.encode(first, &mut wire);
        encoder.encode(second, &mut wire);
        encoder.finish(&mut wire);
        let mut again = Vec::new();
        let mut decoder = Decoder::new(LIMIT, BareLf::Refuse);
        let progress = decoder.decode(&wire, &mut again);
        assert!(progress.ended && progress.consumed == wire.len() && decoder.fault().is_none());
        assert_eq!(again, text);
    }
}

/// The text of BDAT.
pub fn bdat(input: &[u8]) {
    let Some((first, one, two)) = cut(input) else { return };
    let binary = first & 1 == 1;
    let take = |pieces: &[&[u8]]| {
        let mut chunks = Chunks::new(LIMIT, binary);
        let mut text = Vec::new();
        for piece in pieces {
            chunks.take(piece, &mut text);
        }
        chunks.finish(&mut text);
        let kept = chunks.fault().is_none().then_some(text);
        (kept, chunks.octets(), chunks.eight_bit(), chunks.is_binary(), chunks.fault())
    };
    let whole = take(&[&[one, two].concat()]);
    assert_eq!(take(&[one, two]), whole, "cut at {}", one.len());
    if let (Some(text), _, _, is_binary, _) = whole {
        let of_lines = !has_bare_newline(&text) && (text.is_empty() || text.ends_with(b"\r\n"));
        assert_eq!(is_binary, !of_lines, "{}", text.escape_ascii());
        assert!(binary || of_lines);
    }
}

/// Replies of hosts.
pub fn replies(input: &[u8]) {
    let Some((_, one, two)) = cut(input) else { return };
    let read = |pieces: &[&[u8]]| {
        let mut parser = ReplyParser::new();
        let mut buffer = BytesMut::new();
        let mut replies = Vec::new();
        for piece in pieces {
            buffer.extend_from_slice(piece);
            loop {
                match parser.parse(&mut buffer) {
                    Ok(Some(reply)) => replies.push(Ok(reply)),
                    Ok(None) => break,
                    Err(error) => {
                        replies.push(Err(error));
                        return replies;
                    }
                }
            }
        }
        replies
    };
    assert_eq!(read(&[one, two]), read(&[&[one, two].concat()]), "cut at {}", one.len());
}

/// Addresses.
pub fn addresses(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(mailbox) = Mailbox::parse(text) {
        assert_eq!(Mailbox::parse(mailbox.as_str()).as_ref(), Ok(&mailbox));
        assert_eq!(mailbox.as_str(), format!("{}@{}", mailbox.local_part(), mailbox.domain()));
        assert!(mailbox.domain().is_ascii());
    }
    if let Ok(domain) = Domain::parse(text) {
        assert_eq!(Domain::parse(domain.as_str()).as_ref(), Ok(&domain));
    }
    if let Ok(path) = text.parse::<ReversePath>() {
        assert_eq!(path.as_str().parse::<ReversePath>().as_ref(), Ok(&path));
        assert!(!path.as_str().contains(['\r', '\n', '\0']), "{path:?}");
    }
    if let Ok(path) = text.parse::<ForwardPath>() {
        assert_eq!(path.as_str().parse::<ForwardPath>().as_ref(), Ok(&path));
        assert!(!path.as_str().contains(['\r', '\n', '\0']), "{path:?}");
    }
}

/// The header of the PROXY protocol.
pub fn proxy(input: &[u8]) {
    use proxy_protocol::{Parsed, parse};
    let whole = parse(input);
    if let Ok(Parsed::Header { length, .. }) = whole {
        assert!(length <= input.len() && length <= proxy_protocol::LONGEST);
        // What the client says behind it changes nothing, and any part of it is the beginning of one.
        assert_eq!(parse(&input[..length]), whole);
        for end in 0..length {
            assert_eq!(parse(&input[..end]), Ok(Parsed::Incomplete), "cut at {end}");
        }
    }
}

/// What DKIM makes of messages.
pub fn dkim_messages(input: &[u8]) {
    use dkim::{canonical::RelaxedBody, header};
    let Some((_, one, two)) = cut(input) else { return };
    let canonical = |pieces: &[&[u8]]| {
        let mut out = Vec::new();
        let mut body = RelaxedBody::default();
        for piece in pieces {
            body.feed(piece, &mut |octets| out.extend_from_slice(octets));
        }
        body.finish(&mut |octets| out.extend_from_slice(octets));
        out
    };
    let message = [one, two].concat();
    let whole = canonical(&[&message]);
    assert_eq!(canonical(&[one, two]), whole, "cut at {}", one.len());
    // A hop that has made the canonical form of it has broken nothing.
    assert_eq!(canonical(&[&whole]), whole);
    assert!(whole.is_empty() || (whole.ends_with(b"\r\n") && !whole.ends_with(b"\r\n\r\n") && whole != b"\r\n"));

    let end = header::end_of_header(&message).unwrap_or(message.len());
    let fields = header::fields(&message[..end]);
    for (name, value) in &fields {
        let mut out = Vec::new();
        dkim::canonical::put_relaxed_field(name, value, &mut out);
        assert!(!out.windows(2).any(|pair| pair == b"\r\n"), "{}", out.escape_ascii());
    }
    if let Some(domain) = header::author_domain(&fields) {
        assert!(domain.literal().is_none() && domain.as_str().is_ascii());
    }
}

fn has_bare_newline(text: &[u8]) -> bool {
    let cr_alone = text.iter().enumerate().any(|(at, octet)| *octet == b'\r' && text.get(at + 1) != Some(&b'\n'));
    let lf_alone = text.iter().enumerate().any(|(at, octet)| *octet == b'\n' && (at == 0 || text[at - 1] != b'\r'));
    cr_alone || lf_alone
}
