//! A full disk, a read-only one, and one that fails.

use super::simdisk::{Faults, SimDisk};
use super::*;
use crate::spool::{Health, Purpose};

fn report_draft() -> Draft {
    Draft { purpose: Purpose::Report, ..draft("", 1) }
}

/// Appends until the disk is full.
fn fill(stepped: &mut Stepped) -> (Vec<Stored>, SpoolError) {
    let mut stored = Vec::new();
    loop {
        match stepped.append(draft("a@example.org", 1), &[b'x'; 1000]) {
            Ok(one) => stored.push(one),
            Err(error) => return (stored, error),
        }
        assert!(stored.len() < 1000, "the disk never gets full");
    }
}

fn with_room_for(segments: u64) -> SimDisk {
    let disk = SimDisk::new(3);
    disk.faults(|faults| faults.capacity = Some(segments * u64::from(SEGMENT) + 100));
    disk
}

#[test]
fn a_full_disk_refuses_the_mail_of_clients_and_takes_marks_and_bounces_and_accepts_again_by_itself() {
    let disk = with_room_for(4);
    let (mut stepped, _, _) = Stepped::recover(&disk);
    let (stored, error) = fill(&mut stepped);
    assert!(matches!(error, SpoolError::Full { .. }) && error.is_temporary_room(), "{error}");
    assert!(matches!(stepped.spool.health(), Health::Full(_)));
    assert!(stepped.append(draft("a@example.org", 1), b"small").is_err(), "however small it is");

    let bounce = stepped.append(report_draft(), &[b'b'; 1000]).unwrap();
    let mut bounces = vec![bounce.id];
    while let Ok(bounce) = stepped.append(report_draft(), &[b'b'; 100]) {
        bounces.push(bounce.id);
    }
    // However many bounces there were, the marks have their share of the reserve.
    stepped.mark(stored[0], &[(0, deferred(1, "the host is busy"))]);
    stored.iter().for_each(|one| stepped.done(*one));
    stepped.flush().unwrap();
    assert_eq!((stepped.spool.stats().marks_waiting, stepped.spool.stats().marks_lost), (0, 0));

    stepped.settle();
    assert_eq!(stepped.spool.health(), Health::Good);
    let again = stepped.append(draft("a@example.org", 1), &[b'x'; 1000]).unwrap();
    let (_, found, report) = Stepped::recover(&disk.power_cut());
    assert_eq!((ids(&found), report.damage), (bounces.into_iter().chain([again.id]).collect(), vec![]));
}

#[test]
fn marks_that_find_no_room_wait_and_are_written_when_there_is_some() {
    let disk = with_room_for(2);
    let (mut stepped, _, _) = Stepped::recover(&disk);
    let (stored, _) = fill(&mut stepped);
    let long = "x".repeat(500);
    for round in 1..100 {
        stored.iter().for_each(|one| stepped.mark(*one, &[(0, deferred(round, &long))]));
    }
    let waiting = stepped.spool.stats().marks_waiting;
    assert!(waiting > 0);
    assert!(matches!(stepped.flush(), Err(SpoolError::Full { .. })), "a flush does not promise what is not so");
    disk.faults(|faults| faults.capacity = None);
    stepped.settle();
    assert_eq!(stepped.spool.stats().marks_waiting, 0);
    stepped.flush().unwrap();
    let (_, found, _) = Stepped::recover(&disk.power_cut());
    assert_eq!(found.len(), stored.len());
    for message in found {
        assert_eq!(message.pending[0].attempts, 99, "the last outcome counts");
    }
}

#[test]
fn a_spool_opens_on_a_full_disk_and_what_is_delivered_makes_room() {
    let disk = with_room_for(3);
    let (mut stepped, _, _) = Stepped::recover(&disk);
    let (stored, _) = fill(&mut stepped);
    drop(stepped);
    // Not even the segment to write to can be made.
    let disk = disk.kill();
    disk.faults(|faults| faults.capacity = Some(2 * u64::from(SEGMENT) + 200));
    let (mut stepped, found, _) = Stepped::recover(&disk);
    assert_eq!(found.len(), stored.len());
    assert!(matches!(stepped.spool.health(), Health::Full(_)));
    assert!(stepped.append(draft("a@example.org", 1), b"text").is_err());
    for message in &found {
        stepped.done(Stored { id: message.envelope.id, location: message.location });
    }
    stepped.settle();
    assert_eq!(stepped.spool.health(), Health::Good);
    stepped.append(draft("a@example.org", 1), b"again").unwrap();
    let (_, found, _) = Stepped::recover(&disk.power_cut());
    assert_eq!(found.len(), 1);
}

#[test]
fn a_write_that_meets_a_full_disk_leaves_nothing_of_what_it_refused() {
    for seed in 0..300 {
        let disk = SimDisk::new(seed);
        disk.faults(|faults| faults.cannot_preallocate = true);
        let (mut stepped, _, _) = Stepped::recover(&disk);
        let first = stepped.append(draft("a@example.org", 2), b"first").unwrap();
        // Room for some of the records of one write, and not for all.
        let used: usize = disk.names().iter().map(|name| disk.octets(name).len()).sum();
        disk.faults(|faults| faults.capacity = Some(used as u64 + 150 + seed % 60 * 50));
        stepped.spool.mark(Mark { id: first.id, location: first.location, outcomes: vec![(0, Outcome::Delivered)] });
        let appends: Vec<Appending> = (0..4)
            .map(|_| stepped.begin(draft("b@example.org", 1), Bytes::from_static(&[b'x'; 1000]).into()))
            .collect();
        stepped.turn();
        for mut append in appends {
            assert!(matches!(poll(&mut append), Poll::Ready(Err(SpoolError::Full { .. }))), "seed {seed}");
        }
        assert_eq!(stepped.spool.stats().marks_waiting, 1, "seed {seed}: the mark is not forgotten");
        let (_, found, report) = Stepped::recover(&if seed % 2 == 0 { disk.power_cut() } else { disk.kill() });
        assert_eq!((ids(&found), report.damage), (vec![first.id], vec![]), "seed {seed}");
    }
}

#[test]
fn marks_go_through_where_room_cannot_be_kept_back_as_soon_as_there_is_any() {
    let disk = SimDisk::new(5);
    disk.faults(|faults| faults.cannot_preallocate = true);
    let (mut stepped, _, _) = Stepped::recover(&disk);
    let stored = stepped.append(draft("a@example.org", 1), b"text").unwrap();
    let used: usize = disk.names().iter().map(|name| disk.octets(name).len()).sum();
    disk.faults(|faults| faults.capacity = Some(used as u64 + 10));
    stepped.done(stored);
    assert!(matches!(stepped.append(draft("a@example.org", 1), b"text"), Err(SpoolError::Full { .. })));
    // Room for a mark, but not for what clients bring.
    disk.faults(|faults| faults.capacity = Some(used as u64 + 90));
    assert!(matches!(stepped.append(draft("a@example.org", 1), b"text"), Err(SpoolError::Full { .. })));
    stepped.flush().unwrap();
    let (_, found, _) = Stepped::recover(&disk.power_cut());
    assert_eq!(found, []);
}

#[test]
fn marks_that_come_back_from_a_failed_write_keep_their_order() {
    let disk = SimDisk::new(5);
    disk.faults(|faults| faults.cannot_preallocate = true);
    let (mut stepped, _, _) = Stepped::recover(&disk);
    let stored = stepped.append(draft("a@example.org", 2), b"text").unwrap();
    stepped.mark(stored, &[(0, deferred(1, "first"))]);
    // The segment is filled, so that the third of the marks that follow needs the next one.
    while stepped.append(report_draft(), b"filler").unwrap().location.offset < SEGMENT - 1400 {}
    stepped.flush().unwrap();
    let used: usize = disk.names().iter().map(|name| disk.octets(name).len()).sum();
    disk.faults(|faults| faults.capacity = Some(used as u64));
    for round in 2..9 {
        let outcomes = vec![(1, deferred(round, &"x".repeat(450)))];
        stepped.spool.mark(Mark { id: stored.id, location: stored.location, outcomes });
    }
    stepped.turn();
    assert_eq!(stepped.spool.stats().marks_waiting, 7);
    stepped.tick();
    disk.faults(|faults| faults.capacity = None);
    stepped.settle();
    stepped.flush().unwrap();
    let (_, found, _) = Stepped::recover(&disk.power_cut());
    let message = found.iter().find(|found| found.envelope.id == stored.id).unwrap();
    assert_eq!(message.pending.iter().map(|pending| pending.attempts).collect::<Vec<_>>(), [1, 8]);
}

#[test]
fn a_disk_that_becomes_read_only_refuses_mail_until_it_can_be_written_again() {
    let disk = SimDisk::new(3);
    let (mut stepped, _, _) = Stepped::recover(&disk);
    let before = stepped.append(draft("a@example.org", 1), b"before").unwrap();
    stepped.settle();
    disk.faults(|faults| faults.read_only = true);
    let error = stepped.append(draft("a@example.org", 1), b"text").unwrap_err();
    assert!(matches!(error, SpoolError::ReadOnly { .. }) && error.is_temporary_room(), "{error}");
    for _ in 0..3 {
        stepped.tick();
        assert!(matches!(stepped.spool.health(), Health::ReadOnly(_)));
    }
    assert_eq!(stepped.text(before.location).unwrap(), b"before", "what is there can still be delivered");
    disk.faults(|faults| faults.read_only = false);
    stepped.tick();
    assert_eq!(stepped.spool.health(), Health::Good);
    let after = stepped.append(draft("a@example.org", 1), b"after").unwrap();
    let (_, found, report) = Stepped::recover(&disk.power_cut());
    assert_eq!((ids(&found), report.damage), (vec![before.id, after.id], vec![]));
}

#[test]
fn a_failed_sync_is_final_until_a_restart() {
    type Fault = fn(&mut Faults);
    let cases: [(&str, Fault, usize); 2] = [
        ("of the log", |faults| faults.fail_data_sync = true, 10),
        ("of the directory, for a new file", |faults| faults.fail_dir_sync = true, 9000),
    ];
    for (what, fault, len) in cases {
        let disk = SimDisk::new(3);
        let (mut stepped, _, _) = Stepped::recover(&disk);
        let before = stepped.append(draft("a@example.org", 1), b"before").unwrap();
        let body = stepped.body(&vec![b'x'; len]).unwrap();
        disk.faults(fault);
        let mut append = stepped.begin(draft("b@example.org", 1), body);
        stepped.turn();
        assert!(matches!(poll(&mut append), Poll::Ready(Err(SpoolError::Failing { .. }))), "{what}");
        assert!(matches!(stepped.spool.health(), Health::Failing(_)), "{what}");

        let syncs = disk.data_syncs();
        stepped.settle();
        assert!(matches!(stepped.append(draft("c@example.org", 1), b"x"), Err(SpoolError::Failing { .. })), "{what}");
        assert!(matches!(stepped.append(report_draft(), b"x"), Err(SpoolError::Failing { .. })), "{what}");
        stepped.done(before);
        assert!(matches!(stepped.flush(), Err(SpoolError::Failing { .. })), "{what}");
        assert!(stepped.close().is_err(), "{what}");
        assert_eq!(disk.data_syncs(), syncs, "{what}: a second sync proves nothing");

        // The process starts again, on a machine that did not: what it believes must be on the disk.
        let disk = disk.kill();
        let (mut stepped, found, report) = Stepped::recover(&disk);
        assert!(ids(&found).contains(&before.id), "{what}");
        assert_eq!(report.damage, [], "{what}");
        let after = stepped.append(draft("d@example.org", 1), b"after").unwrap();
        let believed: Vec<_> = ids(&found).into_iter().chain([after.id]).collect();
        let (_, found, report) = Stepped::recover(&disk.power_cut());
        assert_eq!((ids(&found), report.damage), (believed, vec![]), "{what}");
    }
}

#[test]
fn a_text_whose_own_sync_fails_is_refused_and_nothing_else() {
    let disk = SimDisk::new(3);
    let (mut stepped, _, _) = Stepped::recover(&disk);
    disk.faults(|faults| faults.fail_data_sync = true);
    assert!(stepped.body(&[b'x'; 9000]).is_err());
    assert!(!disk.names().iter().any(|name| name.starts_with("body-")));
    stepped.append(draft("a@example.org", 1), &[b'x'; 9000]).unwrap();
}
