//! Counters of the spool, for metrics: written by the writer, read by anybody without waiting.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the histogram of sync times, in seconds: from a RAM disk's to a dying one's. One more bucket has the rest.
pub const SYNC_BUCKETS: [f64; 12] =
    [0.000_125, 0.000_25, 0.000_5, 0.001, 0.002, 0.004, 0.008, 0.016, 0.064, 0.256, 1.0, 4.0];

/// The spool's counters at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stats {
    /// Syncs of the log made since the start (successful ones).
    pub syncs: u64,
    /// Seconds that they took.
    pub sync_seconds: f64,
    /// How many took at most [`SYNC_BUCKETS`]' time, each counted once, in the first bucket that it fits; the last has the rest.
    pub sync_buckets: [u64; SYNC_BUCKETS.len() + 1],
    /// Messages appended since the start.
    pub messages: u64,
    /// Octets of their records and body files.
    pub message_bytes: u64,
    /// Marks written since the start.
    pub marks: u64,
    /// Marks not written yet for want of room; a kill now would cost a duplicate for each.
    pub marks_waiting: u64,
    /// Marks given up for want of room: a restart costs a duplicate for each.
    pub marks_lost: u64,
    /// Octets of records that compaction has copied since the start.
    pub compacted_bytes: u64,
    /// Damaged parts that are known, each counted once: see [`DamageSummary`](super::DamageSummary).
    pub damaged: u64,
    /// Messages that live.
    pub live: u64,
    /// Octets of their records and body files.
    pub bytes_live: u64,
    /// Octets that segments and body files hold on the disk, the room made ahead included.
    pub bytes_held: u64,
    /// Segments on the disk, the spare one included.
    pub segments: u64,
    /// Body files of messages that live.
    pub bodies: u64,
}

/// The counters as they are shared.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) syncs: AtomicU64,
    sync_nanos: AtomicU64,
    sync_buckets: [AtomicU64; SYNC_BUCKETS.len() + 1],
    pub(super) messages: AtomicU64,
    pub(super) message_bytes: AtomicU64,
    pub(super) marks: AtomicU64,
    pub(super) marks_waiting: AtomicU64,
    pub(super) marks_lost: AtomicU64,
    pub(super) compacted_bytes: AtomicU64,
    pub(super) damaged: AtomicU64,
    pub(super) live: AtomicU64,
    pub(super) bytes_live: AtomicU64,
    pub(super) bytes_held: AtomicU64,
    pub(super) segments: AtomicU64,
    pub(super) bodies: AtomicU64,
}

impl Counters {
    pub(super) fn synced(&self, took: Duration) {
        self.syncs.fetch_add(1, Relaxed);
        self.sync_nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        let seconds = took.as_secs_f64();
        let bucket = SYNC_BUCKETS.iter().position(|bound| seconds <= *bound).unwrap_or(SYNC_BUCKETS.len());
        if let Some(bucket) = self.sync_buckets.get(bucket) {
            bucket.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn read(&self) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Relaxed);
        Stats {
            syncs: get(&self.syncs),
            sync_seconds: Duration::from_nanos(get(&self.sync_nanos)).as_secs_f64(),
            sync_buckets: std::array::from_fn(|bucket| self.sync_buckets.get(bucket).map_or(0, get)),
            messages: get(&self.messages),
            message_bytes: get(&self.message_bytes),
            marks: get(&self.marks),
            marks_waiting: get(&self.marks_waiting),
            marks_lost: get(&self.marks_lost),
            compacted_bytes: get(&self.compacted_bytes),
            damaged: get(&self.damaged),
            live: get(&self.live),
            bytes_live: get(&self.bytes_live),
            bytes_held: get(&self.bytes_held),
            segments: get(&self.segments),
            bodies: get(&self.bodies),
        }
    }
}
