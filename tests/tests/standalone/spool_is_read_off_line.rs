//! What waits in a spool can be listed, shown, exported and checked while no relay runs.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use mailsluice_crds::schedule::LinkState;
use mailsluice_tests::{
    dialogue::Dialogue,
    mail,
    manifest::Manifest,
    process,
    relay::{Relay, program},
    sink::Sink,
};
use serde_json::Value;

fn tool(arguments: &[&str], spool: &Path, more: &[&str]) -> Output {
    process::output(Command::new(program()).arg("spool").args(arguments).arg(spool).args(more))
}

/// What it wrote, where it must succeed.
fn text(output: Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && error.is_empty(), "{}: {error}", output.status);
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What it complained of, where it must fail.
fn complaint(output: &Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_spool_is_listed_shown_exported_and_checked_and_then_delivered() {
    let sink = Sink::start();
    let open = Manifest::to(sink.address);
    let mut relay = Relay::start(&open.clone().scheduled(LinkState::Closed, Vec::new()));
    let spool = relay.folder().join("spool");
    let mut client = Dialogue::open(relay.smtp);
    let names = [("one", 500), ("two", 400_000), ("three", 500)];
    for (name, size) in names {
        client.message("shop@example.org", &["a@one.test", "b@two.test"], &mail::text_of_size(name, size));
    }
    let refused = complaint(&tool(&["list"], &spool, &[]));
    assert!(
        refused.contains(&format!("a relay has the spool {} open (pid {})", spool.display(), relay.id())),
        "{refused}"
    );
    assert!(relay.terminate().1.success());

    let table = text(tool(&["list"], &spool, &[]));
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(
        table.starts_with("ID ") && table.contains("<shop@example.org>") && table.contains("a@one.test and 1 more")
    );
    let listed: Value = serde_json::from_str(&text(tool(&["list"], &spool, &["-o", "json"]))).expect("JSON");
    let listed = listed.as_array().expect("an array");
    let id = |index: usize| listed[index]["id"].as_str().expect("an id").to_owned();
    assert_eq!(listed.len(), 3);
    assert_eq!(listed[1]["recipients"], serde_json::json!(["a@one.test", "b@two.test"]));
    assert_eq!(listed[1]["waiting"][1]["recipient"], "b@two.test");

    let shown = text(tool(&["show"], &spool, &[&id(1)]));
    assert!(shown.contains("sender:    <shop@example.org>") && shown.ends_with("Subject: two\r\n"), "{shown}");
    let unknown = complaint(&tool(&["show"], &spool, &["00064A7B0C1D2E3F"]));
    assert!(unknown.contains("no message 00064A7B0C1D2E3F waits in the spool"), "{unknown}");

    let to = relay.folder().join("exported");
    let said = text(tool(&["export"], &spool, &[to.to_str().expect("UTF-8")]));
    assert!(said.starts_with("3 messages written"), "{said}");
    for (index, (name, size)) in names.into_iter().enumerate() {
        let octets = fs::read(to.join(format!("{}.eml", id(index)))).expect("the message");
        assert_eq!(mail::without_trace(&octets), mail::text_of_size(name, size), "{name}");
        let envelope = fs::read(to.join(format!("{}.json", id(index)))).expect("the envelope");
        assert_eq!(serde_json::from_slice::<Value>(&envelope).expect("JSON"), listed[index]);
    }
    assert_eq!(fs::read_dir(&to).expect("list").count(), 6, "nothing else is there");
    let again = complaint(&tool(&["export"], &spool, &[to.to_str().expect("UTF-8"), &id(0)]));
    assert!(again.contains("File exists"), "{again}");

    let checked = text(tool(&["check"], &spool, &[]));
    assert!(
        checked.starts_with("3 messages wait") && checked.ends_with("everything in the spool is sound\n"),
        "{checked}"
    );

    // All that was only looked at.
    relay.restart();
    relay.rewrite(&open);
    relay.await_empty();
    assert_eq!(sink.received().len(), 3);
}

#[test]
fn a_damaged_spool_is_told_of_and_what_is_sound_is_exported() {
    let relay = &mut Relay::start(&Manifest::to(([127, 0, 0, 1], 9).into()).scheduled(LinkState::Closed, Vec::new()));
    let spool = relay.folder().join("spool");
    let mut client = Dialogue::open(relay.smtp);
    for name in ["one", "two", "three"] {
        client.message("shop@example.org", &["a@one.test"], &mail::text(name));
    }
    relay.kill();
    let segment = spool.join("seg-00000001.log");
    let mut octets = fs::read(&segment).expect("read the spool");
    let at = octets.windows(12).position(|window| window == b"Subject: two").expect("the message");
    octets[at] ^= 1;
    fs::write(&segment, &octets).expect("write the spool");

    let checked = tool(&["check"], &spool, &[]);
    assert!(complaint(&checked).contains("damaged parts of the spool: 1"));
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(said.starts_with("2 messages wait") && said.contains("damaged: seg-00000001.log"), "{said}");
    assert!(said.contains("(message 00"), "{said}");
    let to = relay.folder().join("exported");
    assert!(text(tool(&["export"], &spool, &[to.to_str().expect("UTF-8")])).starts_with("2 messages written"));
    assert!(fs::read(&segment).expect("read the spool") == octets, "nothing in the spool was changed");
    let none = complaint(&tool(&["list"], Path::new("/nowhere"), &[]));
    assert!(none.contains("cannot open /nowhere"), "{none}");
}

#[test]
fn each_command_has_examples_in_its_help() {
    for command in ["check", "list", "show", "export"] {
        let help = text(process::output(Command::new(program()).args(["spool", command, "--help"])));
        let example = format!("Examples:\n  mailsluice-relay spool {command} /var/spool/mailsluice");
        assert!(help.contains(&example), "{help}");
    }
}
