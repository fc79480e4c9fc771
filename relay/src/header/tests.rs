//! Headers as they come and go, cut anywhere.

use super::*;

const ADDED: &str = "Date: Wed, 25 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@relay.test>\r\n";

/// What becomes of a text in two pieces, and what is refused. Only addresses of one.test are allowed.
fn pass(submission: bool, text: &[u8], cut: usize) -> (String, Option<String>) {
    let check: Check = Box::new(|field, mailbox| match mailbox.domain() {
        "one.test" => Ok(()),
        _ => Err(Reply::enhanced(550, (7, 1), format!("{field} <{mailbox}>"))),
    });
    let missing = Missing { date: "Wed, 25 Nov 2026 12:00:00 +0000".into(), message_id: "<1@relay.test>".into() };
    let mut pass = HeaderPass::new(submission.then_some(missing), Some(check));
    let mut out = Vec::new();
    pass.feed(&text[..cut], &mut out);
    pass.feed(&text[cut..], &mut out);
    pass.finish(&mut out);
    assert!(pass.is_over());
    (String::from_utf8(out).unwrap(), pass.refusal().map(ToString::to_string))
}

#[test]
fn submission_adds_what_is_missing_takes_bcc_out_and_touches_nothing_else() {
    for (text, expected) in [
        ("", ADDED.to_owned()),
        ("\r\n", format!("{ADDED}\r\n")),
        ("\r\nbody\r\nBcc: x\r\n", format!("{ADDED}\r\nbody\r\nBcc: x\r\n")),
        ("Subject: a\r\n\r\nbody\r\n", format!("Subject: a\r\n{ADDED}\r\nbody\r\n")),
        ("Subject: a\r\n", format!("Subject: a\r\n{ADDED}")),
        ("DATE : x\r\nmessage-id:y\r\n\r\n", "DATE : x\r\nmessage-id:y\r\n\r\n".to_owned()),
        (
            "Date: x\r\nSubject: a\r\n  folded: Date\r\n\r\nb",
            "Date: x\r\nSubject: a\r\n  folded: Date\r\nMessage-ID: <1@relay.test>\r\n\r\nb".to_owned(),
        ),
        (
            "Bcc: a@x,\r\n b@x\r\nTo: c@x\r\nBCC : d\r\nResent-Bcc: e\r\n\tf\r\n\r\nb\r\n",
            format!("To: c@x\r\n{ADDED}\r\nb\r\n"),
        ),
        ("Bccx: a\r\nX-Bcc: b\r\n\r\n", format!("Bccx: a\r\nX-Bcc: b\r\n{ADDED}\r\n")),
        ("Bcc: a", ADDED.to_owned()),
        // No header at all, or one that ends in the middle.
        ("Hello: \u{e9}\r\nworld\r\n", format!("Hello: \u{e9}\r\n{ADDED}\r\nworld\r\n")),
        (" blank\r\nBcc: a\r\n", format!("{ADDED}\r\n blank\r\nBcc: a\r\n")),
        ("From shell Mon\r\nA: b\r\n", format!("{ADDED}\r\nFrom shell Mon\r\nA: b\r\n")),
        (": no name\r\n", format!("{ADDED}\r\n: no name\r\n")),
    ] {
        for cut in (0..=text.len()).filter(|cut| text.is_char_boundary(*cut)) {
            assert_eq!(pass(true, text.as_bytes(), cut), (expected.clone(), None), "{text:?} cut at {cut}");
        }
    }
    let long = format!("{}\r\n", "x".repeat(5_000));
    assert_eq!(pass(true, long.as_bytes(), 10).0, format!("{ADDED}\r\n{long}"));
}

#[test]
fn from_and_sender_are_checked_wherever_they_stand_and_nothing_changes() {
    for (text, refusal) in [
        ("From: a@one.test\r\n\r\nFrom: b@two.test\r\n", None),
        ("From: a@one.test\r\nTo: b@two.test\r\nReply-To: b@two.test\r\n\r\n", None),
        ("From: b@two.test\r\n\r\n", Some("550 5.7.1 From <b@two.test>")),
        ("From: a@one.test\r\nFROM : b@two.test\r\n\r\n", Some("550 5.7.1 From <b@two.test>")),
        ("From:\r\n a@one.test,\r\n\tb@two.test\r\nDate: x\r\n\r\n", Some("550 5.7.1 From <b@two.test>")),
        ("From: a@one.test\r\nSender: b@two.test", Some("550 5.7.1 Sender <b@two.test>")),
        ("Subject: x\r\nno field\r\nFrom: b@two.test\r\n\r\n", Some("550 5.7.1 From <b@two.test>")),
        (" blank\r\nFrom: b@two.test\r\n\r\n", Some("550 5.7.1 From <b@two.test>")),
        ("From: nobody\r\n\r\n", Some("550 5.7.1 From cannot be read: address has no domain: write user@example.com")),
        ("Resent-From: b@two.test\r\nX-From: b@two.test\r\n\r\n", None),
        ("", None),
    ] {
        for cut in 0..=text.len() {
            let (out, refused) = pass(false, text.as_bytes(), cut);
            assert_eq!((out.as_str(), refused.as_deref()), (text, refusal), "{text:?} cut at {cut}");
        }
    }
    let long = format!("From: a@one.test,{}\r\n b@one.test\r\n\r\n", " ".repeat(VALUE_MAX));
    assert_eq!(
        pass(false, long.as_bytes(), 10),
        (long.clone(), Some("550 5.7.1 From cannot be read: it is too long".into()))
    );
}
