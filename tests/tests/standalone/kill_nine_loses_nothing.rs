//! A message that was answered 250 arrives, whatever happens to the process.

use std::{thread, time::Duration};

use mailsluice_tests::{
    load::{Load, tally},
    manifest::Manifest,
    relay::{PATIENCE, Relay},
    setting,
    sink::Sink,
    wait,
};

#[test]
fn a_relay_that_is_killed_under_load_loses_no_answered_message() {
    let kills = setting("MAILSLUICE_TEST_KILLS", 100);
    let sink = Sink::start();
    let mut manifest = Manifest::to(sink.address);
    manifest.relay.log.level = mailsluice_crds::LogLevel::Problems;
    let mut relay = Relay::start(&manifest);
    let load = Load::start(relay.smtp, 8, &["a@one.test"]);
    for kill in 0..kills {
        let before = load.answered();
        // Another moment of the work each time.
        wait::until_some(PATIENCE, "the relay is under load", || (load.answered() > before).then_some(()));
        thread::sleep(Duration::from_millis(u64::from(7 * (kill % 29))));
        relay.kill();
        relay.restart();
    }
    let answered = load.stop();
    relay.await_empty_for(Duration::from_secs(60));
    let tally = tally(&answered, &sink.received());
    println!(
        "killed {kills} times: {} messages answered 250, {} lost, {} delivered twice",
        tally.answered,
        tally.lost.len(),
        tally.duplicates
    );
    assert!(tally.lost.is_empty(), "lost: {:?}", tally.lost);
    assert!(tally.spoiled.is_empty(), "not as they were sent: {:?}", tally.spoiled);
    // Each kill may hit what was delivered and not yet recorded: one for each connection, and its recorded batch.
    let most = kills as usize * 64;
    assert!(tally.duplicates <= most, "{} duplicates after {kills} kills", tally.duplicates);
}
