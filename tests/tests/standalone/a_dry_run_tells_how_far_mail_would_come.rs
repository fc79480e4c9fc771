//! A dry run tells how far mail for an address would come, by the way that mail goes, and leaves no trace of an attempt.

use std::{collections::BTreeMap, io::Read as _, net::TcpListener, thread};

use jiff::{SignedDuration, Timestamp};
use mailsluice_crds::{
    monitor::{HostState, Reason},
    quantity::Interval,
    relay::{Route, SecretRef, Smarthost, TlsPolicy},
};
use mailsluice_ctl::words::test::{StepKind, StepResult, Tested, Verdict};
use mailsluice_tests::{
    certificate::{self, Certificate},
    dialogue::Dialogue,
    dns::Dns,
    dry_run::{self, failed, step, told},
    mail,
    manifest::{Manifest, smarthost},
    relay::{PATIENCE, Relay},
    scripted::Scripted,
    sink::Sink,
    tls_host::TlsHost,
    wait,
};
use serde_json::json;
use tempfile::TempDir;

const ADDRESS: &str = "ann@one.test";

/// What a dry run says, and whether its exit status is that of success.
fn dry_run(relay: &Relay, more: &[&str]) -> (Tested, bool) {
    dry_run::of(relay, ADDRESS, more)
}

/// What is counted of mail on its way out, and of what waits.
fn counted(relay: &Relay) -> BTreeMap<String, f64> {
    let parts = ["smtp_client", "recipients", "queue_messages", "tls_report", "mailsluice_hosts"];
    relay.metrics().into_iter().filter(|(name, _)| parts.iter().any(|part| name.contains(part))).collect()
}

#[test]
fn a_host_is_asked_for_the_recipient_and_is_sent_nothing() {
    use StepKind::{Access, Banner, Connect, Dns, Ehlo, MailFrom, Queue, Quit, RcptTo, Route, Schedule, StartTls};
    let host = Scripted::start(|line| line.starts_with("RCPT TO:<bob@").then(|| "550 5.1.1 nobody".to_owned()));
    let relay = Relay::start(&Manifest::to(host.address));
    let before = counted(&relay);
    let (tested, success) = dry_run(&relay, &["--from", "shop@example.org", "--client", "127.0.0.1"]);
    assert!(success, "{tested:#?}");
    assert_eq!((tested.verdict, tested.host.clone()), (Verdict::Accepted, Some(host.address.to_string())));
    let kinds: Vec<StepKind> = tested.steps.iter().map(|step| step.step).collect();
    assert_eq!(
        kinds,
        [Access, Route, Queue, Schedule, Dns, Connect, Banner, Ehlo, StartTls, MailFrom, RcptTo, Quit],
        "{tested:#?}"
    );
    assert!(step(&tested, StartTls).text.contains("in clear"), "{tested:#?}");
    let hello = host.heard()[1].trim_start_matches("EHLO ").to_owned();
    assert_eq!(
        host.heard(),
        ["", &format!("EHLO {hello}"), "MAIL FROM:<shop@example.org>", "RCPT TO:<ann@one.test>", "RSET", "QUIT"]
    );

    let typed = relay.ctl(&["test", "bob@one.test"]);
    assert!(!typed.success && typed.out.contains("550 5.1.1 nobody"), "{typed:?}");
    assert!(typed.out.contains("The host does not take this mail for bob@one.test."), "{typed:?}");
    let (tested, success) = dry_run(&relay, &["--client", "192.0.2.1"]);
    assert_eq!((told(&tested, Access).0, tested.verdict, success), (StepResult::Failed, Verdict::Accepted, false));

    assert_eq!(counted(&relay), before, "a dry run counts as an attempt");
    assert!(relay.records().iter().all(|record| record.field("event").as_deref() != Some("AddressSuspended")));
    let id = tested.session.expect("a session");
    let record = relay.await_record("who made it", |record| record.field("action").as_deref() == Some("test"));
    assert_eq!((record.field("by"), record.field("recipient")), (Some("alice".into()), Some("<ann@one.test>".into())));
    relay.await_record("the conversation", |record| {
        record.field("session").as_ref() == Some(&id) && record.msg.starts_with("> RCPT TO:<ann@one.test>")
    });
}

#[test]
fn a_suspended_host_is_tried_and_stays_as_it_was() {
    let mut sink = Sink::start();
    let address = sink.address;
    let mut manifest = Manifest::to(address);
    manifest.relay.retry.first = Interval::from_secs(3_600);
    manifest.relay.retry.longest = Interval::from_secs(3_600);
    let relay = Relay::start(&manifest);
    sink.kill();
    Dialogue::open(relay.smtp).message("shop@example.org", &[ADDRESS], &mail::text("waits"));
    let host = address.to_string();
    let suspended = || relay.row(&host).filter(|row| row.state == HostState::Suspended);
    let before = wait::until_some(PATIENCE, "the host is suspended", suspended);

    let (tested, success) = dry_run(&relay, &[]);
    assert_eq!((tested.verdict, success), (Verdict::NotReached, false), "{tested:#?}");
    assert_eq!(told(&tested, StepKind::Connect), failed("ECONNREFUSED"));
    assert!(step(&tested, StepKind::Connect).advice.is_some(), "{tested:#?}");
    assert_eq!(relay.row(&host).as_ref(), Some(&before), "an attempt that failed changes nothing");

    let sink = Sink::start_at(address);
    let (tested, _) = dry_run(&relay, &[]);
    assert_eq!(tested.verdict, Verdict::Accepted, "{tested:#?}");
    let queue = step(&tested, StepKind::Queue);
    assert_eq!((queue.result, queue.reason), (StepResult::Note, Some(Reason::ConnectionFailed)), "{tested:#?}");
    assert_eq!(relay.row(&host).as_ref(), Some(&before), "one that came through changes nothing either");
    assert_eq!(sink.count(), 0);
}

#[test]
fn a_wrong_certificate_is_named_and_a_right_one_shown() {
    let dns = Dns::start("mail.test. IN A 127.0.0.1");
    for (name, code) in [("elsewhere.test", Some("CERT_WRONG_NAME")), ("mail.test", None)] {
        let (certificate, authority) = Certificate::signed(name, 2020..2090);
        let host = TlsHost::start(&certificate, &json!({}));
        let folder = TempDir::new().expect("a temporary folder");
        certificate::put(folder.path(), "mail-ca", "ca.crt", &authority);
        let file = folder.path().join("relay.yaml");
        let ca = Some(SecretRef { secret_name: "mail-ca".into() });
        let route = Route {
            domains: vec!["*".into()],
            smarthost: Some(Smarthost { ca, ..host.named("mail.test") }),
            tls: Some(TlsPolicy::Verified),
            ..Route::default()
        };
        let resolver = dns.address.to_string();
        let relay = Relay::start_on(folder, &file, &Manifest::with_routes(vec![route]), &["--resolver", &resolver]);
        let before = counted(&relay);
        let (tested, _) = dry_run(&relay, &[]);
        match code {
            Some(code) => {
                assert_eq!((tested.verdict, told(&tested, StepKind::StartTls)), (Verdict::NotReached, failed(code)));
                assert!(step(&tested, StepKind::StartTls).text.contains("is for elsewhere.test"), "{tested:#?}");
            }
            None => {
                assert_eq!(tested.verdict, Verdict::Accepted, "{tested:#?}");
                let text = &step(&tested, StepKind::StartTls).text;
                for part in ["TLSv1.3", "Verified", "Authority of mail.test"] {
                    assert!(text.contains(part), "no {part} in {text}");
                }
            }
        }
        assert_eq!(counted(&relay), before, "{name}: a dry run's handshake is counted");
        assert_eq!(host.messages(), Vec::<bool>::new());
    }
}

#[test]
fn credentials_that_are_refused_are_told_with_their_secret() {
    let host = Scripted::start(|line| match line.split(' ').next() {
        Some("EHLO") => Some("250-scripted\r\n250 AUTH PLAIN".to_owned()),
        Some("AUTH") => Some("535 5.7.8 bad credentials".to_owned()),
        _ => None,
    });
    let folder = TempDir::new().expect("a temporary folder");
    for (key, text) in [("username", "shop"), ("password", "guess")] {
        certificate::put(folder.path(), "provider-login", key, text);
    }
    let mut manifest = Manifest::to(host.address);
    manifest.relay.tls = TlsPolicy::Off;
    let credentials = Some(SecretRef { secret_name: "provider-login".into() });
    manifest.relay.routes[0].smarthost = Some(Smarthost { credentials, ..smarthost(host.address) });
    let file = folder.path().join("relay.yaml");
    let relay = Relay::start_on(folder, &file, &manifest, &[]);
    let (tested, _) = dry_run(&relay, &[]);
    assert_eq!((tested.verdict, told(&tested, StepKind::Auth)), (Verdict::NotReached, failed("535 5.7.8")));
    let text = &step(&tested, StepKind::Auth).text;
    assert!(text.contains("the credentials of Secret provider-login") && !text.contains("guess"), "{text}");
}

#[test]
fn a_closed_schedule_stops_it_unless_an_administrator_overrules_that() {
    let host = Scripted::start(|_| None);
    let opens = Timestamp::now().round(jiff::Unit::Minute).expect("a minute") + SignedDuration::from_hours(2);
    let relay = Relay::start(&Manifest::to(host.address).opening_at(opens));
    Dialogue::open(relay.smtp).message("shop@example.org", &[ADDRESS], &mail::text("waits for its schedule"));
    let (tested, success) = dry_run(&relay, &[]);
    assert_eq!((tested.verdict, success), (Verdict::NotTried, false), "{tested:#?}");
    let schedule = step(&tested, StepKind::Schedule);
    assert_eq!((schedule.result, schedule.reason), (StepResult::Stopped, Some(Reason::TcpScheduleClosed)));
    assert_eq!(host.heard(), Vec::<String>::new(), "it connected though the schedule is closed");

    let (tested, _) = dry_run(&relay, &["--now"]);
    assert_eq!((tested.verdict, told(&tested, StepKind::Schedule).0), (Verdict::Accepted, StepResult::Note));
    let record = relay.await_record("who did", |record| record.field("event").as_deref() == Some("Overruled"));
    assert_eq!(record.field("session"), tested.session);
    let row = relay.row(&host.address.to_string()).expect("mail still waits");
    assert_eq!((row.reason, row.suspended_till), (Some(Reason::TcpScheduleClosed), Some(opens)));
    assert!(!host.heard().iter().any(|line| line == "DATA"), "mail went along: {:?}", host.heard());
}

#[test]
fn a_host_that_says_nothing_does_not_hold_it_for_ever() {
    let silent = TcpListener::bind(("127.0.0.1", 0)).expect("listen");
    let address = silent.local_addr().expect("its address");
    thread::spawn(move || {
        for mut stream in silent.incoming().map_while(Result::ok) {
            thread::spawn(move || stream.read(&mut [0]).map(drop));
        }
    });
    let mut relay = Relay::start(&Manifest::to(address));
    let (tested, _) = dry_run(&relay, &["--within", "2s"]);
    assert_eq!((tested.verdict, told(&tested, StepKind::Banner)), (Verdict::NotReached, failed("ETIMEDOUT")));
    assert!(step(&tested, StepKind::Banner).text.contains("within the 2 s"), "{tested:#?}");
    assert_eq!(step(&tested, StepKind::Connect).result, StepResult::Ok);
    // Nor does it hold the relay: it ends with that.
    let spool = relay.folder().join("spool");
    let asking = thread::spawn(move || mailsluice_tests::ctl::type_at(&spool, &["test", ADDRESS, "--within", "4m"]));
    relay.await_record("it is under way", |record| record.msg.contains("dry run"));
    let (_, status) = relay.terminate();
    assert!(status.success(), "{status}");
    let typed = asking.join().expect("an end");
    assert!(!typed.success, "{typed:?}");
}
