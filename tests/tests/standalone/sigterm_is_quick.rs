//! A stop takes no longer than it must, and loses nothing.

use std::{thread, time::Duration};

use mailsluice_tests::{
    dialogue::Dialogue,
    load::{Load, tally},
    mail,
    manifest::Manifest,
    relay::{PATIENCE, Relay},
    scripted::Scripted,
    sink::Sink,
    wait,
};

const PROMISED: Duration = Duration::from_secs(10);

#[test]
fn a_stop_under_load_is_quick_and_loses_nothing() {
    let sink = Sink::start();
    let mut relay = Relay::start(&Manifest::to(sink.address));
    let load = Load::start(relay.smtp, 8, &["a@one.test"]);
    thread::sleep(Duration::from_millis(700));
    let (took, status) = relay.terminate();
    println!("stopped in {took:?}");
    assert!(status.success(), "{status}");
    assert!(took < PROMISED, "it took {took:?}");
    relay.restart();
    let answered = load.stop();
    relay.await_empty_for(Duration::from_secs(60));
    let tally = tally(&answered, &sink.received());
    assert!(tally.answered > 0 && tally.lost.is_empty() && tally.spoiled.is_empty(), "{tally:?}");
    assert_eq!(tally.duplicates, 0, "a stop in order sends nothing twice");
}

#[test]
fn a_stop_does_not_wait_for_clients_or_for_a_host_that_is_silent() {
    // Takes the text, and never answers for it.
    let host = Scripted::start(|line| {
        if line == "." {
            thread::sleep(Duration::from_secs(60));
        }
        None
    });
    let mut relay = Relay::start(&Manifest::to(host.address));
    let mut idle = Dialogue::open(relay.smtp);
    Dialogue::open(relay.smtp).message("shop@example.org", &["a@one.test"], &mail::text("stuck"));
    wait::until_some(PATIENCE, "the host has the text", || host.heard().contains(&".".to_owned()).then_some(()));
    let (took, status) = relay.terminate();
    println!("stopped in {took:?}");
    assert!(status.success() && took < PROMISED, "{status} after {took:?}");
    assert!(idle.reply().starts_with("421"), "an idle client is told");
    relay.restart();
    wait::until_equal(PATIENCE, "what was not answered for is still there", 1, || relay.monitor().queue.messages);
}
