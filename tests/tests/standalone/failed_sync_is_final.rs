//! After a sync that failed nobody knows what the disk holds: no 250 is given until the relay has read what is really there,
//! which it does by itself, and loses nothing.

use mailsluice_crds::{
    monitor::{ProblemReason, RelayProblem, Snapshot},
    schedule::LinkState,
};
use mailsluice_tests::{
    dialogue::Dialogue,
    disk, http,
    load::{Load, tally},
    mail,
    manifest::Manifest,
    relay::{PATIENCE, Relay},
    sink::Sink,
    wait,
};

#[test]
fn a_failed_sync_is_answered_451_until_the_spool_is_read_again_and_loses_nothing() {
    disk::alone(
        "failed_sync_is_final::a_failed_sync_is_answered_451_until_the_spool_is_read_again_and_loses_nothing",
        || {
            let sink = Sink::start();
            let open = Manifest::to(sink.address);
            let relay = Relay::start(&open.clone().scheduled(LinkState::Closed, Vec::new()));
            let load = Load::start(relay.smtp, 4, &["a@one.test"]);
            wait::until_some(PATIENCE, "the relay is under load", || (load.answered() > 50).then_some(()));

            let failing = disk::Failing::start(&relay, "fdatasync,fsync", "EIO");
            wait::until_some(PATIENCE, "the Monitor says that the spool fails", || {
                problem(&relay).filter(|message| message.contains("os error 5"))
            });
            let promised = load.answered();
            let refusal = Dialogue::open(relay.smtp)
                .try_message("shop@example.org", &["a@one.test"], &mail::text("refused"))
                .unwrap_or_else(|error| error.to_string());
            assert!(refusal.starts_with("451 4.3.0"), "{refusal}");
            relay.await_record("that the disk cannot be read yet", |record| {
                record.msg.starts_with("the spool cannot be read again yet")
            });
            assert_eq!(load.answered(), promised, "no 250 while syncs fail");
            assert_eq!(http::get(relay.http, "/readyz", None).expect("an answer").status, 503);

            failing.stop();
            // By itself, without a restart.
            wait::until_some(PATIENCE, "mail is taken again", || (load.answered() > promised).then_some(()));
            wait::until_some(PATIENCE, "the Monitor has no problem", || problem(&relay).is_none().then_some(()));
            assert!(relay.metric("mailsluice_spool_rereads_total") > 0.5);
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
        },
    );
}

/// What the Monitor says of a spool that fails; nothing while it cannot be asked.
fn problem(relay: &Relay) -> Option<String> {
    let answer = http::get(relay.http, "/monitor", None).ok()?;
    let snapshot: Snapshot = serde_json::from_str(&answer.body).ok()?;
    let failing = |problem: &RelayProblem| problem.reason == ProblemReason::SpoolFailing;
    snapshot.problems.into_iter().find(failing).map(|problem| problem.message)
}
