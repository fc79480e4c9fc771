//! A spool is read off line, and nothing in it is changed.

use super::simdisk::SimDisk;
use super::*;
use crate::spool::Inspection;

fn look(disk: &SimDisk) -> (Inspection, Vec<Recovered>, RecoveryReport) {
    let (spool, recovery) = Inspection::open(Arc::new(disk.clone())).unwrap();
    let mut found = Vec::new();
    let report = recovery.run(&mut |message| found.push(message)).unwrap();
    (spool, found, report)
}

fn octets(disk: &SimDisk) -> Vec<(String, Vec<u8>)> {
    disk.names().into_iter().map(|name| (name.clone(), disk.octets(&name))).collect()
}

#[test]
fn what_waits_is_what_the_next_start_would_find_and_nothing_is_touched() {
    for seed in 0..40 {
        let disk = SimDisk::new(seed);
        let (mut stepped, _, _) = Stepped::recover(&disk);
        let mut stored = Vec::new();
        for n in 0..12_u8 {
            let len = if n % 4 == 0 { 9000 } else { 300 };
            stored.push(stepped.append(draft(&format!("{n}@example.org"), 2), &vec![n; len]).unwrap());
        }
        stored
            .iter()
            .step_by(3)
            .for_each(|one| stepped.mark(*one, &[(0, deferred(1, "busy")), (1, Outcome::Delivered)]));
        stored.iter().step_by(5).for_each(|one| stepped.done(*one));
        // A write is under way when the power goes: the end may be torn.
        let body = stepped.body(&[b'x'; 3000]).unwrap();
        disk.faults(|faults| faults.power_left = Some((seed % 3) as usize));
        let _under_way = stepped.begin(draft("torn@example.org", 1), body);
        stepped.turn();
        let disk = disk.power_cut();
        if seed % 4 == 0 {
            let place = stored[1].location;
            disk.alter("seg-00000001.log", |octets| octets[place.offset as usize + 40] ^= 1);
        }
        let before = octets(&disk);
        let (spool, mut seen, report) = look(&disk);
        let texts: Vec<_> = seen
            .iter()
            .map(|message| {
                runtime().block_on(async {
                    let (_, mut body) = spool.read(message.location).await.unwrap();
                    let mut text = Vec::new();
                    while let Some(chunk) = body.next_chunk().await.unwrap() {
                        text.extend_from_slice(&chunk);
                    }
                    (message.envelope.id, text)
                })
            })
            .collect();
        assert!(octets(&disk) == before, "seed {seed}: something in the spool was changed");
        // Looked at twice it is the same, and no relay comes between.
        assert!(matches!(Spool::assemble(Arc::new(disk.clone()), options()), Err(SpoolError::Locked { .. })));
        drop(spool);
        let (stepped, mut found, started) = Stepped::recover(&disk);
        seen.sort_by_key(|message| message.envelope.id);
        found.sort_by_key(|message| message.envelope.id);
        assert_eq!((&seen, report.torn_bytes), (&found, started.torn_bytes), "seed {seed}");
        assert_eq!(report.damage.len(), started.damage.len(), "seed {seed}");
        for (id, text) in texts {
            let message = found.iter().find(|message| message.envelope.id == id).unwrap();
            assert_eq!(stepped.text(message.location).unwrap(), text, "seed {seed}");
        }
    }
}
