//! `kubectl mailsluice`: who may run something in the relay's pods holds, returns and lets out mail, and that is told by Events;
//! who may not is told what is missing.

use std::{thread, time::Duration};

use mailsluice_crds::LogLevel;
use mailsluice_tests::{
    cluster::{self, Namespace, PATIENCE},
    plugin::Person,
    pod::{self, SinkPod},
    wait,
};
use serde_json::Value;

use crate::support;

#[test]
fn people_hold_return_and_let_out_mail_by_kubectl_as_far_as_rbac_lets_them() {
    let _turn = support::cluster();
    let namespace = Namespace::new("people");
    let sink = SinkPod::start(&namespace, "north");
    namespace.apply(&support::schedule("always", "Open"));
    namespace.apply(&support::relay("outbound", "always"));
    support::await_ready(&namespace, "outbound");
    let ann = Person::with_role(&namespace, "ann", "mailsluice-operate");
    let bob = Person::with_role(&namespace, "bob", "view");

    onlooker_is_told_what_is_missing(&bob, &namespace, &sink.domain);
    ann_acts(&ann, &namespace, &sink);
    events_tell_who_did_what_and_why(&ann, &namespace, &sink.domain);
    mistakes_are_explained(&ann);
}

fn onlooker_is_told_what_is_missing(bob: &Person, namespace: &Namespace, domain: &str) {
    let refused = bob.is_refused(&["hold", domain, "--reason", "mischief"]);
    for part in ["pods/exec", &format!("in namespace {}", namespace.name()), "--clusterrole=mailsluice-operate"] {
        assert!(refused.contains(part), "{part:?} is missing: {refused}");
    }
    assert_eq!(by_user(namespace).len(), 0, "nothing was done, and no Event tells that it was");
    let status = bob.does(&["status"]);
    for part in ["SMTPRelay outbound in namespace people: 1 of 1 pod ready", "TCP/IP link: open by TCP Schedule always"]
    {
        assert!(status.contains(part), "{part:?} is missing: {status}");
    }
}

fn ann_acts(ann: &Person, namespace: &Namespace, sink: &SinkPod) {
    let domain = sink.domain.as_str();
    ann.does(&["hold", domain, "--reason", "their server moves"]);
    pod::send(namespace, "outbound", &[domain], 3);
    let ids = wait::until_some(PATIENCE, "three messages are held", || {
        let ids = ids(ann, domain);
        (ids.len() == 3).then_some(ids)
    });
    let monitor = ann.does(&["monitor"]);
    let row =
        monitor.lines().find(|line| line.contains(domain)).unwrap_or_else(|| panic!("no row of {domain}:\n{monitor}"));
    for part in ["Held", "their server moves", &ann.name] {
        assert!(row.contains(part), "{part:?} is missing: {row}");
    }
    ann.does(&["status"]);
    ann.does(&["queue", domain]);
    the_monitor_is_live_in_a_terminal(ann, domain);
    assert_eq!(sink.count(), 0, "held mail stays");

    ann.does(&["reject", &ids[1], "--reason", "sent twice"]);
    ann.does(&["log", "LowLevel", "--host", domain, "--for", "10m"]);
    ann.does(&["release", domain, "--reason", "it has moved"]);
    let arrived = sink.await_messages(2, PATIENCE);
    assert_eq!(arrived.len(), 2, "the third is returned");
    let subjects: Vec<String> = arrived.iter().map(|message| message.subject()).collect();
    assert!(!subjects.contains(&"message 1".to_owned()), "{subjects:?}");
    // What was returned does not go out later.
    thread::sleep(Duration::from_secs(2));
    assert_eq!(sink.count(), 2);

    let life = ann.does(&["trace", &ids[0]]);
    assert!(life.contains(&format!("Message {} was delivered", ids[0])), "{life}");

    let records = support::records(namespace, "outbound");
    let conversation = records
        .iter()
        .filter(|record| record.level == LogLevel::LowLevel && record.field("host").as_deref() == Some(domain));
    assert!(conversation.count() > 0, "the log shows what is said with the host");
    let told =
        |what: &str| records.iter().any(|record| record.fields.values().any(|value| value.as_str() == Some(what)));
    for what in ["their server moves", "sent twice", "it has moved", &ann.name] {
        assert!(told(what), "the relay's log does not have {what:?}");
    }
}

/// In a terminal of `script`'s the table stays till a key ends it.
fn the_monitor_is_live_in_a_terminal(ann: &Person, domain: &str) {
    let shown = ann.watches(Duration::from_secs(4), "q");
    for part in ["outbound", "STATE", domain, "Held"] {
        assert!(shown.contains(part), "{part:?} is not on the screen: {shown:?}");
    }
}

/// The ids of the messages that wait for a host.
fn ids(ann: &Person, domain: &str) -> Vec<String> {
    let answers: Value = serde_json::from_str(&ann.does(&["queue", domain, "-o", "json"])).expect("JSON");
    let messages = answers[0]["answer"]["messages"].as_array().cloned().unwrap_or_default();
    messages.iter().filter_map(|message| message["id"].as_str().map(str::to_owned)).collect()
}

fn events_tell_who_did_what_and_why(ann: &Person, namespace: &Namespace, domain: &str) {
    let events = by_user(namespace);
    for (reason, parts) in [
        ("HeldByUser", ["hold", domain, "their server moves"]),
        ("RejectedByUser", ["reject", "1 message returned", "sent twice"]),
        ("ReleasedByUser", ["release", domain, "it has moved"]),
    ] {
        let event = events.iter().find(|event| event["reason"] == reason);
        let event = event.unwrap_or_else(|| panic!("no {reason}: {events:#?}"));
        let note = event["note"].as_str().unwrap_or_default();
        for part in parts.into_iter().chain([ann.name.as_str()]) {
            assert!(note.contains(part), "{reason} does not say {part:?}: {note}");
        }
    }
    println!("{}", namespace.kubectl(&["events", "--for", "smtprelay/outbound"]));
}

/// The Events about what people did to the relay.
fn by_user(namespace: &Namespace) -> Vec<Value> {
    let events = cluster::objects(namespace.name(), "events.events.k8s.io");
    let by_user = |event: &Value| {
        event["regarding"]["kind"] == "SMTPRelay"
            && event["reason"].as_str().is_some_and(|reason| reason.ends_with("ByUser"))
    };
    events.into_iter().filter(by_user).collect()
}

fn mistakes_are_explained(ann: &Person) {
    for (typed, says) in [
        (["queue", "-r", "outbund"].as_slice(), "there is no SMTPRelay outbund in namespace people; it has outbound"),
        (&["hold"], "HOST|MESSAGE-ID"),
        (&["release", "nowhere.example"], ""),
        (&["status", "-n", "default"], "may not list smtprelays.mailsluice.dev in namespace default"),
        (&["explain", "ECONREFUSED"], "did you mean ECONNREFUSED?"),
    ] {
        let said = ann.is_refused(typed);
        assert!(said.contains(says), "{typed:?}: {said}");
    }
}
