//! Ids of sessions, so that all records of one can be found.

use std::{
    fmt,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use jiff::Timestamp;

/// A session's id: different from all others of this process, and nearly always from those of the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionId(u64);

static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| {
    // Counted on from the second in which the process began, in steps of 2^20 sessions.
    AtomicU64::new(u64::try_from(Timestamp::now().as_second()).unwrap_or(0) << 20)
});

impl SessionId {
    /// The next one.
    #[must_use]
    pub fn next() -> SessionId {
        SessionId(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S{:013X}", self.0)
    }
}
