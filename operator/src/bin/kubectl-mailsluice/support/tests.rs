//! What the first page says.

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use mailsluice_crds::{
    SMTPRelayStatus,
    catalogue::Code,
    monitor::{
        ClientRow, HostRow, HostState, LastError, Link, ProblemReason, QueueTotals, Reason, RelayProblem, Stage,
    },
    schedule::LinkState,
};
use mailsluice_operator::monitor::Merged;

use super::{
    clock::Reading,
    summary::{Facts, page},
    *,
};
use crate::error::PodError;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn quiet() -> Facts {
    Facts {
        relay: "outbound".into(),
        namespace: "shop".into(),
        at: at(0),
        description: None,
        status: SMTPRelayStatus::default(),
        merged: None,
        not_running: Vec::new(),
        unread: Vec::new(),
        silent: Vec::new(),
        versions: vec![("Kubernetes".into(), "v1.34.1".into())],
        clocks: Vec::new(),
        events: Vec::new(),
        files: vec!["logs/outbound-0.log".into()],
    }
}

fn row() -> HostRow {
    let code = Code::from_name("ECONNREFUSED").unwrap();
    HostRow {
        host: "example.com".into(),
        state: HostState::Suspended,
        messages: 12,
        oldest: Some(at(-7_500)),
        suspended_till: Some(at(125)),
        reason: Some(Reason::ConnectionFailed),
        problem: Some("ECONNREFUSED at Connect with 192.0.2.7:25, 3 attempts".into()),
        failing_since: Some(at(-600)),
        last_error: Some(LastError::new(code, Stage::Connect, Some("192.0.2.7:25".into()), at(-60), "refused".into())),
        addresses: Vec::new(),
        connections: Vec::new(),
    }
}

fn refused() -> ClientRow {
    serde_json::from_value(serde_json::json!({
        "client": "shop/checkout", "kind": "ServiceAccount", "listed": true, "accepted": 3, "refused": 1, "lastSeen": at(-20),
        "lastRefusal": {"at": at(-20), "code": "550 5.7.1", "stage": "RcptTo", "text": "no \u{1b}[2J", "address": "192.0.2.9"},
    }))
    .unwrap()
}

#[test]
fn the_first_page_says_what_is_wrong_in_the_monitors_words() {
    let reading = |ahead| Reading::new("outbound-0 on node0", at(ahead), (at(0), at(0)), SignedDuration::ZERO);
    let facts = Facts {
        description: Some("mail to example.com is late".into()),
        status: SMTPRelayStatus {
            conditions: vec![Condition {
                type_: "Ready".into(),
                status: "False".into(),
                reason: "PodsNotReady".into(),
                message: "1 of 2 pods are ready".into(),
                observed_generation: None,
                last_transition_time: Time(at(0)),
            }],
            ..SMTPRelayStatus::default()
        },
        merged: Some(Merged {
            version: "0.1.0".into(),
            link: Link { state: LinkState::Open, schedule: None, changes_at: None },
            queue: QueueTotals { messages: 14, hosts: 1, suspended_hosts: 1, ..QueueTotals::default() },
            problems: vec![RelayProblem {
                reason: ProblemReason::SpoolFailing,
                message: "the disk is full".into(),
                since: at(-30),
            }],
            rows: vec![row()],
            clients: vec![refused()],
            clients_known: 1,
        }),
        not_running: vec![("outbound-1".into(), "ImagePullBackOff".into())],
        unread: vec!["events: you may not list events".into()],
        silent: vec![PodError { pod: "outbound-2".into(), said: "no answer in 20 s".into() }],
        clocks: vec![reading(90)],
        events: vec!["2026-11-24T07:00:00Z Warning HostsSuspended SMTPRelay/outbound: x".into()],
        ..quiet()
    };
    let page = page(&facts);
    for part in [
        "# Support for SMTPRelay outbound in namespace shop",
        "mail to example.com is late",
        "**SpoolFailing** (for 30s): the disk is full. To do: ",
        "Pod outbound-1 does not run: ImagePullBackOff",
        "The Monitor of pod outbound-2: no answer in 20 s",
        "Condition Ready is False, PodsNotReady: 1 of 2 pods are ready",
        "- shop/checkout (ServiceAccount) from 192.0.2.9, 20s ago: 550 5.7.1 at RcptTo: no \u{fffd}[2J",
        "+90.00 s",
        "these clocks differ",
        "### ◷ example.com",
        "Suspended Till 2027-01-15T08:02:05Z, in 2m 05s",
        "Problem: ECONNREFUSED at Connect with 192.0.2.7:25, 3 attempts",
        "Last error: ECONNREFUSED at Connect with 192.0.2.7:25, 1m 00s ago: refused",
        "To do: Look at address and port",
        "Kubernetes: v1.34.1",
        "Warning HostsSuspended",
        "events: you may not list events",
        "logs/outbound-0.log",
    ] {
        assert!(page.contains(part), "{part:?} is missing:\n{page}");
    }
}

#[test]
fn the_first_page_says_when_nothing_is_wrong() {
    let page = page(&quiet());
    assert!(page.contains("Nothing that the Monitor"), "{page}");
    assert!(!page.contains("Clocks"), "no heading without something under it:\n{page}");
}
