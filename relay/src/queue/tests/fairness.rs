//! A host with a million messages beside one with three.

use std::time::{Duration, Instant};

use super::*;

/// Messages for the crowded host.
const CROWD: u64 = 1_000_000;

#[test]
fn a_million_messages_for_one_host_delay_three_for_another_by_one_turn() {
    let mut queue = queue();
    let begun = Instant::now();
    for id in 1..=CROWD {
        queue.insert(arrival(id, &["crowded.test"]), START);
    }
    let inserted = begun.elapsed();
    let crowded = open(&mut queue);
    assert_eq!(queue.host_name(crowded), Some("crowded.test"));
    for id in CROWD + 1..=CROWD + 3 {
        queue.insert(arrival(id, &["three.test"]), START);
    }
    // The crowded host is in turn again for its second session; then it is the other's turn, whatever waits.
    let (first, _) = queue.next_host().unwrap();
    let (second, name) = queue.next_host().map(|(id, name)| (id, name.to_owned())).unwrap();
    assert_eq!((first, name.as_str()), (crowded, "three.test"));
    queue.session_opened(second);
    let looked = Instant::now();
    let mut slowest = Duration::ZERO;
    for _ in 0..3 {
        let step = Instant::now();
        let work = queue.take(second, START).unwrap();
        assert!(queue.settle(&work, Settled::Gone));
        queue.succeeded(second);
        slowest = slowest.max(step.elapsed());
    }
    let three = looked.elapsed();
    let looked = Instant::now();
    queue.advance(after(1));
    assert!(queue.take_expired(SignedDuration::from_hours(1_000_000), after(1), 100).is_empty());
    println!(
        "{CROWD} messages put in: {inserted:.1?}; the three taken and settled: {three:.1?}, the slowest {slowest:.1?}; a look \
         at what is due: {:.1?}",
        looked.elapsed()
    );
    // A walk over a million entries takes longer than this by far.
    assert!(slowest < Duration::from_millis(20), "{slowest:?}");
}
