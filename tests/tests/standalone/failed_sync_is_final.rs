//! After a sync that failed nobody knows what the disk holds: no 250 is given until a restart has looked.

use std::time::Duration;

use mailsluice_crds::{monitor::ProblemReason, schedule::LinkState};
use mailsluice_tests::{
    dialogue::Dialogue,
    disk,
    load::{Load, tally},
    mail,
    manifest::Manifest,
    relay::{PATIENCE, Relay},
    sink::Sink,
    wait,
};

#[test]
fn a_failed_sync_is_answered_451_and_never_250_again_before_a_restart() {
    disk::alone("failed_sync_is_final::a_failed_sync_is_answered_451_and_never_250_again_before_a_restart", || {
        let sink = Sink::start();
        let open = Manifest::to(sink.address);
        let mut relay = Relay::start(&open.clone().scheduled(LinkState::Closed, Vec::new()));
        let load = Load::start(relay.smtp, 4, &["a@one.test"]);
        wait::until_some(PATIENCE, "the relay is under load", || (load.answered() > 50).then_some(()));

        let failing = disk::Failing::start(&relay, "fdatasync,fsync", "EIO");
        wait::until_some(PATIENCE, "the Monitor says that the spool fails", || {
            let problem =
                relay.monitor().problems.into_iter().find(|problem| problem.reason == ProblemReason::SpoolFailing);
            problem.filter(|problem| problem.message.contains("os error 5"))
        });
        failing.stop();
        // Every sync would succeed from here on, and prove nothing.
        let promised = load.answered();
        let refusal = Dialogue::open(relay.smtp)
            .try_message("shop@example.org", &["a@one.test"], &mail::text("refused"))
            .unwrap_or_else(|error| error.to_string());
        assert!(refusal.starts_with("451 4.3.0"), "{refusal}");
        std::thread::sleep(Duration::from_secs(2));
        assert_eq!(load.answered(), promised, "no 250 on a sync that was tried again");
        assert!(relay.metric("mailsluice_spool_accepting") < 0.5);

        relay.kill();
        relay.rewrite(&open);
        relay.restart();
        wait::until_some(PATIENCE, "mail is taken again", || (load.answered() > promised).then_some(()));
        let answered = load.stop();
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
