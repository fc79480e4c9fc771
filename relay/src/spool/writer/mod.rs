//! The writer: the one place that changes the log. It takes commands in turns; a turn is one write and, when somebody waits for
//! the disk, one sync for all of them.
//!
//! The rules that make a power cut at any moment harmless:
//! - An append is answered only after the sync of its segment; the names of its segment and of its body file are synced before.
//! - A segment is synced to its end before the first record of the next one is written.
//! - What a moved message leaves is given up only after its copy is synced; what a done message leaves in a file of its own, only
//!   after its mark is synced.
//! - A segment goes only after every older one that its marks speak of has gone for good.
//! - A write that met a full disk is cut off again, and nothing of it is answered before the cut is synced. Any other failed
//!   write, and every failed sync, is final: what the disk holds is not known then, and a second sync that succeeds would prove
//!   nothing.

mod commit;
mod compact;
mod room;
mod staging;
mod thread;

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::batch::{Batch, Command, Reply, Standing, UnwrittenMark};
use super::error::{Health, SpoolError};
use super::message::Location;
use super::segment::Segment;
use super::shared::Shared;
use super::table::{BodyRef, Table};

pub(super) use thread::Engine;

/// How long a mark may stay unsynced when nothing else asks for a sync.
const MARK_SYNC: Duration = Duration::from_secs(1);

/// How often a spool without room looks whether there is some again.
const ROOM_RETRY: Duration = Duration::from_secs(1);

/// Pause between two steps of compaction or removal: with [`compact::STEP_BYTES`] it bounds their share of the disk.
const STEP_PAUSE: Duration = Duration::from_millis(50);

/// The segment that is written to.
#[derive(Debug)]
struct Open {
    segment: Arc<Segment>,
    /// Where the next record goes.
    at: u32,
    /// How far it is synced.
    synced: u32,
    /// Where the last seal ends.
    sealed: u32,
}

/// The state of the log.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    tables: BTreeMap<u32, Table>,
    batch: Batch,
    recovering: bool,
    head: Option<Open>,
    /// The next segment, made ahead: so a change of segments costs nothing, and a full disk still has room for marks.
    spare: Option<Arc<Segment>>,
    /// Why there is no spare, or why the last write was cut off.
    short: Option<SpoolError>,
    salt: u64,
    next_segment: u32,
    /// Marks that found no room, in their order.
    waiting: VecDeque<UnwrittenMark>,
    /// Body files to be removed after the next sync.
    condemned: Vec<BodyRef>,
    body_bytes: u64,
    bodies: u64,
    reap_due: bool,
    failed: Option<SpoolError>,
    lock: Option<Box<dyn Any + Send>>,
}

/// What recovery knows when the writer starts.
pub(super) struct Start {
    /// See [`super::record`]: one for the whole spool, so that a segment can be read though its head is damaged.
    pub(super) salt: u64,
    pub(super) next_segment: u32,
    pub(super) lock: Box<dyn Any + Send>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, start: Start) -> Result<Self, SpoolError> {
        let mut writer = Self {
            shared,
            tables: BTreeMap::new(),
            batch: Batch::default(),
            recovering: true,
            head: None,
            spare: None,
            short: None,
            salt: start.salt,
            next_segment: start.next_segment,
            waiting: VecDeque::new(),
            condemned: Vec::new(),
            body_bytes: 0,
            bodies: 0,
            reap_due: false,
            failed: None,
            lock: Some(start.lock),
        };
        // A spool that cannot make a segment for want of room still opens: what it holds must get out to make room.
        writer.provide();
        match writer.failed.take() {
            Some(error) => Err(error),
            None => Ok(writer),
        }
    }

    /// Carries out commands in their order, and commits. Returns whom to tell that it is finished, when one of them said so.
    pub(super) fn turn(&mut self, commands: impl IntoIterator<Item = Command>) -> Option<Reply<()>> {
        self.stage_waiting();
        let (mut close, mut looks) = (None, Vec::new());
        for command in commands {
            match command {
                Command::Append(append) => self.stage_append(*append),
                Command::Mark(mark) => self.stage_mark(mark),
                Command::Flush(reply) => self.stage_flush(reply),
                Command::Look(location, reply) => looks.push((location, reply)),
                Command::Adopt(table) => self.adopt(table),
                Command::Recovered => {
                    self.recovering = false;
                    self.reap_due = true;
                }
                Command::Close(reply) => {
                    close = Some(reply);
                    // What comes after is dropped, and so answered.
                    break;
                }
            }
        }
        self.commit();
        self.publish();
        for (location, reply) in looks {
            // Who does not wait any more need not know.
            let _ = reply.send(self.standing(location));
        }
        close
    }

    /// How a message stands, as the log tells.
    fn standing(&self, location: Location) -> Result<Standing, SpoolError> {
        let at = self.shared.forwarded(location).unwrap_or(location.at());
        let table = self.tables.get(&at.segment);
        let pending = table.and_then(|table| table.pending(at.offset)).cloned();
        let pending = pending.ok_or(SpoolError::NoRecord { segment: at.segment, offset: at.offset })?;
        Ok(Standing { at, pending, deferred_at: table.and_then(|table| table.deferred_at(at.offset)) })
    }

    /// What is done beside commands: see [`Self::rest`].
    pub(super) fn tick(&mut self) {
        self.provide();
        self.stage_waiting();
        self.commit();
        if self.unsynced() {
            self.sync();
        } else {
            self.remove_condemned();
            self.seal();
        }
        self.compact_step();
        self.reap();
        self.publish();
    }

    /// When the next tick is due at the latest; `None` when there is nothing to do.
    pub(super) fn rest(&self) -> Option<Duration> {
        if self.failed.is_some() {
            return None;
        }
        let steps = (self.reap_due && !self.recovering) || self.compaction_due();
        let candidates = [
            steps.then_some(STEP_PAUSE),
            (self.unsynced() || !self.condemned.is_empty() || self.seal_due()).then_some(MARK_SYNC),
            (self.short.is_some() || !self.waiting.is_empty()).then_some(ROOM_RETRY),
        ];
        candidates.into_iter().flatten().min()
    }

    /// Writes and syncs what there is, and gives the lock back. An error tells what of it could not be written.
    pub(super) fn finish(mut self) -> Result<(), SpoolError> {
        self.stage_waiting();
        self.commit();
        if self.unsynced() {
            self.sync();
        }
        self.seal();
        self.sync();
        self.shared.set_health(Health::of(self.failed.as_ref().unwrap_or(&SpoolError::Closed)));
        self.lock = None;
        self.unwritten().map_or(Ok(()), Err)
    }

    fn adopt(&mut self, table: Table) {
        for (offset, _) in table.living() {
            if let Some(body) = table.body(offset) {
                self.body_bytes += body.size;
                self.bodies += 1;
            }
        }
        self.tables.insert(table.number, table);
    }

    /// Copies the state to where metrics read it.
    fn publish(&self) {
        let (mut live, mut live_bytes, mut held) = (0, self.body_bytes, self.body_bytes);
        for table in self.tables.values() {
            live += u64::from(table.live);
            live_bytes += table.live_bytes;
            held += table.bytes;
        }
        let spare = u64::from(self.spare.is_some());
        let counters = &self.shared.counters;
        counters.marks_waiting.store(self.waiting.len() as u64, Relaxed);
        counters.live.store(live, Relaxed);
        counters.bytes_live.store(live_bytes, Relaxed);
        counters.bytes_held.store(held + spare * u64::from(self.shared.options.segment_size), Relaxed);
        counters.segments.store(self.tables.len() as u64 + spare, Relaxed);
        counters.bodies.store(self.bodies, Relaxed);
    }

    /// The number of the segment that is written to.
    fn head_number(&self) -> Option<u32> {
        self.head.as_ref().map(|head| head.segment.head.number)
    }
}
