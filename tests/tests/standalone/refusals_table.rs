//! The table of bad input, and the exact reply to each. A new extension adds its rows here.

/// Lines that are said after EHLO, and the reply to the last of them.
pub(crate) type Row = (&'static [&'static str], &'static str);

/// Bad commands.
pub(crate) const COMMANDS: &[Row] = &[
    (&["RCPT TO:<a@one.test>"], "503 5.5.1 Send MAIL first"),
    (&["DATA"], "503 5.5.1 Send MAIL first"),
    (&["MAIL FROM:<>", "MAIL FROM:<>"], "503 5.5.1 MAIL within a transaction; send RSET first"),
    (&["MAIL FROM:<>", "DATA"], "554 5.5.1 No valid recipients"),
    (&["MAIL FROM:a@example.org"], "501 5.1.7 Sender address is not in angle brackets: write <user@example.com>"),
    (&["MAIL FROM:<caffè@example.org>"], "553 5.6.7 Sender address is not ASCII: say SMTPUTF8 in MAIL"),
    (&["MAIL FROM:<>", "RCPT TO:<è@one.test>"], "553 5.6.7 Recipient address is not ASCII: say SMTPUTF8 in MAIL"),
    (&["MAIL FROM:<> SIZE=x"], "501 5.5.4 Malformed parameter"),
    (&["MAIL FROM:<> SIZE=99999999999"], "552 5.3.4 Message is larger than 52428800 octets"),
    (&["MAIL FROM:<> BODY=9BIT"], "555 5.5.4 Unsupported parameter"),
    (&["MAIL FROM:<> RET=ALL"], "501 5.5.4 Malformed parameter"),
    (&["MAIL FROM:<> ENVID=a=b"], "501 5.5.4 Malformed parameter"),
    (&["MAIL FROM:<> SMTPUTF8=1"], "501 5.5.4 Malformed parameter"),
    (&["MAIL FROM:<> REQUIRETLS=1"], "501 5.5.4 Malformed parameter"),
    (&["MAIL FROM:<> REQUIRETLS REQUIRETLS"], "501 5.5.4 Malformed parameter"),
    (&["MAIL FROM:<> X-OTHER"], "555 5.5.4 Unsupported parameter"),
    (
        &["MAIL FROM:<>", "RCPT TO:<>"],
        "501 5.1.3 Recipient local part is malformed: quote it if it holds special characters",
    ),
    (&["MAIL FROM:<>", "RCPT TO:<a@one.test> NOTIFY=NEVER,DELAY"], "501 5.5.4 Malformed parameter"),
    (&["MAIL FROM:<>", "RCPT TO:<a@one.test> ORCPT=a@one.test"], "501 5.5.4 Malformed parameter"),
    (
        &["MAIL FROM:<> BODY=BINARYMIME", "RCPT TO:<a@one.test>", "DATA"],
        "503 5.5.1 A message of BODY=BINARYMIME comes by BDAT",
    ),
    (&["AUTH"], "501 5.5.4 AUTH mechanism [initial-response]"),
    (&["AUTH PLAIN AHNob3AAcGVu"], "502 5.5.1 AUTH is not offered"),
    (&["MAIL FROM:<> AUTH=<>"], "555 5.5.4 Unsupported parameter"),
    (&["EXPN staff"], "502 5.5.1 EXPN is not implemented"),
    (&["TURN"], "500 5.5.1 Command not recognized"),
    (&["HELO"], "501 5.5.4 HELO hostname"),
    (&["EHLO "], "501 5.5.4 EHLO hostname"),
    (&["VRFY"], "501 5.5.4 VRFY address"),
    (&["RSET now"], "501 5.5.4 RSET"),
    (&["QUIT now"], "501 5.5.4 QUIT"),
    (&["MAIL FROM <>"], "501 5.5.4 MAIL FROM:<address>"),
    (&["MAIL FROM:<>x"], "501 5.5.4 MAIL FROM:<address>"),
    (&["MAIL FROM:<> SIZE=1 SIZE=1"], "501 5.5.4 Malformed parameter"),
    (&["MAIL FROM:<> =1"], "501 5.5.4 Malformed parameter"),
    (&["MAIL FROM:<>", "RCPT TO:<a@one.test> X=1"], "555 5.5.4 Unsupported parameter"),
    (&["MAIL FROM:<>", "EHLO again", "RCPT TO:<a@one.test>"], "503 5.5.1 Send MAIL first"),
    (&["MAIL FROM:<>", "RCPT TO:<a@one.test>", "STARTTLS"], "50"),
    (&["XCLIENT ADDR=127.0.0.1"], "550 5.7.0 XCLIENT is not for this client"),
    (&["XCLIENT ADDR"], "501 5.5.4 XCLIENT attribute=value, each attribute once"),
    (&["PROXY TCP4 192.0.2.7 192.0.2.1 4242 25"], "521 5.5.1 This is an SMTP server; closing"),
    (&["POST / HTTP/1.1"], "521 5.5.1 This is an SMTP server; closing"),
    (&["\u{1}"], "521 5.5.1 This is an SMTP server; closing"),
    (&["\r"], BARE),
    (&["MAIL FROM:<>", "RCPT TO:<a@one.test>\nDATA"], BARE),
    (&["MAIL FROM:<>", "RCPT TO:<a@one.test>", "DATA\rx"], BARE),
    (&["BDAT"], "521 5.5.4 Syntax: BDAT octets [LAST]; closing"),
    (&["BDAT 1 FIRST"], "521 5.5.4 Syntax: BDAT octets [LAST]; closing"),
    (&["BDAT 99999999999999999999"], "521 5.5.4 Syntax: BDAT octets [LAST]; closing"),
    (&["DATA now"], "501 5.5.4 DATA"),
    (&["NOOP \0"], "500 5.5.2 NUL in command"),
    (&[""], "500 5.5.2 Command expected"),
    (&["NOOP a\rb"], "521 5.5.2 Bare CR or LF received; lines must end in CR LF; closing"),
    (&["NOOP a\nNOOP"], "521 5.5.2 Bare CR or LF received; lines must end in CR LF; closing"),
    (&["GET / HTTP/1.1"], "521 5.5.1 This is an SMTP server; closing"),
    (&["BDAT x"], "521 5.5.4 Syntax: BDAT octets [LAST]; closing"),
    (&["BDAT 6\r\nQUIT", "RSET", "BDAT 0 LAST"], "503 5.5.1 Send MAIL first"),
    (&["MAIL FROM:<>", "BDAT 6 LAST\r\nQUIT"], "554 5.5.1 No valid recipients"),
    (
        &["MAIL FROM:<>", "RCPT TO:<a@one.test>", "BDAT 3\r\na", "DATA"],
        "503 5.5.1 A message is under way by BDAT; end it by LAST or RSET",
    ),
];

/// Bad commands where AUTH is offered: the password of `shop` is `pencil`, and nobody is listed but users.
pub(crate) const AUTHENTICATION: &[Row] = &[
    (&["MAIL FROM:<a@example.org>", "RCPT TO:<a@one.test>"], "530 5.7.0 Authentication required"),
    (&["AUTH PLAIN AHNob3AAcGVu"], "535 5.7.8 Authentication failed"),
    (&["AUTH PLAIN AG5vYm9keQBwZW5jaWw="], "535 5.7.8 Authentication failed"),
    (&["AUTH PLAIN Ym9zcwBzaG9wAHBlbmNpbA=="], "535 5.7.8 Authentication failed"),
    (&["AUTH PLAIN", "AHNob3AAcGVu"], "535 5.7.8 Authentication failed"),
    (&["AUTH PLAIN", "*"], "501 5.7.0 Authentication is given up"),
    (&["AUTH PLAIN", "%"], "501 5.5.2 Response is not base64"),
    (&["AUTH PLAIN ="], "501 5.5.4 Response is not what the mechanism wants"),
    (&["AUTH LOGIN", "c2hvcA==", "cGVu"], "535 5.7.8 Authentication failed"),
    (&["AUTH CRAM-MD5"], "504 5.5.4 Mechanism is not offered"),
    (&["AUTH OAUTHBEARER"], "504 5.5.4 Mechanism is not offered"),
    (&["AUTH SCRAM-SHA-256", "biws"], "501 5.5.4 Response is not what the mechanism wants"),
    (
        &["AUTH SCRAM-SHA-256 biwsbj1zaG9wLHI9YWJj", "Yz1iaXdzLHI9eCxwPQ=="],
        "501 5.5.4 Response is not what the mechanism wants",
    ),
    (&["AUTH PLAIN AHNob3AAcGVuY2ls", "AUTH PLAIN AHNob3AAcGVuY2ls"], "503 5.5.1 Authenticated already"),
    (&["MAIL FROM:<>", "AUTH PLAIN AHNob3AAcGVuY2ls"], "503 5.5.1 AUTH within a transaction; send RSET first"),
    (&["MAIL FROM:<> AUTH=a"], "501 5.5.4 Malformed parameter"),
    (&["HELO client.test", "AUTH PLAIN AHNob3AAcGVuY2ls"], "503 5.5.1 Send EHLO first"),
];

/// `shop`, whose password is `pencil`.
pub(crate) const USERS: &str = "shop:SCRAM-SHA-256$4096:MDEyMzQ1Njc4OWFiY2RlZg==$nQpbZ77WudtqufPwikHXGRt6g2QJ4zns8bZLw273DRM=:jn2amWP1q1h+jgjy0YTO14S6/F02SV7taipOeB7ef20=\n";

pub(crate) const BARE: &str = "521 5.5.2 Bare CR or LF received; lines must end in CR LF; closing";
pub(crate) const TAKEN: &str = "250 2.0.0 queued as ";

/// Texts, and the reply to it by DATA and by BDAT. NUL, lines of any length and octets above 127, declared or not, pass, as in Postfix.
pub(crate) fn texts() -> Vec<(Vec<u8>, &'static str)> {
    let hop = b"Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\r\n";
    vec![
        (b"a\nb\r\n".to_vec(), BARE),
        (b"a\rb\r\n".to_vec(), BARE),
        (b"a\r\r\n".to_vec(), BARE),
        (b"a\n.\nb\r\n".to_vec(), BARE),
        (b"a\r\n.\nb\r\n".to_vec(), BARE),
        (b"a\n.\r\nb\r\n".to_vec(), BARE),
        (b"a\r.\rb\r\n".to_vec(), BARE),
        (b"a\r\n.\rb\r\n".to_vec(), BARE),
        (b"a\r.\r\nb\r\n".to_vec(), BARE),
        (b"a\r\n\r.\r\nb\r\n".to_vec(), BARE),
        (b"a\r\r\n.\nb\r\n".to_vec(), BARE),
        (b"\nSubject: first\r\n".to_vec(), BARE),
        (b"Subject: header\nX: y\r\n\r\ntext\r\n".to_vec(), BARE),
        (b"a\0b\r\n".to_vec(), TAKEN),
        ([b"x".repeat(100_000), b"\r\n".to_vec()].concat(), TAKEN),
        (b"caf\xe9\r\n".to_vec(), TAKEN),
        // The relay adds its own, and the sink counts as the relay does.
        (hop.repeat(99), TAKEN),
        (hop.repeat(101), "554 5.4.6 Too many hops: 101 Received lines"),
    ]
}
