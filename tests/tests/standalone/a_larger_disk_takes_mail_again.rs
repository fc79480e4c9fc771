//! A disk that becomes larger under a relay, as a claim that grows does: mail that was refused is taken again, without a restart.

use mailsluice_crds::schedule::LinkState;
use mailsluice_tests::{
    dialogue::Dialogue,
    disk, mail,
    manifest::Manifest,
    relay::{PATIENCE, Relay},
    sink::Sink,
    wait,
};
use tempfile::TempDir;

/// The segment that is written to, the reserve, and room for less than one more.
const SMALL: u64 = 44 << 20;
const LARGE: u64 = 4 * SMALL;

#[test]
fn a_disk_that_becomes_larger_takes_mail_again() {
    disk::alone("a_larger_disk_takes_mail_again::a_disk_that_becomes_larger_takes_mail_again", || {
        let sink = Sink::start();
        let folder = TempDir::new().expect("a temporary folder");
        let spool = folder.path().join("spool");
        disk::mount_small(&spool, SMALL);
        let file = folder.path().join("relay.yaml");
        let closed = Manifest::to(sink.address).scheduled(LinkState::Closed, Vec::new());
        let relay = Relay::start_on(folder, &file, &closed, &[]);
        let available = || relay.metric("mailsluice_spool_available_bytes");
        wait::until_some(PATIENCE, "the disk is full", || offer(&relay).filter(|reply| reply.starts_with("452 4.3.1")));
        assert!(available() < SMALL as f64, "{}", available());

        disk::enlarge(&spool, LARGE);
        wait::until_some(PATIENCE, "mail is taken again", || offer(&relay).filter(|reply| reply.starts_with("250")));
        assert!(available() > (LARGE - 2 * SMALL) as f64, "{}", available());
        disk::unmount(&spool);
    });
}

/// The answer to a large message.
fn offer(relay: &Relay) -> Option<String> {
    let mut client = Dialogue::try_open(relay.smtp).ok()?;
    client.try_send(b"EHLO client.test\r\n").and_then(|()| client.try_reply()).ok()?;
    client.try_message("shop@example.org", &["a@one.test"], &mail::text_of_size("large", 700_000)).ok()
}
