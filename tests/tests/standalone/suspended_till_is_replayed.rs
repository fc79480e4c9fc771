//! Each change of a Suspended Till is one record: from the records alone one knows what the Monitor showed at each moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use mailsluice_crds::{
    LogLevel,
    monitor::{HostRow, Reason},
    schedule::LinkState,
};
use mailsluice_tests::{
    dialogue::Dialogue,
    dns::Dns,
    mail,
    manifest::Manifest,
    network,
    record::Record,
    relay::{PATIENCE, Relay},
    replay::{Hold, Replay},
    scripted::Scripted,
    wait,
};

const ZONE: &str = "
dead.test.   IN MX 10 dead.hosts.test.
also.test.   IN MX 10 dead.hosts.test.
also.test.   IN MX 20 good.hosts.test.
grey.test.   IN MX 10 grey.hosts.test.
busy.test.   IN MX 10 good.hosts.test.
bad.test.    IN MX 10 bad.hosts.test.
bad.test.    IN MX 20 bad2.hosts.test.
dead.hosts.test.  IN A 127.0.0.9
good.hosts.test.  IN A 127.0.0.3
grey.hosts.test.  IN A 127.0.0.4
bad.hosts.test.   IN A 127.0.0.5
bad2.hosts.test.  IN A 127.0.0.6
";

/// The Monitor's rows by host, and the moments between which they were drawn.
struct Sample {
    before: Timestamp,
    rows: BTreeMap<String, HostRow>,
    after: Timestamp,
}

/// Looks at the Monitor over and over until `stop`.
fn watch(relay: &Relay, stop: &AtomicBool) -> Vec<Sample> {
    let mut samples = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let before = Timestamp::now();
        let rows = relay.monitor().monitor.into_iter().map(|row| (row.host.clone(), row)).collect();
        samples.push(Sample { before, rows, after: Timestamp::now() });
        thread::sleep(Duration::from_millis(15));
    }
    samples
}

fn shown(row: &HostRow) -> (Option<Hold>, BTreeMap<String, Hold>) {
    let host = row.reason.map(|reason| Hold { till: row.suspended_till, reason: reason.name().to_owned() });
    let addresses = row.addresses.iter().map(|row| {
        (row.address.clone(), Hold { till: Some(row.suspended_till), reason: row.reason.name().to_owned() })
    });
    (host, addresses.collect())
}

/// What the records allow the Monitor to have shown of a host while a sample was drawn: that of each moment in it. A time has whole
/// milliseconds in a record, and a relay that wakes late ends a suspension late.
fn allowed(records: &[Record], host: &str, sample: &Sample) -> (Vec<Option<Hold>>, Vec<BTreeMap<String, Hold>>) {
    const SLACK: SignedDuration = SignedDuration::from_millis(2);
    const LATE: SignedDuration = SignedDuration::from_millis(1_500);
    let (from, to) = (sample.before - SLACK, sample.after + SLACK);
    let mut replay = Replay::default();
    let (mut hosts, mut addresses) = (Vec::new(), Vec::new());
    let mut states = |replay: &Replay| {
        for now in [sample.before - LATE, from, to] {
            hosts.push(replay.host(host, now).cloned());
        }
        for now in [from, to] {
            addresses.push(replay.addresses(host, now));
        }
    };
    let mut begun = false;
    for record in records.iter().take_while(|record| record.time <= to) {
        if record.time >= from && !begun {
            begun = true;
            states(&replay);
        }
        replay.note(record);
        if begun {
            states(&replay);
        }
    }
    states(&replay);
    (hosts, addresses)
}

/// Where the Monitor showed what the records do not say.
fn difference(records: &[Record], samples: &[Sample]) -> Option<String> {
    let names: BTreeSet<String> = samples.iter().flat_map(|sample| sample.rows.keys().cloned()).collect();
    for (sample, name) in samples.iter().flat_map(|sample| names.iter().map(move |name| (sample, name))) {
        let (hold, addresses) = sample.rows.get(name).map(shown).unwrap_or_default();
        let (holds, lists) = allowed(records, name, sample);
        let at = sample.before;
        if !holds.contains(&hold) {
            return Some(format!("{name} at {at}: the Monitor showed {hold:?}, the records say {holds:?}"));
        }
        if sample.rows.contains_key(name) && !lists.contains(&addresses) {
            return Some(format!("{name} at {at}: the Monitor showed {addresses:?}, the records say {lists:?}"));
        }
    }
    None
}

#[test]
fn the_records_alone_give_the_suspended_till_of_each_host_and_address_at_each_moment() {
    network::alone(
        "suspended_till_is_replayed::the_records_alone_give_the_suspended_till_of_each_host_and_address_at_each_moment",
        || {
            let host = |last| SocketAddr::from(([127, 0, 0, last], 25));
            let dns = Dns::start(ZONE);
            let _good = Scripted::start_at(host(3), |_| None);
            let times = std::sync::atomic::AtomicU32::new(0);
            let _grey = Scripted::start_at(host(4), move |line| {
                let later = line.starts_with("RCPT") && times.fetch_add(1, Ordering::Relaxed) < 3;
                later.then(|| "451 4.7.1 greylisted".into())
            });
            let bad = |line: &str| line.starts_with("MAIL").then(|| "421 4.7.0 not from you".into());
            let _bad = [Scripted::start_at(host(5), bad), Scripted::start_at(host(6), bad)];
            let mut manifest = Manifest::by_mx();
            manifest.relay.log.level = LogLevel::Problems;
            manifest.relay.limits.messages_per_host_per_minute = Some(3);
            let relay = Relay::start_with(&manifest, &["--resolver", &dns.address.to_string()]);
            let stop = AtomicBool::new(false);
            let samples = thread::scope(|scope| {
                let watching = scope.spawn(|| watch(&relay, &stop));
                let mut client = Dialogue::open(relay.smtp);
                let mut send = |to: &str| client.message("shop@example.org", &[to], &mail::text("followed"));
                for to in ["a@dead.test", "a@grey.test", "a@bad.test", "a@nowhere.test"] {
                    send(to);
                }
                wait::until_some(PATIENCE, "the first is suspended", || relay.row("dead.test")?.suspended_till);
                // Its first exchanger is the other's, and suspended already.
                (0..5).for_each(|_| send("a@also.test"));
                (0..5).for_each(|_| send("a@busy.test"));
                thread::sleep(Duration::from_secs(4));
                // Closed, and open again.
                relay.rewrite(&manifest.clone().scheduled(LinkState::Closed, Vec::new()));
                relay.await_reloads(1);
                send("a@new.busy.test");
                thread::sleep(Duration::from_secs(3));
                relay.rewrite(&manifest.clone().scheduled(LinkState::Open, Vec::new()));
                relay.await_reloads(2);
                thread::sleep(Duration::from_secs(2));
                // The dead one comes to life.
                let _dead = Scripted::start_at(host(9), |_| None);
                wait::until_equal(PATIENCE, "mail for the dead one", None, || relay.row("dead.test"));
                stop.store(true, Ordering::Relaxed);
                watching.join().expect("it has watched")
            });
            let records = relay.records();
            assert_eq!(difference(&records, &samples), None);
            // Each kind of record is needed: without it the records tell another story.
            for event in ["HostSuspended", "HostReleased", "AddressSuspended", "AddressMet"] {
                let others = records.iter().filter(|record| record.field("event").as_deref() != Some(event));
                let others: Vec<Record> = others.cloned().collect();
                assert!(difference(&others, &samples).is_some(), "nothing is missing without {event}");
            }
            assert!(records.iter().any(|record| record.field("event").as_deref() == Some("AddressReleased")));
            let reasons = |sample: &Sample| sample.rows.values().filter_map(|row| row.reason).collect::<Vec<_>>();
            let seen: Vec<Reason> = samples.iter().flat_map(reasons).collect();
            for reason in [
                Reason::ConnectionFailed,
                Reason::HostRefused,
                Reason::MessagesDeferred,
                Reason::RateLimited,
                Reason::TcpScheduleClosed,
            ] {
                assert!(seen.contains(&reason), "no {reason:?} was seen");
            }
            println!("{} samples, {} records", samples.len(), records.len());
        },
    );
}
