//! What is legal and dangerous: the API server says so to whoever does it, by the chart's policies, and does it all the same.

use std::{process::Command, time::Duration};

use mailsluice_tests::{api::ApiServer, cluster::home, wait, workspace};
use serde_json::{Value, json};

use crate::definitions;

/// The API server takes up a policy a moment after it is made.
const TAKEN_UP: Duration = Duration::from_secs(30);

#[test]
fn what_is_legal_and_dangerous_is_done_and_warned_of() {
    let server = server();
    for (name, spec, warning) in [
        ("an ordinary relay", json!({"clients": [{"networks": ["10.0.0.0/8"]}]}), None),
        (
            "anybody in the name of a few",
            json!({"clients": [{"networks": ["::/0"], "senders": ["@example.org"]}]}),
            Some("anybody may send mail in the name of its senders: list the networks"),
        ),
        (
            "anybody who shows who it is",
            json!({
                "clients": [{"networks": ["0.0.0.0/0"], "users": {"secretName": "users"}}],
                "listeners": [{"name": "submission", "port": 587, "tls": {"secretName": "tls"}}],
            }),
            None,
        ),
        (
            "nodes in the place of clients",
            json!({
                "clients": [{"networks": ["10.0.0.0/8"]}],
                "service": {"type": "LoadBalancer", "externalTrafficPolicy": "Cluster"},
            }),
            Some("so whoever reaches a node may relay where `clients` has the nodes' network"),
        ),
        (
            "clients in their own place",
            json!({"clients": [{"networks": ["10.0.0.0/8"]}], "service": {"type": "LoadBalancer"}}),
            None,
        ),
        (
            "users without TLS",
            json!({"clients": [{"users": {"secretName": "users"}}]}),
            Some(
                "no listener has it, so none of these clients may relay: write `tls: {secretName: …}` into a listener",
            ),
        ),
    ] {
        expect(name, &apply(&server, "SMTPRelay", name, &spec), warning);
    }
    let window = |link: &str| json!({"windows": [{"days": ["Mon"], "from": "08:00", "to": "18:00", "link": link}]});
    let never = Some("it never opens");
    for (name, spec, warning) in [
        ("closed for good", json!({}), never),
        ("closed twice over", window("Closed"), never),
        ("open on Monday", window("Open"), None),
        ("open unless", json!({"default": "Open"}), None),
        ("open on one day", json!({"exceptions": [{"dates": ["2026-12-25"], "link": "Open"}]}), None),
    ] {
        expect(name, &apply(&server, "TCPSchedule", name, &spec), warning);
    }
}

#[test]
fn whoever_leaves_mail_behind_is_told_how_much_and_what_becomes_of_it() {
    let server = server();
    let queued = Some("12 messages are in the queue, and nothing sends them at 0 replicas");
    let all = json!({"clients": [{"networks": ["10.0.0.0/8"]}]});
    let none = json!({"clients": [{"networks": ["10.0.0.0/8"]}], "replicas": 0});
    apply(&server, "SMTPRelay", "busy", &all);
    report(
        &server,
        "smtprelay",
        "busy",
        &json!({"queue": {
            "messages": 12, "bytes": 4096, "hosts": 1, "suspendedHosts": 0, "stranded": [{"claim": "spool-busy-1", "messages": 3}],
        }}),
    );
    expect("no replicas", &apply(&server, "SMTPRelay", "busy", &none), queued);
    expect("as it was", &apply(&server, "SMTPRelay", "busy", &none), None);
    expect("one again", &apply(&server, "SMTPRelay", "busy", &all), None);
    let scaled = server.kubectl(&["scale", "smtprelay", "busy", "--replicas=0"], "");
    expect("scaled", &said(&scaled), Some("at 0 replicas nobody takes mail"));
    let gone = said(&server.kubectl(&["delete", "smtprelay", "busy"], ""));
    expect(
        "deleted",
        &gone,
        Some(
            "12 messages are in its queue, and nothing sends them once it is gone: they stay on the claims spool-busy-0",
        ),
    );
    expect("deleted", &gone, Some("mail is stranded on claims that no pod has open: spool-busy-1 has 3 messages"));
    assert_eq!(server.object("smtprelay", "busy"), None, "a warning refuses nothing");

    apply(&server, "SMTPRelay", "empty", &all);
    report(
        &server,
        "smtprelay",
        "empty",
        &json!({"queue": {"messages": 0, "bytes": 0, "hosts": 0, "suspendedHosts": 0}}),
    );
    expect("none left", &apply(&server, "SMTPRelay", "empty", &none), None);
    expect("nothing left", &said(&server.kubectl(&["delete", "smtprelay", "empty"], "")), None);

    apply(&server, "TCPSchedule", "used", &json!({"default": "Open"}));
    report(&server, "tcpschedule", "used", &json!({"relays": 2}));
    let gone = said(&server.kubectl(&["delete", "tcpschedule", "used"], ""));
    expect("a schedule in use", &gone, Some("2 relays refer to it, and hold all their mail once it is gone"));
    apply(&server, "TCPSchedule", "unused", &json!({"default": "Open"}));
    expect("one in no use", &said(&server.kubectl(&["delete", "tcpschedule", "unused"], "")), None);
}

/// An API server with the definitions and the chart's policies.
fn server() -> ApiServer {
    let server = ApiServer::start();
    server.install(&definitions::all());
    let rendered = Command::new(home().join("bin/helm"))
        .args(["template", "mailsluice", "--namespace", "mailsluice", "--kube-version", "1.34.0"])
        .args(["--set", "operator.image.repository=operator,relay.image.repository=relay"])
        .args(["--show-only", "templates/admission-warnings.yaml"])
        .arg(workspace().join("charts/mailsluice"))
        .output()
        .expect("run helm: tests/cluster/build makes it");
    assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
    server.apply(&String::from_utf8_lossy(&rendered.stdout));
    // Each policy by a deed of its own, for there is no other sign.
    wait::until_some(TAKEN_UP, "the policies are taken up", || {
        let relay = json!({"clients": [{"users": {"secretName": "users"}}]});
        let mut warned = apply(&server, "SMTPRelay", "probe", &relay).contains("Warning");
        warned &= apply(&server, "TCPSchedule", "probe", &json!({})).contains("Warning");
        report(
            &server,
            "smtprelay",
            "probe",
            &json!({"queue": {"messages": 1, "bytes": 1, "hosts": 1, "suspendedHosts": 0}}),
        );
        report(&server, "tcpschedule", "probe", &json!({"relays": 1}));
        warned &= said(&server.kubectl(&["scale", "smtprelay", "probe", "--replicas=0"], "")).contains("Warning");
        for kind in ["smtprelay", "tcpschedule"] {
            warned &= said(&server.kubectl(&["delete", kind, "probe"], "")).contains("Warning");
        }
        warned.then_some(())
    });
    server
}

/// Applies one by that name, as Kubernetes spells names; what is said about it.
fn apply(server: &ApiServer, kind: &str, name: &str, spec: &Value) -> String {
    let manifest = json!({
        "apiVersion": "mailsluice.dev/v1alpha1", "kind": kind, "metadata": {"name": name.to_lowercase().replace(' ', "-")}, "spec": spec,
    });
    let output = server.kubectl(&["apply", "-f", "-"], &manifest.to_string());
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    said(&output)
}

/// Writes a status in the operator's place.
fn report(server: &ApiServer, kind: &str, name: &str, status: &Value) {
    let patch = json!({"status": status}).to_string();
    let output = server.kubectl(&["patch", kind, name, "--subresource=status", "--type=merge", "-p", &patch], "");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Where kubectl shows what comes in the header Warning.
fn said(output: &std::process::Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn expect(name: &str, said: &str, warning: Option<&str>) {
    match warning {
        Some(warning) => {
            assert!(said.contains("Warning: ") && said.contains(warning), "{name}: {said}")
        }
        None => assert!(!said.contains("Warning: "), "{name}: {said}"),
    }
}
