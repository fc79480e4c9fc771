//! A torn tail is tolerated, and nothing else: what is damaged is set aside and reported, and all the rest is found.

use super::simdisk::SimDisk;
use super::*;
use crate::spool::record::{RECORD_HEAD, SEGMENT_HEAD};

/// A spool with some messages in its first segment, and the end of the log.
struct Scene {
    disk: SimDisk,
    stored: Vec<Stored>,
}

const FIRST: &str = "seg-00000001.log";

impl Scene {
    /// Messages that were all answered, and a process that was killed then; or that came to rest before.
    fn new(texts: &[&[u8]], rested: bool) -> Self {
        let disk = SimDisk::new(1);
        let (mut stepped, _, _) = Stepped::recover(&disk);
        let stored = texts.iter().map(|text| stepped.append(draft("a@example.org", 1), text).unwrap()).collect();
        if rested {
            stepped.tick();
            stepped.tick();
        }
        Self { disk: disk.power_cut(), stored }
    }

    fn ids_but(&self, missing: &[usize]) -> Vec<MessageId> {
        let left = self.stored.iter().enumerate().filter(|(index, _)| !missing.contains(index));
        left.map(|(_, stored)| stored.id).collect()
    }
}

const TEXTS: [&[u8]; 4] = [b"the first", b"the second", b"the third", b"the last"];

#[test]
fn a_tail_that_is_torn_anywhere_is_cut_off_without_a_word_of_damage() {
    let place = Scene::new(&TEXTS, false).stored[3].location;
    for kept in (0..place.len).step_by(7) {
        for garbage in [0x00, 0x5a] {
            let scene = Scene::new(&TEXTS, false);
            scene.disk.alter(FIRST, |octets| {
                octets[(place.offset + kept) as usize..(place.offset + place.len) as usize].fill(garbage);
            });
            let (stepped, found, report) = Stepped::recover(&scene.disk);
            let case = format!("{kept} octets kept, then {garbage:#x}");
            assert_eq!(ids(&found), scene.ids_but(&[3]), "{case}");
            assert_eq!(report.damage, [], "{case}");
            assert!(report.torn_bytes > 0 || kept == 0, "{case}");
            // And what was tolerated once is not found again, as damage, when more has been written behind it.
            drop(stepped);
            let (mut stepped, _, _) = Stepped::recover(&scene.disk.kill());
            stepped.append(draft("b@example.org", 1), b"more").unwrap();
            let (_, found, report) = Stepped::recover(&scene.disk.kill());
            assert_eq!(found.len(), 3, "{case}");
            assert_eq!((report.torn_bytes, report.damage), (0, vec![]), "{case}");
        }
    }
}

#[test]
fn a_write_of_which_only_the_end_reached_the_disk_is_torn_too_and_its_end_is_kept() {
    let disk = SimDisk::new(1);
    let (mut stepped, _, _) = Stepped::recover(&disk);
    let bodies: Vec<Body> = TEXTS.iter().map(|text| stepped.body(text).unwrap()).collect();
    let mut appends: Vec<Appending> =
        bodies.into_iter().map(|body| stepped.begin(draft("a@example.org", 1), body)).collect();
    stepped.turn();
    let stored: Vec<Stored> = appends
        .iter_mut()
        .map(|append| match poll(append) {
            Poll::Ready(Ok(stored)) => stored,
            other => panic!("{other:?}"),
        })
        .collect();
    let disk = disk.kill();
    let hole = stored[1].location;
    disk.alter(FIRST, |octets| octets[hole.offset as usize..(hole.offset + hole.len) as usize].fill(0));

    let (mut stepped, found, report) = Stepped::recover(&disk);
    assert_eq!(ids(&found), [stored[0].id, stored[2].id, stored[3].id]);
    assert_eq!((report.torn_bytes, report.damage), (u64::from(hole.len), vec![]));
    stepped.append(draft("b@example.org", 1), b"more").unwrap();
    let (_, found, report) = Stepped::recover(&disk.power_cut());
    assert_eq!((found.len(), report.torn_bytes, report.damage), (4, 0, vec![]));
}

/// Which octet of a record is changed.
#[derive(Debug, Clone, Copy)]
enum Spot {
    Marker,
    Length,
    Id,
    HeaderCrc,
    Envelope,
    LastOctet,
}

impl Spot {
    fn of(self, place: Location) -> usize {
        let within = match self {
            Self::Marker => 0,
            Self::Length => 5,
            Self::Id => 18,
            Self::HeaderCrc => RECORD_HEAD - 1,
            Self::Envelope => RECORD_HEAD + 9,
            Self::LastOctet => place.len as usize - 1,
        };
        place.offset as usize + within
    }
}

#[test]
fn a_damaged_record_is_reported_and_costs_no_other() {
    use Spot::*;
    // Which record, where in it, whether its id can be told.
    let cases = [
        (0, Marker, false),
        (0, LastOctet, true),
        (1, Marker, false),
        (1, Length, false),
        (1, Id, false),
        (1, HeaderCrc, false),
        (1, Envelope, true),
        (1, LastOctet, true),
        (3, Marker, false),
        (3, LastOctet, true),
    ];
    for (index, spot, id_known) in cases {
        let scene = Scene::new(&TEXTS, true);
        let Stored { id, location } = scene.stored[index];
        scene.disk.alter(FIRST, |octets| octets[spot.of(location)] ^= 0x20);
        let damaged = scene.disk.octets(FIRST)[location.offset as usize..][..location.len as usize].to_vec();

        let (_, found, report) = Stepped::recover(&scene.disk);
        let case = format!("record {index}, {spot:?}");
        assert_eq!(ids(&found), scene.ids_but(&[index]), "{case}");
        assert_eq!(report.torn_bytes, 0, "{case}");
        let [damage] = report.damage.as_slice() else { panic!("{case}: {:?}", report.damage) };
        assert_eq!((&*damage.file, damage.offset), (FIRST, u64::from(location.offset)), "{case}");
        assert_eq!((damage.id, damage.len), (id_known.then_some(id), u64::from(location.len)), "{case}");
        let saved = damage.saved.as_deref().unwrap();
        assert_eq!(scene.disk.octets(saved), damaged, "{case}");
        assert!(damage.to_string().contains(saved), "{case}");
    }
}

#[test]
fn what_was_set_aside_outlives_its_segment() {
    let scene = Scene::new(&TEXTS, true);
    let place = scene.stored[1].location;
    scene.disk.alter(FIRST, |octets| octets[Spot::LastOctet.of(place)] ^= 1);
    let (mut stepped, found, report) = Stepped::recover(&scene.disk);
    for message in found {
        stepped.done(Stored { id: message.envelope.id, location: message.location });
    }
    stepped.settle();
    assert!(!scene.disk.names().contains(&FIRST.to_owned()), "{:?}", scene.disk.names());
    let (_, found, again) = Stepped::recover(&scene.disk.power_cut());
    assert_eq!((found.len(), again.damage), (0, vec![]));
    assert!(scene.disk.names().iter().any(|name| Some(name.as_str()) == report.damage[0].saved.as_deref()));
}

#[test]
fn what_is_damaged_is_counted_once_and_not_forgotten_by_a_restart_until_it_is_removed() {
    let scene = Scene::new(&TEXTS, true);
    for index in [0, 2] {
        scene.disk.alter(FIRST, |octets| octets[Spot::LastOctet.of(scene.stored[index].location)] ^= 1);
    }
    let (mut stepped, found, report) = Stepped::recover(&scene.disk);
    let summary = stepped.spool.damage().unwrap();
    assert_eq!((summary.records, stepped.spool.stats().damaged), (2, 2));
    assert!(summary.first.contains(FIRST), "{}", summary.first);
    for message in found {
        stepped.done(Stored { id: message.envelope.id, location: message.location });
    }
    stepped.settle();
    drop(stepped);
    // The segment has gone, and with it what recovery could find; what was set aside has not.
    let disk = scene.disk.kill();
    assert!(!disk.names().contains(&FIRST.to_owned()));
    let (stepped, _, again) = Stepped::recover(&disk);
    assert_eq!((again.damage.len(), stepped.spool.damage().unwrap().records), (0, 2));
    drop(stepped);
    let disk = disk.kill();
    report.damage.iter().for_each(|damage| disk.discard(damage.saved.as_deref().unwrap()));
    assert_eq!(Stepped::recover(&disk).0.spool.damage(), None);
}

#[test]
fn what_is_found_damaged_when_it_is_read_is_counted_once() {
    let scene = Scene::new(&[b"small", &[7; 9000]], true);
    let (stepped, found, _) = Stepped::recover(&scene.disk);
    assert_eq!(stepped.spool.damage(), None);
    let body = scene.disk.names().into_iter().find(|name| name.starts_with("body-")).unwrap();
    scene.disk.alter(&body, |octets| octets[4000] ^= 1);
    scene.disk.alter(FIRST, |octets| octets[Spot::LastOctet.of(scene.stored[0].location)] ^= 1);
    for _ in 0..2 {
        found.iter().for_each(|message| drop(stepped.text(message.location).unwrap_err()));
        assert_eq!(stepped.spool.damage().unwrap().records, 2);
    }
    stepped.spool.note_unusable(found[0].location, "known already");
    assert_eq!(stepped.spool.damage().unwrap().records, 2);
}

#[test]
fn a_damaged_segment_without_room_to_save_the_damage_is_kept() {
    let scene = Scene::new(&TEXTS, true);
    let place = scene.stored[1].location;
    scene.disk.alter(FIRST, |octets| octets[Spot::LastOctet.of(place)] ^= 1);
    scene.disk.faults(|faults| faults.capacity = Some(0));
    let (mut stepped, found, report) = Stepped::recover(&scene.disk);
    assert_eq!((report.damage.len(), report.damage[0].saved.is_none()), (1, true));
    scene.disk.faults(|faults| faults.capacity = None);
    for message in found {
        stepped.done(Stored { id: message.envelope.id, location: message.location });
    }
    stepped.settle();
    assert!(scene.disk.names().contains(&FIRST.to_owned()));
}

#[test]
fn a_segment_whose_head_is_damaged_is_read_all_the_same() {
    for octet in [0, 9, 13, 17, 25, 40, 63] {
        let scene = Scene::new(&TEXTS, true);
        scene.disk.alter(FIRST, |octets| octets[octet] ^= 0x81);
        let (stepped, found, report) = Stepped::recover(&scene.disk);
        assert_eq!(ids(&found), scene.ids_but(&[]), "octet {octet}");
        assert_eq!(report.damage.len(), 1, "octet {octet}: {:?}", report.damage);
        for (message, text) in found.iter().zip(TEXTS) {
            assert_eq!(stepped.text(message.location).as_deref(), Ok(text), "octet {octet}");
        }
    }
}

#[test]
fn a_segment_that_is_nothing_but_noise_is_moved_aside() {
    let scene = Scene::new(&TEXTS, true);
    scene.disk.alter(FIRST, |octets| octets.fill(0xa5));
    let (mut stepped, found, report) = Stepped::recover(&scene.disk);
    assert_eq!(found, []);
    assert_eq!(report.damage[0].saved.as_deref(), Some("damaged-seg-00000001.log"));
    let stored = stepped.append(draft("b@example.org", 1), b"goes on").unwrap();
    let (_, found, report) = Stepped::recover(&scene.disk.power_cut());
    assert_eq!((ids(&found), report.damage), (vec![stored.id], vec![]));
}

#[test]
fn octets_that_the_disk_cannot_read_cost_only_the_records_that_they_are_in() {
    let long = [b'x'; 3500];
    let scene = Scene::new(&[&long, &long, &long, &long], true);
    let place = scene.stored[1].location;
    let block = u64::from(place.offset + 1000);
    scene.disk.faults(|faults| faults.unreadable = Some((FIRST.to_owned(), block..block + 1)));
    let (_, found, report) = Stepped::recover(&scene.disk);
    // Reading gives up 4 KiB at once: at most two records of this size.
    assert_eq!(ids(&found), scene.ids_but(&[1, 2]));
    assert!(!report.damage.is_empty());
}

#[test]
fn a_large_text_that_is_missing_or_cut_is_reported_with_its_message() {
    type Break = fn(&SimDisk, &str);
    let cases: [(&str, Break); 2] = [
        ("missing", |disk, name| drop(crate::spool::Storage::remove(disk, name))),
        ("cut", |disk, name| disk.alter(name, |octets| octets.truncate(5000))),
    ];
    for (what, break_it) in cases {
        let scene = Scene::new(&[b"small", &[7; 9000], b"small too"], true);
        let name = scene.disk.names().into_iter().find(|name| name.starts_with("body-")).unwrap();
        break_it(&scene.disk, &name);
        let (_, found, report) = Stepped::recover(&scene.disk);
        assert_eq!(ids(&found), scene.ids_but(&[1]), "{what}");
        assert_eq!(
            report.damage.iter().map(|damage| damage.id).collect::<Vec<_>>(),
            [Some(scene.stored[1].id)],
            "{what}"
        );
        assert_eq!(scene.disk.names().contains(&format!("damaged-{name}")), what == "cut", "{what}");
    }
}

#[test]
fn a_text_that_is_not_what_it_was_is_never_given_out_to_its_end() {
    let scene = Scene::new(&[&[7; 9000]], true);
    let name = scene.disk.names().into_iter().find(|name| name.starts_with("body-")).unwrap();
    scene.disk.alter(&name, |octets| octets[4000] ^= 1);
    let (stepped, found, _) = Stepped::recover(&scene.disk);
    let error = stepped.text(found[0].location).unwrap_err();
    assert!(error.contains("checksum"), "{error}");
}

#[test]
fn a_damaged_outcome_costs_a_duplicate_and_no_message() {
    let disk = SimDisk::new(1);
    let (mut stepped, _, _) = Stepped::recover(&disk);
    let first = stepped.append(draft("a@example.org", 1), b"one").unwrap();
    let end = first.location.offset + first.location.len;
    stepped.done(first);
    let second = stepped.append(draft("b@example.org", 1), b"two").unwrap();
    (0..3).for_each(|_| stepped.tick());
    let disk = disk.power_cut();
    disk.alter(FIRST, |octets| octets[end as usize + RECORD_HEAD] ^= 1);
    let (_, found, report) = Stepped::recover(&disk);
    assert_eq!(ids(&found), [first.id, second.id]);
    assert_eq!(report.damage[0].id, Some(first.id));
    assert!(report.damage[0].what.contains("twice"));
}

#[test]
fn a_spool_of_a_later_version_is_left_as_it_is() {
    let scene = Scene::new(&TEXTS, true);
    scene.disk.alter(FIRST, |octets| octets[8] = 2);
    let before = scene.disk.octets(FIRST);
    let error = Stepped::open(&scene.disk).err().unwrap();
    assert!(matches!(error, SpoolError::UnsupportedFormat { found: 2, supported: 1, .. }), "{error}");
    assert_eq!(scene.disk.octets(FIRST), before);
}

#[test]
fn a_segment_whose_birth_a_kill_has_cut_off_is_swept() {
    let cases = [("empty", 0), ("without a head", 0x4000), ("with half a head", 0x4000)];
    for (what, len) in cases {
        let scene = Scene::new(&TEXTS, true);
        let file = crate::spool::Storage::create(&scene.disk, "seg-00000009.log").unwrap();
        file.preallocate(len).unwrap();
        if what == "with half a head" {
            let half = &scene.disk.octets(FIRST)[..SEGMENT_HEAD / 2];
            file.write_at(0, &[std::io::IoSlice::new(half)]).unwrap();
        }
        let (mut stepped, found, report) = Stepped::recover(&scene.disk);
        assert_eq!((ids(&found), report.damage, report.swept), (scene.ids_but(&[]), vec![], 1), "{what}");
        stepped.append(draft("b@example.org", 1), b"more").unwrap();
    }
}

#[test]
fn files_of_texts_that_were_never_answered_for_are_swept_and_foreign_files_are_not() {
    let scene = Scene::new(&[&[7; 9000]], true);
    for name in ["body-00000000000000ff", "lost+found", "body-x", "damaged-body-0000000000000002"] {
        crate::spool::Storage::create(&scene.disk, name).unwrap();
    }
    let (stepped, found, report) = Stepped::recover(&scene.disk);
    assert_eq!(report.swept, 1);
    let names = scene.disk.names();
    for name in ["lost+found", "body-x", "damaged-body-0000000000000002"] {
        assert!(names.iter().any(|other| other == name), "{name}");
    }
    assert_eq!(stepped.text(found[0].location).unwrap(), [7; 9000]);
}
