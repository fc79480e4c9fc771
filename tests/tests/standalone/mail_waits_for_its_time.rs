//! Mail that has a time: held till it, delivered by it, the important first, and asked for by a site that comes on line.

use std::{fs, net::SocketAddr, process::Command};

use jiff::{SignedDuration, Timestamp};
use mailsluice_crds::{monitor::Reason, quantity::Interval, schedule::LinkState};
use mailsluice_tests::{
    dialogue::Dialogue,
    mail,
    manifest::Manifest,
    network, process,
    relay::{PATIENCE, Relay},
    scripted::Scripted,
    sink::Sink,
    wait,
};
use tempfile::TempDir;

/// A message whose MAIL has parameters; the reply to its end, or to the command that was refused.
fn send(client: &mut Dialogue, parameters: &str, to: &str, subject: &str) -> String {
    for command in [&format!("MAIL FROM:<shop@example.org> {parameters}"), &format!("RCPT TO:<{to}>"), "DATA"] {
        let reply = client.say(command);
        if !reply.starts_with(['2', '3']) {
            return reply;
        }
    }
    client.send(&mailsluice_tests::dialogue::stuffed(&mail::text(subject)));
    client.reply()
}

/// A relay that takes mail on the port for submission, in a network where that is free.
fn submission(manifest: &Manifest) -> (Relay, SocketAddr) {
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("relay.yaml");
    fs::write(&file, manifest.text(587)).expect("write the manifests");
    (Relay::start_on(folder, &file, manifest, &[]), SocketAddr::from(([127, 0, 0, 1], 587)))
}

#[test]
fn a_held_message_leaves_at_its_time_and_not_before_be_there_a_restart_or_not() {
    network::alone(
        "mail_waits_for_its_time::a_held_message_leaves_at_its_time_and_not_before_be_there_a_restart_or_not",
        || {
            let sink = Sink::start();
            let mut manifest = Manifest::to(sink.address);
            manifest.relay.limits.future_release = Interval::from_secs(3_600);
            let (mut relay, port) = submission(&manifest);
            let mut client = Dialogue::try_open(port).expect("connect");
            let offer = client.expect("EHLO client.test", "250");
            assert!(offer.contains("FUTURERELEASE 3600 20") && !offer.contains("ETRN"), "{offer}");
            let until = (Timestamp::now() + SignedDuration::from_secs(6)).round(jiff::Unit::Second).expect("a second");
            assert!(send(&mut client, &format!("HOLDUNTIL={until}"), "a@one.test", "held").starts_with("250"));
            assert!(send(&mut client, "HOLDFOR=3601", "a@one.test", "too long").starts_with("501 5.5.4"));
            assert!(
                send(&mut client, "HOLDFOR=1 HOLDUNTIL=2026-12-01T00:00:00Z", "a@one.test", "both").starts_with("501")
            );
            assert!(send(&mut client, "HOLDFOR=60 BY=59;N", "a@one.test", "too late").starts_with("501 5.5.4"));
            assert!(send(&mut client, "", "a@one.test", "at once").starts_with("250"));
            assert_eq!(sink.await_messages(1, PATIENCE)[0].subject(), "at once");
            let row = wait::until_some(PATIENCE, "the Monitor says why the other waits", || {
                relay.monitor().monitor.into_iter().find(|row| row.reason == Some(Reason::HeldBySender))
            });
            assert_eq!((row.messages, row.suspended_till), (1, Some(until)), "{row:?}");
            assert!(row.problem.as_ref().is_some_and(|text| text.contains("FUTURERELEASE")), "{row:?}");
            relay.kill();
            relay.restart();
            let arrived = sink.await_messages(2, PATIENCE);
            assert_eq!(arrived[1].subject(), "held");
            assert!(arrived[1].envelope.received_at >= until, "{} is before {until}", arrived[1].envelope.received_at);
            relay.await_empty();
        },
    );
}

#[test]
fn a_port_that_is_not_for_submission_holds_no_mail() {
    let sink = Sink::start();
    let relay = Relay::start(&Manifest::to(sink.address));
    let mut client = Dialogue::try_open(relay.smtp).expect("connect");
    let offer = client.expect("EHLO client.test", "250");
    assert!(
        !offer.contains("FUTURERELEASE") && offer.contains("DELIVERBY") && offer.contains("MT-PRIORITY"),
        "{offer}"
    );
    assert!(send(&mut client, "HOLDFOR=60", "a@one.test", "held").starts_with("555 5.5.4"));
}

#[test]
fn what_must_not_be_late_goes_back_and_of_what_may_be_the_sender_is_told_once() {
    let senders = Sink::start();
    let nobody = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
    let relay = Relay::start(&Manifest::to(nobody).route(&["example.org"], senders.address));
    let mut client = Dialogue::open(relay.smtp);
    assert!(send(&mut client, "BY=0;R", "a@one.test", "never in time").starts_with("501"));
    assert!(send(&mut client, "BY=2;R", "a@one.test", "or not at all").starts_with("250"));
    assert!(send(&mut client, "BY=2;N", "b@one.test", "late is all right").starts_with("250"));
    let reports = senders.await_messages(2, PATIENCE);
    let report = |subject: &str| {
        let found = reports.iter().map(|report| String::from_utf8_lossy(&report.octets).into_owned());
        found.into_iter().find(|text| text.contains(subject)).unwrap_or_else(|| panic!("no report of {subject:?}"))
    };
    let (back, late) = (report("Subject: or not at all"), report("Subject: late is all right"));
    for part in ["Action: failed", "Status: 5.4.7", "Deliver-By-Date: ", "a@one.test", "ECONNREFUSED"] {
        assert!(back.contains(part), "{part}: {back}");
    }
    for part in ["Action: delayed", "Status: 4.4.7", "Deliver-By-Date: ", "Will-Retry-Until: ", "b@one.test"] {
        assert!(late.contains(part), "{part}: {late}");
    }
    // The reports count till their host has answered for them.
    wait::until_equal(PATIENCE, "messages: the second one waits on", 1, || relay.monitor().queue.messages);
    wait::until_equal(PATIENCE, "senders told", 1.0, || relay.metric("mailsluice_delays_told_total"));
}

#[test]
fn time_and_priority_go_on_to_a_host_that_knows_them_and_the_important_goes_first() {
    let address = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
    let mut manifest = Manifest::to(address);
    manifest.relay.limits.connections_per_host = 1;
    // Until all have come.
    let manifest = manifest.scheduled(LinkState::Closed, Vec::new());
    let relay = Relay::start(&manifest);
    let mut client = Dialogue::open(relay.smtp);
    for (parameters, subject) in [
        ("MT-PRIORITY=-3", "can wait"),
        ("", "plain"),
        ("MT-PRIORITY=6 BY=500;NT", "urgent"),
        ("MT-PRIORITY=2", "soon"),
    ] {
        assert!(send(&mut client, parameters, "a@one.test", subject).starts_with("250"), "{subject}");
    }
    assert!(send(&mut client, "MT-PRIORITY=10", "a@one.test", "beyond").starts_with("501"));
    let host = Scripted::start_at(address, |line| {
        line.starts_with("EHLO").then(|| "250-scripted\r\n250-8BITMIME\r\n250-DELIVERBY\r\n250 MT-PRIORITY".into())
    });
    relay.rewrite(&Manifest { schedule: None, ..manifest }.scheduled(LinkState::Open, Vec::new()));
    relay.await_empty();
    // The report that the urgent one was passed on is the relay's own mail.
    let sent = |line: &String| line.starts_with("MAIL FROM:<shop@");
    let mails: Vec<String> = host.heard().into_iter().filter(sent).collect();
    let priorities: Vec<_> = mails.iter().map(|line| line.split("MT-PRIORITY=").nth(1).unwrap_or("-")).collect();
    assert_eq!(priorities, ["6", "2", "-", "-3"], "{mails:?}");
    let left = mails[0].split("BY=").nth(1).and_then(|by| by.split(';').next()?.parse::<u32>().ok());
    assert!(mails[0].contains(";NT") && left.is_some_and(|left| (1..=500).contains(&left)), "{mails:?}");
    assert!(host.heard().iter().any(|line| line == "MAIL FROM:<> MT-PRIORITY=6"), "T asks for a report: {mails:?}");
}

#[test]
fn a_received_line_says_what_priority_a_message_came_with() {
    let sink = Sink::start();
    let relay = Relay::start(&Manifest::to(sink.address));
    let mut client = Dialogue::open(relay.smtp);
    for (parameters, subject) in [("MT-PRIORITY=6", "six"), ("MT-PRIORITY=-3", "minus three"), ("", "none")] {
        assert!(send(&mut client, parameters, "a@one.test", subject).starts_with("250"), "{subject}");
    }
    let received = sink.await_messages(3, PATIENCE);
    for (subject, clause) in [("six", Some("PRIORITY 6;")), ("minus three", Some("PRIORITY -3;")), ("none", None)] {
        let message = received.iter().find(|message| message.subject() == subject).expect("the message");
        let text = String::from_utf8_lossy(&message.octets);
        let trace = text.split("Subject:").next().unwrap_or_default();
        match clause {
            Some(clause) => assert!(trace.contains(&format!("\r\n\t{clause}\r\n")), "{subject}: {trace}"),
            None => assert!(!trace.contains("PRIORITY"), "{subject}: {trace}"),
        }
    }
}

#[test]
fn a_site_that_comes_on_line_asks_for_its_mail() {
    let address = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
    let mut manifest = Manifest::to(address);
    // Long enough that nothing is tried again of itself while the test looks.
    manifest.relay.retry.first = Interval::from_secs(3_600);
    manifest.relay.retry.longest = Interval::from_secs(3_600);
    let relay = Relay::start(&manifest);
    let mut client = Dialogue::open(relay.smtp);
    client.expect("ETRN ship.test", "251");
    client.expect("ETRN", "501");
    client.message("shop@example.org", &["captain@ship.test"], &mail::text("at sea"));
    wait::until_some(PATIENCE, "the host is suspended", || {
        relay.monitor().monitor.into_iter().find(|row| row.reason == Some(Reason::ConnectionFailed))
    });
    client.expect("ETRN ship.test", "458");
    let sink = Sink::start_at(address);
    let reply = wait::until_some(PATIENCE, "it is some seconds since the host failed", || {
        Some(client.say(&format!("ETRN #{address}"))).filter(|reply| !reply.starts_with("458"))
    });
    assert!(reply.starts_with("253 2.0.0 OK, 1 pending"), "{reply}");
    assert_eq!(sink.await_messages(1, PATIENCE)[0].subject(), "at sea");
}

#[test]
fn a_site_may_not_be_asked_for_by_strangers_and_a_closed_link_stays_closed() {
    let sink = Sink::start();
    let mut manifest = Manifest::to(sink.address).scheduled(LinkState::Closed, Vec::new());
    let relay = Relay::start(&manifest);
    let mut client = Dialogue::open(relay.smtp);
    client.message("shop@example.org", &["captain@ship.test"], &mail::text("at sea"));
    wait::until_some(PATIENCE, "the schedule holds it", || {
        relay.monitor().monitor.into_iter().find(|row| row.reason == Some(Reason::TcpScheduleClosed))
    });
    let reply = client.expect("ETRN ship.test", "458 4.3.2");
    assert!(reply.contains("TCP Schedule"), "{reply}");
    manifest.relay.clients[0].networks = vec!["192.0.2.0/24".into()];
    relay.rewrite(&manifest);
    relay.await_reloads(1);
    client.expect("ETRN ship.test", "459 4.7.1");
    assert_eq!(sink.count(), 0);
}

#[test]
fn a_spool_shows_what_a_message_waits_for() {
    let nobody = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
    let mut relay = Relay::start(&Manifest::to(nobody));
    let mut client = Dialogue::open(relay.smtp);
    assert!(send(&mut client, "MT-PRIORITY=4 BY=3600;R", "a@one.test", "timed").starts_with("250"));
    relay.terminate();
    let spool = relay.folder().join("spool");
    let list = |command: &str, more: &[&str]| {
        let mut tool = Command::new(mailsluice_tests::relay::program());
        process::run(tool.arg("spool").arg(command).arg(&spool).args(more))
    };
    let listed = list("list", &["-o", "json"]);
    assert!(listed.contains("\"late\":\"Return\"") && listed.contains("\"priority\":4"), "{listed}");
    let id = listed.split("\"id\":\"").nth(1).and_then(|rest| rest.get(..16)).expect("an id").to_owned();
    let shown = list("show", &[&id]);
    assert!(shown.contains("or goes back (DELIVERBY)") && shown.contains("priority:  4"), "{shown}");
}
