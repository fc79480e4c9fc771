use super::*;
use bytes::BytesMut;
use proptest::prelude::*;

const LIMIT: u64 = 1 << 20;

/// What became of a message: its text if it is sound, or its fault; the octets counted; what was left of the input.
#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    text: Result<Vec<u8>, Fault>,
    octets: u64,
    eight_bit: bool,
    ended: bool,
    left: Vec<u8>,
}

fn decode(pieces: &[&[u8]], limit: u64) -> Decoded {
    decode_with(BareLf::Refuse, pieces, limit)
}

fn decode_with(bare_lf: BareLf, pieces: &[&[u8]], limit: u64) -> Decoded {
    let mut decoder = Decoder::new(limit, bare_lf);
    let mut text = Vec::new();
    let mut left = Vec::new();
    let mut ended = false;
    for piece in pieces {
        let progress = decoder.decode(piece, &mut text);
        assert!(progress.ended || progress.consumed == piece.len());
        ended = progress.ended;
        left.extend_from_slice(&piece[progress.consumed..]);
    }
    Decoded {
        text: decoder.fault().map_or(Ok(text), Err),
        octets: decoder.octets(),
        eight_bit: decoder.eight_bit(),
        ended,
        left,
    }
}

fn encode(pieces: &[&[u8]]) -> BytesMut {
    let mut encoder = Encoder::new();
    let mut output = BytesMut::new();
    for piece in pieces {
        encoder.encode(piece, &mut output);
    }
    encoder.finish(&mut output);
    output
}

/// Every way to cut `bytes` once, and octet by octet.
fn cuts(bytes: &[u8]) -> Vec<Vec<&[u8]>> {
    (0..=bytes.len()).map(|cut| vec![&bytes[..cut], &bytes[cut..]]).chain([bytes.chunks(1).collect()]).collect()
}

#[test]
fn a_bare_lf_becomes_a_line_end_where_it_is_told_to_and_never_ends_a_message() {
    let bare: Result<&[u8], Fault> = Err(Fault::BareNewline);
    for (wire, text) in [
        (&b"a\nb\r\n.\r\n"[..], Ok(&b"a\r\nb\r\n"[..])),
        (b"\n\r\n.\r\n", Ok(b"\r\n\r\n")),
        (b"a\n\nb\n\r\n.\r\n", Ok(b"a\r\n\r\nb\r\n\r\n")),
        // Dots behind a bare LF: stuffed ones lose one, and one alone is text.
        (b"a\n.b\r\n.\r\n", Ok(b"a\r\nb\r\n")),
        (b"a\n..\r\n.\r\n", Ok(b"a\r\n.\r\n")),
        (b"a\n.\nb\r\n.\r\n", Ok(b"a\r\n.\r\nb\r\n")),
        (b"a\n.\r\nb\r\n.\r\n", Ok(b"a\r\n.\r\nb\r\n")),
        (b"a\r\n.\nb\r\n.\r\n", Ok(b"a\r\n.\r\nb\r\n")),
        (b".\nb\r\n.\r\n", Ok(b".\r\nb\r\n")),
        // A bare CR stays what it is.
        (b"a\rb\r\n.\r\n", bare),
        (b"a\n\rb\r\n.\r\n", bare),
        (b"a\n.\rb\r\n.\r\n", bare),
        (b"a\r\r\n.\r\n", bare),
        (b"a\r\n.\r.\r\n.\r\n", bare),
    ] {
        let text = text.map(<[u8]>::to_vec);
        for pieces in cuts(wire) {
            let seen = decode_with(BareLf::Normalize, &pieces, LIMIT);
            assert_eq!((&seen.text, seen.ended), (&text, true), "{}", wire.escape_ascii());
            assert!(seen.left.is_empty(), "{}", wire.escape_ascii());
            if let Ok(text) = &text {
                assert_eq!(seen.octets, text.len() as u64, "{}", wire.escape_ascii());
                // On its way out it is stuffed again, and comes back the same to a host that knows no bare LF.
                let again = encode(&[text]);
                assert_eq!(decode(&[&again], LIMIT).text.as_ref(), Ok(text), "{}", wire.escape_ascii());
            }
        }
    }
}

#[test]
fn a_message_is_unstuffed_and_ends_at_its_dot() {
    // wire, text
    let cases: [(&[u8], &[u8]); 15] = [
        (b".\r\n", b""),
        (b"\r\n.\r\n", b"\r\n"),
        (b"a\r\n.\r\n", b"a\r\n"),
        (b"..\r\n.\r\n", b".\r\n"),
        (b"...\r\n.\r\n", b"..\r\n"),
        (b"..a\r\n..b\r\n.\r\n", b".a\r\n.b\r\n"),
        (b".a\r\n.\r\n", b"a\r\n"),
        (b". \r\n.\r\n", b" \r\n"),
        (b"a.\r\n.\r\n", b"a.\r\n"),
        (b"a\r\n\r\n..\r\n\r\n.\r\n", b"a\r\n\r\n.\r\n\r\n"),
        (b"a\r\n..\r\n..\r\n.\r\n", b"a\r\n.\r\n.\r\n"),
        (b"a\r\n . \r\n.\r\n", b"a\r\n . \r\n"),
        (b"a\0b\r\n.\r\n", b"a\0b\r\n"),
        (b"\xe9\r\n.\r\n", b"\xe9\r\n"),
        (b"\t\x01\x7f\r\n.\r\n", b"\t\x01\x7f\r\n"),
    ];
    for (wire, text) in cases {
        let with_more = [wire, b"QUIT\r\n"].concat();
        for pieces in cuts(&with_more) {
            let expected = Decoded {
                text: Ok(text.to_vec()),
                octets: text.len() as u64,
                eight_bit: !text.is_ascii(),
                ended: true,
                left: b"QUIT\r\n".to_vec(),
            };
            assert_eq!(decode(&pieces, LIMIT), expected, "{}", wire.escape_ascii());
        }
    }
}

#[test]
fn nothing_but_crlf_dot_crlf_ends_a_message_and_what_resembles_it_is_a_fault() {
    for smuggled in [
        &b"\n.\n"[..],
        b"\n.\r\n",
        b"\n.\r",
        b"\r.\r",
        b"\r.\n",
        b"\r.\r\n",
        b"\r\n.\n",
        b"\r\n.\r",
        b"\r\n.\r.",
        b"\r\n.\r\r\n",
        b"\r\n.\n\r\n",
        b"\n\n.\r\n",
        b"\n\r.\r\n",
        b"\r\n\r.\r\n",
        b"\r\n\0.\n",
        b"a\rb",
        b"a\nb",
        b"\r",
        b"\n",
        b"\r\r",
        b"\r\r\n",
        b"\n\r",
        b"\r\n\r\r\n",
    ] {
        let shown = smuggled.escape_ascii();
        let hidden = [b"a", smuggled, b"MAIL FROM:<evil@example.com>\r\n"].concat();
        for pieces in cuts(&hidden) {
            let seen = decode(&pieces, LIMIT);
            assert!(!seen.ended, "{shown} ended the message");
        }
        let wire = [&hidden[..], b".\r\n"].concat();
        for pieces in cuts(&wire) {
            let seen = decode(&pieces, LIMIT);
            assert!(seen.ended, "after {shown} the true end was missed");
            assert_eq!(seen.text, Err(Fault::BareNewline), "{shown}");
            assert!(seen.left.is_empty(), "{shown}");
        }
        // The same at the very start of the message.
        let wire = [smuggled, b"x\r\n.\r\n"].concat();
        let seen = decode(&[&wire], LIMIT);
        assert_eq!(seen.text, Err(Fault::BareNewline), "{shown} at the start");
    }
}

#[test]
fn a_faulty_message_ends_where_any_other_ends() {
    for wire in [&b"a\r\r\n.\r\nQUIT\r\n"[..], b"\n\r\n.\r\nQUIT\r\n"] {
        for pieces in cuts(wire) {
            let seen = decode(&pieces, LIMIT);
            assert_eq!(seen.text, Err(Fault::BareNewline));
            assert_eq!(seen.left, b"QUIT\r\n");
        }
    }
}

#[test]
fn a_message_over_the_limit_is_read_to_its_end_and_not_kept() {
    // Four octets of text, one stuffed dot.
    let wire = b"..a\r\n.\r\nRSET\r\n";
    let kept = decode(&[wire], 4);
    assert_eq!(kept.text, Ok(b".a\r\n".to_vec()));
    let refused = decode(&[wire], 3);
    assert_eq!(refused.text, Err(Fault::TooLarge));
    assert_eq!(refused.octets, 4);
    assert_eq!(refused.left, b"RSET\r\n");

    let mut decoder = Decoder::new(1000, BareLf::Refuse);
    let mut text = Vec::new();
    for _ in 0..10_000 {
        decoder.decode(b"line of text\r\n", &mut text);
    }
    assert_eq!(decoder.octets(), 140_000);
    assert!(text.len() <= 1000, "kept {} octets", text.len());
    assert!(decoder.decode(b".\r\n", &mut text).ended);
}

#[test]
fn a_long_line_passes_unchanged() {
    let line = [&b"x".repeat(100_000)[..], b"\r\n"].concat();
    let wire = [&line[..], b".\r\n"].concat();
    let pieces: Vec<&[u8]> = wire.chunks(4096).collect();
    assert_eq!(decode(&pieces, LIMIT).text, Ok(line));
}

#[test]
fn the_encoder_stuffs_dots_and_adds_a_crlf_only_where_there_is_none() {
    // text, wire
    let cases: [(&[u8], &[u8]); 13] = [
        (b"", b".\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b"a\r\n", b"a\r\n.\r\n"),
        (b"\r\n", b"\r\n.\r\n"),
        (b"a\r\n\r\n", b"a\r\n\r\n.\r\n"),
        (b".", b"..\r\n.\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
        (b"..\r\n.a\r\n", b"...\r\n..a\r\n.\r\n"),
        (b"a.\r\nb.c\r\n", b"a.\r\nb.c\r\n.\r\n"),
        (b"a\r\n.\r\nb", b"a\r\n..\r\nb\r\n.\r\n"),
        // What stored text never holds is made harmless, not mended.
        (b"a\n.\nb", b"a\n..\nb\r\n.\r\n"),
        (b"a\n", b"a\n\r\n.\r\n"),
        (b"a\r", b"a\r\r\n.\r\n"),
    ];
    for (text, wire) in cases {
        for pieces in cuts(text) {
            assert_eq!(&encode(&pieces)[..], wire, "{}", text.escape_ascii());
        }
    }
}

/// Text with many dots and line ends, all of them CRLF.
fn canonical() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof!["[.]{0,3}", "[.]{0,2}[a ]{0,4}[.]{0,1}", "[\\PC]{0,6}"];
    proptest::collection::vec(line, 0..8).prop_map(|lines| {
        lines.into_iter().flat_map(|line| [line.as_bytes(), b"\r\n"].concat()).filter(|&octet| octet != 0).collect()
    })
}

/// Bytes in which line ends, dots and their neighbours are frequent.
fn nasty() -> impl Strategy<Value = Vec<u8>> {
    let octet = prop_oneof![
        4 => Just(b'\r'),
        4 => Just(b'\n'),
        4 => Just(b'.'),
        2 => Just(b'a'),
        1 => any::<u8>(),
    ];
    proptest::collection::vec(octet, 0..40)
}

/// The rules of the decoder, octet by octet, as slow and plain as can be: the text up to the end, and where it ends.
fn plain_decode(wire: &[u8]) -> Option<(Result<Vec<u8>, Fault>, usize)> {
    // The CRLF of the DATA command goes before.
    let all = [b"\r\n", wire].concat();
    let end = all.windows(5).position(|w| w == b"\r\n.\r\n")?;
    // An end is one only if its CRLF is a line end by itself, which it always is: a CR and an LF side by side.
    let body = &all[2..end + 2];
    let mut text = Vec::new();
    let mut fault = false;
    for (index, &octet) in body.iter().enumerate() {
        let before = index.checked_sub(1).map(|i| body[i]);
        let line_start = index == 0 || (index > 1 && &body[index - 2..index] == b"\r\n");
        match octet {
            b'\r' if body.get(index + 1) != Some(&b'\n') => fault = true,
            b'\n' if before != Some(b'\r') => fault = true,
            _ => {}
        }
        if !(octet == b'.' && line_start) {
            text.push(octet);
        }
    }
    let text = if fault { Err(Fault::BareNewline) } else { Ok(text) };
    Some((text, end + 3))
}

proptest! {
    #[test]
    fn a_normalized_text_has_whole_lines_alone_wherever_it_was_cut(wire in "[a.\r\n\u{e9}]{0,40}") {
        let wire = [wire.as_bytes(), b"\r\n.\r\n"].concat();
        let whole = decode_with(BareLf::Normalize, &[&wire], LIMIT);
        if let Ok(text) = &whole.text {
            let bare = text.iter().enumerate().filter(|(at, octet)| match octet {
                b'\n' => *at == 0 || text[at - 1] != b'\r',
                b'\r' => text.get(at + 1) != Some(&b'\n'),
                _ => false,
            });
            prop_assert_eq!(bare.count(), 0);
        }
        // What has no bare LF is no different for it.
        let strict = decode(&[&wire], LIMIT);
        if strict.text.is_ok() {
            prop_assert_eq!(&strict, &whole);
        }
        for pieces in cuts(&wire) {
            let mut cut = decode_with(BareLf::Normalize, &pieces, LIMIT);
            cut.left.truncate(whole.left.len());
            prop_assert_eq!(&cut.text, &whole.text);
            prop_assert_eq!(cut.octets, whole.octets);
        }
    }

    #[test]
    fn decoding_what_was_encoded_gives_the_text_back(text in canonical(), cut in any::<prop::sample::Index>()) {
        let (a, b) = text.split_at(cut.index(text.len() + 1));
        let wire = encode(&[a, b]);
        for pieces in cuts(&wire) {
            let seen = decode(&pieces, LIMIT);
            prop_assert!(seen.ended);
            prop_assert_eq!(seen.text.as_ref(), Ok(&text));
            prop_assert_eq!(seen.octets, text.len() as u64);
        }
    }

    #[test]
    fn the_decoder_agrees_with_the_plain_rules_however_its_input_is_cut(mut wire in nasty()) {
        wire.extend_from_slice(b"\r\n.\r\n");
        let (text, end) = plain_decode(&wire).unwrap();
        for cut in 0..=end {
            let mut decoder = Decoder::new(LIMIT, BareLf::Refuse);
            let mut seen = Vec::new();
            let first = decoder.decode(&wire[..cut], &mut seen);
            prop_assert_eq!(first, Progress { consumed: cut, ended: cut == end });
            if cut < end {
                let second = decoder.decode(&wire[cut..], &mut seen);
                prop_assert_eq!(second, Progress { consumed: end - cut, ended: true });
            }
            prop_assert_eq!(&decoder.fault().map_or(Ok(seen), Err), &text);
        }
    }

    #[test]
    fn whatever_is_encoded_holds_one_end_only(text in nasty()) {
        let wire = encode(&[&text]);
        let mut decoder = Decoder::new(LIMIT, BareLf::Refuse);
        let progress = decoder.decode(&wire, &mut Vec::new());
        prop_assert_eq!(progress, Progress { consumed: wire.len(), ended: true });
        let lf_dot = wire.windows(3).filter(|w| w == b"\n.\n" || w == b"\n.\r").count();
        prop_assert!(lf_dot <= 1, "{}", wire.escape_ascii());
    }
}
