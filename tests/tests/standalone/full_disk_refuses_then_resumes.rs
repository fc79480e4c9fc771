//! A full disk refuses mail in time, delivers what it has, and takes mail again by itself.

use std::fs;

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
use tempfile::TempDir;

/// The segment that is written to, the reserve, and room for less than one more.
const DISK: u64 = 44 << 20;

/// Files of large texts in the spool.
fn bodies(relay: &Relay) -> usize {
    let entries = fs::read_dir(relay.folder().join("spool")).expect("list the spool");
    entries
        .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("body-")))
        .count()
}

#[test]
fn a_full_disk_answers_452_and_loses_nothing_and_takes_mail_again_when_there_is_room() {
    disk::alone(
        "full_disk_refuses_then_resumes::a_full_disk_answers_452_and_loses_nothing_and_takes_mail_again_when_there_is_room",
        || {
            let sink = Sink::start();
            let open = Manifest::to(sink.address);
            let folder = TempDir::new().expect("a temporary folder");
            disk::mount_small(&folder.path().join("spool"), DISK);
            let file = folder.path().join("relay.yaml");
            let relay = Relay::start_on(folder, &file, &open.clone().scheduled(LinkState::Closed, Vec::new()), &[]);
            let load = Load::start(relay.smtp, 4, &["a@one.test"]);

            // Large texts, whose files are written piece by piece until a write is cut short, and others that go into the log.
            let mut large = Vec::new();
            let refusal = wait::until_some(PATIENCE, "the disk is full", || {
                let mut client = Dialogue::try_open(relay.smtp).ok()?;
                client.try_send(b"EHLO client.test\r\n").and_then(|()| client.try_reply()).ok()?;
                loop {
                    let size = if large.len() % 2 == 0 { 700_000 } else { 200_000 };
                    let name = format!("large {}", large.len());
                    match client.try_message("shop@example.org", &["a@one.test"], &mail::text_of_size(&name, size)) {
                        Ok(reply) if reply.starts_with("250") => large.push((name, size)),
                        Ok(reply) => return Some(reply),
                        Err(error) => return Some(error.to_string()),
                    }
                }
            });
            assert!(refusal.starts_with("452 4.3.1"), "{refusal}");
            wait::until_some(PATIENCE, "the Monitor says that the disk is full", || {
                let mut client = Dialogue::try_open(relay.smtp).ok()?;
                client.try_send(b"EHLO client.test\r\n").and_then(|()| client.try_reply()).ok()?;
                // Until no more fits into the log either.
                while let Ok(reply) =
                    client.try_message("shop@example.org", &["a@one.test"], &mail::text_of_size("filler", 200_000))
                {
                    if !reply.starts_with("250") {
                        break;
                    }
                    large.push(("filler".into(), 200_000));
                }
                relay.monitor().problems.iter().any(|problem| problem.reason == ProblemReason::QueueFull).then_some(())
            });
            assert!(relay.metric("mailsluice_spool_accepting") < 0.5);
            let stored = large.iter().filter(|(_, size)| *size > 256 << 10).count();
            assert_eq!(bodies(&relay), stored, "what was refused has left nothing");

            let answered = load.stop();
            relay.rewrite(&open);
            relay.await_empty_for(PATIENCE * 3);
            wait::until_some(PATIENCE, "mail is taken again", || {
                let mut client = Dialogue::try_open(relay.smtp).ok()?;
                client.try_send(b"EHLO client.test\r\n").and_then(|()| client.try_reply()).ok()?;
                client
                    .try_message("shop@example.org", &["a@one.test"], &mail::text("again"))
                    .ok()
                    .filter(|reply| reply.starts_with("250"))
            });
            assert_eq!(relay.monitor().problems, []);
            relay.await_empty();
            let received = sink.received();
            let of_load: Vec<_> =
                received.iter().filter(|message| message.subject().starts_with("message ")).cloned().collect();
            let tally = tally(&answered, &of_load);
            println!(
                "{} small and {} large messages answered 250, {} lost",
                tally.answered,
                large.len(),
                tally.lost.len()
            );
            assert!(
                tally.answered > 0 && tally.lost.is_empty() && tally.spoiled.is_empty() && tally.duplicates == 0,
                "{tally:?}"
            );
            assert_eq!(received.len() - of_load.len(), large.len() + 1, "each large one arrived, once");
            for (name, size) in large.iter().filter(|(name, _)| name != "filler") {
                let message = received
                    .iter()
                    .find(|message| message.subject() == *name)
                    .unwrap_or_else(|| panic!("{name} is lost"));
                assert!(message.text() == mail::text_of_size(name, *size), "{name} is not what was sent");
            }
            disk::unmount(&relay.folder().join("spool"));
        },
    );
}
