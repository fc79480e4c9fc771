//! A message that was answered 250 arrives, whatever happens to the process.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
    thread,
    time::Duration,
};

use mailsluice_tests::{
    load::{Load, tally},
    manifest::Manifest,
    process,
    relay::{PATIENCE, Relay, program},
    setting,
    sink::Sink,
    wait,
};
use serde_json::Value;

#[test]
fn a_relay_that_is_killed_under_load_loses_no_answered_message() {
    let kills = setting("MAILSLUICE_TEST_KILLS", 100);
    let sink = Sink::start();
    let mut manifest = Manifest::to(sink.address);
    manifest.relay.log.level = mailsluice_crds::LogLevel::Problems;
    let mut relay = Relay::start(&manifest);
    let load = Load::start(relay.smtp, 8, &["a@one.test"]);
    let mut delivered = Delivered::default();
    for kill in 0..kills {
        let before = load.answered();
        // Another moment of the work each time.
        wait::until_some(PATIENCE, "the relay is under load", || (load.answered() > before).then_some(()));
        thread::sleep(Duration::from_millis(u64::from(7 * (kill % 29))));
        relay.kill();
        delivered.look(&sink, &waiting(&relay));
        relay.restart();
    }
    let answered = load.stop();
    relay.await_empty_for(Duration::from_secs(60));
    let repeated = delivered.repeated(&sink);
    let tally = tally(&answered, &sink.received());
    println!(
        "killed {kills} times: {} messages answered 250, {} lost, {} delivered twice, {} of them though marked on the disk",
        tally.answered,
        tally.lost.len(),
        tally.duplicates,
        repeated.len()
    );
    assert!(repeated.is_empty(), "delivered again though the spool knew that they were: {repeated:?}");
    assert!(tally.lost.is_empty(), "lost: {:?}", tally.lost);
    assert!(tally.spoiled.is_empty(), "not as they were sent: {:?}", tally.spoiled);
    // Each kill may hit what was delivered and not yet recorded: one for each connection, and its recorded batch.
    let most = kills as usize * 64;
    assert!(tally.duplicates <= most, "{} duplicates after {kills} kills", tally.duplicates);
}

/// The ids of the messages that a spool without a relay says are still waiting.
fn waiting(relay: &Relay) -> BTreeSet<String> {
    let spool = relay.folder().join("spool");
    let listed = process::run(Command::new(program()).args(["spool", "list", "-o", "json"]).arg(spool));
    let listed: Vec<Value> = serde_json::from_str(&listed).expect("a list in JSON");
    listed.iter().filter_map(|message| message["id"].as_str().map(str::to_owned)).collect()
}

/// What has arrived, and what of it the spool knew at a kill to be done.
#[derive(Default)]
struct Delivered {
    read: usize,
    copies: BTreeMap<String, usize>,
    /// Those of `copies` that still waited at every kill: the only ones that a kill has to look at.
    open: BTreeSet<String>,
    /// With the copies that had arrived then: there must never be more.
    done: BTreeMap<String, usize>,
}

impl Delivered {
    fn read(&mut self, sink: &Sink) {
        let new = sink.received_after(self.read);
        self.read += new.len();
        for message in new {
            let id = message.id().expect("an id");
            if !self.done.contains_key(&id) {
                self.open.insert(id.clone());
            }
            *self.copies.entry(id).or_default() += 1;
        }
    }

    /// After a kill, with what waits then by the spool.
    fn look(&mut self, sink: &Sink, waiting: &BTreeSet<String>) {
        self.read(sink);
        for id in self.open.extract_if(.., |id| !waiting.contains(id)) {
            let copies = self.copies[&id];
            self.done.insert(id, copies);
        }
    }

    /// The messages that arrived again after the spool knew that they were done.
    fn repeated(&mut self, sink: &Sink) -> Vec<String> {
        self.read(sink);
        let again = |(id, copies): (&String, &usize)| (self.copies.get(id) > Some(copies)).then(|| id.clone());
        self.done.iter().filter_map(again).collect()
    }
}
