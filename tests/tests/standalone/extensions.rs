//! What a client asks for by an extension reaches the next host that knows the extension, over a restart too.

use mailsluice_tests::{
    dialogue::Dialogue,
    mail,
    manifest::Manifest,
    relay::{PATIENCE, Relay},
    scripted::Scripted,
    sink::Sink,
    wait,
};

/// A host that offers these extensions and takes everything.
fn host(offered: &'static [&'static str]) -> Scripted {
    Scripted::start(move |line| {
        let lines: Vec<String> = offered.iter().map(|keyword| format!("250-{keyword}\r\n")).collect();
        line.starts_with("EHLO").then(|| format!("250-scripted\r\n{}250 HELP", lines.concat()))
    })
}

/// The commands of the first message that the host was given.
fn heard(host: &Scripted, count: usize) -> Vec<String> {
    wait::until_some(PATIENCE, "the host has the message", || host.heard().contains(&".".to_owned()).then_some(()));
    let commands = host.heard().into_iter();
    commands.filter(|line| line.starts_with("MAIL") || line.starts_with("RCPT")).take(count).collect()
}

#[test]
fn the_parameters_of_dsn_reach_a_host_that_offers_it() {
    let host = host(&["DSN"]);
    let relay = Relay::start(&Manifest::to(host.address));
    let mut client = Dialogue::open(relay.smtp);
    client.expect("MAIL FROM:<shop@example.org> RET=HDRS ENVID=order+2B7", "250");
    client.expect("RCPT TO:<a@one.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;A@one.test", "250");
    client.expect("RCPT TO:<b@one.test>", "250");
    client.expect("DATA", "354");
    client.send(b"Subject: dsn\r\n\r\n.\r\n");
    assert!(client.reply().starts_with("250"));
    assert_eq!(
        heard(&host, 3),
        [
            "MAIL FROM:<shop@example.org> RET=HDRS ENVID=order+2B7",
            "RCPT TO:<a@one.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;A@one.test",
            "RCPT TO:<b@one.test>",
        ]
    );
}

#[test]
fn what_was_asked_for_outlives_the_process_and_a_host_without_the_extension_is_not_bothered() {
    for (offered, mail, rcpt) in [
        (&["DSN"][..], "MAIL FROM:<shop@example.org> ENVID=kept", "RCPT TO:<a@one.test> NOTIFY=NEVER"),
        (&[], "MAIL FROM:<shop@example.org>", "RCPT TO:<a@one.test>"),
    ] {
        let nobody = Scripted::start(|_| Some("421 4.3.2 not now".into()));
        let mut relay = Relay::start(&Manifest::to(nobody.address));
        let mut client = Dialogue::open(relay.smtp);
        client.expect("MAIL FROM:<shop@example.org> ENVID=kept", "250");
        client.expect("RCPT TO:<a@one.test> NOTIFY=NEVER", "250");
        client.expect("DATA", "354");
        client.send(b"Subject: kept\r\n\r\n.\r\n");
        assert!(client.reply().starts_with("250"));
        relay.kill();
        let host = host(offered);
        relay.rewrite(&Manifest::to(host.address));
        relay.restart();
        assert_eq!(heard(&host, 2), [mail, rcpt]);
    }
}

#[test]
fn a_recipient_of_notify_never_is_given_up_without_a_word() {
    let host = Scripted::start(|line| line.starts_with("RCPT TO:<no").then(|| "550 5.1.1 nobody here".into()));
    let relay = Relay::start(&Manifest::to(host.address));
    for (recipient, bounces) in
        [("no1@one.test> NOTIFY=NEVER", 0), ("no2@one.test> NOTIFY=DELAY", 0), ("no3@one.test>", 1)]
    {
        let mut client = Dialogue::open(relay.smtp);
        client.expect("MAIL FROM:<shop@example.org>", "250");
        client.expect(&format!("RCPT TO:<{recipient}"), "250");
        client.expect("DATA", "354");
        client.send(b"Subject: refused\r\n\r\n.\r\n");
        assert!(client.reply().starts_with("250"));
        relay.await_empty();
        let back = host.heard().iter().filter(|line| line.starts_with("MAIL FROM:<>")).count();
        assert_eq!(back, bounces, "{recipient}: {:?}", host.heard());
    }
}

#[test]
fn mail_in_utf_8_reaches_hosts_that_take_it_and_returns_from_those_that_do_not() {
    let takes = host(&["8BITMIME", "SMTPUTF8"]);
    let does_not = host(&["8BITMIME"]);
    let relay = Relay::start(&Manifest::to(does_not.address).route(&["xn--bcher-kva.test"], takes.address));
    let mut client = Dialogue::open(relay.smtp);
    client.expect("MAIL FROM:<caffè@example.org>", "553 5.6.7");
    let mut send = |sender: &str, recipient: &str, header: &str| {
        client.expect(&format!("MAIL FROM:<{sender}> SMTPUTF8 BODY=8BITMIME"), "250");
        client.expect(&format!("RCPT TO:<{recipient}>"), "250");
        client.expect("DATA", "354");
        client.send(format!("Subject: {header}\r\n\r\n.\r\n").as_bytes());
        assert!(client.reply().starts_with("250"));
        relay.await_empty();
    };
    // By its U-labels the domain is found under its A-labels: in the routes, and at the host.
    send("shop@example.org", "käse@bücher.test", "è");
    assert_eq!(
        heard(&takes, 2),
        ["MAIL FROM:<shop@example.org> BODY=8BITMIME SMTPUTF8", "RCPT TO:<käse@xn--bcher-kva.test>"]
    );
    // To a host without the extension goes what fits into ASCII.
    send("shop@example.org", "a@übung.test", "plain");
    assert_eq!(heard(&does_not, 2), ["MAIL FROM:<shop@example.org>", "RCPT TO:<a@xn--bung-zra.test>"]);
    let sent = |start: &str| does_not.heard().iter().filter(|line| line.starts_with(start)).count();
    for (returned, (recipient, header)) in (1..).zip([("käse@one.test", "plain"), ("a@one.test", "è")]) {
        send("shop@example.org", recipient, header);
        assert_eq!((sent("MAIL FROM:<shop"), sent("MAIL FROM:<>")), (1, returned), "{recipient} {header}");
    }
}

#[test]
fn binary_text_goes_by_bdat_to_the_octet_or_returns_to_its_sender() {
    let sink = Sink::start();
    let plain = host(&["8BITMIME", "CHUNKING"]);
    let relay = Relay::start(&Manifest::to(sink.address).route(&["plain.test"], plain.address));
    let text = b"Subject: binary\r\n\r\n\0\n\r\xff no end of line";
    let mut client = Dialogue::open(relay.smtp);
    for recipient in ["a@one.test", "a@plain.test"] {
        client.expect("MAIL FROM:<shop@example.org> BODY=BINARYMIME", "250");
        client.expect(&format!("RCPT TO:<{recipient}>"), "250");
        let (first, last) = text.split_at(30);
        client.send(&[format!("BDAT {}\r\n", first.len()).as_bytes(), first].concat());
        assert_eq!(client.reply(), "250 2.0.0 30 octets received");
        client.send(&[format!("BDAT {} LAST\r\n", last.len()).as_bytes(), last].concat());
        assert!(client.reply().starts_with("250 2.0.0 queued"));
        relay.await_empty();
    }
    let arrived = sink.await_messages(2, PATIENCE);
    assert_eq!(mail::without_trace(&arrived[0].octets), text);
    assert_eq!(arrived[1].envelope.sender, "", "what the plain host could not have is returned");
    assert!(!plain.heard().iter().any(|line| line.starts_with("MAIL")), "{:?}", plain.heard());
}
