//! A certificate lets its holder send, and is asked for only where an entry of `clients` wants one.

use std::{fs, path::Path, process::Command};

use mailsluice_crds::relay::{Client as Entry, ClientCertificates, ListenerTls, TlsMode};
use mailsluice_tests::{
    certificate::{self, Certificate},
    manifest::Manifest,
    process,
    relay::{PATIENCE, Relay},
    sink::Sink,
    wait,
};
use tempfile::TempDir;

const TLS: &str = "outbound-tls";
const AUTHORITY: &str = "authority";

fn relay(sink: &Sink, entry: Entry, client: &Certificate) -> Relay {
    let mut manifest = Manifest::to(sink.address);
    manifest.relay.clients = vec![entry];
    manifest.tls = Some(ListenerTls { secret_name: TLS.into(), mode: TlsMode::StartTls });
    let folder = TempDir::new().expect("a temporary folder");
    let _ = Certificate::of("mail.test").put(folder.path(), TLS);
    fs::create_dir(folder.path().join(AUTHORITY)).expect("make a Secret");
    // Its own authority, as these certificates are.
    fs::write(folder.path().join(AUTHORITY).join("ca.crt"), &client.chain).expect("write a Secret");
    let file = folder.path().join("relay.yaml");
    Relay::start_on(folder, &file, &manifest, &[])
}

/// What openssl's s_client says of the handshake, and what the relay answers to a message.
fn send(relay: &Relay, certificate: Option<&Certificate>, folder: &Path) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-starttls", "smtp", "-crlf", "-nocommands", "-connect", &relay.smtp.to_string()]);
    if let Some(certificate) = certificate {
        fs::write(folder.join("c.crt"), &certificate.chain).expect("write a certificate");
        fs::write(folder.join("c.key"), &certificate.key).expect("write a key");
        command.arg("-cert").arg(folder.join("c.crt")).arg("-key").arg(folder.join("c.key"));
    }
    let lines = "EHLO client.test\nMAIL FROM:<shop@example.org>\nRCPT TO:<a@one.test>\nDATA\nSubject: held\n\nHello.\n.\nQUIT\n";
    fs::write(folder.join("lines"), lines).expect("write lines");
    let output =
        process::output(command.stdin(fs::File::open(folder.join("lines")).expect("open lines")).arg("-ign_eof"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_right_certificate_lets_its_holder_send_and_no_other_does() {
    let (sink, folder) = (Sink::start(), TempDir::new().expect("a temporary folder"));
    let (known, stranger) = (Certificate::of("app.test"), Certificate::of("app.test"));
    let entry = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let certificates = Some(ClientCertificates { secret_name: AUTHORITY.into(), names });
        Entry { certificates, ..Entry::default() }
    };
    let mut taken = 0;
    for (names, certificate, reply) in [
        (&["app.test"][..], Some(&known), "250 2.0.0 queued as "),
        (&[], Some(&known), "250 2.0.0 queued as "),
        (&["other.test"], Some(&known), "550 5.7.1 relaying denied"),
        (&["app.test"], Some(&stranger), "550 5.7.1 relaying denied"),
        (&["app.test"], None, "550 5.7.1 relaying denied"),
    ] {
        let relay = relay(&sink, entry(names), &known);
        let said = send(&relay, certificate, folder.path());
        assert!(said.contains(reply), "{names:?}: {said}");
        taken += usize::from(reply.starts_with("250"));
        // The relay goes with its mail.
        let _ = sink.await_messages(taken, PATIENCE);
    }
    let open = Entry { networks: vec!["127.0.0.0/8".into()], ..Entry::default() };
    let relay = relay(&sink, open, &known);
    let said = send(&relay, Some(&known), folder.path());
    assert!(said.contains("No client certificate CA names sent") && said.contains("250 2.0.0 queued as "), "{said}");
    assert!(!said.contains("Client Certificate Types"), "nobody asked for a certificate: {said}");
    let _ = sink.await_messages(taken + 1, PATIENCE);
}

#[test]
fn another_authority_is_in_force_without_a_restart_and_the_one_before_no_more() {
    let (sink, folder) = (Sink::start(), TempDir::new().expect("a temporary folder"));
    let (before, after) = (Certificate::of("app.test"), Certificate::of("app.test"));
    let certificates = Some(ClientCertificates { secret_name: AUTHORITY.into(), names: vec!["app.test".into()] });
    let relay = relay(&sink, Entry { certificates, ..Entry::default() }, &before);
    let is_taken = |certificate| {
        let said = send(&relay, Some(certificate), folder.path());
        assert!(said.contains("250 2.0.0 queued as ") || said.contains("550 5.7.1 relaying denied"), "{said}");
        said.contains("250 2.0.0 queued as ")
    };
    assert!(is_taken(&before) && !is_taken(&after));
    certificate::put(relay.folder(), AUTHORITY, "ca.crt", &after.chain);
    wait::until_some(PATIENCE, "the new authority is in force", || is_taken(&after).then_some(()));
    assert!(!is_taken(&before));
    assert_eq!(sink.await_messages(2, PATIENCE).len(), 2);
}
