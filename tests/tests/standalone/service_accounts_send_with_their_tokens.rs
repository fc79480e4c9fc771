//! Pods send with the tokens of their service accounts, which the relay verifies by itself.

use std::{fs, process::Command};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use mailsluice_crds::{
    monitor::ProblemReason,
    relay::{Client as Entry, ListenerTls, ServiceAccount, TlsMode},
};
use mailsluice_tests::{
    certificate::Certificate,
    dialogue::Dialogue,
    manifest::Manifest,
    process,
    relay::{PATIENCE, Relay},
    sink::Sink,
    token::Issuer,
    wait,
};
use tempfile::TempDir;

const TLS: &str = "outbound-tls";
const KEYS: &str = "service-account-keys.json";

fn relay(sink: &Sink, keys: Option<&str>) -> Relay {
    let mut manifest = Manifest::to(sink.address);
    manifest.relay.clients = vec![Entry {
        service_accounts: vec![ServiceAccount { namespace: "shop".into(), name: "checkout".into() }],
        senders: vec!["orders@shop.example.org".into()],
        ..Entry::default()
    }];
    manifest.tls = Some(ListenerTls { secret_name: TLS.into(), mode: TlsMode::StartTls });
    let folder = TempDir::new().expect("a temporary folder");
    let _ = Certificate::of("mail.test").put(folder.path(), TLS);
    if let Some(keys) = keys {
        fs::write(folder.path().join(KEYS), keys).expect("write the keys");
    }
    let file = folder.path().join("relay.yaml");
    Relay::start_on(folder, &file, &manifest, &[])
}

fn bearer(token: &str) -> String {
    BASE64_STANDARD.encode(format!("n,,\x01auth=Bearer {token}\x01\x01"))
}

#[test]
fn a_token_lets_its_account_send_as_itself_and_nobody_else() {
    let (sink, cluster, other) = (Sink::start(), Issuer::new("one"), Issuer::new("one"));
    let relay = relay(&sink, Some(&cluster.keys_file()));
    let good = cluster.token("shop", "checkout", "mailsluice", 3600);
    let mut client = Dialogue::open(relay.smtp);
    client.expect(&format!("AUTH OAUTHBEARER {}", bearer(&good)), "235 2.7.0 ");
    client.expect("MAIL FROM:<orders@shop.example.org>", "250");
    client.expect("RCPT TO:<a@one.test>", "250");
    client.expect("RSET", "250");
    client.expect("MAIL FROM:<boss@shop.example.org>", "250");
    client.expect("RCPT TO:<a@one.test>", "550 5.7.1 <boss@shop.example.org> is not a sender that this client may use");
    for (token, what) in [
        (cluster.token("shop", "checkout", "https://kubernetes.default.svc", 3600), "another audience"),
        (cluster.token("shop", "checkout", "mailsluice", -60), "an end in the past"),
        (other.token("shop", "checkout", "mailsluice", 3600), "another cluster's key"),
    ] {
        let mut client = Dialogue::open(relay.smtp);
        client.expect(&format!("AUTH OAUTHBEARER {}", bearer(&token)), "334 eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0=");
        let reply = client.say("AQ==");
        assert!(reply.starts_with("535 5.7.8 "), "{what}: {reply}");
    }
    // Good, but of an account that no entry has.
    let mut client = Dialogue::open(relay.smtp);
    let stranger = cluster.token("shop", "returns", "mailsluice", 3600);
    client.expect(&format!("AUTH OAUTHBEARER {}", bearer(&stranger)), "235 ");
    client.expect("MAIL FROM:<orders@shop.example.org>", "250");
    let reply = client.expect("RCPT TO:<a@one.test>", "550 5.7.1 ");
    assert!(reply.contains("system:serviceaccount:shop:returns"), "{reply}");
    let log = relay.log_text();
    for part in good.split('.') {
        assert!(!log.contains(part), "a token is in the log");
    }
}

#[test]
fn curl_and_msmtp_send_with_a_token_under_tls() {
    let (sink, cluster) = (Sink::start(), Issuer::new("one"));
    let relay = relay(&sink, Some(&cluster.keys_file()));
    let token = cluster.token("shop", "checkout", "mailsluice", 3600);
    let authority = relay.folder().join(TLS).join("tls.crt");
    let letter = relay.folder().join("letter.eml");
    fs::write(&letter, "From: <orders@shop.example.org>\r\nSubject: by token\r\n\r\nHello.\r\n")
        .expect("write a letter");
    let port = relay.smtp.port().to_string();
    let curl = |mechanism: &str| {
        let _ = process::run(
            Command::new("curl")
                .args(["--silent", "--show-error", "--ssl-reqd", "--resolve", &format!("mail.test:{port}:127.0.0.1")])
                .arg("--cacert")
                .arg(&authority)
                .args(["--user", "shop", "--oauth2-bearer", &token, "--login-options", &format!("AUTH={mechanism}")])
                .args(["--mail-from", "orders@shop.example.org", "--mail-rcpt", "a@one.test", "--upload-file"])
                .arg(&letter)
                .arg(format!("smtp://mail.test:{port}/client.test")),
        );
    };
    curl("OAUTHBEARER");
    curl("XOAUTH2");
    let _ = sink.await_messages(2, PATIENCE);
    let sent = process::run(
        Command::new("msmtp")
            .args(["--file=/dev/null", "--tls=on", "--tls-starttls=on", "--host=127.0.0.1", "--port", &port])
            .arg(format!("--tls-trust-file={}", authority.display()))
            .args(["--tls-host-override=mail.test", "--auth=oauthbearer", "--user=shop"])
            .arg(format!("--passwordeval=echo {token}"))
            .args(["--from=orders@shop.example.org", "--", "a@one.test"])
            .stdin(fs::File::open(&letter).expect("open a letter")),
    );
    let arrived = sink.await_messages(3, PATIENCE);
    assert!(String::from_utf8_lossy(&arrived[2].octets).contains(" with ESMTPSA id "), "{sent}");
}

#[test]
fn the_keys_are_read_again_when_they_change_and_missed_when_they_are_not_there() {
    let (sink, old, new) = (Sink::start(), Issuer::new("old"), Issuer::new("new"));
    let relay = relay(&sink, None);
    let problem = || {
        let problems = relay.monitor().problems.into_iter();
        problems.filter(|p| p.reason == ProblemReason::TokenKeysInvalid).map(|p| p.message).next()
    };
    let missing = wait::until_some(PATIENCE, "the problem", problem);
    assert!(missing.starts_with("service-account-keys.json: No such file"), "{missing}");
    let say = |issuer: &Issuer| {
        let token = issuer.token("shop", "checkout", "mailsluice", 3600);
        Dialogue::open(relay.smtp).say(&format!("AUTH OAUTHBEARER {}", bearer(&token)))
    };
    assert!(say(&old).starts_with("334 "));
    // The first reading's record may come later than what it found.
    let _ = relay.await_record("the first reading", |record| record.msg == "the Secrets are read");
    // Not by trying: who fails too often is not answered any more.
    let reads = || relay.records().iter().filter(|record| record.msg == "the Secrets are read").count();
    for (issuer, gone) in [(&old, &new), (&new, &old)] {
        let before = reads();
        let file = relay.folder().join("keys.new");
        fs::write(&file, issuer.keys_file()).expect("write the keys");
        fs::rename(&file, relay.folder().join(KEYS)).expect("put the keys in place");
        wait::until_equal(PATIENCE, "the keys are read", true, || reads() > before);
        assert!(say(issuer).starts_with("235 "));
        assert_eq!(problem(), None);
        assert!(say(gone).starts_with("334 "));
    }
}
