//! A pod that is scaled away hands its mail to its siblings, as it is, and none of it is lost whatever is killed meanwhile.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use mailsluice_crds::{
    LogLevel,
    monitor::{HandoverState, HostState},
    quantity::Interval,
    schedule::LinkState,
};
use mailsluice_ctl::words::{act::Acted, queue::QueueSaid, status::StatusSaid};
use mailsluice_tests::{
    dialogue::Dialogue,
    family::{self, Family},
    http,
    load::{Load, tally},
    mail,
    manifest::Manifest,
    process,
    relay::{PATIENCE, Relay, program},
    scripted::Scripted,
    setting,
    sink::Sink,
    wait,
};
use tempfile::TempDir;

/// How long a hand-over may take on a busy machine, kills and all.
const LIMIT: Duration = Duration::from_secs(120);

fn closed(sink: &Sink) -> Manifest {
    let mut manifest = Manifest::to(sink.address).scheduled(LinkState::Closed, Vec::new());
    manifest.relay.log.level = LogLevel::Problems;
    manifest
}

fn open(sink: &Sink) -> Manifest {
    let mut manifest = closed(sink);
    manifest.schedule.as_mut().expect("a schedule").default = LinkState::Open;
    manifest
}

/// Waits until a pod holds at least so much mail.
fn fill(pod: &Relay, messages: usize) -> Vec<String> {
    let load = Load::start(pod.smtp, 8, &["a@one.test", "b@two.test"]);
    wait::until_some(LIMIT, "the pod has mail", || (load.answered() >= messages).then_some(()));
    load.stop()
}

#[test]
fn no_message_is_lost_or_doubled_though_either_side_is_killed_while_it_is_handed_over() {
    let kills = setting("MAILSLUICE_TEST_KILLS", 100).min(1_000) / 5;
    let (sink, family) = (Sink::start(), Family::new());
    let mut stays = family.start(0, &closed(&sink));
    let mut leaves = family.start(1, &closed(&sink));
    let load = Load::start(leaves.smtp, 8, &["a@one.test", "b@two.test"]);
    wait::until_some(LIMIT, "the pod has mail", || (load.answered() >= 3_000).then_some(()));
    // Under load: what is answered 250 until it takes no more is handed over too.
    family::tell(&leaves, 1);
    let mut killed = 0;
    let over = |pod: &Relay| family::handover(pod).is_some_and(|now| now.state == HandoverState::Done);
    while killed < kills && !over(&leaves) {
        thread::sleep(Duration::from_millis(u64::from(37 * (killed % 11))));
        let pod = if killed.is_multiple_of(2) { &mut leaves } else { &mut stays };
        pod.kill();
        pod.relaunch();
        killed += 1;
    }
    let answered = load.stop();
    let message = family::await_over(&leaves, HandoverState::Done, LIMIT);
    assert_eq!(leaves.monitor().queue.messages, 0, "{message}");
    // It may have been killed only a moment ago.
    stays.await_ready();
    stays.rewrite(&open(&sink));
    stays.await_empty_for(LIMIT);
    let tally = tally(&answered, &sink.received());
    println!(
        "{} messages answered 250 and handed over under {killed} kills: {} lost, {} delivered twice",
        tally.answered,
        tally.lost.len(),
        tally.duplicates
    );
    assert!(tally.lost.is_empty(), "lost: {:?}", tally.lost);
    assert!(tally.spoiled.is_empty(), "not as they were sent: {:?}", tally.spoiled);
    // A sibling knows what it has been given as long as it waits there.
    assert_eq!(tally.duplicates, 0, "delivered twice");
}

#[test]
fn messages_are_handed_over_with_all_that_is_known_of_them() {
    let family = Family::new();
    let host = Scripted::start(|line| match line.split_ascii_whitespace().next() {
        Some("RCPT") => Some("451 4.7.1 later".into()),
        _ => None,
    });
    let mut manifest = Manifest::to(host.address);
    manifest.relay.limits.future_release = Interval::from_secs(3_600);
    manifest.relay.retry.first = Interval::from_secs(600);
    manifest.relay.retry.longest = Interval::from_secs(600);
    let (mut stays, mut leaves) = (family.start(0, &manifest), family.start(1, &manifest));
    let mut client = Dialogue::open(leaves.smtp);
    for (subject, recipients) in [("one", ["a@one.test", "b@one.test"]), ("two", ["c@two.test", "d@three.test"])] {
        client.expect("MAIL FROM:<shop@example.org> RET=HDRS ENVID=order-7 BY=3600;N", "250");
        for recipient in recipients {
            client.expect(&format!("RCPT TO:<{recipient}> NOTIFY=FAILURE ORCPT=rfc822;was-{recipient}"), "250");
        }
        client.expect("DATA", "354");
        client.send(&mailsluice_tests::dialogue::stuffed(&mail::text(subject)));
        assert!(client.reply().starts_with("250"));
    }
    // Too large for the log: it has a file of its own.
    client.expect("MAIL FROM:<shop@example.org>", "250");
    client.expect("RCPT TO:<e@four.test>", "250");
    client.expect("DATA", "354");
    client.send(&mailsluice_tests::dialogue::stuffed(&mail::text_of_size("large", 700_000)));
    assert!(client.reply().starts_with("250"));
    wait::until_equal(PATIENCE, "recipients that are put off", 5.0, || {
        leaves.metric("mailsluice_recipients_deferred_total")
    });
    leaves.terminate();
    let before = exported(&leaves);
    assert_eq!(before.len(), 6, "{:?}", before.keys());
    let said = String::from_utf8_lossy(&before.values().flatten().copied().collect::<Vec<u8>>()).into_owned();
    assert!(said.contains("4.7.1") && said.contains("deliverBy"), "there is something to lose: {said}");

    family::tell(&leaves, 1);
    leaves.relaunch();
    family::await_over(&leaves, HandoverState::Done, PATIENCE);
    assert_eq!(leaves.metric("mailsluice_messages_handed_over_total"), 3.0);
    assert_eq!(stays.metric("mailsluice_messages_taken_over_total"), 3.0);
    assert!(TcpStream::connect(leaves.smtp).is_err(), "one that leaves takes no mail");
    stays.terminate();
    leaves.terminate();
    assert_eq!(exported(&stays), before, "what the sibling has");
    assert!(exported(&leaves).is_empty(), "what is left");
}

#[test]
fn what_an_administrator_holds_stays_held_at_the_sibling() {
    let (sink, family) = (Sink::start(), Family::new());
    let (mut stays, leaves) = (family.start(0, &open(&sink)), family.start(1, &closed(&sink)));
    for name in ["suspect", "good"] {
        Dialogue::open(leaves.smtp).message("shop@example.org", &["a@one.test"], &mail::text(name));
    }
    let host = sink.address.to_string();
    let QueueSaid::Messages(page) = leaves.ctl_json(&["queue", &host]) else { panic!("asked for messages") };
    let suspect = page.messages[0].id.to_string();
    for target in [&*suspect, "moving.test"] {
        let _: Acted = leaves.ctl_json(&["hold", target, "--by", "alice", "--reason", "asked by the owner"]);
    }
    let of = |pod: &Relay| pod.ctl_json::<StatusSaid>(&["status"]).holds;
    let before = of(&leaves);
    assert_eq!(before.len(), 2, "{before:?}");

    family::tell(&leaves, 1);
    family::await_over(&leaves, HandoverState::Done, PATIENCE);
    assert_eq!(of(&stays), before, "by whom, since when and why");
    assert_eq!(sink.await_messages(1, PATIENCE)[0].subject(), "good");
    stays.kill();
    stays.relaunch();
    stays.await_ready();
    let row = wait::until_some(PATIENCE, "nothing but the held one waits", || {
        stays.row(&host).filter(|row| row.state == HostState::Held)
    });
    assert!(row.problem.is_some_and(|text| text.starts_with("1 message is held by alice since")), "{:?}", row.reason);
    let _: Acted = stays.ctl_json(&["release", &suspect]);
    assert_eq!(sink.await_messages(2, PATIENCE)[1].subject(), "suspect");
}

/// All messages of a spool that no relay has open: their texts, envelopes and the state of their recipients.
fn exported(pod: &Relay) -> BTreeMap<String, Vec<u8>> {
    let folder = TempDir::new().expect("a temporary folder");
    let to = folder.path().join("out");
    process::run(Command::new(program()).args(["spool", "export"]).arg(pod.folder().join("spool")).arg(&to));
    files(&to)
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeMap::new() };
    let read = |entry: fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        (name, fs::read(entry.path()).expect("read an exported file"))
    };
    entries.map(|entry| read(entry.expect("an entry"))).collect()
}

#[test]
fn mail_that_no_sibling_takes_stays_and_goes_out_when_its_pod_is_back() {
    let (sink, family) = (Sink::start(), Family::new());
    let pod = family.start(0, &closed(&sink));
    let answered = fill(&pod, 50);
    family::tell(&pod, 0);
    let message = family::await_over(&pod, HandoverState::Stranded, PATIENCE);
    assert_eq!(message, format!("{} messages stay on the claim: no sibling stays", answered.len()));
    assert_eq!(pod.monitor().queue.messages, answered.len() as u64);
    assert_eq!(http::get(pod.http, "/readyz", None).expect("an answer").status, 503);
    family::tell(&pod, 1);
    wait::until_some(PATIENCE, "it takes mail again", || TcpStream::connect(pod.smtp).ok());
    pod.rewrite(&open(&sink));
    pod.await_empty();
    let tally = tally(&answered, &sink.received());
    assert_eq!((tally.lost.len(), tally.duplicates), (0, 0));
}

#[test]
fn a_relay_takes_the_mail_of_its_siblings_and_of_nobody_else() {
    let (sink, family) = (Sink::start(), Family::new());
    let pod = family.start(0, &closed(&sink));
    // Before that it takes nobody's.
    wait::until_equal(PATIENCE, "spools that are still read", 0.0, || pod.metric("mailsluice_spool_recovering"));
    for (who, token, status) in [
        ("a sibling", Some(family.token("outbound-relay", family::AUDIENCE)), "200"),
        ("nobody", None, "401"),
        ("another account", Some(family.token("checkout", family::AUDIENCE)), "401"),
        ("a client", Some(family.token("outbound-relay", "mailsluice")), "401"),
        ("another cluster", Some(Family::new().token("outbound-relay", family::AUDIENCE)), "401"),
    ] {
        let credential = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let mut stream = TcpStream::connect(pod.http).expect("connect");
        let request =
            format!("POST /handover HTTP/1.1\r\nHost: x\r\n{credential}Content-Length: 0\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("send");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{who}: {answer}");
    }
}

#[test]
fn a_long_queue_is_handed_over_in_seconds() {
    let messages = setting("MAILSLUICE_TEST_HANDOVER_MESSAGES", 1_000) as usize;
    let (sink, family) = (Sink::start(), Family::new());
    let (stays, leaves) = (family.start(0, &closed(&sink)), family.start(1, &closed(&sink)));
    let answered = fill(&leaves, messages).len();
    let start = Instant::now();
    family::tell(&leaves, 1);
    family::await_over(&leaves, HandoverState::Done, LIMIT);
    println!("{answered} messages were handed over in {:.1} s", start.elapsed().as_secs_f64());
    assert_eq!(stays.monitor().queue.messages, answered as u64);
}
