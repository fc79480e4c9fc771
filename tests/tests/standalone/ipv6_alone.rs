//! A pod of a cluster that has no IPv4 at all: the relay runs there with the arguments that the operator gives it.

use std::{
    fs,
    net::{Ipv6Addr, SocketAddr},
    process::Command,
};

use mailsluice_crds::relay::Client;
use mailsluice_tests::{
    dialogue::Dialogue,
    http, mail,
    manifest::Manifest,
    namespace,
    process::Process,
    relay::{PATIENCE, program},
    scripted::Scripted,
    wait,
};
use tempfile::TempDir;

/// Free, since nothing else runs in the namespace.
const SMTP: SocketAddr = SocketAddr::new(std::net::IpAddr::V6(Ipv6Addr::LOCALHOST), 25);
const MONITOR: SocketAddr = SocketAddr::new(std::net::IpAddr::V6(Ipv6Addr::LOCALHOST), 8025);

#[test]
fn mail_comes_and_goes_and_the_monitor_answers_by_ipv6_alone() {
    let name = "ipv6_alone::mail_comes_and_goes_and_the_monitor_answers_by_ipv6_alone";
    let setup = "ip link set lo up && ip -4 address flush dev lo";
    namespace::alone(name, &["--net"], setup, || {
        let host = Scripted::start_at(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 0), |_| None);
        let folder = TempDir::new().expect("a temporary folder");
        let file = |name: &str| folder.path().join(name);
        let mut manifest = Manifest::to(host.address);
        manifest.relay.clients = vec![Client { networks: vec!["::1/128".into()], ..Client::default() }];
        fs::write(file("relay.yaml"), manifest.text(SMTP.port())).expect("write the manifests");
        fs::write(file("credential"), "0".repeat(64)).expect("write a credential");
        let _relay = Process::start(
            Command::new(program())
                .arg("run")
                .arg(file("relay.yaml"))
                .arg("--spool")
                .arg(file("spool"))
                .args(["--bind", "::", "--http", "[::]:8025", "--monitor-credential"])
                .arg(file("credential")),
        );
        wait::until_some(PATIENCE, "it is ready", || {
            http::get(MONITOR, "/readyz", None).ok().filter(|answer| answer.status == 200)
        });
        Dialogue::open(SMTP).message("a@example.org", &["b@one.test"], &mail::text("by IPv6"));
        wait::until_some(PATIENCE, "the mail arrives", || host.heard().contains(&".".to_owned()).then_some(()));
    });
}
