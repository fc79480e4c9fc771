//! Mail that a schedule holds on a cluster: kubectl shows why and till when, and lets it out.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp, Unit};
use mailsluice_tests::{
    cluster::{Namespace, PATIENCE},
    mail,
    pod::{self, SinkPod},
    wait,
};

use crate::support;

#[test]
fn mail_held_by_its_schedule_is_explained_by_kubectl_and_let_out_by_kubectl() {
    let _turn = support::cluster();
    let namespace = Namespace::new("held");
    let sinks = [SinkPod::start(&namespace, "north"), SinkPod::start(&namespace, "south")];
    let domains: Vec<&str> = sinks.iter().map(|sink| sink.domain.as_str()).collect();
    let opens = Timestamp::now().round(Unit::Minute).expect("a minute") + SignedDuration::from_hours(2);
    namespace.apply(&support::opening_at("office-hours", opens));
    namespace.apply(&support::relay("outbound", "office-hours"));
    support::await_ready(&namespace, "outbound");
    let life = support::pod_life(&namespace, "outbound");

    pod::send(&namespace, "outbound", &domains, 5);
    is_explained(&namespace, &domains, opens);
    schedule_log_is_live(&namespace);

    let applied = Instant::now();
    namespace.apply(&support::schedule("office-hours", "Open"));
    let first = wait::until_some(PATIENCE, "the first delivery", || {
        sinks.iter().any(|sink| !sink.received().is_empty()).then(|| applied.elapsed())
    });
    println!("from kubectl apply to the first delivery: {:.2} s", first.as_secs_f64());
    let arrived: Vec<_> = sinks.iter().flat_map(|sink| sink.await_messages(5, PATIENCE)).collect();
    assert_eq!(arrived.len(), 10);
    for message in &arrived {
        assert_eq!(message.text(), mail::text(&message.subject()), "{} is changed", message.subject());
    }
    support::await_empty(&namespace, "outbound", PATIENCE);
    assert_eq!(support::pod_life(&namespace, "outbound"), life, "nothing was restarted");
    assert_eq!(life.1, "0", "nor before");
    namespace.await_at("smtprelay", "outbound", "/status/link/state", "Open");
    println!("{}", namespace.kubectl(&["get", "smtprelay,tcpschedule"]));
}

fn is_explained(namespace: &Namespace, domains: &[&str], opens: Timestamp) {
    let what = "both domains are suspended by the schedule in the status";
    let status = wait::until_some(PATIENCE, what, || {
        let status = namespace.object("smtprelay", "outbound")?.get("status")?.clone();
        let rows = status["monitor"].as_array()?;
        let held = rows.iter().filter(|row| row["reason"] == "TcpScheduleClosed" && row["messages"] == 5).count();
        (held == domains.len()).then_some(status)
    });
    let till = opens.to_string();
    for row in status["monitor"].as_array().expect("rows") {
        assert_eq!(row["suspendedTill"], till.as_str(), "{row:#}");
        assert_eq!(row["state"], "Suspended", "{row:#}");
    }
    assert_eq!(status["queue"]["messages"], 10, "{status:#}");
    assert_eq!(status["queue"]["suspendedHosts"], 2, "{status:#}");
    assert_eq!(status["link"]["changesAt"], till.as_str(), "{status:#}");

    let columns = namespace.kubectl(&["get", "relay"]);
    let described = namespace.kubectl(&["describe", "smtprelay", "outbound"]);
    println!("{columns}\n{described}\n{}", namespace.kubectl(&["get", "tcpschedule"]));
    let opens_words = format!("it opens {}", opens.in_tz(support::ZONE).expect("a zone").strftime("%a %H:%M"));
    for (shown, text) in [("kubectl get", &columns), ("kubectl describe", &described)] {
        for part in ["TCP/IP link is down", "TCP Schedule office-hours", support::ZONE, &opens_words] {
            assert!(text.contains(part), "{shown} does not show {part:?}:\n{text}");
        }
    }
    assert!(described.contains(&till), "describe shows the Suspended Till:\n{described}");

    let events = |reason: &str| {
        let events = mailsluice_tests::cluster::objects(namespace.name(), "events.events.k8s.io");
        let about =
            events.iter().filter(|event| event["regarding"]["kind"] == "SMTPRelay" && event["reason"] == reason);
        about.cloned().collect::<Vec<_>>()
    };
    let told = wait::until_some(PATIENCE, "an Event tells it", || {
        Some(events("TcpScheduleClosed")).filter(|events| !events.is_empty())
    });
    assert_eq!(told.len(), 1, "an Event says it once: {told:#?}");
    assert!(told[0]["note"].as_str().is_some_and(|note| note.contains("office-hours")), "{told:#?}");
}

fn schedule_log_is_live(namespace: &Namespace) {
    let questions = || {
        let records = support::records(namespace, "outbound");
        records.iter().filter(|record| record.level == mailsluice_crds::LogLevel::AllInfo).count()
    };
    assert_eq!(questions(), 0, "the schedule logs at Major");
    let patched = Instant::now();
    namespace.kubectl(&["patch", "tcpschedule", "office-hours", "--type=merge", "-p", r#"{"spec":{"log":"AllInfo"}}"#]);
    wait::until_some(PATIENCE, "the log shows each question to the schedule", || (questions() > 0).then_some(()));
    println!("from kubectl patch of the schedule's log to the log: {:.2} s", patched.elapsed().as_secs_f64());
    assert!(patched.elapsed() < Duration::from_secs(30), "it took {:?}", patched.elapsed());
}
