//! Lives as they are told from logs.

use super::*;

const ID: &str = "000645F3A1B2C300";

/// A relay's log: the schedule is closed, the host puts the message off, then a bounce for one recipient and a delivery for the other.
fn log() -> String {
    let record = |time: &str, level: &str, tag: &str, rest: &str| {
        format!(
            "{{\"time\":\"2026-11-24T{time}Z\",\"level\":\"{level}\",\"tag\":\"{tag}\",\"relay\":\"outbound\",{rest}}}\n"
        )
    };
    let suspended = |time: &str, host: &str, reason: &str, till: &str, why: &str| {
        let rest = format!(
            r#""host":"{host}","marker":"TCP(SMTP)","event":"HostSuspended","session":"S2","reason":"{reason}","suspendedTill":"2026-11-24T{till}Z","msg":"the host is suspended: {why}""#
        );
        record(time, "Problems", "TCP", &rest)
    };
    let of = |rest: &str| format!(r#""message":"{ID}",{rest}"#);
    [
        suspended("06:58:00.000", "example.com", "ConnectionFailed", "06:59:00", "before it came"),
        record("07:00:00.000", "LowLevel", "SMTPI", r#""session":"S1","client":"127.0.0.1:50000","msg":"> MAIL FROM:<a@example.org>""#),
        record(
            "07:00:00.100",
            "Major",
            "SMTPI",
            &of(r#""session":"S1","client":"127.0.0.1:50000","sender":"<a@example.org>","recipients":2,"hosts":"example.com other.example","bytes":512,"msg":"accepted""#),
        ),
        suspended("07:00:00.101", "example.com", "TcpScheduleClosed", "07:30:00", "TCP/IP link is down: closed"),
        suspended("07:00:00.102", "stranger.example", "TcpScheduleClosed", "07:30:00", "of other mail"),
        record("07:30:00.200", "LowLevel", "SMTP", &of(r#""host":"example.com","session":"S3","msg":"> MAIL FROM:<a@example.org>""#)),
        record(
            "07:30:00.300",
            "Problems",
            "SMTP",
            &of(r#""host":"example.com","session":"S3","peer":"192.0.2.1:25","code":"451 4.7.1","reply":"451 4.7.1 greylisted","recipients":1,"till":"2026-11-24T07:35:00Z","msg":"deferred""#),
        ),
        suspended("07:30:00.300", "example.com", "MessagesDeferred", "07:35:00", "451 4.7.1 at RcptTo: 1 message put off"),
        suspended("07:35:00.100", "example.com", "ConnectionFailed", "07:40:00", "ECONNREFUSED at Connect with 192.0.2.1:25"),
        record(
            "07:40:00.100",
            "Major",
            "SMTP",
            &of(r#""host":"example.com","session":"S5","peer":"192.0.2.1:25","reply":"250 2.0.0 Ok","recipients":1,"msg":"delivered""#),
        ),
        suspended("07:41:00.000", "example.com", "ConnectionFailed", "07:46:00", "after it went"),
        record(
            "07:45:00.000",
            "Failures",
            "REPORT",
            &of(r#""sender":"a@example.org","recipient":"b@other.example","status":"5.1.1","msg":"gave a recipient up: 550 5.1.1 nobody: here""#),
        ),
        record(
            "07:45:00.001",
            "Major",
            "REPORT",
            &format!(r#""message":"000645f3a1b2c301","original":"{ID}","to":"a@example.org","msg":"told the sender that recipients failed""#),
        ),
    ]
    .concat()
}

fn told(log: &str) -> Life {
    life(ID.parse().unwrap(), records(log.lines()))
}

#[test]
fn a_life_has_its_attempts_and_the_suspensions_of_its_hosts_while_it_waited_there() {
    let life = told(&log());
    let kinds: Vec<String> = life
        .events
        .iter()
        .map(|event| serde_json::to_value(event).unwrap()["event"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        kinds,
        ["Accepted", "HostSuspended", "Deferred", "HostSuspended", "HostSuspended", "Delivered", "GivenUp", "Reported"]
    );
    assert_eq!(
        (life.outcome, life.recipients, life.delivered, life.given_up, life.deferrals, life.suspensions),
        (Outcome::Partly, Some(2), 1, 1, 1, 2)
    );
    let text = life.to_string();
    for part in [
        "2026-11-24T07:00:00.100Z  accepted from 127.0.0.1:50000, sender <a@example.org>, 2 recipients, 512 octets, for example.com, other.example  [S1]",
        "example.com is suspended till 2026-11-24T07:30:00Z: TcpScheduleClosed: TCP/IP link is down: closed",
        "example.com: 1 recipient put off by 192.0.2.1:25: 451 4.7.1 greylisted; next at 2026-11-24T07:35:00Z  [S3]",
        "gave b@other.example up (5.1.1): 550 5.1.1 nobody: here",
        "was delivered for 1 and given up for 1 of its recipients, the last 44 min 59 s after it came: 1 attempt that put it off, 2 suspensions of its hosts.",
    ] {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
    assert!(
        !text.contains("before it came") && !text.contains("after it went") && !text.contains("other mail"),
        "{text}"
    );
}

#[test]
fn a_log_that_ends_early_or_begins_late_says_so() {
    let log = log();
    let lines: Vec<&str> = log.lines().collect();
    for (log, outcome, says) in [
        (lines[..6].join("\n"), Outcome::Waiting, "waits for 2 recipients of 2 as far as the log goes"),
        (lines[6..].join("\n"), Outcome::Waiting, "is not in the log"),
        (lines[..2].join("\n"), Outcome::NotFound, "The log has nothing of message"),
        (String::new(), Outcome::NotFound, "The log has nothing of message"),
    ] {
        let life = told(&log);
        assert_eq!(life.outcome, outcome, "{life}");
        assert!(life.to_string().contains(says), "{life}");
        let waits: &[&str] = if outcome == Outcome::Waiting { &["example.com", "other.example"] } else { &[] };
        let named: Vec<_> = life.waits_for.iter().map(|host| host.as_str()).filter(|h| waits.contains(h)).collect();
        assert_eq!(named.len(), life.waits_for.len(), "{life}");
    }
}

#[test]
fn what_an_administrator_dropped_is_told_as_that() {
    let dropped = |recipients: u64| {
        format!(
            r#"{{"time":"2026-11-24T07:20:00Z","level":"Major","tag":"QUEUE","relay":"outbound","host":"example.com","message":"{ID}","by":"ann","recipients":{recipients},"msg":"removed by an administrator, without a report"}}"#
        )
    };
    let log = log();
    let lines: Vec<&str> = log.lines().collect();
    let delivered = lines.iter().find(|line| line.contains("\"delivered\"")).unwrap();
    for (before, recipients, outcome, says) in [
        (vec![], 2, Outcome::Dropped, "was removed by an administrator 19 min 59 s after it came"),
        (vec![], 1, Outcome::Waiting, "waits for 1 recipient of 2"),
        (vec![*delivered], 1, Outcome::Partly, "was delivered for 1 and removed by an administrator for 1 of its"),
    ] {
        let log = [&lines[..4], &before].concat().join("\n") + "\n" + &dropped(recipients);
        let life = told(&log);
        assert_eq!((life.outcome, life.dropped), (outcome, recipients), "{life}");
        let line = "example.com: removed by ann for ";
        assert!(life.sum().contains(says) && life.to_string().contains(line), "{life}");
    }
}

#[test]
fn records_are_found_in_what_others_put_around_them() {
    let plain = log();
    let expected = told(&plain);
    let around = |wrap: &dyn Fn(&str) -> String| plain.lines().map(wrap).collect::<Vec<_>>().join("\n");
    let journal = around(&|line| format!("Nov 24 08:00:00 mail mailsluice-relay[12]: {line}"));
    assert_eq!(told(&format!("-- Boot 1 --\n{journal}\nnot a record {{\n")), expected);
    let exported = around(&|line| serde_json::json!({"MESSAGE": line, "_PID": "12"}).to_string());
    assert_eq!(told(&exported), expected);
    let pods = told(&around(&|line| format!("[pod/outbound-0/relay] {line}")));
    assert!(pods.events.iter().all(|event| event.pod.as_deref() == Some("outbound-0")));
    assert_eq!(pods.suspensions, expected.suspensions);
    // A host's suspension in one pod is nothing to mail in another.
    let others = plain.lines().map(|line| {
        let pod = if line.contains(ID) { "outbound-0" } else { "outbound-1" };
        format!("[pod/{pod}/relay] {line}")
    });
    assert_eq!(told(&others.collect::<Vec<_>>().join("\n")).suspensions, 0);
}

#[test]
fn what_a_host_said_moves_no_cursor() {
    let log = log().replace("451 4.7.1 greylisted", "451 \\u001b[2Jgreylisted\\r\\nforged");
    let text = told(&log).to_string();
    assert!(text.contains("greylisted") && !text.contains('\u{1b}') && !text.contains("\r\nforged"), "{text}");
}
