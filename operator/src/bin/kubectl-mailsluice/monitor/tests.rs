//! What the terminal shows of a Monitor.

use std::sync::Arc;

use mailsluice_crds::{
    catalogue::Code,
    monitor::{AddressRow, ClientRow, HostState, LastError, Reason, Snapshot, Stage},
};
use mailsluice_operator::monitor::merge;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{
    screen::lines,
    view::{Key, View},
    *,
};

/// So many seconds after a moment.
pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// What this JSON says, as a relay would have written it.
fn of<T: DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).unwrap()
}

/// A host with a message.
pub(super) fn row(host: &str) -> HostRow {
    HostRow {
        host: host.into(),
        state: HostState::Ready,
        messages: 1,
        oldest: None,
        suspended_till: None,
        reason: None,
        problem: None,
        failing_since: None,
        last_error: None,
        addresses: Vec::new(),
        connections: Vec::new(),
    }
}

fn refused() -> HostRow {
    let code = || Code::from_name("ECONNREFUSED").unwrap();
    HostRow {
        state: HostState::Suspended,
        messages: 12,
        oldest: Some(at(-7_500)),
        suspended_till: Some(at(125)),
        reason: Some(Reason::ConnectionFailed),
        problem: Some("ECONNREFUSED at Connect with 192.0.2.7:25, 3 attempts".into()),
        failing_since: Some(at(-600)),
        last_error: Some(LastError::new(
            code(),
            Stage::Connect,
            Some("192.0.2.7:25".into()),
            at(-60),
            "no \u{1b}[2J".into(),
        )),
        addresses: vec![AddressRow {
            address: "192.0.2.7:25".into(),
            suspended_till: at(125),
            reason: Reason::ConnectionFailed,
            code: code(),
        }],
        connections: vec![of(json!({
            "peer": "192.0.2.8:25", "stage": "Data", "since": at(-95), "lastReply": "354 go on",
        }))],
        ..row("example.com")
    }
}

/// A client that was refused.
fn refused_client() -> ClientRow {
    of(json!({
        "client": "shop/checkout", "kind": "ServiceAccount", "listed": true, "accepted": 3, "refused": 1, "lastSeen": at(-20),
        "lastRefusal": {
            "at": at(-20), "code": "550 5.7.1", "stage": "RcptTo", "text": "no \u{1b}[2J", "address": "192.0.2.9", "sender": "<a@b.test>",
        },
    }))
}

fn pictured(rows: Vec<HostRow>) -> Picture {
    let snapshot: Snapshot = of(json!({
        "relay": "outbound",
        "version": "0.1.0",
        "logLevel": "Problems",
        "link": {"state": "Closed", "schedule": "office-hours", "changesAt": at(3_600)},
        "queue": {"messages": 14, "bytes": 2_048, "oldest": at(-7_500), "hosts": 9, "suspendedHosts": 1},
        "problems": [{"reason": "SpoolFailing", "message": "the disk is full", "since": at(-30)}],
        "monitor": rows,
        "hostsNotShown": 0,
        "clients": [refused_client()],
    }));
    Picture {
        relay: "outbound".into(),
        pods: 2,
        merged: merge(&[Arc::new(snapshot)]),
        unread: vec![PodError { pod: "outbound-1".into(), said: "no answer in 10 s".into() }],
        messages: Messages::default(),
    }
}

fn shown(picture: &Picture, view: &mut View, size: (usize, usize)) -> Vec<String> {
    lines(picture, view, at(0), size).iter().map(look::Line::text).collect()
}

#[test]
fn the_table_has_the_clock_the_time_that_counts_down_and_the_problem() {
    let printed = printed(&pictured(vec![refused(), row("ready.example")]), at(0));
    let wanted = "\
outbound  0.1.0  1 of 2 pods read  2027-01-15T08:00:00Z
◷ TCP/IP link is down by TCP Schedule office-hours, opens 2027-01-15T09:00:00Z (in 1h 00m)
Queue: 14 messages wait, 2.0 KiB, for 9 hosts, 1 of them suspended, the oldest for 2h 05m
SpoolFailing: the disk is full (for 30s)
pod outbound-1: no answer in 10 s

  HOST           STATE      MESSAGES    OLDEST  SUSPENDED TILL                   PROBLEM
◷ example.com    Suspended        12    2h 05m  2027-01-15T08:02:05Z, in 2m 05s  ECONNREFUSED at Connect with 192.0.2.7:25, 3 attempts
· ready.example  Ready             1

Refused: shop/checkout (ServiceAccount) from 192.0.2.9, 20s ago: 550 5.7.1 at RcptTo: no \u{fffd}[2J
";
    assert_eq!(printed, wanted, "\n{printed}");
}

#[test]
fn a_screen_has_just_so_many_lines_and_none_is_too_wide() {
    let many: Vec<HostRow> =
        (0..50).map(|number| row(&format!("host-{number:02}.example"))).chain([refused()]).collect();
    let mut opened = View::default();
    opened.press(Key::Open, &[&refused()], 10);
    for (name, picture, view) in [
        ("few", pictured(vec![refused()]), View::default()),
        ("none", pictured(Vec::new()), View::default()),
        ("many", pictured(many), View::default()),
        ("open", pictured(vec![refused()]), opened.clone()),
        ("open, and gone", pictured(Vec::new()), opened),
    ] {
        for (width, height) in [(80, 24), (120, 40), (200, 12)] {
            let lines = shown(&picture, &mut view.clone(), (width, height));
            assert_eq!(lines.len(), height, "{name}, {width} × {height}: {lines:#?}");
            let wide = lines.iter().skip(2).find(|line| crate::text::columns(line) > width.max(110));
            assert_eq!(wide, None, "{name}, {width} × {height}");
        }
    }
}

#[test]
fn the_chosen_host_is_always_on_the_screen() {
    let rows: Vec<HostRow> = (0..50).map(|number| row(&format!("host-{number:02}.example"))).collect();
    let picture = pictured(rows);
    let mut view = View::default();
    for _ in 0..40 {
        view.press(Key::Down, &picture.rows(view.sort), 10);
    }
    let lines = lines(&picture, &mut view, at(0), (100, 24));
    let chosen: Vec<String> = lines
        .iter()
        .filter(|line| matches!(line.0.as_slice(), [(look::Look::Chosen, _)]))
        .map(look::Line::text)
        .collect();
    assert_eq!(chosen.len(), 1, "{lines:#?}");
    assert!(chosen[0].contains("host-40.example"), "{chosen:?}");
}

#[test]
fn an_open_host_says_all_that_is_known_of_it() {
    let mut picture = pictured(vec![refused()]);
    picture.messages = Messages { text: Some("MESSAGE ID\n00064A7B0C1D2E3F\n".into()) };
    let mut view = View { open: Some("example.com".into()), ..View::default() };
    let text = shown(&picture, &mut view, (110, 40)).join("\n");
    for part in [
        "◷ example.com  Suspended  12 messages",
        "Suspended Till  2027-01-15T08:02:05Z, in 2m 05s",
        "Problem         ECONNREFUSED at Connect with 192.0.2.7:25, 3 attempts",
        "Last error      ECONNREFUSED at Connect with 192.0.2.7:25, 1m 00s ago",
        "no \u{fffd}[2J",
        "The host refused the connection: nothing listens on that port.",
        "Addresses       192.0.2.7:25 suspended till",
        "Connections     192.0.2.8:25 in Data for 1m 35s, last reply 354 go on",
        "00064A7B0C1D2E3F",
    ] {
        assert!(text.contains(part), "{part:?} is missing:\n{text}");
    }
}

#[test]
fn help_names_each_key_and_goes_away() {
    let mut view = View::default();
    view.press(Key::Help, &[], 10);
    let text = shown(&pictured(Vec::new()), &mut view, (100, 24)).join("\n");
    for key in ["Enter", "Esc", "  s ", "  ? ", "  q ", "PgUp"] {
        assert!(text.contains(key), "{key}:\n{text}");
    }
}
