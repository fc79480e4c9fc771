//! A file system that takes no writes refuses mail, delivers what it has, and takes mail again by itself.

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

/// All that changes a file or a name. A mount with files open for writing cannot be made read-only from outside, and no quota
/// binds root, as whom the tests run.
const WRITES: &str = "pwritev,pwritev2,pwrite64,fallocate,ftruncate,unlink,rename";

/// What takes room: with a quota that is used up a file can still be cut and removed.
const GROWTH: &str = "pwritev,pwritev2,pwrite64,fallocate";

#[test]
fn a_read_only_disk_answers_452_and_loses_nothing_and_takes_mail_again_when_it_can() {
    refuses_then_resumes(
        "read_only_disk_refuses_then_resumes::a_read_only_disk_answers_452_and_loses_nothing_and_takes_mail_again_when_it_can",
        Fault { calls: WRITES, error: "EROFS", reason: ProblemReason::SpoolFailing, shown: "os error 30" },
    );
}

#[test]
fn a_disk_whose_quota_is_used_up_answers_452_and_loses_nothing_and_takes_mail_again_when_it_can() {
    refuses_then_resumes(
        "read_only_disk_refuses_then_resumes::a_disk_whose_quota_is_used_up_answers_452_and_loses_nothing_and_takes_mail_again_when_it_can",
        Fault { calls: GROWTH, error: "EDQUOT", reason: ProblemReason::QueueFull, shown: "os error 122" },
    );
}

/// What the disk does, and how the Monitor shows it.
struct Fault {
    calls: &'static str,
    error: &'static str,
    reason: ProblemReason,
    shown: &'static str,
}

/// `name` is the calling test's own.
fn refuses_then_resumes(name: &str, fault: Fault) {
    disk::alone(name, || {
        let sink = Sink::start();
        let open = Manifest::to(sink.address);
        let mut relay = Relay::start(&open.clone().scheduled(LinkState::Closed, Vec::new()));
        let load = Load::start(relay.smtp, 4, &["a@one.test"]);
        wait::until_some(PATIENCE, "the relay is under load", || (load.answered() > 50).then_some(()));

        let failing = disk::Failing::start(&relay, fault.calls, fault.error);
        wait::until_some(PATIENCE, "the Monitor says that the spool cannot be written", || {
            let problem = relay.monitor().problems.into_iter().find(|problem| problem.reason == fault.reason);
            problem.filter(|problem| problem.message.contains(fault.shown))
        });
        let refusal = refused(&relay);
        assert!(refusal.starts_with("452 4.3.1"), "{refusal}");
        let answered = load.stop();
        relay.rewrite(&open);
        relay.await_empty_for(PATIENCE * 3);
        assert!(refused(&relay).starts_with("452 4.3.1"), "it takes no writes still");

        failing.stop();
        wait::until_some(PATIENCE, "mail is taken again", || {
            let mut client = Dialogue::try_open(relay.smtp).ok()?;
            client.try_send(b"EHLO client.test\r\n").and_then(|()| client.try_reply()).ok()?;
            let reply = client.try_message("shop@example.org", &["a@one.test"], &mail::text("again")).ok()?;
            reply.starts_with("250").then_some(())
        });
        relay.await_empty();
        // What was delivered meanwhile is marked now, so that a restart does not deliver it again.
        std::thread::sleep(std::time::Duration::from_secs(3));
        relay.kill();
        relay.restart();
        relay.await_empty();
        let received: Vec<_> = sink.received().into_iter().filter(|message| message.subject() != "again").collect();
        let tally = tally(&answered, &received);
        println!(
            "{} messages answered 250, {} lost, {} delivered twice",
            tally.answered,
            tally.lost.len(),
            tally.duplicates
        );
        assert!(tally.lost.is_empty() && tally.spoiled.is_empty() && tally.duplicates == 0, "{tally:?}");
    });
}

/// What a client is answered that brings a message.
fn refused(relay: &Relay) -> String {
    let answer = Dialogue::open(relay.smtp).try_message("shop@example.org", &["a@one.test"], &mail::text("refused"));
    answer.unwrap_or_else(|error| error.to_string())
}
