//! An SMTPAccess beside a relay's manifest lets its service accounts in, within what the relay allows, and for as long as it is there.

use std::fs;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use mailsluice_crds::{
    SMTPAccess,
    monitor::ProblemReason,
    relay::{Allowance, AllowedNamespaces, ListenerTls, NamespacesFrom, TlsMode},
};
use mailsluice_tests::{
    certificate::Certificate,
    dialogue::Dialogue,
    manifest::Manifest,
    relay::{PATIENCE, Relay},
    sink::Sink,
    token::Issuer,
    wait,
};
use serde_json::json;
use tempfile::TempDir;

const TLS: &str = "outbound-tls";

fn access(namespace: &str, accounts: &[&str], senders: &[&str]) -> SMTPAccess {
    serde_json::from_value(json!({
        "apiVersion": "mailsluice.dev/v1alpha1",
        "kind": "SMTPAccess",
        "metadata": {"name": "own", "namespace": namespace},
        "spec": {"relayRef": {"name": "outbound", "namespace": "default"}, "serviceAccounts": accounts, "senders": senders},
    }))
    .expect("an SMTPAccess")
}

fn bearer(token: &str) -> String {
    BASE64_STANDARD.encode(format!("n,,\x01auth=Bearer {token}\x01\x01"))
}

#[test]
fn a_granted_account_sends_as_what_it_asked_for_until_its_access_goes() {
    let (sink, cluster) = (Sink::start(), Issuer::new("one"));
    let mut manifest = Manifest::to(sink.address);
    manifest.relay.clients = Vec::new();
    manifest.relay.access = Some(Allowance {
        namespaces: AllowedNamespaces { from: NamespacesFrom::All, selector: None },
        senders: vec!["@{namespace}.example.org".into()],
    });
    manifest.tls = Some(ListenerTls { secret_name: TLS.into(), mode: TlsMode::StartTls });
    let folder = TempDir::new().expect("a temporary folder");
    let _ = Certificate::of("mail.test").put(folder.path(), TLS);
    fs::write(folder.path().join("service-account-keys.json"), cluster.keys_file()).expect("write the keys");
    let file = folder.path().join("relay.yaml");
    let relay = Relay::start_on(folder, &file, &manifest, &[]);
    let with = |accesses: &[SMTPAccess]| {
        let relay = manifest.text(relay.smtp.port());
        let documents = accesses.iter().map(|access| serde_json::to_string(access).expect("a manifest"));
        [relay].into_iter().chain(documents).collect::<Vec<_>>().join("\n---\n")
    };
    let token = |account: &str| cluster.token("shop", account, "mailsluice", 3600);
    let say = |client: &mut Dialogue, sender: &str| {
        client.expect("RSET", "250");
        client.expect(&format!("MAIL FROM:<{sender}>"), "250");
        client.say("RCPT TO:<a@one.test>")
    };
    let taken = "250";
    let stranger = "550 5.7.1 relaying denied: ";
    let wrong = "550 5.7.1 <";

    // More of others than one writes by hand, and one's own the last of them.
    let others =
        (0..100).map(|number| access(&format!("team-{number}"), &["*"], &[&format!("@team-{number}.example.org")]));
    let granted: Vec<_> = others.chain([access("shop", &["checkout"], &["orders@shop.example.org"])]).collect();
    relay.rewrite_text(&with(&granted));
    relay.await_reloads(1);
    let mut checkout = Dialogue::open(relay.smtp);
    checkout.expect(&format!("AUTH OAUTHBEARER {}", bearer(&token("checkout"))), "235 2.7.0 ");
    let mut returns = Dialogue::open(relay.smtp);
    returns.expect(&format!("AUTH OAUTHBEARER {}", bearer(&token("returns"))), "235 2.7.0 ");
    assert!(say(&mut checkout, "orders@shop.example.org").starts_with(taken));
    for sender in ["boss@shop.example.org", "orders@team-7.example.org"] {
        let reply = say(&mut checkout, sender);
        assert!(reply.starts_with(wrong), "{sender}: {reply}");
    }
    let reply = say(&mut returns, "orders@shop.example.org");
    assert!(reply.starts_with(stranger), "{reply}");

    // All of the namespace.
    relay.rewrite_text(&with(&[access("shop", &["*"], &["@shop.example.org"])]));
    relay.await_reloads(2);
    assert!(say(&mut returns, "orders@shop.example.org").starts_with(taken));
    let mut other = Dialogue::open(relay.smtp);
    let token_of_another = cluster.token("bank", "returns", "mailsluice", 3600);
    other.expect(&format!("AUTH OAUTHBEARER {}", bearer(&token_of_another)), "235 2.7.0 ");
    assert!(say(&mut other, "orders@shop.example.org").starts_with(stranger));

    // Another's senders: the whole configuration is refused, and what was in force stays.
    relay.rewrite_text(&with(&[access("shop", &["*"], &["@shop.example.org", "boss@bank.example.org"])]));
    let problem = wait::until_some(PATIENCE, "the problem", || {
        let mut problems = relay.monitor().problems.into_iter();
        problems.find(|problem| problem.reason == ProblemReason::ConfigurationInvalid)
    });
    let says = "SMTPAccess shop/own: SMTPRelay default/outbound does not let namespace shop use boss@bank.example.org: write senders within";
    assert!(problem.message.contains(says), "{}", problem.message);
    assert!(say(&mut returns, "orders@shop.example.org").starts_with(taken));

    // What is withdrawn is gone, open sessions included.
    relay.rewrite_text(&with(&[]));
    for client in [&mut checkout, &mut returns] {
        wait::until_equal(PATIENCE, "it is let in no more", true, || {
            say(client, "orders@shop.example.org").starts_with(stranger)
        });
    }
}
