//! The Monitor answers why an application's mail is refused: a row for each client, with what was refused last and why.

use std::{fs, process::Command};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use mailsluice_crds::{
    monitor::{ClientKind, ClientRow, ClientStage, Refusal},
    relay::{Client as Entry, ServiceAccount},
};
use mailsluice_ctl::words::status::StatusSaid;
use mailsluice_tests::{
    clients::Client,
    dialogue::Dialogue,
    mail,
    manifest::Manifest,
    process,
    relay::{PATIENCE, Relay},
    sink::Sink,
    token::Issuer,
    wait,
};
use tempfile::TempDir;

/// Sends a message from each of the addresses by Python's smtplib, and prints what it is told where that is no.
const FROM_ADDRESSES: &str = r#"
import smtplib, sys
port, sender, author, addresses = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]
for address in addresses:
    try:
        with smtplib.SMTP("127.0.0.1", port, "client.test", source_address=(address, 0)) as client:
            client.sendmail(sender, ["a@one.test"], f"From: <{author}>\r\nSubject: from {address}\r\n\r\nHello.\r\n")
    except smtplib.SMTPException as error:
        print(error)
"#;

fn send_from(relay: &Relay, sender: &str, author: &str, addresses: &[String]) -> String {
    let port = relay.smtp.port().to_string();
    process::run(Command::new("python3").args(["-c", FROM_ADDRESSES, &port, sender, author]).args(addresses))
}

fn row(relay: &Relay, client: &str) -> ClientRow {
    wait::until_some(PATIENCE, &format!("a row of {client}"), || {
        relay.monitor().clients.into_iter().find(|row| row.client == client)
    })
}

fn refusal(relay: &Relay, client: &str) -> Refusal {
    row(relay, client).last_refusal.unwrap_or_else(|| panic!("nothing of {client} was refused"))
}

fn listing(entries: Vec<Entry>) -> Manifest {
    let mut manifest = Manifest::to(Sink::start().address);
    manifest.relay.clients = entries;
    manifest
}

#[test]
fn senders_and_networks_that_are_not_listed_are_named_with_what_was_refused() {
    let shop =
        Entry { networks: vec!["127.0.0.1/32".into()], senders: vec!["@example.org".into()], ..Entry::default() };
    let relay = Relay::start(&listing(vec![shop]));
    Client::Swaks.send(relay.smtp, "shop@example.org", &["a@one.test"], &mail::text("taken"));
    let well = row(&relay, "127.0.0.1");
    assert_eq!((well.kind, well.listed, well.accepted, well.refused), (ClientKind::Address, true, 1, 0));
    assert_eq!((well.last_refusal, well.last_accepted), (None, Some(well.last_seen)));

    let text = mail::text("refused");
    let said = Client::Swaks.try_send(relay.smtp, "boss@bank.example", &["a@one.test"], &text).unwrap_err();
    assert!(said.contains("550 5.7.1"), "{said}");
    let Refusal { code, stage, text, why, address, sender, recipient, .. } = refusal(&relay, "127.0.0.1");
    assert_eq!((code.name().as_ref(), stage, why), ("550 5.7.1", ClientStage::RcptTo, None));
    assert_eq!(text, "<boss@bank.example> is not a sender that this client may use");
    assert_eq!((sender.as_deref(), recipient.as_deref()), (Some("<boss@bank.example>"), Some("<a@one.test>")));
    assert_eq!(address, "127.0.0.1");

    let one = |address: &str| vec![address.to_owned()];
    let said = send_from(&relay, "shop@example.org", "boss@bank.example", &one("127.0.0.1"));
    assert!(said.contains("5.7.1"), "{said}");
    let last = refusal(&relay, "127.0.0.1");
    assert_eq!((last.stage, last.sender.as_deref()), (ClientStage::Body, Some("<shop@example.org>")));
    assert_eq!(last.text, "From <boss@bank.example> is not an address that this client may use");

    let said = send_from(&relay, "shop@example.org", "shop@example.org", &one("127.0.0.2"));
    assert!(said.contains("127.0.0.2 is not listed in clients"), "{said}");
    let stranger = row(&relay, "127.0.0.2");
    assert!(!stranger.listed && stranger.accepted == 0 && stranger.refused == 1, "{stranger:?}");
    let last = stranger.last_refusal.expect("a refusal");
    assert_eq!(last.text, "relaying denied: 127.0.0.2 is not listed in clients");

    // What the protocol refuses by itself is no less a refusal; what follows from it is none of its own.
    let mut client = Dialogue::open(relay.smtp);
    client.expect("MAIL FROM:<shop@example.org> SIZE=99999999999", "552 5.3.4");
    client.expect("RCPT TO:<a@one.test>", "503");
    client.expect("DATA", "503");
    client.expect("QUIT", "221");
    let last = wait::until_some(PATIENCE, "a refusal of the size", || {
        Some(refusal(&relay, "127.0.0.1")).filter(|last| last.code.name() == "552 5.3.4")
    });
    assert_eq!(last.stage, ClientStage::MailFrom);
    let row = row(&relay, "127.0.0.1");
    assert_eq!((row.accepted, row.refused), (1, 3));

    let status: StatusSaid = relay.ctl_json(&["status"]);
    let clients: Vec<&str> = status.clients.iter().map(|row| row.client.as_str()).collect();
    assert_eq!(clients, ["127.0.0.1", "127.0.0.2"], "those refused last come first");
    let shown = relay.ctl(&["monitor"]).out;
    assert!(shown.contains("Clients refused in the last day") && shown.contains("relaying denied"), "{shown}");
}

#[test]
fn a_token_that_is_refused_is_told_of_with_the_reason_and_one_that_is_good_by_its_account() {
    let (sink, cluster) = (Sink::start(), Issuer::new("one"));
    let mut manifest = Manifest::to(sink.address);
    manifest.relay.clients = vec![Entry {
        service_accounts: vec![ServiceAccount { namespace: "shop".into(), name: "checkout".into() }],
        ..Entry::default()
    }];
    let folder = TempDir::new().expect("a temporary folder");
    fs::write(folder.path().join("service-account-keys.json"), cluster.keys_file()).expect("write the keys");
    let file = folder.path().join("relay.yaml");
    let relay = Relay::start_on(folder, &file, &manifest, &[]);
    let bearer = |token: &str| BASE64_STANDARD.encode(format!("n,,\x01auth=Bearer {token}\x01\x01"));

    let late = cluster.token("shop", "checkout", "mailsluice", -60);
    let mut client = Dialogue::open(relay.smtp);
    client.expect(&format!("AUTH OAUTHBEARER {}", bearer(&late)), "334");
    client.expect("AQ==", "535 5.7.8");
    client.expect("QUIT", "221");
    let stranger = row(&relay, "127.0.0.1");
    assert_eq!((stranger.kind, stranger.listed, stranger.refused), (ClientKind::Address, false, 1));
    let last = stranger.last_refusal.expect("a refusal");
    assert_eq!((last.code.name().as_ref(), last.stage), ("535 5.7.8", ClientStage::Auth));
    assert!(last.why.as_ref().is_some_and(|why| why.starts_with("the token is not good: ")), "{last:?}");

    let good = cluster.token("shop", "checkout", "mailsluice", 3600);
    let mut client = Dialogue::open(relay.smtp);
    client.expect(&format!("AUTH OAUTHBEARER {}", bearer(&good)), "235");
    client.message("orders@shop.example.org", &["a@one.test"], &mail::text("by token"));
    let known = row(&relay, "shop/checkout");
    assert_eq!(
        (known.kind, known.listed, known.accepted, known.refused, known.last_refusal),
        (ClientKind::ServiceAccount, true, 1, 0, None)
    );

    let other = cluster.token("shop", "returns", "mailsluice", 3600);
    let mut client = Dialogue::open(relay.smtp);
    client.expect(&format!("AUTH OAUTHBEARER {}", bearer(&other)), "235");
    client.expect("MAIL FROM:<orders@shop.example.org>", "250");
    client.expect("RCPT TO:<a@one.test>", "550 5.7.1");
    let unlisted = row(&relay, "shop/returns");
    assert_eq!((unlisted.kind, unlisted.listed), (ClientKind::ServiceAccount, false));
    let shown = serde_json::to_string(&relay.monitor()).expect("JSON");
    for part in [&late, &good, &other].into_iter().flat_map(|token| token.split('.')) {
        assert!(!shown.contains(part), "a token is on the Monitor");
    }
}

#[test]
fn clients_from_many_addresses_push_nobody_out() {
    let shop = Entry { networks: vec!["127.0.0.1/32".into()], ..Entry::default() };
    let relay = Relay::start(&listing(vec![shop]));
    Client::Smtplib.send(relay.smtp, "shop@example.org", &["a@one.test"], &mail::text("taken"));
    let _ = send_from(&relay, "a@b.test", "a@b.test", &["127.0.0.2".to_owned()]);
    let crowd: Vec<String> = (1..=200).map(|number| format!("127.0.1.{number}")).collect();
    let _ = send_from(&relay, "a@b.test", "a@b.test", &crowd);
    let refused = "mailsluice_smtp_refusals_total{code=\"550\"}";
    assert_eq!(relay.metric(refused), 201.0, "each of them was refused");
    let clients = relay.monitor().clients;
    let strangers = clients.iter().filter(|row| !row.listed).count();
    assert_eq!(strangers, 128, "no more are kept");
    for kept in ["127.0.0.1", "127.0.0.2", "127.0.1.200"] {
        assert!(clients.iter().any(|row| row.client == kept), "{kept} is kept");
    }
}
