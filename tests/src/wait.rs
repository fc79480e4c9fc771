//! Waiting for what must become so, with a word for it when it does not.

use std::{
    fmt::Debug,
    thread,
    time::{Duration, Instant},
};

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(20);

/// What `look` finds as soon as it finds something; panics with `what` when that takes longer than `limit`.
pub fn until_some<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what}: not so after {limit:?}");
        thread::sleep(INTERVAL);
    }
}

/// Waits until `look` gives `wanted`; panics with `what` and the last value when that takes longer than `limit`.
pub fn until_equal<T: PartialEq + Debug>(limit: Duration, what: &str, wanted: T, mut look: impl FnMut() -> T) {
    let end = Instant::now() + limit;
    loop {
        let found = look();
        if found == wanted {
            return;
        }
        assert!(Instant::now() < end, "{what}: {found:?} and not {wanted:?} after {limit:?}");
        thread::sleep(INTERVAL);
    }
}
