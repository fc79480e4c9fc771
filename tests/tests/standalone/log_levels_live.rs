//! The Log Level changes while the relay works, for the relay and for its schedule.

use std::{thread, time::Duration};

use jiff::{SignedDuration, Timestamp};
use mailsluice_crds::{LogLevel, relay::HostLog, schedule::LinkState};
use mailsluice_tests::{
    dialogue::Dialogue,
    mail,
    manifest::Manifest,
    record,
    relay::{PATIENCE, Relay},
    sink::Sink,
    wait,
};

#[test]
fn a_record_has_each_field_once_and_neither_content_nor_a_second_line() {
    let sink = Sink::start();
    let mut manifest = Manifest::to(sink.address);
    manifest.relay.log.level = LogLevel::AllInfo;
    let relay = Relay::start(&manifest);
    let text = b"Subject: secret subject\r\n\r\nsecret content\r\n";
    Dialogue::open(relay.smtp).message("shop@example.org", &["a@one.test"], text);
    let _ = sink.await_messages(1, PATIENCE);
    relay.await_empty();
    Dialogue::open(relay.smtp).say("HELO forged\\\",\"level\":\"CrashesOnly");
    let log = relay.log_text();
    assert!(!log.contains("secret"), "content is in the log:\n{log}");
    for line in log.lines() {
        let names = record::names(line);
        let twice = names.iter().find(|name| names.iter().filter(|other| other == name).count() > 1);
        assert_eq!(twice, None, "a field is there twice: {line}");
    }
}

#[test]
fn the_level_of_the_relay_changes_without_a_restart() {
    let sink = Sink::start();
    let mut manifest = Manifest::to(sink.address);
    manifest.relay.log.level = LogLevel::Major;
    let relay = Relay::start(&manifest);
    let process = relay.id();
    let mut sent = 0;
    let mut send = || {
        Dialogue::open(relay.smtp).message("shop@example.org", &["a@one.test"], &mail::text("logged"));
        sent += 1;
        let _ = sink.await_messages(sent, PATIENCE);
        relay.await_empty();
    };
    send();
    assert!(!relay.records().iter().any(|record| record.level >= LogLevel::LowLevel), "no conversation at Major");

    manifest.relay.log.level = LogLevel::AllInfo;
    relay.rewrite(&manifest);
    relay.await_reloads(1);
    send();
    relay.await_record("the conversation at AllInfo", |record| record.level >= LogLevel::LowLevel);
    assert_eq!(relay.monitor().log_level, LogLevel::AllInfo);
    assert!((relay.metric("mailsluice_log_level{level=\"AllInfo\"}") - 1.0).abs() < f64::EPSILON);

    manifest.relay.log.level = LogLevel::CrashesOnly;
    relay.rewrite(&manifest);
    // At this level the reload itself is not logged.
    thread::sleep(Duration::from_secs(1));
    let before = relay.records().len();
    send();
    assert_eq!(relay.records().len(), before, "nothing at CrashesOnly");
    assert_eq!(relay.id(), process);
}

#[test]
fn a_single_host_is_logged_for_a_time() {
    let (quiet, watched) = (Sink::start(), Sink::start());
    let mut manifest = Manifest::to(quiet.address).route(&["watched.test"], watched.address);
    manifest.relay.log.level = LogLevel::Major;
    let until = Timestamp::now() + SignedDuration::from_secs(4);
    manifest.relay.log.hosts =
        vec![HostLog { host: watched.address.to_string(), level: LogLevel::AllInfo, until: Some(until) }];
    let relay = Relay::start(&manifest);
    let send = || {
        let to = ["a@quiet.test", "a@watched.test"];
        Dialogue::open(relay.smtp).message("shop@example.org", &to, &mail::text("logged"));
        relay.await_empty();
    };
    send();
    let about = |host: &Sink| {
        let host = Some(host.address.to_string());
        relay.records().iter().filter(|r| r.level >= LogLevel::LowLevel && r.field("host") == host).count()
    };
    wait::until_some(PATIENCE, "the conversation with that host", || (about(&watched) > 0).then_some(()));
    assert_eq!(about(&quiet), 0, "and with no other");
    let rest = until.duration_since(Timestamp::now()) + SignedDuration::from_millis(200);
    thread::sleep(Duration::try_from(rest).unwrap_or_default());
    let shown = about(&watched);
    send();
    assert_eq!(about(&watched), shown, "not after its time");
}

#[test]
fn a_schedules_own_level_shows_each_question_to_it() {
    let sink = Sink::start();
    let mut manifest = Manifest::to(sink.address).scheduled(LinkState::Closed, Vec::new());
    manifest.relay.log.level = LogLevel::Major;
    let level = |manifest: &mut Manifest, level| {
        if let Some(schedule) = &mut manifest.schedule {
            schedule.log = level;
        }
    };
    level(&mut manifest, LogLevel::Failures);
    let relay = Relay::start(&manifest);
    let questions = || relay.records().iter().filter(|r| r.marker.as_deref() == Some("TCP(SMTP)")).count();
    let send = || Dialogue::open(relay.smtp).message("shop@example.org", &["a@one.test"], &mail::text("held"));
    send();
    thread::sleep(Duration::from_secs(1));
    assert_eq!(questions(), 0, "no questions at Failures");
    level(&mut manifest, LogLevel::AllInfo);
    relay.rewrite(&manifest);
    relay.await_reloads(1);
    send();
    relay.await_record("a question to the schedule", |record| record.marker.as_deref() == Some("TCP(SMTP)"));
}
