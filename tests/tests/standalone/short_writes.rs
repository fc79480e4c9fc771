//! A write that the system cuts short is gone on with, and where it then refuses the rest, what was answered 250 is kept.

use std::process::Command;

use mailsluice_crds::{LogLevel, schedule::LinkState};
use mailsluice_tests::{
    load::{Load, tally},
    manifest::Manifest,
    namespace, process,
    relay::{PATIENCE, Relay},
    sink::Sink,
    wait,
};

/// Where files end for the relay: a write across it is cut short, and the next one fails. Well inside a segment.
const END: u64 = 256 << 10;

fn limit_files(relay: &Relay, octets: &str) {
    process::run(Command::new("prlimit").args(["--pid", &relay.id().to_string(), &format!("--fsize={octets}:")]));
}

#[test]
fn a_write_that_is_cut_short_under_load_loses_nothing() {
    // A file that grows too large is a signal first, which would end the relay.
    let name = "short_writes::a_write_that_is_cut_short_under_load_loses_nothing";
    namespace::alone(name, &["--mount"], "trap '' XFSZ", || {
        let sink = Sink::start();
        let mut open = Manifest::to(sink.address);
        // The limit is on the log, too, which with every line of every session would meet it first.
        open.relay.log.level = LogLevel::Problems;
        let relay = Relay::start(&open.clone().scheduled(LinkState::Closed, Vec::new()));
        let load = Load::start(relay.smtp, 4, &["a@one.test"]);
        wait::until_some(PATIENCE, "the relay is under load", || (load.answered() > 20).then_some(()));
        limit_files(&relay, &END.to_string());
        relay.await_record("the write that was refused after the one that was cut short", |record| {
            record.msg.starts_with("the spool takes no more mail") && record.msg.contains("os error 27")
        });
        let promised = load.answered();
        limit_files(&relay, "unlimited");
        wait::until_some(PATIENCE, "mail is taken again", || (load.answered() > promised).then_some(()));
        let answered = load.stop();
        relay.rewrite(&open);
        relay.await_empty_for(PATIENCE * 3);
        let tally = tally(&answered, &sink.received());
        println!(
            "{} messages answered 250, {} lost, {} delivered twice",
            tally.answered,
            tally.lost.len(),
            tally.duplicates
        );
        assert!(tally.lost.is_empty() && tally.spoiled.is_empty() && tally.duplicates == 0, "{tally:?}");
    });
}
