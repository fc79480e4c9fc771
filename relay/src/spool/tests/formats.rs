//! A spool that an older version has written is read: one of each format is kept in `golden/`.

use super::simdisk::SimDisk;
use super::*;

/// The first format: a message for two recipients of which one is done and the other deferred, one whose text has a file, one
/// that is done, and one that compaction has moved.
const FIRST: [(&str, &[u8]); 4] = [
    ("seg-0000000b.log", include_bytes!("golden/format-1/seg-0000000b.log")),
    ("seg-0000000c.log", include_bytes!("golden/format-1/seg-0000000c.log")),
    ("seg-0000000d.log", include_bytes!("golden/format-1/seg-0000000d.log")),
    ("body-0000000000000001", include_bytes!("golden/format-1/body-0000000000000001")),
];

#[test]
fn a_spool_of_the_first_format_is_read() {
    let (stepped, mut found, report) = Stepped::recover(&SimDisk::holding(FIRST));
    found.sort_by_key(|message| message.envelope.id);
    assert_eq!((found.len(), report.damage, report.torn_bytes), (3, vec![], 0));
    let expected: [(&str, &[u8], usize); 3] =
        [("moved@example.org", b"moved", 1), ("two@example.org", b"for two", 2), ("large@example.org", &[7; 5000], 1)];
    for (message, (sender, text, recipients)) in found.iter().zip(expected) {
        let mut want = draft(sender, recipients);
        want.eight_bit = sender == "two@example.org";
        let envelope = &message.envelope;
        assert_eq!((&envelope.sender, &envelope.recipients), (&want.sender, &want.recipients));
        assert_eq!((envelope.eight_bit, envelope.received_at), (want.eight_bit, want.received_at), "{sender}");
        assert_eq!((envelope.size, &envelope.client), (text.len() as u64, &want.client), "{sender}");
        assert_eq!(stepped.text(message.location).as_deref(), Ok(text), "{sender}");
    }
    let waits: Vec<_> = found[1].pending.iter().map(|pending| (pending.recipient, pending.attempts)).collect();
    assert_eq!(waits, [(1, 3)]);
    assert_eq!(found[1].pending[0].error.as_ref().unwrap().text, "come back later");
    assert_eq!(found[0].pending[0].attempts, 2, "what was deferred before it was moved");
}

/// Writes what `golden/` has, when a format is new: set `MAILSLUICE_WRITE_GOLDEN` to the folder. It checks that it could.
#[test]
fn a_spool_of_the_present_format_can_be_kept() {
    let disk = SimDisk::new(11);
    let (mut stepped, _, _) = Stepped::recover(&disk);
    let moved = stepped.append(draft("moved@example.org", 1), b"moved").unwrap();
    stepped.mark(moved, &[(0, deferred(2, "closed"))]);
    stepped.churn(100);
    assert!(stepped.spool.stats().compacted_bytes > 0);
    let two = stepped.append(Draft { eight_bit: true, ..draft("two@example.org", 2) }, b"for two").unwrap();
    stepped.mark(two, &[(0, Outcome::Delivered), (1, deferred(3, "come back later"))]);
    let done = stepped.append(draft("done@example.org", 1), b"done").unwrap();
    stepped.done(done);
    stepped.append(draft("large@example.org", 1), &[7; 5000]).unwrap();
    stepped.close().unwrap();
    if let Some(folder) = std::env::var_os("MAILSLUICE_WRITE_GOLDEN") {
        for name in disk.names() {
            std::fs::write(std::path::Path::new(&folder).join(&name), disk.octets(&name)).unwrap();
        }
    }
    assert_eq!(Stepped::recover(&disk.kill()).1.len(), 3);
}
