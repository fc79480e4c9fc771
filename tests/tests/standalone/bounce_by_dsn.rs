//! Mail that cannot be delivered goes back to its sender with a report that programs can read.

use std::{fs, process::Command};

use mailsluice_crds::{quantity::Interval, schedule::LinkState};
use mailsluice_tests::{
    dialogue::Dialogue,
    mail,
    manifest::Manifest,
    process,
    relay::{PATIENCE, Relay},
    scripted::Scripted,
    sink::Sink,
    wait,
};
use serde_json::Value;
use tempfile::TempDir;

/// Takes a DSN apart with Python's email package, which we did not write.
const TAKE_APART: &str = r#"
import email, email.policy, json, sys
report = email.message_from_binary_file(open(sys.argv[1], "rb"), policy=email.policy.default)
parts = list(report.iter_parts())
status = parts[1].get_payload()
print(json.dumps({
    "type": report.get_content_type(),
    "report": report["Content-Type"].params.get("report-type"),
    "to": report["To"], "from": report["From"], "auto": report["Auto-Submitted"],
    "parts": [part.get_content_type() for part in parts],
    "message": dict(status[0].items()),
    "recipients": [dict(block.items()) for block in status[1:]],
    "original": parts[2].get_payload() if len(parts) > 2 and isinstance(parts[2].get_payload(), str)
        else str(parts[2].get_payload()[0]) if len(parts) > 2 else "",
    "defects": [str(defect) for part in report.walk() for defect in part.defects],
}))
"#;

#[test]
fn a_permanent_refusal_comes_back_as_a_delivery_status_notification() {
    let host = Scripted::start(|line| match line {
        "RCPT TO:<nobody@one.test>" => Some("550 5.1.1 no such user here".into()),
        _ => None,
    });
    let senders = Sink::start();
    let relay = Relay::start(&Manifest::to(host.address).route(&["example.org"], senders.address));
    Dialogue::open(relay.smtp).message(
        "shop@example.org",
        &["nobody@one.test", "somebody@one.test"],
        &mail::text("to two, one of whom is not there"),
    );
    let bounce = senders.await_messages(1, PATIENCE).remove(0);
    relay.await_empty();
    assert_eq!(host.heard().iter().filter(|line| *line == ".").count(), 1, "the other recipient has it");
    assert_eq!(bounce.envelope.sender, "", "a bounce has the null sender, so that it is never answered");
    assert_eq!(bounce.envelope.recipients, ["shop@example.org"]);

    let dsn = taken_apart(&bounce.octets);
    assert_eq!(dsn["defects"], Value::Array(Vec::new()), "{dsn:#}");
    assert_eq!((&dsn["type"], &dsn["report"]), (&"multipart/report".into(), &"delivery-status".into()), "{dsn:#}");
    assert_eq!(dsn["parts"][0], "text/plain", "{dsn:#}");
    assert_eq!(dsn["parts"][1], "message/delivery-status", "{dsn:#}");
    assert!(["text/rfc822-headers", "message/rfc822"].contains(&dsn["parts"][2].as_str().unwrap_or("")), "{dsn:#}");
    let recipients = dsn["recipients"].as_array().expect("recipients");
    assert_eq!(recipients.len(), 1, "only the one that failed: {dsn:#}");
    for (field, expected) in [
        ("Final-Recipient", "nobody@one.test"),
        ("Action", "failed"),
        ("Status", "5.1.1"),
        ("Diagnostic-Code", "no such user here"),
    ] {
        let value = recipients[0][field].as_str().unwrap_or_default();
        assert!(value.contains(expected), "{field} is {value:?}: {dsn:#}");
    }
    assert!(dsn["original"].as_str().is_some_and(|text| text.contains("one of whom is not there")), "{dsn:#}");
    assert!(dsn["auto"].as_str().is_some_and(|text| text.starts_with("auto-")), "{dsn:#}");
    assert!(dsn["message"]["Reporting-MTA"].as_str().is_some_and(|text| text.starts_with("dns")), "{dsn:#}");
}

#[test]
fn what_the_sender_asked_for_is_in_the_report() {
    let host = Scripted::start(|line| line.contains("<nobody@").then(|| "550 5.1.1 no such user here".into()));
    let senders = Sink::start();
    let relay = Relay::start(&Manifest::to(host.address).route(&["example.org"], senders.address));
    let mut client = Dialogue::open(relay.smtp);
    client.expect("MAIL FROM:<shop@example.org> RET=FULL ENVID=order+2B7", "250");
    client.expect("RCPT TO:<nobody@one.test> ORCPT=rfc822;Alias@one.test", "250");
    client.expect("RCPT TO:<quiet@one.test> NOTIFY=NEVER", "250");
    client.expect("RCPT TO:<known@one.test> NOTIFY=SUCCESS,FAILURE", "250");
    client.expect("DATA", "354");
    client.send(b"Subject: asked\r\n\r\nall of this\r\n.\r\n");
    assert!(client.reply().starts_with("250"));
    let reports = senders.await_messages(2, PATIENCE);
    relay.await_empty();
    let mut actions = Vec::new();
    for report in &reports {
        assert_eq!(
            (report.envelope.sender.as_str(), report.envelope.recipients.as_slice()),
            ("", &["shop@example.org".to_owned()][..])
        );
        let dsn = taken_apart(&report.octets);
        assert_eq!(dsn["message"]["Original-Envelope-Id"], "order+7", "{dsn:#}");
        let recipients = dsn["recipients"].as_array().expect("recipients");
        assert_eq!(recipients.len(), 1, "{dsn:#}");
        let action = recipients[0]["Action"].as_str().unwrap_or_default().to_owned();
        if action == "failed" {
            assert_eq!(recipients[0]["Original-Recipient"], "rfc822;Alias@one.test", "{dsn:#}");
            assert_eq!(dsn["parts"][2], "message/rfc822", "{dsn:#}");
            assert!(dsn["original"].as_str().is_some_and(|text| text.contains("all of this")), "{dsn:#}");
        } else {
            assert_eq!(dsn["parts"][2], "text/rfc822-headers", "RET is of failures: {dsn:#}");
            assert!(recipients[0]["Final-Recipient"].as_str().is_some_and(|to| to.contains("known@")), "{dsn:#}");
        }
        actions.push(action);
    }
    actions.sort();
    assert_eq!(actions, ["failed", "relayed"]);
}

#[test]
fn what_grew_too_old_is_given_up_also_while_the_schedule_is_closed() {
    let host = Scripted::start(|_| None);
    let mut manifest = Manifest::to(host.address).scheduled(LinkState::Closed, Vec::new());
    manifest.relay.retry.longest = Interval::from_secs(1);
    manifest.relay.retry.expire_after = Interval::from_secs(3);
    let relay = Relay::start(&manifest);
    let begun = std::time::Instant::now();
    Dialogue::open(relay.smtp).message("", &["a@one.test"], &mail::text("never goes out"));
    relay.await_empty();
    let took = begun.elapsed().as_secs_f64();
    println!("given up after {took:.1} s, of 3 s");
    assert!(took >= 3.0, "given up after {took} s already");
    assert_eq!(relay.metric("mailsluice_recipients_bounced_total").round() as u32, 1);
    assert!(host.heard().is_empty(), "the schedule was closed");
}

#[test]
fn a_bounce_that_bounces_is_given_up() {
    let host = Scripted::start(|line| line.starts_with("RCPT").then(|| "550 5.1.1 nobody is here".into()));
    let relay = Relay::start(&Manifest::to(host.address));
    Dialogue::open(relay.smtp).message("shop@example.org", &["a@one.test"], &mail::text("to nobody"));
    wait::until_equal(PATIENCE, "recipients given up", 2.0, || relay.metric("mailsluice_recipients_bounced_total"));
    relay.await_empty();
    assert_eq!(host.heard().iter().filter(|line| line.starts_with("RCPT")).count(), 2, "no bounce of a bounce");
}

fn taken_apart(octets: &[u8]) -> Value {
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("bounce.eml");
    fs::write(&file, octets).expect("write the bounce");
    let printed = process::run(Command::new("python3").args(["-c", TAKE_APART]).arg(&file));
    serde_json::from_str(&printed).expect("JSON")
}
