//! What the client makes of parameters that a host knows, and of those that it does not.

use super::*;
use crate::smtp::extensions::{
    Extensions, Notify, OriginalRecipient, RecipientExtensions, Return, TimeParameters,
    timing::{DeliverBy, Hold, Late, Priority},
};

#[tokio::test]
async fn parameters_are_passed_on_to_a_host_that_offers_their_extension_and_to_no_other() {
    let asked = RecipientExtensions {
        notify: Some(Notify::SUCCESS.and(Notify::FAILURE)),
        original: OriginalRecipient::parse("rfc822;b+2Bx@b.example"),
    };
    let mut envelope = envelope(&["b@b.example", "c@b.example"]);
    envelope.extensions =
        Some(Box::new(Extensions { ret: Some(Return::Headers), envid: Some("QQ1".into()), ..Extensions::default() }));
    envelope.recipients[0].extensions = Some(Box::new(asked));
    for (offer, mail, rcpt) in [
        (
            "250-h\r\n250-PIPELINING\r\n250 DSN\r\n",
            " RET=HDRS ENVID=QQ1",
            " NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b+2Bx@b.example",
        ),
        ("250-h\r\n250 PIPELINING\r\n", "", ""),
    ] {
        let flight = format!(
            "MAIL FROM:<a@a.example>{mail}\r\nRCPT TO:<b@b.example>{rcpt}\r\nRCPT TO:<c@b.example>\r\nDATA\r\n"
        );
        let host = Host::start(vec![
            Say("220 h.example ESMTP\r\n"),
            Expect("EHLO c.example\r\n"),
            Say(offer),
            ExpectOwned(flight),
            Say("250 Ok\r\n250 Ok\r\n250 Ok\r\n354 go\r\n"),
            Expect("Hi\r\n.\r\n"),
            Say("250 Ok\r\n"),
        ]);
        let (stream, _) = host.counted_stream();
        let mut client = Client::start(stream, config(), ()).await.unwrap();
        assert_eq!(client.send(&envelope, &mut text()).await.unwrap().stage, Stage::Reply);
        host.done().await;
    }
}

#[tokio::test]
async fn what_is_outside_ascii_goes_to_hosts_that_take_it_and_fails_for_its_recipients_elsewhere() {
    let utf8 = |utf8_header| Some(Box::new(Extensions { smtp_utf8: true, utf8_header, ..Extensions::default() }));
    let (plain, both) = (&["b@b.example", "c@b.example"][..], &["\u{e9}@b.example", "c@b.example"][..]);
    let offer = "250-h\r\n250-PIPELINING\r\n250 SMTPUTF8\r\n";
    let none = "250-h\r\n250 PIPELINING\r\n";
    let none_of_it: Vec<(Stage, u16)> = vec![(Stage::MailFrom, 553), (Stage::MailFrom, 553)];
    let taken = vec![(Stage::Reply, 250), (Stage::Reply, 250)];
    for (host, from, recipients, extensions, mail, outcome) in [
        (offer, "a@a.example", both, utf8(true), "a@a.example> SMTPUTF8", taken.clone()),
        // A report to such a sender says it of itself.
        (offer, "a@a.example", both, None, "a@a.example> SMTPUTF8", taken.clone()),
        (offer, "a@a.example", plain, None, "a@a.example>", taken.clone()),
        (none, "a@a.example", plain, utf8(false), "a@a.example>", taken),
        (none, "a@a.example", both, utf8(false), "a@a.example>", vec![(Stage::RcptTo, 553), (Stage::Reply, 250)]),
        (none, "\u{e9}@a.example", plain, utf8(false), "", none_of_it.clone()),
        (none, "a@a.example", &["\u{e9}@b.example", "\u{e8}@b.example"], utf8(false), "", none_of_it),
        (none, "a@a.example", plain, utf8(true), "", vec![(Stage::MailFrom, 554), (Stage::MailFrom, 554)]),
    ] {
        let mut envelope = Envelope { extensions, ..envelope(recipients) };
        envelope.from = from.parse().unwrap();
        let mut script = vec![
            Say("220 h.example ESMTP\r\n"),
            Expect("EHLO c.example\r\n"),
            Say(if host == offer { offer } else { none }),
        ];
        if !mail.is_empty() {
            let sent: Vec<String> = recipients
                .iter()
                .filter(|recipient| host == offer || recipient.is_ascii())
                .map(|recipient| format!("RCPT TO:<{recipient}>\r\n"))
                .collect();
            script.push(ExpectOwned(format!("MAIL FROM:<{mail}\r\n{}DATA\r\n", sent.concat())));
            script.push(Say(if sent.len() == 2 {
                "250 Ok\r\n250 Ok\r\n250 Ok\r\n354 go\r\n"
            } else {
                "250 Ok\r\n250 Ok\r\n354 go\r\n"
            }));
            script.push(Expect("Hi\r\n.\r\n"));
            script.push(Say("250 Ok\r\n"));
        }
        let host = Host::start(script);
        let mut client = Client::start(host.stream(), config(), ()).await.unwrap();
        let seen = client.send(&envelope, &mut text()).await.unwrap();
        assert_eq!(codes(&seen, 2), outcome, "{from} {recipients:?}");
        host.done().await;
    }
}

#[tokio::test]
async fn a_text_that_is_not_made_of_lines_goes_by_bdat_or_not_at_all() {
    let binary = Envelope { body: BodyType::BinaryMime, size: Some(4), ..envelope(&["b@b.example"]) };
    let host = Host::start(vec![
        Say("220 h.example ESMTP\r\n"),
        Expect("EHLO c.example\r\n"),
        Say("250-h\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 BINARYMIME\r\n"),
        Expect("MAIL FROM:<a@a.example> BODY=BINARYMIME\r\nRCPT TO:<b@b.example>\r\n"),
        Say("250 Ok\r\n250 Ok\r\n"),
        Expect("BDAT 4 LAST\r\na\n\n."),
        Say("250 Ok\r\n"),
        // What is refused as a whole leaves a transaction to be ended.
        Expect("MAIL FROM:<a@a.example> BODY=BINARYMIME\r\nRCPT TO:<b@b.example>\r\n"),
        Say("250 Ok\r\n250 Ok\r\n"),
        Expect("BDAT 4 LAST\r\na\n\n."),
        Say("554 No\r\n"),
        Expect("RSET\r\nMAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n"),
        Say("250 Ok\r\n250 Ok\r\n250 Ok\r\n354 go\r\n"),
        Expect("Hi\r\n.\r\n"),
        Say("250 Ok\r\n"),
    ]);
    let mut client = Client::start(host.stream(), config(), ()).await.unwrap();
    let text_of = || WholeBody::new(&b"a\n\n."[..]);
    assert_eq!(codes(&client.send(&binary, &mut text_of()).await.unwrap(), 1), [(Stage::Reply, 250)]);
    assert_eq!(codes(&client.send(&binary, &mut text_of()).await.unwrap(), 1), [(Stage::Reply, 554)]);
    assert_eq!(codes(&client.send(&envelope(&["b@b.example"]), &mut text()).await.unwrap(), 1), [(Stage::Reply, 250)]);
    host.done().await;

    for offer in ["250-h\r\n250 CHUNKING\r\n", "250-h\r\n250 BINARYMIME\r\n", "250-h\r\n250 8BITMIME\r\n"] {
        let host = Host::start(vec![Say("220 h.example ESMTP\r\n"), Expect("EHLO c.example\r\n"), Say(offer)]);
        let mut client = Client::start(host.stream(), config(), ()).await.unwrap();
        let outcome = client.send(&binary, &mut text_of()).await.unwrap();
        assert_eq!(codes(&outcome, 1), [(Stage::MailFrom, 554)], "{offer}");
        assert_eq!(outcome.decided_by, DecidedBy::Client);
    }
}

#[tokio::test]
async fn a_text_that_is_not_as_long_as_was_said_is_never_taken_for_whole() {
    for size in [3, 5] {
        let binary = Envelope { body: BodyType::BinaryMime, size: Some(size), ..envelope(&["b@b.example"]) };
        let host = Host::start(vec![
            Say("220 h.example ESMTP\r\n"),
            Expect("EHLO c.example\r\n"),
            Say("250-h\r\n250-CHUNKING\r\n250 BINARYMIME\r\n"),
            Expect("MAIL FROM:<a@a.example> BODY=BINARYMIME\r\n"),
            Say("250 Ok\r\n"),
            Expect("RCPT TO:<b@b.example>\r\n"),
            Say("250 Ok\r\n"),
        ]);
        let mut client = Client::start(host.stream(), config(), ()).await.unwrap();
        let error = client.send(&binary, &mut WholeBody::new(&b"a\n\n."[..])).await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Body(_)), "{error}");
        assert_eq!(error.fate, Fate::NotAccepted);
        host.done().await;
    }
}

#[tokio::test]
async fn what_mail_says_of_its_time_is_passed_on_where_it_is_known_and_a_hold_never() {
    let by = |late| Some(DeliverBy { seconds: 60, late, trace: true });
    for (offer, late, mail) in [
        ("250-h\r\n250-DELIVERBY\r\n250 MT-PRIORITY\r\n", Late::Return, Some(" BY=60;RT MT-PRIORITY=-4")),
        ("250-h\r\n250-deliverby 60\r\n250 MT-PRIORITY STANAG4406\r\n", Late::Return, Some(" BY=60;RT MT-PRIORITY=-4")),
        ("250-h\r\n250 DELIVERBY 61,more\r\n", Late::Return, None),
        ("250-h\r\n250 DELIVERBY 61\r\n", Late::Notify, Some(" BY=60;NT")),
        ("250-h\r\n250 MT-PRIORITY\r\n", Late::Notify, Some(" MT-PRIORITY=-4")),
        ("250 h\r\n", Late::Notify, Some("")),
        ("250 h\r\n", Late::Return, None),
    ] {
        let mut envelope = envelope(&["b@b.example"]);
        let time = TimeParameters { hold: Some(Hold::For(5)), deliver_by: by(late), priority: Priority::new(-4) };
        envelope.time = time.boxed();
        let mut script = vec![Say("220 h.example ESMTP\r\n"), Expect("EHLO c.example\r\n"), Say(offer)];
        if let Some(mail) = mail {
            script.push(ExpectOwned(format!("MAIL FROM:<a@a.example>{mail}\r\n")));
            script.push(Say("550 5.1.0 no\r\n"));
        }
        let host = Host::start(script);
        let (stream, _) = host.counted_stream();
        let mut client = Client::start(stream, config(), ()).await.unwrap();
        let outcome = client.send(&envelope, &mut text()).await.unwrap();
        let enhanced = outcome.reply.enhanced_code().map(|code| code.to_string());
        let expected = if mail.is_some() { "5.1.0" } else { "5.4.7" };
        assert_eq!(enhanced.as_deref(), Some(expected), "{offer} {late:?}");
        host.done().await;
    }
}

#[tokio::test]
async fn a_message_that_requires_tls_goes_to_a_host_that_promises_it_and_a_report_goes_anywhere() {
    for (offer, from, mail) in [
        ("250-h\r\n250 REQUIRETLS\r\n", "a@a.example", Some("<a@a.example> REQUIRETLS")),
        ("250-h\r\n250 REQUIRETLS\r\n", "", Some("<> REQUIRETLS")),
        ("250-h\r\n250 STARTTLS\r\n", "a@a.example", None),
        ("250-h\r\n250 STARTTLS\r\n", "", Some("<>")),
    ] {
        let mut envelope = envelope(&["b@b.example"]);
        envelope.from = from.parse().unwrap();
        envelope.extensions = Extensions { require_tls: true, ..Extensions::default() }.boxed();
        let mut script = vec![Say("220 h.example ESMTP\r\n"), Expect("EHLO c.example\r\n"), Say(offer)];
        if let Some(mail) = mail {
            script.push(ExpectOwned(format!("MAIL FROM:{mail}\r\n")));
            script.push(Say("550 5.1.0 no\r\n"));
        }
        let host = Host::start(script);
        let mut client = Client::start(host.stream(), config(), ()).await.unwrap();
        let outcome = client.send(&envelope, &mut text()).await.unwrap();
        let enhanced = outcome.reply.enhanced_code().map(|code| code.to_string());
        let expected = if mail.is_some() { "5.1.0" } else { "5.7.30" };
        assert_eq!(enhanced.as_deref(), Some(expected), "{offer} {from:?}");
        host.done().await;
    }
}
