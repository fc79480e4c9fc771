//! Mail is signed by the domain of its author, by all of its keys, and the signatures hold for another implementation, dkimpy.

use std::{fs, io::Write as _, path::Path, process::Command, process::Stdio};

use mailsluice_crds::{monitor::ProblemReason, relay::Dkim};
use mailsluice_tests::{
    dialogue::Dialogue,
    manifest::Manifest,
    process,
    relay::{PATIENCE, Relay, program},
    sink::{Received, Sink},
    wait, workspace,
};
use tempfile::TempDir;

const SECRET: &str = "outbound-dkim";

fn manifest(sink: &Sink, selectors: &[&str]) -> Manifest {
    let mut manifest = Manifest::to(sink.address);
    let selectors = selectors.iter().map(|selector| (*selector).to_owned()).collect();
    manifest.relay.dkim = vec![Dkim { domain: "example.org".into(), selectors, secret_name: SECRET.into() }];
    manifest
}

/// Makes a key in the Secret; its record.
fn make_key(folder: &Path, selector: &str, algorithm: &str) -> String {
    let secret = folder.join(SECRET);
    fs::create_dir_all(&secret).expect("a folder");
    let file = secret.join(format!("{selector}.key"));
    // As one step, as the kubelet does it.
    let made = secret.join("made");
    let _ = process::run(Command::new(program()).arg("dkim-key").arg(&made).args(["--algorithm", algorithm]));
    fs::rename(&made, &file).expect("the key in its place");
    process::run(Command::new(program()).arg("dkim-record").arg(&file).args(["--domain", "example.org"]))
}

/// For each message, the selectors whose signatures are good.
fn verified(messages: &[Received], records: &str) -> Vec<String> {
    let folder = TempDir::new().expect("a temporary folder");
    let mut names = String::new();
    for (index, message) in messages.iter().enumerate() {
        let name = folder.path().join(format!("{index}.eml"));
        fs::write(&name, &message.octets).expect("write a message");
        names.push_str(&format!("{}\n", name.display()));
    }
    let dns = folder.path().join("records");
    fs::write(&dns, records).expect("write the records");
    // Debian's own Python, for which Debian's dkimpy is.
    let mut command = Command::new("/usr/bin/python3");
    command.arg(workspace().join("tests/clients/dkim_verify.py")).arg(&dns);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("start Python");
    child.stdin.take().expect("its input").write_all(names.as_bytes()).expect("tell it the names");
    let output = child.wait_with_output().expect("its output");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

fn texts() -> Vec<Vec<u8>> {
    let header = "From: Shop <orders@example.org>\r\nTo: someone@example.com\r\nSubject: a message\r\n";
    let with = |more: &str, body: &str| format!("{header}{more}\r\n{body}").into_bytes();
    let references =
        format!("References: <0@example.org>{}\r\n", "\r\n\t<0123456789abcdef@mail.example.org>".repeat(500));
    let long_line = format!("X-Long: y\r\nComments: {}\r\n", "z".repeat(980));
    let lines = "A line of text, as mail has it, with  two spaces and a tab\t.\r\n".repeat(20_000);
    vec![
        with("Content-Type: text/plain; charset=utf-8\r\nMIME-Version: 1.0\r\n", "The usual.\r\n"),
        with("", ""),
        with("", "\r\n"),
        with("", "One line.\r\n"),
        with("", "Empty lines follow.\r\n\r\n \t\r\n\r\n"),
        with("", "  leading\tand trailing white space \t \r\n.\r\n..\r\n"),
        with("Content-Transfer-Encoding: 8bit\r\n", "caff\u{e8}, gr\u{fc}n, \u{65e5}\u{672c}\r\n"),
        with(&references, "Many references.\r\n"),
        with(&long_line, "A long line above.\r\n"),
        with("To: another@example.com\r\nLIST-Unsubscribe:<mailto:x@example.org>\r\n", "Two of a kind.\r\n"),
        with("Subject:\r\nDate:   Wed, 25 Nov 2026\r\n\t21:00:00 +0000  \r\n", "Odd fields.\r\n"),
        // So large that the spool has a file for it.
        with("", &lines),
    ]
}

#[test]
fn all_kinds_of_mail_are_signed_by_both_keys_as_another_implementation_understands_it() {
    let sink = Sink::start();
    let folder = TempDir::new().expect("a temporary folder");
    let records = [("rsa", "rsa"), ("ed", "ed25519")].map(|(name, kind)| make_key(folder.path(), name, kind)).concat();
    let file = folder.path().join("relay.yaml");
    let relay = Relay::start_on(folder, &file, &manifest(&sink, &["rsa", "ed"]), &[]);

    let mut client = Dialogue::open(relay.smtp);
    let mut texts = texts();
    for text in &texts {
        client.message("shop@elsewhere.test", &["a@one.test"], text);
    }
    // Texts that are not made of lines: all octets, and an end without CRLF.
    let header = "From: orders@sub.example.org\r\nTo: someone@example.com\r\nSubject: binary\r\n\r\n";
    let all: Vec<u8> = (0..=255).collect();
    let without_line_ends: Vec<u8> = all.iter().copied().filter(|octet| !matches!(octet, b'\r' | b'\n')).collect();
    for body in [all.as_slice(), &without_line_ends] {
        let text = [header.as_bytes(), body, b"  no end"].concat();
        client.expect("MAIL FROM:<shop@elsewhere.test> BODY=BINARYMIME", "250");
        client.expect("RCPT TO:<a@one.test>", "250");
        client.send(format!("BDAT {} LAST\r\n", text.len()).as_bytes());
        client.send(&text);
        assert!(client.reply().starts_with("250"));
        texts.push(text);
    }
    let arrived = sink.await_messages(texts.len(), PATIENCE);
    let good = verified(&arrived, &records);
    assert_eq!(good, vec!["rsa ed"; texts.len()], "by dkimpy");
    // Over several connections they come in any order.
    for text in &texts {
        let found = arrived.iter().any(|message| message.octets.ends_with(text));
        assert!(found, "what follows the signatures is what was sent: {}", text.escape_ascii());
    }
    assert!((relay.metric("mailsluice_dkim_signed_total") - texts.len() as f64).abs() < f64::EPSILON);

    // Another domain's mail, mail of two authors, and mail of none.
    for header in ["From: a@example.com", "From: a@example.org\r\nFrom: b@example.org", "X: y"] {
        client.message("shop@example.org", &["a@one.test"], format!("{header}\r\n\r\nText.\r\n").as_bytes());
    }
    let unsigned = sink.await_messages(texts.len() + 3, PATIENCE).split_off(texts.len());
    assert_eq!(verified(&unsigned, &records), ["unsigned"; 3]);

    // The test must be able to fail: a changed body, a changed subject, another From.
    let mut spoiled = Vec::new();
    for (from, to) in
        [("One line", "Two lines"), ("a message", "another one"), ("To: someone", "From: x@y\r\nTo: someone")]
    {
        let one = arrived.iter().find(|message| message.octets.ends_with(b"\r\nOne line.\r\n"));
        let mut copy = one.expect("the message of one line").clone();
        copy.octets = String::from_utf8_lossy(&copy.octets).replace(from, to).into_bytes();
        spoiled.push(copy);
    }
    assert_eq!(verified(&spoiled, &records), ["BAD BAD"; 3]);
}

#[test]
fn keys_are_rotated_live_and_mail_without_a_key_waits_for_one() {
    let sink = Sink::start();
    let relay = Relay::start(&manifest(&sink, &["s1"]));
    let problem = || {
        let problems = relay.monitor().problems.into_iter();
        problems.filter(|problem| problem.reason == ProblemReason::SecretInvalid).map(|problem| problem.message).next()
    };
    let send = |from: &str, name: &str| {
        let text = format!("From: {from}\r\nSubject: {name}\r\n\r\nText.\r\n");
        Dialogue::open(relay.smtp).message("shop@example.org", &["a@one.test"], text.as_bytes());
    };
    send("orders@example.org", "waits");
    send("orders@example.com", "goes");
    assert_eq!(sink.await_messages(1, PATIENCE)[0].subject(), "goes");
    let said = problem().expect("a problem");
    assert!(said.starts_with("Secret outbound-dkim: s1.key: No such file"), "{said}");
    assert!(said.ends_with("; mail of example.org waits until there is a key"), "{said}");
    let host = sink.address.to_string();
    let error = wait::until_some(PATIENCE, "the host's row to say so", || relay.row(&host)?.last_error);
    assert_eq!(error.code.name(), "DKIM_NO_KEY");
    assert!(error.text.starts_with("mail of example.org waits for a key that signs it: Secret outbound-dkim"));

    let first = make_key(relay.folder(), "s1", "ed25519");
    let arrived = sink.await_messages(2, PATIENCE);
    assert_eq!(verified(&arrived[1..], &first), ["s1"]);
    wait::until_some(PATIENCE, "the problem to be over", || problem().is_none().then_some(()));

    // Another key under the same name.
    let known = relay.records().len();
    let second = make_key(relay.folder(), "s1", "rsa");
    wait::until_some(PATIENCE, "the key to be read", || {
        relay.records().iter().skip(known).any(|record| record.msg == "the Secrets are read").then_some(())
    });
    send("orders@example.org", "by the second key");
    assert_eq!(verified(&sink.await_messages(3, PATIENCE)[2..], &second), ["s1"]);

    // A second selector, of which the key is missing: the first goes on alone.
    relay.rewrite(&manifest(&sink, &["s1", "s2"]));
    relay.await_reloads(1);
    send("orders@example.org", "by one of two");
    assert_eq!(verified(&sink.await_messages(4, PATIENCE)[3..], &second), ["s1"]);
    let said = problem().expect("a problem");
    assert!(said.ends_with("mail of example.org goes out with the signatures of its other keys"), "{said}");
}
