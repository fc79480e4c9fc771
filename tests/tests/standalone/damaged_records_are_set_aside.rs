//! A damaged record costs its own message, which is told of, and no other.

use std::{fs, path::PathBuf};

use mailsluice_crds::{monitor::ProblemReason, schedule::LinkState};
use mailsluice_tests::{
    dialogue::Dialogue,
    mail,
    manifest::Manifest,
    relay::{PATIENCE, Relay},
    sink::Sink,
    wait,
};

/// Flips a bit of `text`, in the one file of the spool that has it.
fn spoil(relay: &Relay, text: &str) {
    let entries = fs::read_dir(relay.folder().join("spool")).expect("list the spool");
    let files: Vec<PathBuf> =
        entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file()).collect();
    let mut spoilt = 0;
    for file in files {
        let mut octets = fs::read(&file).expect("read the spool");
        if let Some(at) = octets.windows(text.len()).position(|window| window == text.as_bytes()) {
            octets[at] ^= 1;
            fs::write(&file, octets).expect("write the spool");
            spoilt += 1;
        }
    }
    assert_eq!(spoilt, 1, "{text:?} is in one file");
}

#[test]
fn a_damaged_record_is_set_aside_and_told_of_and_everything_else_is_delivered() {
    let sink = Sink::start();
    let open = Manifest::to(sink.address);
    let mut relay = Relay::start(&open.clone().scheduled(LinkState::Closed, Vec::new()));
    let mut client = Dialogue::open(relay.smtp);
    let names = ["first", "in the log", "third", "in a file", "last"];
    for name in names {
        let size = if name == "in a file" { 400_000 } else { 1000 };
        client.message("shop@example.org", &["a@one.test"], &mail::text_of_size(name, size));
    }
    relay.kill();
    spoil(&relay, "Subject: in the log");
    spoil(&relay, "Subject: in a file");
    relay.restart();
    wait::until_equal(PATIENCE, "messages in the queue", 4, || relay.monitor().queue.messages);
    assert_eq!(relay.metric("mailsluice_spool_damaged_records"), 1.0, "the one that recovery has read");

    relay.rewrite(&open);
    relay.await_empty();
    let mut arrived: Vec<String> = sink.received().iter().map(mailsluice_tests::sink::Received::subject).collect();
    // Over several connections, in no order.
    arrived.sort();
    assert_eq!(arrived, ["first", "last", "third"]);
    wait::until_equal(PATIENCE, "damaged records", 2.0, || relay.metric("mailsluice_spool_damaged_records"));
    let problems = relay.monitor().problems;
    let [problem] = problems.as_slice() else { panic!("{problems:?}") };
    assert_eq!(problem.reason, ProblemReason::SpoolDamaged);
    assert!(problem.message.starts_with("2 records of the spool are damaged"), "{}", problem.message);

    // Each is named in the log by the message's id: as it was found, and as it was to be sent.
    for said in ["a damaged part of the spool is set aside", "a message cannot be read from the spool"] {
        let record = relay.await_record(said, |record| record.msg.starts_with(said));
        assert_eq!(record.field("message").map(|id| id.len()), Some(16), "{record:?}");
    }
    // The host is not at fault, and a restart does not hide what was lost.
    assert!(relay.row("127.0.0.1").is_none());
    relay.kill();
    relay.restart();
    wait::until_some(PATIENCE, "the problem is there again", || {
        relay.monitor().problems.iter().any(|problem| problem.reason == ProblemReason::SpoolDamaged).then_some(())
    });
}
