//! The clock on the wall, in one place, so that a simulation can have its own.

use jiff::Timestamp;

/// The moment now.
#[must_use]
pub fn now() -> Timestamp {
    #[cfg(test)]
    if let Some(now) = simulated::now() {
        return now;
    }
    Timestamp::now()
}

/// The clock of a simulation: it stands still but for what the simulation waits.
#[cfg(test)]
pub(crate) mod simulated {
    use std::cell::Cell;

    use jiff::Timestamp;
    use tokio::time::Instant;

    thread_local! {
        static START: Cell<Option<(Timestamp, Instant)>> = const { Cell::new(None) };
    }

    /// From here on it is `at` plus the time that passes in this thread's runtime.
    pub(crate) fn start(at: Timestamp) {
        START.set(Some((at, Instant::now())));
    }

    /// The clock on the wall again.
    pub(crate) fn stop() {
        START.set(None);
    }

    pub(super) fn now() -> Option<Timestamp> {
        START.get().map(|(at, since)| at + since.elapsed())
    }
}
