//! A reason that comes and goes is one Event that counts, and no flood of them.

use mailsluice_tests::{
    api::ApiServer,
    operator::{Operator, PATIENCE},
    wait,
};
use serde_json::{Value, json};

use crate::definitions;

/// How often it comes and goes.
const TIMES: usize = 20;

#[test]
fn a_reason_that_comes_twenty_times_is_one_event_with_a_series() {
    let server = ApiServer::start();
    server.install(&definitions::all());
    let mut operator = Operator::start(&server, "operator");
    server.apply(&relay());
    await_reason(&server, "PodsNotReady");
    for _ in 0..TIMES {
        refer(&server, &json!({"name": "nowhere"}));
        await_reason(&server, "ScheduleNotFound");
        refer(&server, &Value::Null);
        await_reason(&server, "PodsNotReady");
    }
    // Written at the latest when the operator ends.
    operator.terminate();
    let told = told(&server);
    let of = |reason: &str| told.iter().filter(|(told, _)| told == reason).map(|(_, count)| *count).collect::<Vec<_>>();
    assert_eq!(of("ScheduleNotFound"), [TIMES], "{told:?}");
    assert_eq!(of("PodsNotReady"), [TIMES], "{told:?}");

    refer(&server, &json!({"name": "elsewhere"}));
    let _second = Operator::start(&server, "second");
    wait::until_equal(PATIENCE, "what another operator has to tell is another Event", 2, || {
        self::told(&server).iter().filter(|(reason, _)| reason == "ScheduleNotFound").count()
    });
}

/// The Events about the relay: their reason, and how often that was told.
fn told(server: &ApiServer) -> Vec<(String, usize)> {
    let output = server.kubectl(&["get", "events.events.k8s.io", "-o", "json"], "");
    let list: Value = serde_json::from_slice(&output.stdout).expect("a list");
    let events =
        list["items"].as_array().expect("items").iter().filter(|event| event["regarding"]["name"] == "outbound");
    let told = events.map(|event| {
        let count = event.pointer("/series/count").map_or(Some(1), Value::as_u64).expect("a count");
        let seen = event.pointer("/series/lastObservedTime").and_then(Value::as_str);
        assert!(count == 1 || seen > event["eventTime"].as_str(), "{event:#}");
        (event["reason"].as_str().unwrap_or_default().to_owned(), usize::try_from(count).expect("a count"))
    });
    told.collect()
}

fn refer(server: &ApiServer, schedule: &Value) {
    let patch = json!({"spec": {"scheduleRef": schedule}}).to_string();
    let output = server.kubectl(&["patch", "smtprelay", "outbound", "--type=merge", "-p", &patch], "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Waits until the relay is not ready for that reason.
fn await_reason(server: &ApiServer, reason: &str) {
    let wanted = format!("--for=jsonpath={{.status.conditions[?(@.type==\"Ready\")].reason}}={reason}");
    let limit = format!("--timeout={}s", PATIENCE.as_secs());
    let output = server.kubectl(&["wait", "smtprelay", "outbound", &wanted, &limit], "");
    assert!(output.status.success(), "{reason}: {}", String::from_utf8_lossy(&output.stderr));
}

fn relay() -> String {
    json!({
        "apiVersion": "mailsluice.dev/v1alpha1",
        "kind": "SMTPRelay",
        "metadata": {"name": "outbound", "namespace": "default"},
        "spec": {"routes": [{"domains": ["*"], "mx": {}}]},
    })
    .to_string()
}
