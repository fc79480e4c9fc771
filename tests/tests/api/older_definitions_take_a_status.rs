//! An operator that is newer than the installed definitions writes statuses all the same, without what those do not know.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mailsluice_tests::{
    api::ApiServer,
    dialogue::Dialogue,
    mail,
    manifest::Manifest,
    operator::{Operator, PATIENCE},
    relay::Relay,
    scripted::Scripted,
    wait,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::definitions;

/// Where the relay shows itself: the address of its pod, as the API server is told, with the port that every pod has.
const POD: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 80, 26, 1)), 8025);

#[test]
fn what_an_older_definition_does_not_know_is_left_out_of_a_status_and_stops_nothing() {
    let refuses = Scripted::start(|line| line.starts_with("MAIL").then(|| "451 4.7.1 later".to_owned()));
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("relay.yaml");
    let manifest = Manifest::to(refuses.address);
    let relay = Relay::start_at_http(folder, &file, &manifest, &["--http", &POD.to_string()], POD);
    Dialogue::open(relay.smtp).message("shop@example.org", &["a@one.test"], &mail::text("deferred"));
    let host = refuses.address.to_string();
    let reason = wait::until_some(PATIENCE, "a reason", || relay.row(&host)?.reason);
    let reason = reason.name();

    let newer = definitions::all();
    let value = format!("- {reason}");
    let older: Vec<String> = newer
        .lines()
        .filter(|line| line.trim() != value)
        .map(|line| line.replace("failingSince:", "failedSince:"))
        .collect();
    assert!(older.len() < newer.lines().count() && newer.contains("failingSince:"), "the definition knows both");
    let server = ApiServer::start();
    server.install(&older.join("\n"));
    let operator = Operator::start(&server, "operator");
    wait::until_some(PATIENCE, "it leads", || operator.leads().then_some(()));
    server.apply("{apiVersion: mailsluice.dev/v1alpha1, kind: SMTPRelay, metadata: {name: outbound}, spec: {}}");
    server.run_pod("outbound", POD.ip());
    let row = || Some(server.object("smtprelay", "outbound")?["status"]["monitor"].get(0)?.clone());
    let seen = wait::until_some(PATIENCE, "a status with the host", row);
    assert_eq!(seen["host"], host.as_str());
    assert!(seen["problem"].is_string(), "{seen}");
    assert_eq!((&seen["reason"], &seen["failingSince"]), (&Value::Null, &Value::Null), "{seen}");

    server.install(&newer);
    let mut times = 0;
    wait::until_some(PATIENCE, "a whole status, once the definitions are up to date", || {
        times += 1;
        let annotate = ["annotate", "--overwrite", "smtprelay", "outbound", &format!("times={times}")];
        assert!(server.kubectl(&annotate, "").status.success());
        row().filter(|row| row["reason"] == reason && row["failingSince"].is_string())
    });
}
