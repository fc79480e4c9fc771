use super::*;
use crate::smtp::{
    address::ForwardPath,
    envelope::BodyType,
    extensions::{Extensions, Notify, Return},
};
use proptest::prelude::*;

fn mail_from(address: &str, size: Option<u64>, body: BodyType) -> Command {
    Command::Mail(address.parse().unwrap(), MailParameters { size, body, ..MailParameters::default() })
}

fn rcpt_to(address: &str) -> Command {
    Command::Rcpt(address.parse().unwrap(), None)
}

#[test]
fn commands_are_read_as_rfc_5321_section_4_1_writes_them() {
    use BodyType::{EightBitMime, SevenBit};
    let cases: Vec<(&str, Command)> = vec![
        ("HELO client.example", Command::Helo("client.example".into())),
        ("EHLO client.example", Command::Ehlo("client.example".into())),
        ("ehlo [192.0.2.1]", Command::Ehlo("[192.0.2.1]".into())),
        ("EHLO  [IPv6:::1] ", Command::Ehlo("[IPv6:::1]".into())),
        ("EHLO my pc", Command::Ehlo("my?pc".into())),
        ("EHLO a(b)\"c;\u{e9}", Command::Ehlo("a?b??c???".into())),
        ("MAIL FROM:<>", mail_from("", None, SevenBit)),
        ("MAIL FROM:<a@b.example>", mail_from("a@b.example", None, SevenBit)),
        ("mail from:<A@b.example>", mail_from("A@b.example", None, SevenBit)),
        ("MAIL FROM: <a@b.example>", mail_from("a@b.example", None, SevenBit)),
        ("MAIL  FROM:<a@b.example> \t", mail_from("a@b.example", None, SevenBit)),
        ("MAIL FROM:<a@b.example> SIZE=1234", mail_from("a@b.example", Some(1234), SevenBit)),
        ("MAIL FROM:<a@b.example> body=8bitmime size=0", mail_from("a@b.example", Some(0), EightBitMime)),
        ("MAIL FROM:<a@b.example>  BODY=7BIT  SIZE=1 ", mail_from("a@b.example", Some(1), SevenBit)),
        ("MAIL FROM:<a@b.example> SIZE=99999999999999999999", mail_from("a@b.example", Some(u64::MAX), SevenBit)),
        ("MAIL FROM:<\"a > b\"@b.example> SIZE=1", mail_from("\"a > b\"@b.example", Some(1), SevenBit)),
        ("MAIL FROM:<@r.example:a@b.example>", mail_from("a@b.example", None, SevenBit)),
        ("RCPT TO:<a@b.example>", rcpt_to("a@b.example")),
        ("rcpt to:<a@b.example>   ", rcpt_to("a@b.example")),
        ("RCPT TO: <a@b.example>", rcpt_to("a@b.example")),
        ("RCPT TO:<postmaster>", Command::Rcpt(ForwardPath::Postmaster, None)),
        ("RCPT TO:<PostMaster>", Command::Rcpt(ForwardPath::Postmaster, None)),
        ("RCPT TO:<@r.example,@s.example:a@b.example>", rcpt_to("a@b.example")),
        ("DATA", Command::Data),
        ("data \t ", Command::Data),
        ("BDAT 0", Command::Bdat { size: 0, last: false }),
        ("bdat  0042 last ", Command::Bdat { size: 42, last: true }),
        ("RSET", Command::Rset),
        ("NOOP", Command::Noop),
        ("NOOP whatever", Command::Noop),
        ("QUIT", Command::Quit),
        ("VRFY postmaster", Command::Vrfy),
        ("EXPN list", Command::Expn),
        ("HELP", Command::Help),
        ("HELP MAIL", Command::Help),
    ];
    for (line, command) in cases {
        assert_eq!(parse(line.as_bytes(), false), Ok(command), "{line}");
    }
}

#[test]
fn the_parameters_of_dsn_are_read_as_rfc_3461_writes_them() {
    let never = Notify::NEVER;
    for (line, ret, envid) in [
        ("MAIL FROM:<a@b.example> RET=HDRS", Some(Return::Headers), None),
        ("MAIL FROM:<a@b.example> ret=full ENVID=QQ+2B1", Some(Return::Full), Some("QQ+2B1".into())),
        ("MAIL FROM:<> ENVID=x BODY=7BIT", None, Some("x".into())),
    ] {
        let Ok(Command::Mail(_, parameters)) = parse(line.as_bytes(), false) else { panic!("{line}") };
        assert_eq!(parameters.extensions, Some(Box::new(Extensions { ret, envid, ..Extensions::default() })), "{line}");
    }
    for (line, notify, original) in [
        ("RCPT TO:<a@b.example> NOTIFY=NEVER", Some(never), None),
        ("RCPT TO:<a@b.example> notify=success,delay", Some(Notify::SUCCESS.and(Notify::DELAY)), None),
        ("RCPT TO:<a@b.example> NOTIFY=FAILURE,FAILURE", Some(Notify::FAILURE), None),
        ("RCPT TO:<a@b.example> ORCPT=rfc822;a+2Bx@b.example", None, Some("rfc822;a+x@b.example")),
        ("RCPT TO:<a@b.example> NOTIFY=DELAY ORCPT=x-y;z", Some(Notify::DELAY), Some("x-y;z")),
    ] {
        let Ok(Command::Rcpt(_, Some(asked))) = parse(line.as_bytes(), false) else { panic!("{line}") };
        assert_eq!(asked.notify, notify, "{line}");
        assert_eq!(
            asked.original.as_ref().map(|original| original.decoded().into_owned()).as_deref(),
            original,
            "{line}"
        );
    }
    assert_eq!(never.to_string(), "NEVER");
    assert_eq!(Notify::SUCCESS.and(Notify::FAILURE).and(Notify::DELAY).to_string(), "SUCCESS,FAILURE,DELAY");
}

#[test]
fn addresses_are_utf_8_where_mail_says_so() {
    let line = "MAIL FROM:<caf\u{e9}@b\u{fc}cher.example> SMTPUTF8 BODY=8BITMIME";
    let Ok(Command::Mail(from, parameters)) = parse(line.as_bytes(), false) else { panic!("{line}") };
    assert_eq!(from.as_str(), "caf\u{e9}@xn--bcher-kva.example");
    assert_eq!(parameters.extensions, Some(Box::new(Extensions { smtp_utf8: true, ..Extensions::default() })));
    let line = "RCPT TO:<\u{e9}@b.example> ORCPT=utf-8;\u{e9}@b.example";
    assert_eq!(parse(line.as_bytes(), false), Err(CommandError::Recipient(AddressError::NotAscii)));
    let Ok(Command::Rcpt(to, Some(asked))) = parse(line.as_bytes(), true) else { panic!("{line}") };
    assert_eq!(to.as_str(), "\u{e9}@b.example");
    assert_eq!(asked.original.unwrap().as_str(), "utf-8;\u{e9}@b.example");
}

#[test]
fn what_is_wrong_gets_the_reply_that_says_so() {
    let cases: [(&[u8], u16, &str); 78] = [
        (b"", 500, "5.5.2"),
        (b"   ", 500, "5.5.2"),
        (b"FOO", 500, "5.5.1"),
        (b"MAILFROM:<a@b.example>", 500, "5.5.1"),
        (b"DATAX", 500, "5.5.1"),
        (b"STARTTLS now", 501, "5.5.4"),
        (b"AUTH", 501, "5.5.4"),
        (b"AUTH PLAIN a b", 501, "5.5.4"),
        (b"BDAT", 521, "5.5.4"),
        (b"BDAT LAST", 521, "5.5.4"),
        (b"BDAT -1", 521, "5.5.4"),
        (b"BDAT +1", 521, "5.5.4"),
        (b"BDAT 1 2", 521, "5.5.4"),
        (b"BDAT 1 LAST LAST", 521, "5.5.4"),
        (b"BDAT 18446744073709551616", 521, "5.5.4"),
        (b"\xff\xfe", 500, "5.5.1"),
        (b"GET / HTTP/1.1", 521, "5.5.1"),
        (b"post /x HTTP/1.0", 521, "5.5.1"),
        (b"CONNECT host:25 HTTP/1.1", 521, "5.5.1"),
        (b"NOOP \0", 500, "5.5.2"),
        (b"NO\0OP", 500, "5.5.2"),
        (b"NOOP a\rb", 521, "5.5.2"),
        (b"NOOP a\nb", 521, "5.5.2"),
        (b"NOOP \0 a\nb", 521, "5.5.2"),
        (b"NOOP\r", 521, "5.5.2"),
        (b"\r", 521, "5.5.2"),
        (b"EHLO", 501, "5.5.4"),
        (b"HELO ", 501, "5.5.4"),
        (b"DATA now", 501, "5.5.4"),
        (b"RSET all", 501, "5.5.4"),
        (b"QUIT please", 501, "5.5.4"),
        (b"VRFY", 501, "5.5.4"),
        (b"MAIL", 501, "5.5.4"),
        (b"MAIL a@b.example", 501, "5.5.4"),
        (b"MAIL FROM", 501, "5.5.4"),
        (b"MAIL FROM <a@b.example>", 501, "5.5.4"),
        (b"MAIL FROM :<a@b.example>", 501, "5.5.4"),
        (b"MAIL TO:<a@b.example>", 501, "5.5.4"),
        (b"MAIL FROM:", 501, "5.1.7"),
        (b"MAIL FROM:a@b.example", 501, "5.1.7"),
        (b"MAIL FROM:<a@b.example", 501, "5.1.7"),
        (b"MAIL FROM:<a@@b.example>", 501, "5.1.7"),
        (b"MAIL FROM:<postmaster>", 501, "5.1.7"),
        (b"MAIL FROM:<\xc3\xa9@b.example>", 553, "5.6.7"),
        (b"MAIL FROM:<a@b.example>SIZE=1", 501, "5.5.4"),
        (b"MAIL FROM:<a@b.example>>", 501, "5.5.4"),
        (b"MAIL FROM:<a@b.example> SIZE", 501, "5.5.4"),
        (b"MAIL FROM:<a@b.example> SIZE=", 501, "5.5.4"),
        (b"MAIL FROM:<a@b.example> SIZE=-1", 501, "5.5.4"),
        (b"MAIL FROM:<a@b.example> SIZE=1k", 501, "5.5.4"),
        (b"MAIL FROM:<a@b.example> SIZE=1 SIZE=1", 501, "5.5.4"),
        (b"MAIL FROM:<a@b.example> SIZE=000000000000000000001", 501, "5.5.4"),
        (b"MAIL FROM:<a@b.example> BODY", 501, "5.5.4"),
        (b"MAIL FROM:<a@b.example> BODY=9BIT", 555, "5.5.4"),
        (b"MAIL FROM:<a@b.example> SMTPUTF8=1", 501, "5.5.4"),
        (b"MAIL FROM:<a@b.example> SMTPUTF8 SMTPUTF8", 501, "5.5.4"),
        (b"MAIL FROM:<\xff@b.example> SMTPUTF8", 553, "5.6.7"),
        (b"MAIL FROM:<a@b\xc3\xbc.example>", 553, "5.6.7"),
        (b"RCPT TO:<a@b.example> ORCPT=utf-8;\xc3\xa9@b", 501, "5.5.4"),
        (b"MAIL FROM:<a@b.example> AUTH=a", 501, "5.5.4"),
        (b"MAIL FROM:<a@b.example> AUTH=<> AUTH=<>", 501, "5.5.4"),
        (b"MAIL FROM:<a@b.example> RET=ALL", 501, "5.5.4"),
        (b"MAIL FROM:<a@b.example> RET", 501, "5.5.4"),
        (b"MAIL FROM:<a@b.example> RET=FULL RET=FULL", 501, "5.5.4"),
        (b"MAIL FROM:<a@b.example> ENVID=a+b", 501, "5.5.4"),
        (b"MAIL FROM:<a@b.example> ENVID=a+0D+0Ab", 501, "5.5.4"),
        (b"MAIL FROM:<a@b.example> ENVID=", 501, "5.5.4"),
        (b"RCPT TO:<a@b.example> NOTIFY=NEVER,DELAY", 501, "5.5.4"),
        (b"RCPT TO:<a@b.example> NOTIFY=SUCCESS,", 501, "5.5.4"),
        (b"RCPT TO:<a@b.example> NOTIFY=NEVER NOTIFY=NEVER", 501, "5.5.4"),
        (b"RCPT TO:<a@b.example> ORCPT=a@b.example", 501, "5.5.4"),
        (b"RCPT TO:<a@b.example> ORCPT=rfc822;a+b", 501, "5.5.4"),
        (b"RCPT TO:<a@b.example> X=1", 555, "5.5.4"),
        (b"MAIL FROM:<a@b.example> =x", 501, "5.5.4"),
        (b"RCPT TO:<>", 501, "5.1.3"),
        (b"RCPT TO:<root>", 501, "5.1.3"),
        (b"RCPT TO:<\xff@b.example>", 553, "5.6.7"),
        (b"RCPT FROM:<a@b.example>", 501, "5.5.4"),
    ];
    for (line, code, enhanced) in cases {
        let shown = line.escape_ascii();
        let Err(error) = parse(line, false) else {
            panic!("{shown} is accepted");
        };
        let reply = error.reply();
        let seen = reply.enhanced_code().unwrap().to_string();
        assert_eq!((reply.code(), seen.as_str()), (code, enhanced), "{shown}");
        assert_eq!(error.ends_session(), reply.closes(), "{shown}");
    }
}

#[test]
fn a_line_has_at_most_2048_octets_with_its_end() {
    let line = |length: usize| {
        let mut line = b"NOOP ".to_vec();
        line.resize(length, b'x');
        line
    };
    assert_eq!(parse(&line(2046), false), Ok(Command::Noop));
    assert_eq!(parse(&line(2047), false), Err(CommandError::TooLong));
}

#[test]
fn a_hello_name_is_safe_in_a_received_line_whatever_was_sent() {
    let line: Vec<u8> = b"EHLO ".iter().copied().chain(1..=255).filter(|o| !b"\r\n".contains(o)).collect();
    match parse(&line, false) {
        Ok(Command::Ehlo(name)) => {
            assert!(name.len() <= 255);
            assert!(name.bytes().all(|o| o.is_ascii_graphic()), "{name}");
            assert!(!name.contains(['(', ')', '<', '>', '"', '\\', ';', '@', ',']), "{name}");
        }
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn no_line_makes_the_parser_panic(line in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = parse(&line, false);
    }

    #[test]
    fn no_address_makes_the_parser_panic(text in "(MAIL FROM|RCPT TO):[ <>@:\"\\\\.,\\[\\]a-zA-Z0-9=-]{0,40}") {
        let _ = parse(text.as_bytes(), true);
    }
}
