//! The operator's page: relays that wait for different things, and the worst hosts of one.

use std::{net::SocketAddr, path::Path};

use mailsluice_crds::{quantity::Interval, schedule::LinkState};
use mailsluice_tests::{
    api::ApiServer,
    browser::Browser,
    definitions,
    dialogue::Dialogue,
    dns::{Dns, Trouble},
    mail,
    manifest::Manifest,
    operator::{Operator, PATIENCE},
    relay::Relay,
    scripted::Scripted,
    sink::Sink,
    wait,
};
use serde_json::json;
use tempfile::TempDir;

use crate::{WINDOWS, port_25, take};

/// The hosts of the relay that is open.
const ZONE: &str = "
harbour.example.     IN MX 10 mail.harbour.example.
mail.harbour.example. IN A 127.0.0.13
oldtown.example.     IN MX 10 mx1.oldtown.example.
mx1.oldtown.example. IN A 127.0.0.14
";

/// The SMTPRelays: one whose hosts are in trouble, one whose link is down, one that is well, one that is not configured well.
const RELAYS: &str = "
apiVersion: mailsluice.dev/v1alpha1
kind: SMTPRelay
metadata: {name: orders}
spec: {}
---
apiVersion: mailsluice.dev/v1alpha1
kind: SMTPRelay
metadata: {name: newsletter}
spec: {scheduleRef: {name: night}}
---
apiVersion: mailsluice.dev/v1alpha1
kind: TCPSchedule
metadata: {name: night}
spec: {timeZone: Europe/Rome, default: Closed}
---
apiVersion: mailsluice.dev/v1alpha1
kind: SMTPRelay
metadata: {name: invoices}
spec: {}
---
apiVersion: mailsluice.dev/v1alpha1
kind: SMTPRelay
metadata: {name: archive}
spec: {scheduleRef: {name: weekend}}
";

/// Takes the page's picture in each window, with a host of a relay open.
pub(crate) fn all_relays(folder: &Path) {
    let server = ApiServer::start();
    server.install(&definitions::all());
    let operator = Operator::start(&server, "mailsluice-0");
    wait::until_some(PATIENCE, "it leads", || (operator.leads() && operator.is_ready()).then_some(()));

    let _harbour = Scripted::start_at(port_25(13), |line| {
        line.starts_with("RCPT").then(|| "451 4.7.1 Greylisted, please try again in 300 seconds".into())
    });
    let dns = Dns::start(ZONE);
    dns.trouble("lighthouse.example", Some(Trouble::ServFail));
    let mut by_mx = Manifest::by_mx();
    by_mx.relay.retry.first = Interval::from_secs(300);
    by_mx.relay.retry.longest = Interval::from_secs(14_400);
    let sink = Sink::start();
    let orders = start("orders", by_mx, 1, &["--resolver", &dns.address.to_string()]);
    let newsletter = start("newsletter", Manifest::by_mx().scheduled(LinkState::Closed, Vec::new()), 2, &[]);
    let invoices = start("invoices", Manifest::to(sink.address), 3, &[]);
    send(&orders, &[("oldtown.example", 14), ("harbour.example", 3), ("lighthouse.example", 6)]);
    send(&newsletter, &[("bluewater.example", 120), ("pier.example", 31), ("vault.example", 9)]);
    send(&invoices, &[("one.example", 1)]);
    server.apply(RELAYS);
    for (number, name) in [(1, "orders"), (2, "newsletter"), (3, "invoices")] {
        server.run_pod(name, pod(number).ip());
        complete(&server, name);
    }
    let problem = |name: &str| server.object("smtprelay", name)?["status"]["problem"].as_str().map(str::to_owned);
    for name in ["orders", "newsletter", "archive"] {
        wait::until_some(PATIENCE, &format!("{name} has a problem"), || problem(name));
    }
    for (name, window) in WINDOWS {
        let mut browser = Browser::start(window);
        browser.open(&format!("http://{}/#default/orders", operator.http()));
        browser.await_count("#relays tbody tr", 4);
        browser.await_count("#hosts .sentence", 3);
        browser.evaluate(
            "[...document.querySelectorAll('button.host')].find((host) => host.innerText === 'harbour.example').click()",
        );
        browser.await_text("#hosts tr.more:not([hidden]) .details", |text| text.matches("To do").count() == 2);
        take(&mut browser, &folder.join(format!("operator-{name}.png")));
    }
}

/// Says of a relay's StatefulSet that its pod is ready, as its controller would.
fn complete(server: &ApiServer, relay: &str) {
    let set = wait::until_some(PATIENCE, &format!("a StatefulSet of {relay}"), || server.object("statefulset", relay));
    let status = json!({"status": {
        "observedGeneration": set["metadata"]["generation"],
        "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1, "availableReplicas": 1, "currentReplicas": 1,
    }});
    let patch = ["patch", "statefulset", relay, "--subresource=status", "--type=merge", "-p", &status.to_string()];
    let output = server.kubectl(&patch, "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A relay in the place of a pod's.
fn start(name: &str, manifest: Manifest, number: u8, more: &[&str]) -> Relay {
    let manifest = Manifest { name: name.into(), ..manifest };
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("relay.yaml");
    let http = pod(number).to_string();
    let arguments = [&["--http", http.as_str()], more].concat();
    Relay::start_at_http(folder, &file, &manifest, &arguments, pod(number))
}

/// Where a relay's pod shows itself: each on the port that all pods have.
fn pod(number: u8) -> SocketAddr {
    SocketAddr::from(([127, 80, 25, number], 8025))
}

fn send(relay: &Relay, hosts: &[(&str, u32)]) {
    let mut client = Dialogue::open(relay.smtp);
    for (host, count) in hosts {
        for number in 0..*count {
            client.message("shop@example.org", &[&format!("customer-{number}@{host}")], &mail::text("Your order"));
        }
    }
}
