//! What the spool's handles, its writer and its recovery have in common: the storage, the open segments, the health.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;

use super::damage::Register;
use super::error::{Health, SpoolError};
use super::message::{At, Location, MessageId};
use super::report::DamageSummary;
use super::segment::Segment;
use super::stats::Counters;
use super::storage::Storage;

/// Called after each sync of the log, on the writer's thread, with the time it took: it must be quick.
pub type OnSync = Arc<dyn Fn(Duration) + Send + Sync>;

/// How a spool is laid out.
#[derive(Clone)]
pub struct Options {
    /// Octets of a segment: 16 MiB. Larger ones are made less often, smaller ones go back to the file system sooner. Two of
    /// them are always held: the one written to, and a spare that is the reserve for marks and bounces on a full disk.
    pub segment_size: u32,
    /// Octets of text up to which a message is stored in the log itself: 256 KiB. Larger ones get a file of their own,
    /// since copying them in compaction and batching them with others' commits costs more than a file does.
    pub inline_max: u32,
    /// Told of each sync.
    pub on_sync: Option<OnSync>,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_size: 16 * 1024 * 1024, inline_max: 256 * 1024, on_sync: None }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("segment_size", &self.segment_size)
            .field("inline_max", &self.inline_max)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// Smallest and largest segment: room for some records, and an offset that fits its 32 bits.
    const SEGMENT_SIZE: std::ops::RangeInclusive<u32> = 16 * 1024..=1024 * 1024 * 1024;

    pub(super) fn check(&self) -> Result<(), SpoolError> {
        if !Self::SEGMENT_SIZE.contains(&self.segment_size) {
            let value = self.segment_size.into();
            return Err(SpoolError::BadOption { option: "segment_size", value, want: "write 16 KiB to 1 GiB" });
        }
        if self.inline_max > self.segment_size / 4 {
            let value = self.inline_max.into();
            return Err(SpoolError::BadOption {
                option: "inline_max",
                value,
                want: "write at most a quarter of segment_size",
            });
        }
        Ok(())
    }

    /// Octets of an encoded envelope that are stored at most: with its text and the state of all its recipients the record
    /// still fits a fresh segment, whatever happens to it.
    pub(super) fn head_max(&self) -> usize {
        self.segment_size as usize / 16
    }
}

/// The open segments, and where moved messages went.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) segments: HashMap<u32, Arc<Segment>>,
    /// From the place that a message's owner knows to where compaction has put it.
    pub(super) forward: HashMap<At, Location>,
}

/// The common part.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) options: Options,
    pub(super) counters: Counters,
    last_id: AtomicU64,
    next_body: AtomicU64,
    index: RwLock<Index>,
    health: RwLock<Health>,
    damage: Mutex<Register>,
}

impl Shared {
    pub(super) fn new(storage: Arc<dyn Storage>, options: Options, last_id: MessageId, next_body: u64) -> Self {
        Self {
            storage,
            options,
            counters: Counters::default(),
            last_id: AtomicU64::new(last_id.get()),
            next_body: AtomicU64::new(next_body),
            index: RwLock::default(),
            health: RwLock::new(Health::Good),
            damage: Mutex::default(),
        }
    }

    /// An id for a message received at `at`.
    pub(super) fn reserve_id(&self, at: Timestamp) -> MessageId {
        let mut id = MessageId::from_u64(0);
        self.last_id.update(Relaxed, Relaxed, |last| {
            id = MessageId::from_u64(last).next(at);
            id.get()
        });
        id
    }

    /// An id that another spool gave out is in use here: none after it is given out again.
    pub(super) fn note_id(&self, id: MessageId) {
        self.last_id.fetch_max(id.get(), Relaxed);
    }

    /// Every id given out so far is at most this.
    pub(super) fn last_id(&self) -> MessageId {
        MessageId::from_u64(self.last_id.load(Relaxed))
    }

    /// A number for a new body file.
    pub(super) fn next_body(&self) -> u64 {
        self.next_body.fetch_add(1, Relaxed)
    }

    /// Reads the index. Nothing that holds it can panic halfway through a change, so a poisoned lock is still sound.
    pub(super) fn index<T>(&self, read: impl FnOnce(&Index) -> T) -> T {
        read(&self.index.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn index_mut<T>(&self, change: impl FnOnce(&mut Index) -> T) -> T {
        change(&mut self.index.write().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn health(&self) -> Health {
        self.health.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_health(&self, health: Health) {
        *self.health.write().unwrap_or_else(PoisonError::into_inner) = health;
    }

    /// Notes a damaged part of the spool, for whoever watches it.
    pub(super) fn note_damage(&self, file: &str, offset: u64, what: impl fmt::Display) {
        if self.damage.lock().unwrap_or_else(PoisonError::into_inner).note(file, offset, what) {
            self.counters.damaged.fetch_add(1, Relaxed);
        }
    }

    /// As [`Self::note_damage`], when the `error` of reading there is one.
    pub(super) fn note_error(&self, file: &str, offset: u64, error: &SpoolError) {
        if error.is_damage() {
            self.note_damage(file, offset, error);
        }
    }

    pub(super) fn damage(&self) -> Option<DamageSummary> {
        self.damage.lock().unwrap_or_else(PoisonError::into_inner).summary()
    }

    /// Where compaction has put what the owner knows as `location`; `None` when it is where it was, or done.
    pub(super) fn forwarded(&self, location: Location) -> Option<At> {
        self.index(|index| index.forward.get(&location.at()).map(|now| now.at()))
    }

    /// The open segment that has the owner's `location` now, and the place in it. One look under one lock, so a move cannot
    /// come between; the segment stays readable for whoever has it, even after its removal.
    pub(super) fn locate(&self, location: Location) -> Result<(Arc<Segment>, Location), SpoolError> {
        self.index(|index| {
            let now = index.forward.get(&location.at()).copied().unwrap_or(location);
            index.segments.get(&now.segment).map(|segment| (segment.clone(), now))
        })
        .ok_or(SpoolError::NoRecord { segment: location.segment, offset: location.offset })
    }

    pub(super) fn segment(&self, number: u32) -> Option<Arc<Segment>> {
        self.index(|index| index.segments.get(&number).cloned())
    }
}
