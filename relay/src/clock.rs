//! The clock on the wall, in one place, so that a simulation can have its own; and [`steps`], which notices that it is set.

pub mod steps;

use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use steps::Steps;

/// The moment now.
#[must_use]
pub fn now() -> Timestamp {
    #[cfg(test)]
    if let Some(now) = simulated::now() {
        return now;
    }
    Timestamp::now()
}

/// The clock on the wall, watched for being set.
#[derive(Debug)]
pub struct Watch(Mutex<Steps>);

impl Watch {
    /// From here on.
    #[must_use]
    pub fn start() -> Watch {
        Watch(Mutex::new(Steps::new(now(), Instant::now())))
    }

    /// The moment by which it is judged how old mail is: now, unless the clock was set forward a short while ago.
    #[must_use]
    pub fn now_for_ages(&self) -> Timestamp {
        self.look(|steps| steps.look(now(), Instant::now()))
    }

    /// By how much the clock was set since this was asked last: forward, or back where it is negative.
    #[must_use]
    pub fn take_step(&self) -> Option<SignedDuration> {
        self.look(|steps| {
            steps.look(now(), Instant::now());
            steps.take_step()
        })
    }

    fn look<T>(&self, look: impl FnOnce(&mut Steps) -> T) -> T {
        // Nothing that is done under this lock panics half way.
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
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
