//! The whole relay under power cuts: clients, SMTP in, spool, queue, delivery and hosts, on a simulated disk, network and clock.
//!
//! One thread does everything, in an order that the seed decides: the disk loses, tears and reorders what is not synced
//! (`spool::tests::simdisk`), connections are socket pairs whose other ends are tasks of the simulation, and time passes only
//! when everybody waits. The relay's own code is the one that runs outside, but for the thread of the spool's writer.
//!
//! `MAILSLUICE_TEST_SEEDS` says how many seeds are run, `MAILSLUICE_TEST_SEED` replays a single one.

mod client;
mod host;
mod life;
mod world;

use std::time::Instant;

use crate::spool::tests::simdisk::Faults;
use world::{Seen, World};

/// Lives of one relay that end by a power cut; one more follows in which all hosts are well, and everything must arrive.
const LIVES: usize = 3;

/// One relay's lives; what was seen, or what was promised and not kept.
fn lives(seed: u64, faults: &Faults) -> Result<Seen, String> {
    let world = World::new(seed);
    let mut disk = world.disk(faults);
    for _ in 0..LIVES {
        disk = life::until_a_cut(&world, &disk);
    }
    life::until_all_is_delivered(&world, &disk);
    world.verdict()
}

/// The disk of a seed: one that keeps its word.
fn honest(seed: u64) -> Faults {
    Faults { cannot_preallocate: seed.is_multiple_of(5), ..Faults::default() }
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

#[test]
fn no_power_cut_loses_a_message_that_was_answered_250_or_repeats_one_whose_mark_was_durable() {
    if let Some(seed) = setting("MAILSLUICE_TEST_SEED") {
        println!("{:#?}", lives(seed, &honest(seed)).unwrap_or_else(|error| panic!("seed {seed}: {error}")));
        return;
    }
    let seeds = setting("MAILSLUICE_TEST_SEEDS").unwrap_or(500);
    let begun = Instant::now();
    let mut all = Seen::default();
    let mut failures = Vec::new();
    for seed in 0..seeds {
        match lives(seed, &honest(seed)) {
            Ok(seen) => all += seen,
            Err(error) => {
                println!("MAILSLUICE_TEST_SEED={seed} replays this: {error}");
                failures.push(seed);
            }
        }
    }
    println!("{seeds} seeds in {:.1?}, failures: {failures:?}; {all:?}", begun.elapsed());
    assert!(failures.is_empty(), "seeds {failures:?}");
    // A simulation that never met its subject proves nothing.
    let Seen { answered, arrived, repeated, bounced, large, cuts, cut_at_work, recovered, .. } = all;
    assert!(answered > 10 * seeds && arrived > answered && bounced > seeds && large > seeds, "{all:?}");
    assert!(cuts >= 3 * seeds && cut_at_work > seeds / 4 && recovered > 3 * seeds && repeated > 0, "{all:?}");
}

/// The test above must be able to fail.
#[test]
fn a_disk_that_lies_about_its_syncs_is_found_to_lose_mail() {
    for (what, faults) in [
        ("data", Faults { data_sync_lies: true, ..Faults::default() }),
        ("names", Faults { dir_sync_lies: true, ..Faults::default() }),
    ] {
        let failures: Vec<String> = (0..20).filter_map(|seed| lives(seed, &faults).err()).collect();
        let losses = failures.iter().filter(|error| error.contains(world::LOST)).count();
        println!("syncs of {what} that lie: {} of 20 seeds fail, {losses} of them by a loss", failures.len());
        assert!(losses > 5, "{failures:#?}");
    }
}

#[test]
fn a_copy_is_excused_only_by_a_cut_before_its_mark_was_durable_or_by_a_host_that_gave_no_answer() {
    // Whether the first copy was answered, whether a cut followed, whether the message was answered and arrived at all.
    let cases = [
        (true, false, 2, Err("came again though its mark was durable")),
        (true, true, 2, Ok(1)),
        (false, false, 2, Ok(1)),
        (true, false, 1, Ok(0)),
        (true, true, 0, Err(world::LOST)),
    ];
    for (answered, cut, copies, want) in cases {
        let world = World::new(1);
        let (number, recipients, text) = world.compose(&mut world.rng());
        world.answered(number);
        for copy in 0..copies {
            world.arrived(&recipients, &text);
            if answered {
                world.acknowledged(&recipients);
            }
            if cut && copy == 0 {
                world.ended(true);
            }
        }
        match (world.verdict(), want) {
            (Ok(seen), Ok(repeated)) => assert_eq!(seen.repeated, repeated * recipients.len() as u64),
            (Err(error), Err(words)) => assert!(error.contains(words), "{error}"),
            (verdict, want) => panic!("{verdict:?} and not {want:?}"),
        }
    }
}

#[test]
fn a_seed_gives_the_same_course_every_time() {
    for seed in 0..10 {
        let course = || format!("{:?}", lives(seed, &honest(seed)));
        assert_eq!(course(), course(), "seed {seed}");
    }
}
