//! What the spool promises its callers, on the real disk and with its thread.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use super::simdisk::SimDisk;
use super::*;
use crate::spool::{Disk, Health, Purpose};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open(&self, options: Options) -> (Spool, Vec<Recovered>, RecoveryReport) {
        let (spool, recovery) =
            Spool::open(Arc::new(Disk::open(self.0.path().join("spool")).unwrap()), options).unwrap();
        let mut found = Vec::new();
        let report = recovery.run(&mut |message| found.push(message)).unwrap();
        (spool, found, report)
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path().join("spool")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

fn body(text: &[u8]) -> Body {
    Bytes::copy_from_slice(text).into()
}

#[tokio::test]
async fn what_is_stored_is_read_back_before_and_after_a_restart() {
    let texts: [Vec<u8>; 4] =
        [vec![], b"small".to_vec(), vec![b'i'; INLINE_MAX as usize], (0..200_000).map(|n| n as u8).collect()];
    let folder = Folder::new();
    let (spool, found, _) = folder.open(options());
    assert_eq!(found, []);
    let mut stored = Vec::new();
    for (n, text) in texts.iter().enumerate() {
        let id = spool.reserve_id(at(n as i64));
        let draft = Draft { id: Some(id), received_at: at(n as i64), ..draft(&format!("{n}@example.org"), n + 1) };
        // One way for a text that comes in pieces, one for a text that is there.
        let text = if n % 2 == 0 {
            body(text)
        } else {
            let mut writer = spool.begin_body();
            for chunk in text.chunks(50_000) {
                writer.write(Bytes::copy_from_slice(chunk)).await.unwrap();
            }
            assert_eq!(writer.size(), text.len() as u64);
            writer.finish().await.unwrap()
        };
        let one = spool.append(draft, text).await.unwrap();
        assert_eq!(one.id, id);
        stored.push(one);
    }
    let check = async |spool: &Spool, places: &[Location]| {
        for ((n, text), place) in texts.iter().enumerate().zip(places) {
            let envelope = spool.envelope(*place).await.unwrap();
            assert_eq!((envelope.sender, envelope.recipients.len()), (format!("{n}@example.org"), n + 1));
            assert_eq!(envelope.size, text.len() as u64);
            assert_eq!(spool.body(*place).await.unwrap().size(), text.len() as u64);
            assert_eq!(&read_text(spool, *place).await.unwrap(), text);
        }
    };
    check(&spool, &stored.iter().map(|one| one.location).collect::<Vec<_>>()).await;
    spool.close().await.unwrap();
    assert!(matches!(spool.append(draft("a@example.org", 1), body(b"x")).await, Err(SpoolError::Closed)));
    assert!(matches!(spool.health(), Health::Failing(_)));

    let (spool, found, report) = folder.open(options());
    assert_eq!((report.messages, report.damage.len(), report.torn_bytes), (4, 0, 0));
    assert_eq!(ids(&found), stored.iter().map(|one| one.id).collect::<Vec<_>>());
    check(&spool, &found.iter().map(|one| one.location).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn recipients_that_are_done_stay_done_and_those_that_wait_keep_their_attempts() {
    let folder = Folder::new();
    let (spool, _, _) = folder.open(options());
    let Stored { id, location } = spool.append(draft("a@example.org", 4), body(b"text")).await.unwrap();
    spool.mark(Mark { id, location, outcomes: vec![(0, Outcome::Delivered), (2, deferred(1, "busy"))] });
    spool.mark(Mark { id, location, outcomes: vec![(2, deferred(2, "still busy")), (3, Outcome::Failed)] });
    spool.close().await.unwrap();
    let (spool, found, _) = folder.open(options());
    let [Recovered { pending, location, .. }] = found.as_slice() else { panic!("{found:?}") };
    let seen: Vec<_> =
        pending.iter().map(|p| (p.recipient, p.attempts, p.due, p.error.as_ref().map(|e| e.text.as_str()))).collect();
    assert_eq!(seen, [(1, 0, None, None), (2, 2, Some(at(2_000_000)), Some("still busy"))]);
    spool.mark(Mark { id, location: *location, outcomes: vec![(1, Outcome::Removed), (2, Outcome::Delivered)] });
    spool.close().await.unwrap();
    assert_eq!(folder.open(options()).1, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_sessions_share_a_sync() {
    let syncs = Arc::new(AtomicUsize::new(0));
    let counted = syncs.clone();
    let slow = Options {
        // As slow as a disk; the RAM disk of a test would be too quick for anybody to wait.
        on_sync: Some(Arc::new(move |_| {
            counted.fetch_add(1, Relaxed);
            std::thread::sleep(Duration::from_millis(5));
        })),
        ..options()
    };
    let (spool, _, _) = Folder::new().open(slow);
    let sessions: Vec<_> = (0..100)
        .map(|n| {
            let spool = spool.clone();
            tokio::spawn(async move { spool.append(draft(&format!("{n}@example.org"), 1), body(b"text")).await })
        })
        .collect();
    for session in sessions {
        session.await.unwrap().unwrap();
    }
    assert_eq!(spool.stats().messages, 100);
    assert!(syncs.load(Relaxed) < 30, "{} syncs for 100 sessions", syncs.load(Relaxed));
}

#[tokio::test]
async fn a_mark_alone_is_on_the_disk_within_about_a_second() {
    let folder = Folder::new();
    let (spool, _, _) = folder.open(options());
    let Stored { id, location } = spool.append(draft("a@example.org", 1), body(b"text")).await.unwrap();
    let before = spool.stats().syncs;
    spool.mark(Mark { id, location, outcomes: vec![(0, Outcome::Delivered)] });
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if spool.stats().syncs > before {
            return;
        }
    }
    panic!("the mark was not synced");
}

#[test]
fn a_spool_has_one_process() {
    let folder = Folder::new();
    let (spool, _, _) = folder.open(options());
    let second = Spool::open(Arc::new(Disk::open(folder.0.path().join("spool")).unwrap()), options());
    let error = second.err().unwrap();
    assert!(matches!(error, SpoolError::Locked { holder: Some(pid), .. } if pid == std::process::id()), "{error}");
    runtime().block_on(spool.close()).unwrap();
    folder.open(options());
}

#[test]
fn options_that_do_not_fit_are_refused() {
    let cases = [(1024, 0), (u32::MAX, 0), (SEGMENT, SEGMENT / 2)];
    for (segment_size, inline_max) in cases {
        let options = Options { segment_size, inline_max, on_sync: None };
        let opened = Spool::open(Arc::new(SimDisk::new(0)), options);
        assert!(matches!(opened, Err(SpoolError::BadOption { .. })), "{segment_size}, {inline_max}");
    }
}

#[test]
fn an_envelope_that_is_too_large_is_refused_whole() {
    let disk = SimDisk::new(0);
    let (stepped, _, _) = Stepped::recover(&disk);
    let append = stepped.spool.append(draft("a@example.org", 2000), body(b"x"));
    let answer = stepped.runtime.block_on(append);
    assert!(matches!(answer, Err(SpoolError::TooLarge { .. })), "{answer:?}");
}

#[test]
fn a_session_that_goes_away_takes_its_message_back() {
    let disk = SimDisk::new(0);
    let (mut stepped, _, _) = Stepped::recover(&disk);
    for large in [false, true] {
        let text = if large { vec![1; 9000] } else { vec![1; 10] };
        // Before the writer looks, and with the answer on its way.
        for answered in [false, true] {
            let body = stepped.body(&text).unwrap();
            let append = stepped.begin(draft("a@example.org", 3), body);
            if answered {
                stepped.turn();
            }
            drop(append);
            stepped.settle();
            assert_eq!(stepped.spool.stats().live, 0, "large: {large}, answered: {answered}");
            assert!(!disk.names().iter().any(|name| name.starts_with("body-")), "large: {large}, answered: {answered}");
        }
    }
    // A text that is never appended.
    drop(stepped.body(&[1; 9000]).unwrap());
    assert!(!disk.names().iter().any(|name| name.starts_with("body-")));
    assert_eq!(Stepped::recover(&disk.power_cut()).1, []);
}

#[test]
fn one_held_message_does_not_keep_the_room_of_thousands_and_stays_where_its_owner_knows_it() {
    let disk = SimDisk::new(0);
    let (mut stepped, _, _) = Stepped::recover(&disk);
    let small = stepped.append(draft("held@example.org", 2), b"held").unwrap();
    let large = stepped.append(draft("held@example.org", 1), &[7; 9000]).unwrap();
    stepped.mark(small, &[(1, deferred(3, "closed"))]);
    // Moved more than once, and marked in between by the place that its owner knows.
    let mut moved = 0;
    for round in 0..3 {
        stepped.churn(200);
        assert!(stepped.spool.stats().segments <= 8, "{:?}", stepped.spool.stats());
        assert!(stepped.spool.stats().compacted_bytes > moved, "round {round}");
        moved = stepped.spool.stats().compacted_bytes;
        stepped.mark(small, &[(1, deferred(4, "still closed"))]);
    }
    assert_eq!(stepped.text(small.location).unwrap(), b"held");
    assert_eq!(stepped.text(large.location).unwrap(), [7; 9000]);
    stepped.flush().unwrap();

    let disk = disk.power_cut();
    let (mut stepped, found, _) = Stepped::recover(&disk);
    assert_eq!(ids(&found), [small.id, large.id]);
    let found_small = found.iter().find(|found| found.envelope.id == small.id).unwrap();
    assert_eq!(found_small.pending.iter().map(|p| p.attempts).collect::<Vec<_>>(), [0, 4]);
    for message in found {
        let done = (0..2).map(|recipient| (recipient, Outcome::Delivered)).collect::<Vec<_>>();
        stepped.mark(Stored { id: message.envelope.id, location: message.location }, &done);
    }
    stepped.settle();
    assert!(!disk.names().iter().any(|name| name.starts_with("body-")), "{:?}", disk.names());
    let stats = stepped.spool.stats();
    assert_eq!((stats.live, stats.bodies, stats.bytes_live), (0, 0, 0));
}

#[test]
fn a_message_that_was_moved_and_done_while_there_was_no_room_for_its_mark_does_not_come_back() {
    let disk = SimDisk::new(0);
    let (mut stepped, _, _) = Stepped::recover(&disk);
    let held = stepped.append(draft("held@example.org", 1), b"held").unwrap();
    stepped.churn(100);
    assert!(stepped.spool.stats().compacted_bytes > 0);
    disk.faults(|faults| faults.capacity = Some(0));
    // The last segment is filled with marks, until one has to wait.
    let other = stepped.append(Draft { purpose: Purpose::Report, ..draft("", 1) }, b"other").unwrap();
    for round in 0..200 {
        stepped.mark(other, &[(0, deferred(round, &"x".repeat(500)))]);
    }
    stepped.done(held);
    assert!(stepped.spool.stats().marks_waiting > 0);
    disk.faults(|faults| faults.capacity = None);
    stepped.settle();
    stepped.flush().unwrap();
    let (_, found, _) = Stepped::recover(&disk.power_cut());
    assert_eq!(ids(&found), [other.id]);
}

#[test]
fn an_outcome_for_more_recipients_than_a_record_has_room_for_is_stored() {
    let disk = SimDisk::new(0);
    let (mut stepped, _, _) = Stepped::recover(&disk);
    let stored = stepped.append(draft("a@example.org", 50), b"text").unwrap();
    let outcomes: Vec<_> =
        (0..50).map(|recipient| (recipient, deferred(u32::from(recipient) + 1, &"x".repeat(500)))).collect();
    stepped.mark(stored, &outcomes);
    stepped.flush().unwrap();
    let (_, found, _) = Stepped::recover(&disk.power_cut());
    let attempts: Vec<u32> = found[0].pending.iter().map(|pending| pending.attempts).collect();
    assert_eq!(attempts, (1..=50).collect::<Vec<_>>());
}

#[test]
fn an_id_is_never_given_twice_though_the_clock_goes_back_and_everything_was_delivered() {
    let disk = SimDisk::new(0);
    let (mut stepped, _, _) = Stepped::recover(&disk);
    let mut last = MessageId::from_u64(0);
    for round in 0..60 {
        let received_at = at(1_000_000 - round);
        let stored = stepped.append(Draft { received_at, ..draft("a@example.org", 1) }, &[b'x'; 1500]).unwrap();
        assert!(stored.id > last, "round {round}");
        last = stored.id;
        stepped.done(stored);
        stepped.tick();
    }
    stepped.settle();
    let (stepped, found, _) = Stepped::recover(&disk.power_cut());
    assert_eq!(found, []);
    assert!(stepped.spool.reserve_id(at(0)) > last);
}

#[test]
fn mail_is_nobody_elses_to_read() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let (spool, _, _) = folder.open(options());
    runtime().block_on(spool.append(draft("a@example.org", 1), body(&[1; 9000]))).unwrap();
    let names = folder.names();
    assert!(names.iter().any(|name| name.starts_with("body-")) && names.iter().any(|name| name.starts_with("seg-")));
    for name in names {
        let mode = std::fs::metadata(folder.0.path().join("spool").join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
}

#[test]
fn mail_is_taken_and_delivered_while_recovery_has_not_begun() {
    let disk = SimDisk::new(0);
    let (mut stepped, _, _) = Stepped::recover(&disk);
    let old = stepped.append(draft("old@example.org", 1), b"old").unwrap();
    let disk = disk.power_cut();
    let (mut stepped, recovery) = Stepped::open(&disk).unwrap();
    let new = stepped.append(draft("new@example.org", 1), b"new").unwrap();
    stepped.done(new);
    stepped.settle();
    let mut found = Vec::new();
    recovery.run(&mut |message| found.push(message)).unwrap();
    assert_eq!(ids(&found), [old.id]);
}

#[test]
fn no_outcome_is_given_up_before_recovery_has_read_what_it_is_for() {
    let disk = SimDisk::new(0);
    let (mut stepped, _, _) = Stepped::recover(&disk);
    let done = stepped.append(draft("done@example.org", 1), b"done").unwrap();
    stepped.append(draft("held@example.org", 1), b"held").unwrap();
    // The outcome is in another segment than the message, beside a message that will be done soon.
    while stepped.append(draft("a@example.org", 1), &[b'x'; 1000]).unwrap().location.segment == done.location.segment {}
    stepped.done(done);
    stepped.flush().unwrap();

    let disk = disk.power_cut();
    let (mut stepped, recovery) = Stepped::open(&disk).unwrap();
    let mut first = true;
    let report = recovery.run(&mut |message| {
        if std::mem::take(&mut first) {
            stepped.done(Stored { id: message.envelope.id, location: message.location });
            let one = stepped.append(draft("b@example.org", 1), &[b'x'; 1000]).unwrap();
            let mut last = one;
            while last.location.segment == one.location.segment {
                last = stepped.append(draft("b@example.org", 1), &[b'x'; 1000]).unwrap();
            }
            stepped.settle();
        }
    });
    assert!(report.unwrap().messages > 1);
    let (_, found, _) = Stepped::recover(&disk.power_cut());
    assert!(!ids(&found).contains(&done.id));
}
