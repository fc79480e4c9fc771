//! Compaction: copies what lives in the oldest segment to the end of the log, so that the segment, and those that had to wait
//! for it, can go. One held message does not pin gigabytes.
//!
//! It runs on the writer's thread, in steps of at most [`STEP_BYTES`] and 50 ms apart, between commits. So no mark can come
//! between the state that is copied and the copy, and its share of the disk is bounded (20 MiB/s read and written).
//! Owners are not asked and not told: the place they know stays good, and is forwarded.

use super::Writer;
use crate::spool::error::SpoolError;
use crate::spool::message::Location;
use crate::spool::payload::{Head, MovedPart, put_moved};
use crate::spool::pending::gather;
use crate::spool::reader::message;
use crate::spool::record::RECORD_HEAD;
use crate::spool::segment::segment_name;
use crate::spool::storage::read_full_at;
use crate::spool::table::Table;

/// Octets of messages that one step copies.
pub(super) const STEP_BYTES: u64 = 1024 * 1024;

/// Segments' worth of dead records that are left alone: below it, copying costs more than the room is worth.
const SLACK_SEGMENTS: u64 = 4;

impl Writer {
    /// True when the log holds more than twice what lives in it and a constant, and something can be done about it.
    pub(super) fn compaction_due(&self) -> bool {
        if self.recovering || self.failed.is_some() {
            return false;
        }
        let (held, live) =
            self.closed_segments().fold((0, 0), |(held, live), table| (held + table.bytes, live + table.live_bytes));
        held > 2 * live + SLACK_SEGMENTS * u64::from(self.shared.options.segment_size) && self.oldest().is_some()
    }

    fn closed_segments(&self) -> impl Iterator<Item = &Table> {
        let head = self.head_number().unwrap_or(0);
        self.tables.values().filter(move |table| table.number < head && !table.pinned)
    }

    fn oldest(&self) -> Option<u32> {
        self.closed_segments().find(|table| table.live > 0).map(|table| table.number)
    }

    /// Copies some of what lives in the oldest segment, and commits it.
    pub(super) fn compact_step(&mut self) {
        if !self.compaction_due() {
            return;
        }
        let Some(number) = self.oldest() else { return };
        let mut budget = STEP_BYTES;
        let living: Vec<(u32, u32)> = match self.tables.get(&number) {
            Some(table) => table
                .living()
                .take_while(|(_, len)| {
                    // At least one, however large.
                    let within = budget > 0;
                    budget = budget.saturating_sub(u64::from(*len));
                    within
                })
                .collect(),
            None => return,
        };
        for (offset, len) in living {
            match self.copy(Location { segment: number, offset, len }) {
                Ok(()) => {}
                Err(error @ (SpoolError::Damaged { .. } | SpoolError::Io { .. } | SpoolError::TooLarge { .. })) => {
                    // The segment stays as it is: the evidence, and what else can be read of it, are there.
                    self.shared.note_error(&segment_name(number), offset.into(), &error);
                    if let Some(table) = self.tables.get_mut(&number) {
                        table.pinned = true;
                    }
                    break;
                }
                // No room, or failing: a later step, or none.
                Err(_) => break,
            }
        }
        self.commit();
    }

    fn copy(&mut self, at: Location) -> Result<(), SpoolError> {
        let no_record = SpoolError::NoRecord { segment: at.segment, offset: at.offset };
        let segment = self.shared.segment(at.segment).ok_or_else(|| no_record.clone())?;
        let table = self.tables.get(&at.segment).ok_or_else(|| no_record.clone())?;
        let pending = table.pending(at.offset).ok_or(no_record)?.clone();
        let last = table.deferred_at(at.offset);

        let mut record = vec![0; at.len as usize];
        let read = read_full_at(&*segment.file, at.offset.into(), &mut record)
            .map_err(|error| SpoolError::io("read", &segment.name, error))?;
        record.truncate(read);
        let (head, text) = message(&segment, at, record)?;
        let base = head.moved.as_ref().map(|moved| moved.pending.as_slice()).unwrap_or_default();
        let states = gather(&self.shared, head.envelope.id, at.at(), &pending, base, last);

        let mut moved = MovedPart { from: at.at(), pending: states };
        let mut frame = frame(&head, &moved);
        if frame.len() > self.shared.options.segment_size as usize / 2 {
            // Thousands of recipients, each with a long complaint: when each is due matters, the words do not.
            for error in moved.pending.iter_mut().filter_map(|pending| pending.error.as_mut()) {
                error.code.clear();
                error.text.clear();
            }
            frame = self::frame(&head, &moved);
        }
        self.stage_move(head.envelope.id, at.at(), frame, text, pending)
    }
}

fn frame(head: &Head, moved: &MovedPart) -> Vec<u8> {
    let mut frame = vec![0; RECORD_HEAD];
    put_moved(&mut frame, &head.envelope, head.file, moved);
    frame
}
