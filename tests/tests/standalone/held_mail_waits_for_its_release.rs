//! Mail that an administrator holds waits, with what comes after it, over a `kill -9` too, and goes when it is released.

use mailsluice_crds::{
    monitor::{HostState, ProblemReason, Reason, RelayProblem},
    quantity::Interval,
};
use mailsluice_ctl::words::{
    act::Acted,
    queue::{MessageState, QueueSaid},
    status::StatusSaid,
};
use mailsluice_tests::{
    dialogue::Dialogue,
    mail,
    manifest::Manifest,
    relay::{PATIENCE, Relay},
    sink::Sink,
    wait,
};

fn send(relay: &Relay, to: &str, name: &str) {
    Dialogue::open(relay.smtp).message("shop@example.org", &[to], &mail::text(name));
}

#[test]
fn a_held_host_waits_over_a_kill_and_goes_on_release() {
    let (held, other) = (Sink::start(), Sink::start());
    let mut relay = Relay::start(&Manifest::to(other.address).route(&["held.test"], held.address));
    let host = held.address.to_string();
    let acted: Acted = relay.ctl_json(&["hold", &host, "--by", "alice", "--reason", "their server moves"]);
    assert!(acted.results[0].found, "a hold counts for what comes: {acted:?}");
    send(&relay, "a@held.test", "first");
    send(&relay, "a@other.test", "not held");
    assert_eq!(other.await_messages(1, PATIENCE)[0].subject(), "not held");

    relay.kill();
    relay.restart();
    send(&relay, "a@held.test", "second");
    let row = wait::until_some(PATIENCE, "both wait", || relay.row(&host).filter(|row| row.messages == 2));
    assert_eq!((row.state, row.reason, row.suspended_till), (HostState::Held, Some(Reason::Held), None), "{row:?}");
    let problem = row.problem.unwrap_or_default();
    assert!(problem.starts_with("held by alice since 20") && problem.ends_with("Z: their server moves"), "{problem}");
    let status: StatusSaid = relay.ctl_json(&["status"]);
    assert_eq!(status.holds.len(), 1, "{status:?}");
    assert_eq!(held.count(), 0);

    let acted: Acted = relay.ctl_json(&["release", &host, "--by", "bob", "--reason", "it has moved"]);
    assert_eq!((acted.results[0].found, acted.results[0].messages), (true, 2), "{acted:?}");
    let mut subjects: Vec<String> = held.await_messages(2, PATIENCE).iter().map(|one| one.subject()).collect();
    subjects.sort();
    assert_eq!(subjects, ["first", "second"]);
    relay.await_empty();
    for (action, by, reason) in [("hold", "alice", "their server moves"), ("release", "bob", "it has moved")] {
        relay.await_record(action, |record| {
            let is = |name: &str, value: &str| record.field(name).as_deref() == Some(value);
            is("action", action) && is("by", by) && is("reason", reason) && is("host", &host)
        });
    }
    assert!(!relay.ctl(&["release", &host]).success, "it is held no longer");
}

#[test]
fn a_held_message_waits_over_a_kill_and_lets_others_pass() {
    let mut sink = Sink::start();
    let mut manifest = Manifest::to(sink.address);
    manifest.relay.retry.first = Interval::from_secs(3_600);
    manifest.relay.retry.longest = Interval::from_secs(3_600);
    let mut relay = Relay::start(&manifest);
    let (host, address) = (sink.address.to_string(), sink.address);
    sink.kill();
    for name in ["suspect", "good"] {
        send(&relay, "a@one.test", name);
    }
    let page = |relay: &Relay| match relay.ctl_json(&["queue", &host]) {
        QueueSaid::Messages(page) => page.messages,
        QueueSaid::Hosts(hosts) => panic!("asked for messages: {hosts:?}"),
    };
    let messages = page(&relay);
    assert_eq!((messages.len(), messages[0].return_path.as_str()), (2, "shop@example.org"), "{messages:?}");
    assert_eq!((messages[0].addrs.as_slice(), messages[0].addrs_count), (&["a@one.test".to_owned()][..], 1));
    let suspect = messages[0].id.to_string();
    let _: Acted = relay.ctl_json(&["hold", &suspect, "--by", "alice", "--reason", "spam?"]);
    relay.kill();
    let sink = Sink::start_at(address);
    relay.restart();
    assert_eq!(sink.await_messages(1, PATIENCE)[0].subject(), "good", "a start tries what is not held");
    let row = wait::until_some(PATIENCE, "nothing but the held one waits", || {
        relay.row(&host).filter(|row| row.state == HostState::Held)
    });
    assert!(row.problem.is_some_and(|text| text.starts_with("1 message is held by alice since")), "{:?}", row.reason);
    assert_eq!(page(&relay)[0].state, MessageState::Held);
    let _: Acted = relay.ctl_json(&["hold", "--all", "--reason", "audit"]);
    let released: Acted = relay.ctl_json(&["release", &suspect]);
    assert!(!released.results[0].waiting.is_empty(), "all mail is still held: {released:?}");
    assert_eq!(sink.count(), 1);
    let _: Acted = relay.ctl_json(&["release", "--all"]);
    assert_eq!(sink.await_messages(2, PATIENCE)[1].subject(), "suspect");
    relay.await_empty();
    let status: StatusSaid = relay.ctl_json(&["status"]);
    assert!(status.holds.is_empty(), "{status:?}");
}

#[test]
fn a_hold_on_all_mail_is_told_while_none_waits() {
    let sink = Sink::start();
    let relay = Relay::start(&Manifest::to(sink.address));
    let _: Acted = relay.ctl_json(&["hold", "--all", "--by", "alice", "--reason", "audit"]);
    let held = |problems: Vec<RelayProblem>| problems.into_iter().find(|one| one.reason == ProblemReason::Held);
    let since = relay.ctl_json::<StatusSaid>(&["status"]).holds[0].hold.since;
    let problem = held(relay.monitor().problems).expect("the Monitor says so");
    assert_eq!((problem.message, problem.since), (format!("all mail is held by alice since {since:.0}: audit"), since));
    assert!(held(relay.ctl_json::<StatusSaid>(&["status"]).problems).is_some(), "the status does not say so");
    let _: Acted = relay.ctl_json(&["release", "--all"]);
    assert_eq!(held(relay.monitor().problems), None);
}
