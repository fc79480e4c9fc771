//! What is in the log at each of the six levels, and what is not: of the relay, of a single host, of a TCP Schedule; and each change
//! is in force without a restart.

use std::{collections::BTreeSet, net::SocketAddr, thread, time::Duration};

use mailsluice_crds::{
    LogLevel,
    quantity::Interval,
    relay::{HostLog, Route},
    schedule::LinkState,
};
use mailsluice_tests::{
    dialogue::Dialogue,
    mail,
    manifest::{Manifest, smarthost},
    process,
    record::Record,
    relay::{PATIENCE, Relay},
    scripted::Scripted,
    sink::Sink,
    wait,
};

/// The kinds of records that are looked for, and the first level that shows them.
const KINDS: [(&str, LogLevel); 11] = [
    ("bounce", LogLevel::Failures),
    ("accepted", LogLevel::Major),
    ("delivered", LogLevel::Major),
    ("deferred", LogLevel::Problems),
    ("suspended", LogLevel::Problems),
    ("client", LogLevel::LowLevel),
    ("host", LogLevel::LowLevel),
    ("dns", LogLevel::AllInfo),
    ("asked", LogLevel::AllInfo),
    ("text", LogLevel::AllInfo),
    ("octets", LogLevel::AllInfo),
];

/// Those of them that are about the host that mail goes to.
const OF_HOSTS: [&str; 8] = ["delivered", "deferred", "suspended", "host", "dns", "asked", "text", "octets"];

fn kind(record: &Record) -> Option<&'static str> {
    let starts = |text: &str| record.msg.starts_with(text);
    let event = record.field("event");
    Some(match (record.tag.as_str(), event.as_deref()) {
        (_, Some("HostSuspended")) => "suspended",
        (_, Some("Asked")) => "asked",
        ("REPORT", _) if starts("gave a recipient up") => "bounce",
        ("SMTPI", _) if starts("accepted") => "accepted",
        ("SMTPI", _) if starts("> MAIL") => "client",
        ("SMTP", _) if starts("< 2") => "host",
        ("SMTP", _) if starts("delivered") => "delivered",
        ("SMTP", _) if starts("deferred") => "deferred",
        ("SMTP", _) if starts("the text has been sent") => "text",
        ("SMTP", _) if starts("the session is over") && record.field("sent").is_some() => "octets",
        ("ROUTE", _) if starts("the DNS has led") => "dns",
        _ => return None,
    })
}

fn kinds(records: &[Record]) -> BTreeSet<&'static str> {
    records.iter().filter_map(kind).collect()
}

fn shown_at(level: LogLevel, of: impl Fn(&str) -> bool) -> BTreeSet<&'static str> {
    KINDS.iter().filter(|(kind, first)| *first <= level && of(kind)).map(|(kind, _)| *kind).collect()
}

/// Hosts that take mail, put it off, refuse it, or are not there.
struct Hosts {
    good: Sink,
    later: Scripted,
    never: Scripted,
    dead: SocketAddr,
}

impl Hosts {
    fn start() -> Hosts {
        let refusing =
            |reply: &'static str| Scripted::start(move |line| line.starts_with("RCPT").then(|| reply.to_owned()));
        let dead = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
        Hosts { good: Sink::start(), later: refusing("451 4.7.1 later"), never: refusing("550 5.1.1 nobody"), dead }
    }

    fn routes(&self) -> Vec<Route> {
        let to = |domain: &str, host| Route {
            domains: vec![domain.to_owned()],
            smarthost: Some(smarthost(host)),
            ..Route::default()
        };
        let (later, never) = (self.later.address, self.never.address);
        vec![to("later.test", later), to("never.test", never), to("dead.test", self.dead), to("*", self.good.address)]
    }

    fn addresses(&self) -> [SocketAddr; 4] {
        [self.good.address, self.later.address, self.never.address, self.dead]
    }
}

/// Sends mail that is delivered, put off, returned, and held by a host that is not there; waits until all that has happened.
fn send_all_kinds(relay: &Relay, hosts: &Hosts) {
    let metric = |name: &str| relay.metric(&format!("mailsluice_recipients_{name}_total"));
    let before = ["delivered", "deferred", "bounced"].map(metric);
    let to = ["a@good.test", "a@later.test", "a@never.test", "a@dead.test"];
    Dialogue::open(relay.smtp).message("shop@example.org", &to, &mail::text("at each level"));
    // The report of what was returned is delivered too.
    for ((name, before), more) in ["delivered", "deferred", "bounced"].into_iter().zip(before).zip([2.0, 1.0, 1.0]) {
        wait::until_equal(PATIENCE, name, before + more, || metric(name));
    }
    wait::until_some(PATIENCE, "the dead host is suspended", || relay.row(&hosts.dead.to_string())?.suspended_till);
    wait::until_equal(PATIENCE, "sessions out", 0.0, || relay.metric("mailsluice_smtp_client_sessions"));
    wait::until_equal(PATIENCE, "sessions in", 0.0, || relay.metric("mailsluice_smtp_server_sessions"));
    // What is recorded is written within some milliseconds.
    thread::sleep(Duration::from_millis(200));
}

fn manifest(hosts: &Hosts) -> Manifest {
    let mut manifest = Manifest::with_routes(hosts.routes());
    // Nothing is tried again while the test looks.
    manifest.relay.retry.first = Interval::from_secs(3_600);
    manifest.relay.retry.longest = Interval::from_secs(3_600);
    manifest
}

/// Runs through the levels, with other hosts at each: one that is suspended is not asked again. `set` puts a level into the manifest.
fn at_each_level(set: impl Fn(&mut Manifest, &Hosts, LogLevel), look: impl Fn(&Hosts, LogLevel, &[Record])) {
    let first = Hosts::start();
    let relay = Relay::start(&manifest(&first));
    let process = relay.id();
    for (turn, level) in (1..).zip(LogLevel::ALL) {
        let hosts = Hosts::start();
        let mut manifest = manifest(&hosts);
        set(&mut manifest, &hosts, level);
        relay.rewrite(&manifest);
        let reloads = "mailsluice_config_reloads_total{result=\"applied\"}";
        wait::until_equal(PATIENCE, "changes that are in force", f64::from(turn), || {
            relay.metrics().get(reloads).copied().unwrap_or_default()
        });
        // The mail that the turn before left behind goes where the routes say now: that is no part of this turn.
        thread::sleep(Duration::from_millis(500));
        let before = relay.records().len();
        send_all_kinds(&relay, &hosts);
        look(&hosts, level, &relay.records()[before..]);
    }
    assert_eq!(relay.id(), process, "nothing was restarted");
}

#[test]
fn each_level_of_the_relay_shows_its_own_records_and_those_of_the_levels_before_it() {
    at_each_level(
        |manifest, _, level| manifest.relay.log.level = level,
        |_, level, records| {
            assert_eq!(kinds(records), shown_at(level, |_| true), "at {level:?}");
            assert!(records.iter().all(|record| record.level <= level), "more than {level:?}");
        },
    );
}

#[test]
fn each_level_of_a_host_shows_the_same_about_that_host_alone() {
    at_each_level(
        |manifest, hosts, level| {
            manifest.relay.log.level = LogLevel::CrashesOnly;
            let log = |host: SocketAddr| HostLog { host: host.to_string(), level, until: None };
            manifest.relay.log.hosts = hosts.addresses().into_iter().take(3).map(log).collect();
        },
        |hosts, level, records| {
            let of_hosts = |kind: &str| OF_HOSTS.contains(&kind);
            let mut expected = shown_at(level, of_hosts);
            // What holds the message that was put off is shown; the dead host has no level of its own.
            assert_eq!(kinds(records), std::mem::take(&mut expected), "at {level:?}");
            let dead = Some(hosts.dead.to_string());
            assert!(records.iter().all(|record| record.field("host").is_some()), "of a host each: {records:#?}");
            assert!(records.iter().all(|record| record.field("host") != dead), "none of another: {records:#?}");
        },
    );
}

#[test]
fn a_schedule_shows_its_changes_at_major_and_every_question_at_all_info() {
    let sink = Sink::start();
    let mut manifest = Manifest::to(sink.address).scheduled(LinkState::Open, Vec::new());
    manifest.relay.log.level = LogLevel::CrashesOnly;
    let relay = Relay::start(&manifest);
    let mut turn = 0.0;
    let mut rewrite = |level: LogLevel, link: LinkState| {
        let mut manifest = manifest.clone().scheduled(link, Vec::new());
        if let Some(schedule) = &mut manifest.schedule {
            schedule.log = level;
        }
        relay.rewrite(&manifest);
        turn += 1.0;
        wait::until_equal(PATIENCE, "changes that are in force", turn, || {
            let reloads = "mailsluice_config_reloads_total{result=\"applied\"}";
            relay.metrics().get(reloads).copied().unwrap_or_default()
        });
    };
    for level in LogLevel::ALL {
        rewrite(LogLevel::CrashesOnly, LinkState::Open);
        let before = relay.records().len();
        rewrite(level, LinkState::Closed);
        Dialogue::open(relay.smtp).message("shop@example.org", &["a@one.test"], &mail::text("asks"));
        wait::until_some(PATIENCE, "the host is suspended", || relay.monitor().monitor.first()?.reason);
        rewrite(level, LinkState::Open);
        relay.await_empty();
        thread::sleep(Duration::from_millis(200));
        let records = relay.records().split_off(before);
        let asked = records.iter().filter(|record| record.field("event").as_deref() == Some("Asked")).count();
        let changes = records.iter().filter(|record| record.msg.starts_with("the TCP/IP link is ")).count();
        assert_eq!(asked > 0, level == LogLevel::AllInfo, "questions at {level:?}: {records:#?}");
        assert_eq!(changes, if level >= LogLevel::Major { 2 } else { 0 }, "changes at {level:?}: {records:#?}");
        assert_eq!(records.len(), asked + changes, "nothing else: {records:#?}");
    }
}
