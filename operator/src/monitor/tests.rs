//! What the merged, bounded Monitor promises.

use jiff::Timestamp;
use mailsluice_crds::{
    LogLevel, SMTPRelayStatus,
    catalogue::Code,
    monitor::{
        ClientKind, ClientRow, ClientStage, Connection, HostRow, HostState, LastError, Link, ProblemReason,
        QueueTotals, Reason, Refusal, RelayProblem, Snapshot, Stage,
    },
    schedule::LinkState,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    bound, merge,
    view::{GRACE, KEPT, Picture, View, picture},
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn row(host: &str, state: HostState) -> HostRow {
    HostRow {
        host: host.into(),
        state,
        messages: 1,
        oldest: Some(at(0)),
        suspended_till: None,
        reason: None,
        problem: None,
        failing_since: None,
        last_error: None,
        addresses: Vec::new(),
        connections: Vec::new(),
    }
}

fn suspended(host: &str, till: i64, oldest: i64) -> HostRow {
    HostRow {
        suspended_till: Some(at(till)),
        reason: Some(Reason::ConnectionFailed),
        problem: Some(format!("till {till}")),
        oldest: Some(at(oldest)),
        ..row(host, HostState::Suspended)
    }
}

fn error(second: i64, code: &str) -> LastError {
    LastError {
        code: Code::from_name(code).unwrap(),
        number: None,
        stage: Stage::Connect,
        peer: None,
        at: at(second),
        text: String::new(),
    }
}

fn snapshot(rows: Vec<HostRow>) -> Snapshot {
    Snapshot {
        relay: "outbound".into(),
        version: "0.1.0".into(),
        log_level: LogLevel::Problems,
        link: Link { state: LinkState::Open, schedule: Some("day".into()), changes_at: Some(at(900)) },
        queue: QueueTotals {
            messages: rows.iter().map(|row| row.messages).sum(),
            bytes: 100,
            oldest: rows.iter().filter_map(|row| row.oldest).min(),
            hosts: u32::try_from(rows.len()).unwrap(),
            suspended_hosts: u32::try_from(rows.iter().filter(|row| row.state == HostState::Suspended).count())
                .unwrap(),
            stranded: Vec::new(),
        },
        problems: Vec::new(),
        monitor: rows,
        hosts_not_shown: 0,
        clients: Vec::new(),
        clients_not_shown: 0,
        handover: None,
        shares: None,
    }
}

fn client(name: &str, accepted: u64, refused_at: Option<i64>) -> ClientRow {
    let refusal = |second| Refusal {
        at: at(second),
        code: Code::from_name("550 5.7.1").unwrap(),
        stage: ClientStage::RcptTo,
        text: format!("refused {second}"),
        why: None,
        address: "192.0.2.1".into(),
        sender: Some("<a@b.test>".into()),
        recipient: None,
    };
    ClientRow {
        client: name.into(),
        kind: ClientKind::ServiceAccount,
        listed: true,
        accepted,
        refused: u64::from(refused_at.is_some()),
        last_seen: at(accepted as i64),
        last_accepted: (accepted > 0).then(|| at(accepted as i64)),
        last_refusal: refused_at.map(refusal),
    }
}

fn merged(snapshots: Vec<Snapshot>) -> super::Merged {
    merge(&snapshots.into_iter().map(Arc::new).collect::<Vec<_>>()).unwrap()
}

#[test]
fn a_hosts_rows_become_one_that_shows_the_worst_and_counts_all() {
    let connection = |peer: &str, second| Connection {
        peer: peer.into(),
        stage: Stage::Data,
        since: at(second),
        last_reply: None,
        octets: None,
    };
    let a = HostRow {
        messages: 3,
        oldest: Some(at(5)),
        last_error: Some(error(10, "ECONNREFUSED")),
        connections: (0..8).map(|n| connection("a", n * 2)).collect(),
        ..suspended("example.com", 300, 5)
    };
    let b = HostRow {
        messages: 4,
        oldest: Some(at(2)),
        last_error: Some(error(20, "ETIMEDOUT")),
        connections: (0..8).map(|n| connection("b", n * 2 + 1)).collect(),
        ..row("example.com", HostState::Sending)
    };
    for order in [vec![a.clone(), b.clone()], vec![b, a]] {
        let merged = merged(order.into_iter().map(|row| snapshot(vec![row])).collect());
        let [row] = merged.rows.as_slice() else { panic!("{} rows", merged.rows.len()) };
        assert_eq!((row.state, row.messages, row.oldest), (HostState::Suspended, 7, Some(at(2))));
        assert_eq!((row.suspended_till, row.problem.as_deref()), (Some(at(300)), Some("till 300")));
        assert_eq!(
            row.last_error.as_ref().map(|error| error.code.to_string()).as_deref(),
            Some("ETIMEDOUT"),
            "the newest"
        );
        assert_eq!(row.connections.len(), 10);
        assert_eq!(row.connections[0].since, at(0), "the oldest first, for that is the one that is stuck");
        assert_eq!((merged.queue.messages, merged.queue.bytes, merged.queue.hosts), (7, 200, 1));
    }
}

#[test]
fn of_two_suspensions_the_one_that_ends_first_is_shown() {
    let merged = merged(vec![snapshot(vec![suspended("h", 300, 0)]), snapshot(vec![suspended("h", 200, 0)])]);
    assert_eq!((merged.rows[0].suspended_till, merged.rows[0].problem.as_deref()), (Some(at(200)), Some("till 200")));
}

#[test]
fn rows_are_in_one_order_the_worst_first() {
    let rows = vec![
        row("z-ready", HostState::Ready),
        row("a-ready", HostState::Ready),
        suspended("young", 10, 50),
        suspended("old", 10, 20),
        HostRow { oldest: Some(at(30)), ..row("held", HostState::Held) },
        HostRow { oldest: None, ..row("none", HostState::Ready) },
    ];
    let order = ["old", "held", "young", "a-ready", "z-ready", "none"];
    let forward = merged(vec![snapshot(rows.clone())]);
    let backward = merged(vec![snapshot(rows.into_iter().rev().collect())]);
    for merged in [&forward, &backward] {
        assert_eq!(merged.rows.iter().map(|row| row.host.as_str()).collect::<Vec<_>>(), order);
    }
}

#[test]
fn the_relay_as_a_whole_is_as_its_worst_replica() {
    let closed = Link { state: LinkState::Closed, schedule: Some("day".into()), changes_at: Some(at(60)) };
    let problem = |reason, since| RelayProblem { reason, message: format!("since {since}"), since: at(since) };
    let a = Snapshot {
        problems: vec![problem(ProblemReason::ConfigurationInvalid, 5), problem(ProblemReason::QueueFull, 9)],
        ..snapshot(vec![])
    };
    let b = Snapshot {
        version: "0.2.0".into(),
        link: closed.clone(),
        problems: vec![problem(ProblemReason::QueueFull, 4), problem(ProblemReason::SpoolFailing, 7)],
        ..snapshot(vec![])
    };
    let merged = merged(vec![a, b]);
    assert_eq!((merged.version.as_str(), &merged.link), ("0.1.0, 0.2.0", &closed));
    let problems: Vec<_> = merged.problems.iter().map(|problem| (problem.reason, problem.since)).collect();
    assert_eq!(
        problems,
        [
            (ProblemReason::SpoolFailing, at(7)),
            (ProblemReason::QueueFull, at(4)),
            (ProblemReason::ConfigurationInvalid, at(5))
        ]
    );
    assert!(merge(&[]).is_none());
}

#[test]
fn a_client_of_several_replicas_is_one_with_the_newest_refusal_and_all_that_was_counted() {
    let of = |clients, clients_not_shown| Snapshot { clients, clients_not_shown, ..snapshot(vec![]) };
    let a = of(vec![client("shop/checkout", 3, Some(10)), client("shop/mailer", 5, None)], 4);
    let b = of(vec![client("shop/checkout", 4, Some(20)), client("bank/mailer", 0, Some(15))], 0);
    let (forward, backward) = (merged(vec![a.clone(), b.clone()]), merged(vec![b, a]));
    assert_eq!(forward.clients, backward.clients);
    let names: Vec<_> = forward.clients.iter().map(|row| row.client.as_str()).collect();
    assert_eq!(names, ["shop/checkout", "bank/mailer", "shop/mailer"], "refused most recently first");
    let row = &forward.clients[0];
    assert_eq!((row.accepted, row.refused, row.last_seen, row.last_accepted), (7, 2, at(4), Some(at(4))));
    assert_eq!(row.last_refusal.as_ref().unwrap().text, "refused 20");
    assert_eq!(forward.clients_known, 6, "as many as one replica knows of");
}

#[test]
fn hosts_are_counted_once_and_never_fewer_than_one_replica_has() {
    let a = Snapshot {
        queue: QueueTotals { hosts: 500, suspended_hosts: 400, ..QueueTotals::default() },
        ..snapshot(vec![suspended("h", 1, 1)])
    };
    let b = snapshot(vec![suspended("h", 1, 1), row("other", HostState::Ready)]);
    let merged = merged(vec![a, b]);
    assert_eq!((merged.queue.hosts, merged.queue.suspended_hosts), (500, 400));
}

#[test]
fn the_status_stays_within_16_kib_with_ten_thousand_suspended_hosts() {
    for (name, host, text) in [("short", "h".to_owned(), 10), ("long", "h".repeat(240), 4_000)] {
        let rows: Vec<_> = (0..10_000)
            .map(|number| HostRow {
                problem: Some("ü\"".repeat(text / 2)),
                last_error: Some(LastError { text: "\\".repeat(text), ..error(1, "ECONNREFUSED") }),
                ..suspended(&format!("{host}{number:05}"), 300, i64::from(number))
            })
            .collect();
        let clients: Vec<_> = (0..500)
            .map(|number| {
                let mut row = client(&format!("{host}{number}"), 1, Some(number));
                row.last_refusal.as_mut().unwrap().text = "ü\"".repeat(text / 2);
                row
            })
            .collect();
        let mut status = SMTPRelayStatus::default();
        bound::fill_clients(&mut status, &clients, 700);
        bound::fill(&mut status, &rows, 10_000);
        let octets = serde_json::to_vec(&status).unwrap().len();
        assert!(octets <= 16 << 10, "{name}: {octets}");
        let shown = status.monitor.len();
        assert!((5..=32).contains(&shown), "{name}: {shown}");
        assert_eq!(shown as u32 + status.hosts_not_shown, 10_000, "{name}");
        assert_eq!(status.monitor[0].host, rows[0].host, "{name}: the worst are kept");
        let shown = status.clients.len();
        assert!((3..=16).contains(&shown), "{name}: {shown}");
        assert_eq!(shown as u32 + status.clients_not_shown, 700, "{name}");
        assert_eq!(status.clients[0].client, format!("{host}499"), "{name}: those refused last are kept");
        assert!(status.clients.iter().all(|row| row.last_refusal.as_ref().unwrap().text.chars().count() <= 256));
        for row in &status.monitor {
            assert!(row.problem.as_ref().unwrap().chars().count() <= 256, "{name}");
            assert!(row.last_error.as_ref().unwrap().text.chars().count() <= 256, "{name}");
        }
    }
}

#[test]
fn a_few_hosts_are_all_shown() {
    let mut status = SMTPRelayStatus::default();
    bound::fill(&mut status, &[suspended("a", 1, 1), row("b", HostState::Ready)], 2);
    assert_eq!((status.monitor.len(), status.hosts_not_shown), (2, 0));
}

#[test]
fn texts_are_cut_at_characters() {
    for (text, most, cut) in [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("üüüü", 3, "üü…"), ("", 3, "")] {
        assert_eq!(bound::shortened(text, most), cut);
    }
}

#[test]
fn a_pod_that_is_lost_is_remembered_for_a_while_and_known_to_be_lost() {
    let start = Instant::now();
    let mut view = View::default();
    let look = |view: &View, after: Duration| picture(&[("p-0", true, view.clone())], start + after);

    let (shown, unreadable, again) = look(&view, Duration::ZERO);
    assert_eq!((shown, unreadable.len(), again), (Picture::Pending, 0, None), "asked for the first time");

    assert!(view.received(snapshot(vec![])));
    assert!(!view.received(snapshot(vec![])), "the same again is no news");
    assert!(view.failed("connection refused".into(), start));
    assert!(!view.failed("timed out".into(), start + GRACE), "failing again is no news");

    let (shown, unreadable, again) = look(&view, Duration::from_secs(1));
    assert!(matches!(shown, Picture::Known(_)));
    assert_eq!((unreadable.len(), again), (0, Some(GRACE - Duration::from_secs(1))), "a hiccup is not worth telling");

    let (shown, unreadable, again) = look(&view, GRACE);
    assert!(matches!(shown, Picture::Known(_)), "its last snapshot stands");
    assert_eq!((unreadable[0].pod.as_str(), unreadable[0].why.as_str()), ("p-0", "connection refused"));
    assert_eq!(again, Some(KEPT - GRACE));

    let (shown, unreadable, again) = look(&view, KEPT);
    assert_eq!((shown, unreadable.len(), again), (Picture::Nothing, 1, None), "but not for ever");

    assert!(view.received(snapshot(vec![])));
    let (shown, unreadable, again) = look(&view, KEPT);
    assert!(matches!(shown, Picture::Known(_)));
    assert_eq!((unreadable.len(), again), (0, None));
}

#[test]
fn a_pod_that_is_not_ready_is_not_expected_to_answer() {
    let start = Instant::now();
    let mut view = View::default();
    assert_eq!(picture(&[("p-0", false, view.clone())], start).0, Picture::Nothing);
    view.failed("connection refused".into(), start);
    assert_eq!(picture(&[("p-0", false, view)], start + KEPT).1, []);
}
