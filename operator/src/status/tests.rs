//! What each condition says, case by case.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use mailsluice_crds::{
    SMTPRelayStatus, TCPScheduleSpec,
    catalogue::Errno,
    monitor::{
        HostRow, HostState, LastError, Link, ProblemReason, QueueTotals, Reason, RelayProblem, Stage, StrandedMail,
    },
    schedule::{LinkState, Schedule, ScheduleError},
};

use super::{Facts, Injected, Obstacle, Rollout, draw};
use crate::{
    growth::{Growth, Smaller},
    monitor::{Merged, Picture, Unreadable},
    resources::Claim,
    schedule::{Known, ScheduleUse},
};

const SENTENCE: &str =
    "TCP/IP link is down: TCP Schedule day allows no connections on Mon 21:40 (UTC); it opens Tue 08:00";

/// A state of affairs that a status can be drawn from.
#[derive(Clone)]
struct Case {
    wanted: u32,
    pods: u32,
    ready: u32,
    rollout: Rollout,
    obstacles: Vec<Obstacle>,
    growth: Growth,
    schedule: ScheduleUse,
    picture: Picture,
    unreadable: Vec<Unreadable>,
    stranded: Vec<StrandedMail>,
    injected: Injected,
    before: SMTPRelayStatus,
    paused: bool,
}

impl Case {
    /// Two pods, both ready, without mail.
    fn well() -> Case {
        Case {
            wanted: 2,
            pods: 2,
            ready: 2,
            rollout: Rollout::Complete,
            obstacles: Vec::new(),
            growth: Growth::Done,
            schedule: ScheduleUse::None,
            picture: monitor(vec![]),
            unreadable: Vec::new(),
            stranded: Vec::new(),
            injected: Injected::default(),
            before: SMTPRelayStatus::default(),
            paused: false,
        }
    }

    fn draw(&self, now: Timestamp) -> SMTPRelayStatus {
        draw(&Facts {
            relay: "outbound",
            generation: Some(7),
            paused: self.paused,
            wanted: self.wanted,
            pods: self.pods,
            ready: self.ready,
            rollout: self.rollout,
            obstacles: &self.obstacles,
            growth: &self.growth,
            schedule: &self.schedule,
            picture: &self.picture,
            unreadable: &self.unreadable,
            stranded: &self.stranded,
            injected: &self.injected,
            before: &self.before,
            now,
        })
    }
}

#[test]
fn mail_of_pods_that_are_scaled_away_is_shown_with_its_claims() {
    let stranded = vec![StrandedMail { claim: "spool-outbound-0".into(), messages: 7 }];
    for picture in [Picture::Nothing, monitor(vec![]), Picture::Pending] {
        let case = Case { picture, stranded: stranded.clone(), ..Case::well() };
        assert_eq!(case.draw(night()).queue.unwrap().stranded, stranded);
        let problem = case.draw(night()).problem.unwrap();
        assert!(problem.starts_with("7 messages are stranded on spool-outbound-0: "), "{problem}");
    }
    // It is no longer stranded once its pod is back, whatever the status said before.
    let before = SMTPRelayStatus {
        queue: Some(QueueTotals { stranded, ..QueueTotals::default() }),
        ..SMTPRelayStatus::default()
    };
    for picture in [Picture::Pending, Picture::Nothing] {
        let status = Case { picture, before: before.clone(), ..Case::well() }.draw(night());
        assert_eq!(status.queue.unwrap_or_default().stranded, []);
    }
}

fn night() -> Timestamp {
    "2026-11-23T21:40:00Z".parse().unwrap()
}

fn row(host: &str, state: HostState, reason: Option<Reason>, problem: Option<&str>) -> HostRow {
    HostRow {
        host: host.into(),
        state,
        messages: 1,
        oldest: Some(night()),
        suspended_till: None,
        reason,
        problem: problem.map(str::to_owned),
        failing_since: None,
        last_error: None,
        addresses: Vec::new(),
        connections: Vec::new(),
    }
}

fn refused(host: &str) -> HostRow {
    row(host, HostState::Suspended, Some(Reason::ConnectionFailed), Some("ECONNREFUSED at Connect"))
}

fn retried(host: &str) -> HostRow {
    let at = night();
    let text = "Connection refused".to_owned();
    let error = LastError::new(Errno::new(111).into(), Stage::Connect, None, at, text);
    HostRow { last_error: Some(error), ..row(host, HostState::Sending, None, None) }
}

fn merged(rows: Vec<HostRow>) -> Merged {
    Merged {
        version: "0.1.0".into(),
        link: Link { state: LinkState::Open, schedule: None, changes_at: None },
        queue: QueueTotals {
            messages: rows.len() as u64,
            hosts: rows.len() as u32,
            suspended_hosts: rows.iter().filter(|row| crate::monitor::is_suspended(row)).count() as u32,
            ..QueueTotals::default()
        },
        problems: Vec::new(),
        rows,
        clients: Vec::new(),
        clients_known: 0,
    }
}

fn monitor(rows: Vec<HostRow>) -> Picture {
    Picture::Known(Box::new(merged(rows)))
}

fn closed(rows: Vec<HostRow>) -> Picture {
    let link = Link {
        state: LinkState::Closed,
        schedule: Some("day".into()),
        changes_at: Some("2026-11-24T08:00:00Z".parse().unwrap()),
    };
    Picture::Known(Box::new(Merged { link, ..merged(rows) }))
}

fn problem(reason: ProblemReason, message: &str) -> Picture {
    let problem = RelayProblem { reason, message: message.into(), since: night() };
    Picture::Known(Box::new(Merged { problems: vec![problem], ..merged(vec![]) }))
}

fn day() -> ScheduleUse {
    let spec: TCPScheduleSpec =
        serde_json::from_str(r#"{"windows": [{"from": "08:00", "to": "20:00", "link": "Open"}]}"#).unwrap();
    ScheduleUse::Known(Box::new(Known { schedule: Schedule::new("day", &spec).unwrap(), spec }))
}

fn invalid_schedule() -> ScheduleUse {
    let spec: TCPScheduleSpec = serde_json::from_str(r#"{"timeZone": "Europe/Roma"}"#).unwrap();
    let error: ScheduleError = Schedule::new("day", &spec).unwrap_err();
    ScheduleUse::Invalid { name: "day".into(), error }
}

fn name_taken() -> Obstacle {
    Obstacle::NameTaken { kind: "Service".into(), name: "outbound".into(), controller: None }
}

fn claim(size: &str) -> Claim {
    Claim { size: size.into(), class: None }
}

/// The claims of these pods grow, and of the last one something is said.
fn growing(pods: &[&str]) -> Growth {
    let mut claims: Vec<_> = pods.iter().map(|pod| smaller(pod)).collect();
    if let Some(last) = claims.last_mut() {
        last.says = Some("FileSystemResizePending".into());
    }
    Growth::Growing { wanted: "20Gi".into(), claims }
}

fn smaller(pod: &str) -> Smaller {
    Smaller { name: format!("spool-{pod}"), size: Some("10Gi".into()), says: None }
}

fn refused_to_grow() -> Growth {
    Growth::Refused { claim: smaller("outbound-0"), wanted: "20Gi".into(), message: "it is forbidden".into() }
}

/// Checks a condition in each case: its status, its reason, and words that its message must have.
fn check(kind: &str, cases: Vec<(&str, Case, &str, &str, &str)>) {
    for (name, case, status, reason, words) in cases {
        let drawn = case.draw(night());
        let found = drawn.conditions.iter().find(|condition| condition.type_ == kind).unwrap();
        assert_eq!(
            (found.status.as_str(), found.reason.as_str()),
            (status, reason),
            "{kind}: {name}: {}",
            found.message
        );
        assert!(found.message.contains(words), "{kind}: {name}: {}", found.message);
        assert_eq!(found.observed_generation, Some(7), "{kind}: {name}");
    }
}

#[test]
fn ready_says_whether_the_relay_is_as_it_was_asked_to_be() {
    let well = Case::well;
    let unreadable = vec![Unreadable { pod: "outbound-1".into(), why: "connection refused".into() }];
    check(
        "Ready",
        vec![
            ("all is well", well(), "True", "PodsReady", "2 of 2 pods are ready"),
            ("a pod is not", Case { ready: 1, ..well() }, "False", "PodsNotReady", "1 of 2 pods are ready"),
            ("none is asked for", Case { wanted: 0, ready: 0, ..well() }, "True", "ScaledToZero", "no pods"),
            (
                "a name is taken",
                Case { obstacles: vec![name_taken()], ..well() },
                "False",
                "NameTaken",
                "the Service \"outbound\" exists",
            ),
            (
                "it makes no sense",
                Case { obstacles: vec![Obstacle::Invalid("spec.listeners: …".into())], ..well() },
                "False",
                "ConfigurationInvalid",
                "spec.listeners",
            ),
            (
                "no such schedule",
                Case { schedule: ScheduleUse::Missing("dya".into()), ..well() },
                "False",
                "ScheduleNotFound",
                "TCP Schedule dya does not exist",
            ),
            (
                "a bad schedule",
                Case { schedule: invalid_schedule(), ..well() },
                "False",
                "ScheduleInvalid",
                "did you mean \"Europe/Rome\"?",
            ),
            (
                "a refused change",
                Case { picture: problem(ProblemReason::ConfigurationInvalid, "refused: …"), ..well() },
                "False",
                "ConfigurationInvalid",
                "refused: …",
            ),
            (
                "a broken disk",
                Case { ready: 1, picture: problem(ProblemReason::SpoolFailing, "EIO"), ..well() },
                "False",
                "SpoolFailing",
                "EIO",
            ),
            (
                "damaged records",
                Case { picture: problem(ProblemReason::SpoolDamaged, "2 records of the spool are damaged"), ..well() },
                "False",
                "SpoolDamaged",
                "2 records",
            ),
            (
                "a silent pod",
                Case { unreadable, ..well() },
                "False",
                "MonitorUnreadable",
                "outbound-1: connection refused",
            ),
        ],
    );
}

#[test]
fn available_says_whether_somebody_takes_mail() {
    check(
        "Available",
        vec![
            ("both", Case::well(), "True", "PodReady", "mail is taken"),
            ("one", Case { ready: 1, ..Case::well() }, "True", "PodReady", "mail is taken"),
            ("none", Case { ready: 0, ..Case::well() }, "False", "NoPodReady", "none of 2"),
            (
                "none asked for",
                Case { wanted: 0, ready: 0, ..Case::well() },
                "False",
                "ScaledToZero",
                "set spec.replicas",
            ),
        ],
    );
}

#[test]
fn progressing_says_whether_the_cluster_is_on_its_way() {
    let well = Case::well;
    check(
        "Progressing",
        vec![
            ("done", well(), "False", "Complete", "as it should be"),
            ("just made", Case { rollout: Rollout::Creating, ..well() }, "True", "Creating", "being made"),
            (
                "one leaves",
                Case { rollout: Rollout::Leaving { pods: 1 }, ..well() },
                "True",
                "HandingOver",
                "1 pod hands its mail",
            ),
            (
                "two leave",
                Case { rollout: Rollout::Leaving { pods: 2 }, ..well() },
                "True",
                "HandingOver",
                "2 pods hand their mail",
            ),
            ("half", Case { rollout: Rollout::UnderWay { updated: 1 }, ..well() }, "True", "RollingOut", "1 of 2 pods"),
            (
                "a claim grows",
                Case { growth: growing(&["outbound-0"]), rollout: Rollout::Creating, ..well() },
                "True",
                "GrowingStorage",
                "spool-outbound-0 has 10Gi and is asked for 20Gi: FileSystemResizePending",
            ),
            (
                "three do",
                Case { growth: growing(&["outbound-0", "outbound-1", "outbound-2"]), ..well() },
                "True",
                "GrowingStorage",
                "; 2 other claims grow too",
            ),
            (
                "their StatefulSet is made anew",
                Case { growth: growing(&[]), ..well() },
                "True",
                "GrowingStorage",
                "the claims have 20Gi",
            ),
            (
                "a claim may not grow",
                Case { growth: refused_to_grow(), ..well() },
                "False",
                "StorageUnchanged",
                "spool-outbound-0 has 10Gi and is asked for 20Gi, and cannot grow: let its storage class expand volumes",
            ),
            (
                "the StatefulSet may not go",
                Case { growth: Growth::Kept { wanted: "20Gi".into(), message: "no".into() }, ..well() },
                "False",
                "StorageUnchanged",
                "refuses its deletion",
            ),
            (
                "claims do not shrink",
                Case { growth: Growth::Impossible { present: claim("20Gi"), wanted: claim("10Gi") }, ..well() },
                "False",
                "StorageUnchanged",
                "asks for 10Gi of the default storage class, and the claims were made with 20Gi",
            ),
            ("a name is taken", Case { obstacles: vec![name_taken()], ..well() }, "False", "NameTaken", "left alone"),
        ],
    );
}

#[test]
fn delivering_says_what_hinders_the_mail() {
    let well = Case::well;
    let with = |picture| Case { picture, ..Case::well() };
    let held = row("example.com", HostState::Held, None, None);
    let by_schedule = row("example.com", HostState::Suspended, Some(Reason::TcpScheduleClosed), Some(SENTENCE));
    let paused = row("example.com", HostState::Suspended, Some(Reason::TcpSchedulePause), Some("a session every 30m"));
    let limited = row("example.com", HostState::Suspended, Some(Reason::RateLimited), Some("600 a minute"));
    let ready = || row("example.org", HostState::Ready, None, None);
    check(
        "Delivering",
        vec![
            ("no mail", well(), "True", "Delivering", "nothing hinders"),
            ("mail moves", with(monitor(vec![ready()])), "True", "Delivering", "nothing hinders"),
            ("the link is down", with(closed(vec![by_schedule.clone()])), "False", "TcpScheduleClosed", SENTENCE),
            (
                "the link is down, no mail",
                Case { schedule: day(), ..with(closed(vec![])) },
                "False",
                "TcpScheduleClosed",
                SENTENCE,
            ),
            ("the link has just opened", with(monitor(vec![by_schedule])), "True", "Delivering", ""),
            ("a pause is wanted", with(monitor(vec![paused])), "True", "TcpSchedulePause", "every 30m"),
            ("a rate is wanted", with(monitor(vec![limited])), "True", "Delivering", ""),
            (
                "every host refuses",
                with(monitor(vec![refused("example.com")])),
                "False",
                "HostsSuspended",
                "mail for 1 of 1 hosts waits; example.com: ECONNREFUSED at Connect",
            ),
            (
                "one of two refuses",
                with(monitor(vec![refused("example.com"), ready()])),
                "True",
                "HostsSuspended",
                "mail for 1 of 2 hosts waits; example.com",
            ),
            (
                "it is being tried again",
                with(monitor(vec![retried("example.com")])),
                "False",
                "HostsSuspended",
                "ECONNREFUSED at Connect",
            ),
            ("all is held", with(monitor(vec![held.clone()])), "False", "Held", "example.com: its mail is held"),
            (
                "one held, one refuses",
                with(monitor(vec![held, refused("example.net")])),
                "False",
                "HostsSuspended",
                "2 of 2",
            ),
            (
                "the disk is full",
                with(problem(ProblemReason::QueueFull, "no mail is accepted")),
                "False",
                "QueueFull",
                "no mail is accepted",
            ),
            (
                "all mail is held, though none waits",
                with(problem(ProblemReason::Held, "all mail is held by ann")),
                "False",
                "Held",
                "all mail is held by ann",
            ),
            ("the disk is broken", with(problem(ProblemReason::SpoolFailing, "EIO")), "False", "SpoolFailing", "EIO"),
            (
                "damaged records let all other mail out",
                with(problem(ProblemReason::SpoolDamaged, "2 records")),
                "True",
                "Delivering",
                "",
            ),
            (
                "a refused change lets mail out",
                with(problem(ProblemReason::ConfigurationInvalid, "refused")),
                "True",
                "Delivering",
                "",
            ),
            (
                "no such schedule",
                Case { schedule: ScheduleUse::Missing("dya".into()), ..well() },
                "False",
                "ScheduleNotFound",
                "create it, or correct spec.scheduleRef",
            ),
            ("not asked yet", with(Picture::Pending), "Unknown", "MonitorPending", ""),
            ("nobody to ask", with(Picture::Nothing), "Unknown", "NoMonitor", ""),
            (
                "none asked for",
                Case { wanted: 0, ..with(Picture::Nothing) },
                "False",
                "ScaledToZero",
                "set spec.replicas",
            ),
        ],
    );
}

#[test]
fn the_problem_column_has_the_worst_or_nothing() {
    let well = Case::well;
    let with = |picture| Case { picture, ..Case::well() };
    let by_schedule = row("example.com", HostState::Suspended, Some(Reason::TcpScheduleClosed), Some(SENTENCE));
    for (name, case, words) in [
        ("all is well", well(), None),
        ("closed, and mail waits", with(closed(vec![by_schedule])), Some("TCP/IP link is down")),
        ("closed, and no mail waits", Case { schedule: day(), ..with(closed(vec![])) }, None),
        ("a host refuses", with(monitor(vec![refused("example.com")])), Some("example.com: ECONNREFUSED")),
        ("no such schedule", Case { schedule: ScheduleUse::Missing("dya".into()), ..well() }, Some("TCP Schedule dya")),
        ("a name is taken", Case { obstacles: vec![name_taken()], ..well() }, Some("the Service")),
        ("the disk is full", with(problem(ProblemReason::QueueFull, "the disk is full")), Some("the disk is full")),
    ] {
        let problem = case.draw(night()).problem;
        match words {
            Some(words) => assert!(problem.as_deref().is_some_and(|text| text.contains(words)), "{name}: {problem:?}"),
            None => assert_eq!(problem, None, "{name}"),
        }
    }
}

#[test]
fn nothing_ticks() {
    for case in [
        Case::well(),
        Case { picture: closed(vec![]), schedule: day(), ..Case::well() },
        Case { picture: Picture::Nothing, schedule: day(), ready: 0, ..Case::well() },
        Case { picture: monitor(vec![refused("example.com")]), ..Case::well() },
    ] {
        let first = case.draw(night());
        let again = Case { before: first.clone(), ..case };
        for minutes in [1, 30, 90] {
            assert_eq!(
                again.draw(night() + jiff::SignedDuration::from_mins(minutes)),
                first,
                "after {minutes} minutes"
            );
        }
    }
}

#[test]
fn what_was_known_stands_while_pods_are_asked_after_a_restart_of_the_operator() {
    let client = serde_json::json!({"client": "shop", "kind": "User", "listed": true, "accepted": 1, "refused": 0, "lastSeen": night()});
    let clients = vec![serde_json::from_value(client).unwrap()];
    let known = Merged { clients, clients_known: 3, ..merged(vec![refused("example.com")]) };
    let before = Case { picture: Picture::Known(Box::new(known)), ..Case::well() }.draw(night());
    assert_eq!((before.clients[0].client.as_str(), before.clients_not_shown), ("shop", 2));
    let pending = Case { picture: Picture::Pending, before: before.clone(), ..Case::well() };
    assert_eq!(pending.draw(night() + jiff::SignedDuration::from_mins(5)), before);
}

#[test]
fn the_status_shows_the_monitor_and_the_scale() {
    let drawn = Case { ready: 1, picture: closed(vec![refused("example.com")]), ..Case::well() }.draw(night());
    assert_eq!((drawn.replicas, drawn.ready_replicas, drawn.ready.as_deref()), (2, 1, Some("1/2")));
    let selector: BTreeMap<_, _> =
        drawn.selector.as_deref().unwrap().split(',').filter_map(|pair| pair.split_once('=')).collect();
    assert_eq!(selector["app.kubernetes.io/instance"], "outbound");
    assert_eq!(drawn.version.as_deref(), Some("0.1.0"));
    assert_eq!(drawn.link.map(|link| link.state), Some(LinkState::Closed));
    assert_eq!((drawn.monitor.len(), drawn.hosts_not_shown), (1, 0));
    assert_eq!(drawn.queue.map(|queue| queue.suspended_hosts), Some(1));
    let kinds: Vec<_> = drawn.conditions.iter().map(|condition: &Condition| condition.type_.as_str()).collect();
    assert_eq!(kinds, ["Ready", "Available", "Progressing", "Delivering"]);
}

#[test]
fn without_a_pod_the_link_is_as_the_schedule_says() {
    let nobody = Case { picture: Picture::Nothing, ready: 0, schedule: day(), ..Case::well() };
    let link = nobody.draw(night()).link.unwrap();
    assert_eq!((link.state, link.schedule.as_deref()), (LinkState::Closed, Some("day")));
    assert_eq!(link.changes_at, Some("2026-11-24T08:00:00Z".parse().unwrap()));
}

#[test]
fn the_pods_that_lack_their_sidecar_are_named_and_nobody_is_where_none_asks() {
    let lacking = |count: usize| (0..count).map(|number| format!("shop/checkout-{number}")).collect::<Vec<_>>();
    for (pods, lacks, asked_before, wanted) in [
        (0, 0, false, None),
        (0, 0, true, Some(("True", "SidecarsPresent", "no pod lacks the sidecar that it asks for"))),
        (3, 0, false, Some(("True", "SidecarsPresent", "no pod lacks the sidecar that it asks for"))),
        (
            3,
            2,
            false,
            Some((
                "False",
                "SidecarMissing",
                "2 of 3 pods that ask for a sidecar lack it: shop/checkout-0, shop/checkout-1",
            )),
        ),
        (
            90,
            80,
            true,
            Some((
                "False",
                "SidecarMissing",
                "80 of 90 pods that ask for a sidecar lack it: shop/checkout-0, shop/checkout-1, shop/checkout-2, \
                 shop/checkout-3, shop/checkout-4, …",
            )),
        ),
    ] {
        let mut case = Case { injected: Injected { pods, lacking: lacking(lacks) }, ..Case::well() };
        if asked_before {
            let before = Case { injected: Injected { pods: 1, lacking: Vec::new() }, ..Case::well() };
            case.before = before.draw(Timestamp::UNIX_EPOCH);
        }
        let drawn = case.draw(Timestamp::UNIX_EPOCH);
        let found = drawn.conditions.iter().find(|condition| condition.type_ == "Injected");
        let found = found.map(|found| (found.status.as_str(), found.reason.as_str(), found.message.as_str()));
        assert_eq!(found, wanted, "{pods} pods, of which {lacks} lack one");
    }
}

#[test]
fn one_that_is_paused_says_so_and_claims_nothing_of_what_is_not_carried_out() {
    let carried_out = Case::well().draw(night());
    let found = |status: &SMTPRelayStatus, kind: &str| {
        let found = status.conditions.iter().find(|condition| condition.type_ == kind);
        found.map(|found| (found.status.clone(), found.reason.clone(), found.observed_generation))
    };
    let says = |status: &str, reason: &str, generation| Some((status.to_owned(), reason.to_owned(), generation));
    assert_eq!(found(&carried_out, "Paused"), None, "nobody has paused it");
    for (name, before, generation) in [
        ("after a change", SMTPRelayStatus { observed_generation: Some(6), ..carried_out }, Some(6)),
        ("a new one", SMTPRelayStatus::default(), None),
    ] {
        let paused = Case { paused: true, rollout: Rollout::Creating, before, ..Case::well() }.draw(night());
        assert_eq!(paused.observed_generation, generation, "{name}");
        assert_eq!(found(&paused, "Paused"), says("True", "PausedByAnnotation", Some(7)), "{name}");
        assert_eq!(found(&paused, "Progressing"), says("False", "PausedByAnnotation", generation), "{name}");
        assert_eq!(found(&paused, "Ready"), says("True", "PodsReady", generation), "{name}");
        assert!(paused.problem.as_deref().is_some_and(|text| text.contains("mailsluice.dev/paused")), "{name}");
        let resumed = Case { before: paused, ..Case::well() }.draw(night());
        assert_eq!((resumed.observed_generation, resumed.problem.as_deref()), (Some(7), None), "{name}");
        assert_eq!(found(&resumed, "Paused"), says("False", "Resumed", Some(7)), "{name}");
        assert_eq!(found(&resumed, "Progressing"), says("False", "Complete", Some(7)), "{name}");
    }
}
