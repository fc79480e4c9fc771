//! What is promised of the catalogue.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::Path,
};

use super::{
    code::LENGTH,
    reason::{ProblemReason, Reason},
    *,
};
use crate::monitor::{HostRow, LastError, Stage};

#[test]
fn everything_that_is_shown_is_explained_and_nothing_twice_the_same() {
    let all = explain_all();
    let names: HashSet<_> = all.iter().map(|one| (one.kind, one.name.as_str())).collect();
    assert_eq!(names.len(), all.len(), "a name stands for two things");
    let mut meanings = HashMap::new();
    for one in &all {
        for text in
            [Some(&one.meaning), Some(&one.advice), one.cause.as_ref(), one.retry.as_ref()].into_iter().flatten()
        {
            assert!(text.len() > 8 && text.ends_with('.') && text.trim() == text, "{}: {text:?}", one.name);
        }
        let is_reason = matches!(one.kind, Kind::Reason | Kind::RelayProblem);
        assert_eq!(one.retry.is_some() && !one.scope.is_empty(), is_reason || !one.scope.is_empty(), "{}", one.name);
        assert_eq!(one.cause.is_none(), is_reason, "{}", one.name);
        if let Some(other) = meanings.insert(one.meaning.as_str(), one.name.as_str()) {
            panic!("{} and {other} mean the same: {}", one.name, one.meaning);
        }
    }
}

#[test]
fn every_code_is_read_as_it_is_written_and_fits_the_monitor() {
    let more = [
        Code::from(Errno::new(9_999)),
        Errno::new(i32::MIN).into(),
        Alert::new(255).into(),
        ReplyCode::new(451, Some((7, 1))).into(),
        ReplyCode::new(599, Some((999, 999))).into(),
    ];
    for code in Code::all().chain(more) {
        let name = code.name();
        assert!(name.chars().count() <= LENGTH, "{name}");
        assert_eq!(Code::from_name(&name), Some(code.clone()), "{name}");
        let json = serde_json::to_string(&code).unwrap();
        assert_eq!(serde_json::from_str::<Code>(&json).unwrap(), code, "{json}");
    }
    let names: HashSet<_> = Code::all().map(|code| code.name()).collect();
    assert_eq!(names.len(), Code::all().count());
}

#[test]
fn a_code_of_another_version_is_kept_as_it_is() {
    for (name, kept) in [("QUANTUM_LOSS", "QUANTUM_LOSS"), (&"X".repeat(40), &"X".repeat(LENGTH))] {
        let code: Code = serde_json::from_value(name.into()).unwrap();
        assert_eq!((code.name().as_ref(), code.number()), (kept, None));
        assert!(code.entry().meaning.contains("another version"));
    }
}

#[test]
fn what_is_not_known_falls_back_to_what_can_be_said() {
    for (name, says) in [
        ("errno 9999", "seldom give"),
        ("TLS_ALERT 200", "no standard names"),
        ("499", "refuses for now"),
        ("599", "refuses for good"),
        ("451 4.7.999", "about security"),
        ("451 4.99.1", "no further detail"),
    ] {
        let code = Code::from_name(name).unwrap_or_else(|| panic!("{name} is a code"));
        assert!(code.entry().meaning.contains(says), "{name}: {}", code.entry().meaning);
    }
}

fn ask(arguments: &[&str]) -> Result<Vec<String>, NotFound> {
    let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
    topics(&arguments).map(|topics| topics.iter().map(|topic| topic.explain().name).collect())
}

#[test]
fn a_topic_is_found_by_its_name_and_in_a_pasted_line() {
    for (arguments, found) in [
        (&["ECONNREFUSED"][..], &["ECONNREFUSED"][..]),
        (&["econnrefused", "nxdomain"], &["ECONNREFUSED", "NXDOMAIN"]),
        (&["111"], &["ECONNREFUSED"]),
        (&["errno", "111"], &["ECONNREFUSED"]),
        (&["errno 9999"], &["errno 9999"]),
        (&["451"], &["451"]),
        (&["451", "4.7.1"], &["451 4.7.1"]),
        (&["451 4.7.1", "NXDOMAIN"], &["451 4.7.1", "NXDOMAIN"]),
        (&["5.1.1"], &["5.1.1"]),
        (&["TLS_ALERT", "40"], &["TLS_ALERT 40"]),
        (&["handshake_failure"], &["TLS_ALERT 40"]),
        (&["tcpscheduleclosed"], &["TcpScheduleClosed"]),
        (&["ScheduleNotFound"], &["ScheduleNotFound", "ScheduleNotFound"]),
        (
            &[
                "ECONNREFUSED at Connect with 192.0.2.1:25, 3 attempts since 2026-11-24T07:00:00Z, next at 2026-11-24T07:20:00Z: connect to 192.0.2.1:25: Connection refused (os error 111)",
            ],
            &["ECONNREFUSED"],
        ),
        (
            &["421 at Banner with [2001:db8::1]:25, 1 attempt since 2026-11-24T07:00:00Z: 421 4.3.2 not 500 of you"],
            &["421", "421 4.3.2"],
        ),
        (&["550 5.1.1 no such user"], &["550 5.1.1"]),
        (
            &[
                "{\"host\":\"a.test\",\"reason\":\"ConnectionFailed\",\"lastError\":{\"code\":\"ETIMEDOUT\",\"number\":110}}",
            ],
            &["ConnectionFailed", "ETIMEDOUT"],
        ),
        (
            &["TCP/IP link is down: TCP Schedule gate allows no connections on Tue 09:08 (UTC); it opens Sun 03:00"],
            &["TcpScheduleClosed"],
        ),
        (&["messagesPerHostPerMinute is 500, and 500 were sent in this minute"], &["RateLimited"]),
    ] {
        assert_eq!(
            ask(arguments).as_deref(),
            Ok(&found.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()[..]),
            "{arguments:?}"
        );
    }
}

#[test]
fn what_is_not_found_names_what_may_have_been_meant() {
    for (arguments, word, nearest) in [
        (&["ECONREFUSED"][..], "ECONREFUSED", &["ECONNREFUSED"][..]),
        (&["NXDOMAIN", "CERT_EXPIERD"], "CERT_EXPIERD", &["CERT_EXPIRED"]),
        (&["TcpScheduleClose"], "TcpScheduleClose", &["TcpScheduleClosed"]),
        (&["all is well"], "all is well", &[]),
        (&["999"], "999", &[]),
    ] {
        let error = ask(arguments).unwrap_err();
        assert_eq!(
            (error.word.as_str(), &error.nearest[..]),
            (word, &nearest.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()[..])
        );
    }
    assert_eq!(
        ask(&["ECONREFUSED"]).unwrap_err().to_string(),
        "no reason or code is named \"ECONREFUSED\"; did you mean ECONNREFUSED?; without an argument, `explain` lists all"
    );
}

#[test]
fn reasons_are_spelt_as_their_json() {
    for reason in Reason::ALL {
        assert_eq!(serde_json::to_value(reason).unwrap(), reason.name());
    }
    for problem in ProblemReason::ALL {
        assert_eq!(serde_json::to_value(problem).unwrap(), problem.name());
    }
}

#[test]
fn a_reply_is_explained_by_both_its_codes() {
    let explained = Topic::Code(Code::from_name("451 4.7.1").unwrap()).explain();
    assert!(explained.meaning.starts_with("451: ") && explained.meaning.contains(" 4.7.1: "), "{explained:?}");
    assert_eq!(explained.title.as_deref(), Some("Delivery not authorized, message refused"));
    assert!(explained.retry.is_some_and(|retry| retry.contains("tried again")));
}

/// The Monitor's JSON as it was before codes were types.
#[test]
fn the_monitors_json_is_as_it_was() {
    let json = serde_json::json!({
        "host": "a.test", "state": "Suspended", "messages": 1, "reason": "ConnectionFailed",
        "lastError": {"code": "ECONNREFUSED", "number": 111, "stage": "Connect", "peer": "192.0.2.7:25",
                      "at": "2026-11-24T07:00:00Z", "text": "connection refused"},
        "addresses": [{"address": "192.0.2.7:25", "suspendedTill": "2026-11-24T07:05:00Z", "reason": "ConnectionFailed",
                       "code": "ECONNREFUSED"}],
    });
    let row: HostRow = serde_json::from_value(json.clone()).unwrap();
    let LastError { code, stage, .. } = row.last_error.clone().unwrap();
    assert_eq!((code, stage), (Errno::new(111).into(), Stage::Connect));
    assert_eq!(serde_json::to_value(&row).unwrap(), json);
}

#[test]
fn the_committed_page_is_the_one_that_the_catalogue_generates() {
    // It may be away, as in a crate that was taken out of its workspace; it may not be old.
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    if docs.exists() {
        let committed =
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(document::FILE)).unwrap_or_default();
        assert!(
            committed == document::page(),
            "docs/errors.md differs from the catalogue: run `{}` and commit what it writes",
            document::REGENERATE
        );
    }
}
