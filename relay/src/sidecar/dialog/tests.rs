use super::*;

fn greeted() -> Dialog {
    let mut dialog = Dialog::default();
    dialog.greeted();
    dialog
}

/// What a group comes to: a line for each step, and what comes then.
fn shown(dialog: &mut Dialog, input: &mut BytesMut) -> (Vec<String>, Then) {
    let Group { steps, then } = dialog.take(input);
    let steps = steps.into_iter().map(|step| match step {
        Step::Say(reply) => format!("{} {}", reply.code(), reply.enhanced_code().unwrap()),
        Step::Pass(verb, line) => format!("{verb:?}: {}", line.escape_ascii()),
    });
    (steps.collect(), then)
}

fn take(dialog: &mut Dialog, input: &str) -> (Vec<String>, Then) {
    shown(dialog, &mut input.as_bytes().into())
}

fn ok() -> Reply {
    Reply::new(250, "Ok")
}

#[test]
fn what_comes_at_once_is_one_group_up_to_what_nothing_can_follow() {
    let mut dialog = greeted();
    let mut input = BytesMut::from(
        &b"NOOP\r\nmail from:<a@one.test> SIZE=5 \r\nRCPT TO:<b@one.test>\r\nNOOP\r\nRCPT TO:<c@one.test>\r\nDATA\r\nHi\r\n.\r\nQUIT\r\n"[..],
    );
    let expected = [
        "250 2.0.0",
        "Mail: mail from:<a@one.test> SIZE=5",
        "Rcpt: RCPT TO:<b@one.test>",
        "250 2.0.0",
        "Rcpt: RCPT TO:<c@one.test>",
        "Data: DATA",
    ];
    assert_eq!(shown(&mut dialog, &mut input), (expected.map(str::to_owned).into(), Then::Text));
    assert_eq!(input, &b"Hi\r\n.\r\nQUIT\r\n"[..], "the text is not looked at");
    for (line, then) in [
        ("EHLO me\r\nNOOP\r\n", Then::Hello { extended: true }),
        ("HELO me\r\n", Then::Hello { extended: false }),
        ("BDAT 12 LAST\r\nHi", Then::Chunk { size: 12, last: true }),
        ("QUIT\r\n", Then::Quit),
        ("NOO", Then::Read),
        ("", Then::Read),
    ] {
        assert_eq!(take(&mut greeted(), line), (Vec::new(), then), "{line}");
    }
    let many = "RCPT TO:<b@one.test>\r\n".repeat(250);
    let (mut dialog, mut input) = (greeted(), BytesMut::from(&b"MAIL FROM:<a@one.test>\r\n"[..]));
    input.extend_from_slice(many.as_bytes());
    let counts: Vec<_> = (0..3)
        .map(|_| {
            let Group { steps, then } = dialog.take(&mut input);
            dialog.answered(Verb::Mail, &ok());
            (steps.len(), then)
        })
        .collect();
    assert_eq!(counts, [(100, Then::GoOn), (100, Then::GoOn), (51, Then::Read)]);
}

#[test]
fn the_gateway_is_asked_while_it_may_have_a_transaction() {
    let mut dialog = Dialog::default();
    assert_eq!(take(&mut dialog, "MAIL FROM:<a@one.test>\r\n").0, ["503 5.5.1"]);
    dialog.greeted();
    assert_eq!(
        take(&mut dialog, "RCPT TO:<b@one.test>\r\nDATA\r\nRSET\r\n").0,
        ["503 5.5.1", "503 5.5.1", "250 2.0.0"]
    );
    assert_eq!(take(&mut dialog, "MAIL FROM:<a@one.test>\r\n").0, ["Mail: MAIL FROM:<a@one.test>"]);
    dialog.answered(Verb::Mail, &Reply::new(550, "No"));
    assert_eq!(take(&mut dialog, "RCPT TO:<b@one.test>\r\n").0, ["503 5.5.1"]);
    take(&mut dialog, "MAIL FROM:<a@one.test>\r\n");
    dialog.answered(Verb::Mail, &ok());
    // Whether it is in order, the gateway knows best.
    for line in ["MAIL FROM:<x@one.test>", "RCPT TO:<b@one.test>", "DATA", "RSET"] {
        let (steps, _) = take(&mut dialog, &format!("{line}\r\n"));
        assert!(steps[0].ends_with(line), "{steps:?}");
    }
    dialog.answered(Verb::Mail, &Reply::new(503, "No"));
    assert_eq!(*dialog.transaction(), Transaction::Open);
    dialog.answered(Verb::Rset, &ok());
    let steps = take(&mut dialog, "RSET\r\nRCPT TO:<b@one.test>\r\nMAIL FROM:<>\r\nRSET\r\nRCPT TO:<c@one.test>\r\n").0;
    assert_eq!(steps, ["250 2.0.0", "503 5.5.1", "Mail: MAIL FROM:<>", "Rset: RSET", "503 5.5.1"]);
}

#[test]
fn a_mail_for_which_the_application_waits_may_be_answered_ahead() {
    for (input, alone) in [
        ("MAIL FROM:<a@one.test>\r\n", true),
        ("NOOP\r\nMAIL FROM:<a@one.test>\r\nNOOP\r\nRCP", true),
        ("MAIL FROM:<a@one.test>\r\nRCPT TO:<b@one.test>\r\n", false),
        ("MAIL FROM:<a@one.test>\r\nMAIL FROM:<a@one.test>\r\n", false),
        ("MAIL FROM:<a@one.test>\r\nBDAT 1\r\nx", false),
        ("MAIL FROM:<a@one.test>\r\nQUIT\r\n", false),
        ("MAIL FROM:a@one.test\r\n", false),
        ("NOOP\r\n", false),
    ] {
        assert_eq!(greeted().take(&mut input.as_bytes().into()).is_mail_alone(), alone, "{input:?}");
    }
    let mut dialog = greeted();
    take(&mut dialog, "MAIL FROM:<a@one.test> BODY=BINARYMIME\r\n");
    assert!(dialog.needs().are_binary());
    dialog.answered(Verb::Mail, &ok());
    // Another one within the transaction is out of order.
    take(&mut dialog, "MAIL FROM:<a@one.test>\r\n");
    assert!(dialog.needs().are_binary());
}

#[test]
fn a_lost_transaction_is_refused_until_another_begins() {
    let lost = Reply::enhanced(451, (4, 2), "Lost");
    let mut dialog = greeted();
    assert_eq!(dialog.lost(Verb::Mail, &lost), lost);
    assert_eq!(take(&mut dialog, "RCPT TO:<b@one.test>\r\nDATA\r\n").0, ["451 4.4.2", "451 4.4.2"]);
    // Within one group, too.
    let steps = take(&mut dialog, "RCPT TO:<b@one.test>\r\nRSET\r\nRCPT TO:<b@one.test>\r\n").0;
    assert_eq!(steps, ["451 4.4.2", "250 2.0.0", "503 5.5.1"]);
    dialog.lost(Verb::Rcpt, &lost);
    assert_eq!(dialog.lost(Verb::Rset, &lost).code(), 250);
    assert_eq!(*dialog.transaction(), Transaction::None);
    dialog.lost(Verb::Data, &lost);
    let steps = take(&mut dialog, "MAIL FROM:<a@one.test>\r\nRCPT TO:<b@one.test>\r\n").0;
    assert_eq!(steps, ["Mail: MAIL FROM:<a@one.test>", "Rcpt: RCPT TO:<b@one.test>"]);
    dialog.answered(Verb::Mail, &Reply::new(550, "No"));
    assert_eq!(*dialog.transaction(), Transaction::None);
}

#[test]
fn what_is_between_the_sidecar_and_its_gateway_is_not_passed_on() {
    for (line, reply) in [
        ("STARTTLS", "502 5.5.1"),
        ("AUTH PLAIN AAAA", "502 5.5.1"),
        ("XCLIENT NAME=a.test", "502 5.5.1"),
        ("ETRN one.test", "502 5.5.1"),
        ("EXPN list", "502 5.5.1"),
        ("VRFY a", "252 2.0.0"),
        ("HELP", "214 2.0.0"),
        ("FROG", "500 5.5.1"),
        ("MAIL FROM:a@one.test", "501 5.1.7"),
        ("MAIL FROM:<a@one.test> REQUIRETLS", "555 5.5.4"),
        ("MAIL FROM:<a@one.test> AUTH=<>", "555 5.5.4"),
        ("MAIL FROM:<ä@one.test>", "553 5.6.7"),
        ("MAIL FROM:<ä@one.test> SMTPUTF8", "Mail: MAIL FROM:<\\xc3\\xa4@one.test> SMTPUTF8"),
        ("MAIL FROM:<a@one.test> HOLDFOR=60", "Mail: MAIL FROM:<a@one.test> HOLDFOR=60"),
    ] {
        assert_eq!(take(&mut greeted(), &format!("{line}\r\n")).0, [reply], "{line}");
    }
    // A recipient outside ASCII needs a MAIL that said so.
    let steps = take(&mut greeted(), "MAIL FROM:<a@one.test> SMTPUTF8\r\nRCPT TO:<ä@one.test>\r\n").0;
    assert_eq!(steps[1], "Rcpt: RCPT TO:<\\xc3\\xa4@one.test>");
    let steps = take(&mut greeted(), "MAIL FROM:<a@one.test>\r\nRCPT TO:<ä@one.test>\r\n").0;
    assert_eq!(steps[1], "553 5.6.7");
}

#[test]
fn whoever_may_mean_other_lines_than_we_do_is_cut_off() {
    for (input, code) in [
        ("NOOP\nNOOP\r\n", 521),
        ("NO\rOP\r\n", 521),
        ("GET / HTTP/1.1\r\n", 521),
        ("\x16\x03\x01", 521),
        ("BDAT x\r\n", 521),
    ] {
        let (steps, then) = take(&mut greeted(), input);
        assert!(steps.is_empty(), "{steps:?}");
        assert!(matches!(&then, Then::Close(reply) if reply.code() == code), "{input:?}: {then:?}");
    }
    let (steps, then) = take(&mut greeted(), &"FROG\r\n".repeat(30));
    assert_eq!(steps.len(), MAX_ERRORS as usize);
    assert!(matches!(then, Then::Close(reply) if reply.code() == 421));
    let mut dialog = greeted();
    take(&mut dialog, &"FROG\r\n".repeat(15));
    dialog.accepted();
    assert_eq!(take(&mut dialog, &"FROG\r\n".repeat(15)).1, Then::Read, "a message sets the count back");
}

#[test]
fn the_cut_of_the_network_changes_nothing() {
    let whole = "MAIL FROM:<a@one.test>\r\nRCPT TO:<b@one.test>\r\nRSET\r\nFROG\r\nMAIL FROM:<>\r\nDATA\r\n";
    let all = take(&mut greeted(), whole).0;
    for cut in 0..whole.len() {
        let (mut dialog, mut input) = (greeted(), BytesMut::from(&whole.as_bytes()[..cut]));
        let Group { steps, .. } = dialog.take(&mut input);
        for step in &steps {
            if let Step::Pass(verb, _) = step {
                dialog.answered(*verb, &ok());
            }
        }
        input.extend_from_slice(&whole.as_bytes()[cut..]);
        assert_eq!(steps.len() + dialog.take(&mut input).steps.len(), all.len(), "cut at {cut}");
    }
}
