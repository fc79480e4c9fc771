use super::*;
use proptest::prelude::*;

fn rendered(reply: &Reply) -> String {
    let mut output = BytesMut::new();
    reply.render(&mut output);
    String::from_utf8(output.to_vec()).unwrap()
}

fn parsed(bytes: &[u8]) -> Result<Option<Reply>, ReplyError> {
    ReplyParser::new().parse(&mut BytesMut::from(bytes))
}

#[test]
fn replies_go_out_as_rfc_5321_and_2034_say() {
    let cases = [
        (Reply::new(220, "mail.example.com ESMTP"), "220 mail.example.com ESMTP\r\n"),
        (Reply::enhanced(250, (0, 0), "Ok"), "250 2.0.0 Ok\r\n"),
        (Reply::enhanced(550, (7, 509), "No"), "550 5.7.509 No\r\n"),
        (Reply::enhanced(451, (3, 0), "Not now\nnor soon"), "451-4.3.0 Not now\r\n451 4.3.0 nor soon\r\n"),
        (Reply::new(250, ""), "250 \r\n"),
        (Reply::new(250, "a\nSIZE 10\nPIPELINING"), "250-a\r\n250-SIZE 10\r\n250 PIPELINING\r\n"),
        (Reply::new(550, "a\r\u{7}b\u{e9}"), "550 a??b??\r\n"),
    ];
    for (reply, expected) in cases {
        assert_eq!(rendered(&reply), expected);
    }
}

#[test]
fn a_long_text_is_wrapped_into_lines_of_at_most_512_octets() {
    let reply = Reply::enhanced(550, (7, 1), "x".repeat(1200));
    let text = rendered(&reply);
    let lines: Vec<&str> = text.split_inclusive("\r\n").collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines.iter().all(|line| line.len() <= REPLY_LINE_MAX));
    assert!(lines[..2].iter().all(|line| line.starts_with("550-5.7.1 ")));
    assert!(lines[2].starts_with("550 5.7.1 x"));
}

#[test]
fn a_reply_is_shown_on_one_line() {
    let reply = Reply::enhanced(550, (7, 1), "Denied\nask postmaster");
    assert_eq!(reply.to_string(), "550 5.7.1 Denied / ask postmaster");
    assert_eq!(Reply::new(250, "").to_string(), "250");
}

#[test]
fn a_peer_s_reply_is_read_as_rfc_5321_section_4_2_says() {
    // bytes; code, enhanced code, text
    let cases: [(&[u8], u16, &str, &str); 24] = [
        (b"250 Ok\r\n", 250, "", "Ok"),
        (b"250\r\n", 250, "", ""),
        (b"250 \r\n", 250, "", ""),
        (b"250 2.0.0 Ok\r\n", 250, "2.0.0", "Ok"),
        (b"250 2.0.0\r\n", 250, "2.0.0", ""),
        (b"571 Blocked\r\n", 571, "", "Blocked"),
        (b"299 Odd\r\n", 299, "", "Odd"),
        (b"354 5.0.0 go\r\n", 354, "", "5.0.0 go"),
        (b"550 5.7.509 no\r\n", 550, "5.7.509", "no"),
        (b"550 5.999.999 no\r\n", 550, "5.999.999", "no"),
        (b"550 4.7.1 no\r\n", 550, "", "4.7.1 no"),
        (b"450 5.7.1 no\r\n", 450, "", "5.7.1 no"),
        (b"550 5.7.1234 no\r\n", 550, "", "5.7.1234 no"),
        (b"550 5.7 no\r\n", 550, "", "5.7 no"),
        (b"550 5.7.1.1 no\r\n", 550, "", "5.7.1.1 no"),
        (b"550 5.7.1: no\r\n", 550, "", "5.7.1: no"),
        (b"550 5.7.+1 no\r\n", 550, "", "5.7.+1 no"),
        (b"250-a\r\n250-b\r\n250 c\r\n", 250, "", "a\nb\nc"),
        (b"250-a\r\n250\r\n", 250, "", "a\n"),
        (b"550-5.7.26 a\r\n550-5.7.26 b\r\n550 5.7.26 c\r\n", 550, "5.7.26", "a\nb\nc"),
        (b"550-a\r\n554 5.7.1 c\r\n", 554, "5.7.1", "a\nc"),
        (b"250 lf only\n", 250, "", "lf only"),
        (b"250-lf\n250 only\n", 250, "", "lf\nonly"),
        (b"550 a\0b\x1b[31mc\rd\te\xff\r\n", 550, "", "a?b?[31mc?d e\u{fffd}"),
    ];
    for (bytes, code, enhanced, text) in cases {
        let shown = bytes.escape_ascii();
        let reply = parsed(bytes).unwrap().unwrap();
        assert_eq!(reply.code(), code, "{shown}");
        let seen = reply.enhanced_code().map(|e| e.to_string());
        assert_eq!(seen.unwrap_or_default(), enhanced, "{shown}");
        assert_eq!(reply.text(), text, "{shown}");
    }
}

#[test]
fn a_code_that_nobody_knows_counts_by_its_first_digit() {
    for (code, severity) in [
        (200, Severity::Success),
        (299, Severity::Success),
        (354, Severity::Intermediate),
        (499, Severity::Transient),
        (571, Severity::Permanent),
        (599, Severity::Permanent),
    ] {
        let bytes = format!("{code} x\r\n");
        let reply = parsed(bytes.as_bytes()).unwrap().unwrap();
        assert_eq!(reply.severity(), severity, "{code}");
    }
}

#[test]
fn what_is_no_reply_is_an_error() {
    for bytes in [
        &b"HTTP/1.1 400 Bad Request\r\n"[..],
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\r\n",
        b"25\r\n",
        b"150 odd\r\n",
        b"650 odd\r\n",
        b"2500 odd\r\n",
        b"250\tOk\r\n",
        b"250+Ok\r\n",
        b" 250 Ok\r\n",
        b"\xb2\xb5\xb0 Ok\r\n",
    ] {
        let error = parsed(bytes).unwrap_err();
        assert!(matches!(error, ReplyError::NotAReply(_)), "{}: {error:?}", bytes.escape_ascii());
    }
    assert_eq!(parsed(b"250-a\r\n550 b\r\n"), Err(ReplyError::Contradiction(250, 550)));
    let error = parsed(b"250-a\r\nb\r\n").unwrap_err();
    assert_eq!(error, ReplyError::NotAReply("b".into()));
}

#[test]
fn an_overlong_reply_is_cut_and_an_endless_one_given_up() {
    let mut bytes = Vec::new();
    for _ in 0..40 {
        bytes.extend_from_slice(format!("550-{}\r\n", "y".repeat(1000)).as_bytes());
    }
    bytes.extend_from_slice(b"550 end\r\n250 next\r\n");
    let mut input = BytesMut::from(&bytes[..]);
    let reply = ReplyParser::new().parse(&mut input).unwrap().unwrap();
    assert_eq!(reply.code(), 550);
    assert_eq!(reply.text().len(), parser::TEXT_KEPT_MAX);
    assert_eq!(&input[..], b"250 next\r\n");

    assert_eq!(parsed(&b"250-x\r\n".repeat(10_000)), Err(ReplyError::TooLong));
    let mut line = b"250 ".to_vec();
    line.resize(parser::REPLY_MAX + 1, b'x');
    assert_eq!(parsed(&line), Err(ReplyError::TooLong));
}

fn any_reply() -> impl Strategy<Value = Reply> {
    let text = prop_oneof!["[ -~]{0,30}", "[ -~]{0,8}\n[ -~]{0,8}\n[ -~]{0,8}"];
    (200..600u16, proptest::option::of((0..1000u16, 0..1000u16)), text).prop_map(
        |(code, enhanced, text)| match enhanced {
            Some(enhanced) if code / 100 != 3 => Reply::enhanced(code, enhanced, text),
            _ => Reply::new(code, text),
        },
    )
}

proptest! {
    #[test]
    fn however_replies_are_cut_they_are_read_the_same(
        replies in proptest::collection::vec(any_reply(), 1..4),
        tail in "[ -~]{0,5}",
    ) {
        let mut bytes = BytesMut::new();
        for reply in &replies {
            reply.render(&mut bytes);
        }
        bytes.extend_from_slice(tail.as_bytes());

        let read = |pieces: &[&[u8]]| {
            let mut parser = ReplyParser::new();
            let mut input = BytesMut::new();
            let mut seen = Vec::new();
            for piece in pieces {
                input.extend_from_slice(piece);
                while let Some(reply) = parser.parse(&mut input).unwrap() {
                    seen.push(reply);
                }
            }
            (seen, input)
        };
        let whole = read(&[&bytes]);
        prop_assert_eq!(whole.0.len(), replies.len());
        for (seen, sent) in whole.0.iter().zip(&replies) {
            prop_assert_eq!(seen.code(), sent.code());
        }
        for cut in 0..=bytes.len() {
            let (a, b) = bytes.split_at(cut);
            prop_assert_eq!(&read(&[a, b]), &whole, "cut at {}", cut);
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(&read(&single), &whole);
    }

    #[test]
    fn a_rendered_reply_reads_back(reply in any_reply()) {
        // A text that itself begins like an enhanced code, or is wrapped, is not the sender's doing here.
        prop_assume!(reply.enhanced_code().is_some() || reply.text().split('\n').all(|l| {
            EnhancedCode::read(l, reply.first_digit()).is_none()
        }));
        let mut bytes = BytesMut::new();
        reply.render(&mut bytes);
        let seen = ReplyParser::new().parse(&mut bytes).unwrap().unwrap();
        prop_assert_eq!(seen.text(), reply.text());
        prop_assert_eq!(seen.enhanced_code(), reply.enhanced_code());
        prop_assert!(bytes.is_empty());
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let mut input = BytesMut::from(&bytes[..]);
        let mut parser = ReplyParser::new();
        while let Ok(Some(_)) = parser.parse(&mut input) {}
    }
}
