//! Staging: from a command to its octets in the batch. Nothing is written here, unless the segment is full.

use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;

use super::room::Class;
use super::{Open, Writer};
use crate::spool::batch::{Append, Reply, StagedAppend, StagedMark, StagedMove, UnwrittenMark};
use crate::spool::error::SpoolError;
use crate::spool::message::{At, Location, Mark, MessageId, Outcome, Purpose, Stored};
use crate::spool::payload::{OUTCOME_MAX, format, put_mark};
use crate::spool::recipients::RecipientSet;
use crate::spool::record::{Header, Kind, RECORD_HEAD, SEGMENT_HEAD};
use crate::spool::table::{BodyRef, NewEntry};

/// Marks that wait in memory for room at most. Beyond it the oldest are given up: each costs a duplicate after a restart.
const MARKS_WAITING_MAX: usize = 100_000;

impl Writer {
    pub(super) fn stage_append(&mut self, append: Append) {
        if append.reply.is_closed() {
            return;
        }
        let need = append.frame.len() as u64 + append.text.len() as u64;
        let class = match append.purpose {
            Purpose::Client => Class::Client,
            Purpose::Report => Class::Own,
        };
        if let Err(error) = self.make_room(need, class) {
            let _ = append.reply.send(Err(error));
            return;
        }
        let Append { id, kind, mut frame, text, file, payload_crc, recipients, reply, commands, .. } = append;
        let Some(location) = self.frame(kind, id, payload_crc, &mut frame, text.len()) else {
            return;
        };
        self.batch.push(frame.into());
        self.batch.push(text);
        self.batch.sync_dir |= file.is_some();
        let entry = NewEntry {
            offset: location.offset,
            len: location.len,
            pending: RecipientSet::first(recipients),
            deferred_at: None,
            body: file.as_ref().map(|file| BodyRef { number: file.reference().number, size: file.size }),
            handle: None,
        };
        let stored = Stored { id, location };
        self.batch.appends.push(StagedAppend { stored, entry, recipients, file, reply, commands });
    }

    pub(super) fn stage_mark(&mut self, mut mark: Mark) {
        // However many recipients a mark has, it must fit a segment.
        let most = (self.shared.options.segment_size as usize / 4 / OUTCOME_MAX).max(1);
        while mark.outcomes.len() > most {
            let outcomes = mark.outcomes.drain(..most).collect();
            self.stage_one_mark(Mark { outcomes, ..mark });
        }
        self.stage_one_mark(mark);
    }

    fn stage_one_mark(&mut self, mark: Mark) {
        let target = self.shared.forwarded(mark.location).unwrap_or(mark.location.at());
        let lives = self.tables.get(&target.segment).is_some_and(|table| table.pending(target.offset).is_some());
        if !lives || mark.outcomes.is_empty() {
            return;
        }
        // The outcomes count from now on, whether or not there is room to write them.
        let body = self.settle(target, &mark.outcomes);
        let mark = UnwrittenMark { mark, target, body };
        // None overtakes those that wait: of two outcomes for a recipient the later one must be the later in the log.
        if self.waiting.is_empty() {
            if let Err(mark) = self.put_mark(mark) {
                self.wait_for_room(mark);
            }
        } else {
            self.wait_for_room(mark);
        }
    }

    /// Tries again with the marks that found no room.
    pub(super) fn stage_waiting(&mut self) {
        if self.failed.is_some() {
            return;
        }
        for _ in 0..self.waiting.len() {
            let Some(mark) = self.waiting.pop_front() else { return };
            let behind = self.waiting.len();
            if let Err(mark) = self.put_mark(mark) {
                // Those before it that came back meanwhile are at the front again.
                self.waiting.insert(self.waiting.len().saturating_sub(behind), mark);
                return;
            }
        }
    }

    /// Puts a mark into the batch; gives it back when there is no room.
    fn put_mark(&mut self, mark: UnwrittenMark) -> Result<(), UnwrittenMark> {
        // A message that is done is not forwarded any more, but the mark remembers where it was.
        let target = self.shared.forwarded(mark.mark.location).unwrap_or(mark.target);
        let Some(previous) = self.last_deferral(target) else {
            // The segment has gone while the mark waited, and the message with it: nothing is left to be told.
            self.condemned.extend(mark.body);
            return Ok(());
        };
        let mut frame = vec![0; RECORD_HEAD];
        put_mark(&mut frame, target, previous, &mark.mark.outcomes);
        let waiting = self.waiting.len();
        // Making room may write the batch; a write that fails takes the marks in it back, and this one may not overtake them.
        if self.make_room(frame.len() as u64, Class::Mark).is_err() || self.waiting.len() > waiting {
            return Err(mark);
        }
        let crc = crc32c::crc32c(frame.get(RECORD_HEAD..).unwrap_or_default());
        let Some(location) = self.frame(Kind::Mark, mark.mark.id, crc, &mut frame, 0) else { return Err(mark) };
        self.batch.push(frame.into());
        if let Some(table) = self.tables.get_mut(&target.segment)
            && mark.mark.outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Deferred(_)))
        {
            table.set_deferred_at(target.offset, Some(location.at()));
        }
        self.refer(location.segment, target.segment);
        self.batch.marks.push(StagedMark { mark, target, deferred_before: previous });
        Ok(())
    }

    /// The last mark that deferred a recipient of the message at `target`; nothing at all when its segment has gone.
    fn last_deferral(&self, target: At) -> Option<Option<At>> {
        self.tables.get(&target.segment).map(|table| table.deferred_at(target.offset))
    }

    fn wait_for_room(&mut self, mark: UnwrittenMark) {
        self.waiting.push_back(mark);
        if self.waiting.len() > MARKS_WAITING_MAX {
            // Its text stays too: after a restart the message is there again, and whole.
            self.waiting.pop_front();
            self.shared.counters.marks_lost.fetch_add(1, Relaxed);
        }
    }

    /// Stages a message that compaction moves. The caller has seen to it that it lives.
    pub(super) fn stage_move(
        &mut self,
        id: MessageId,
        from: At,
        mut frame: Vec<u8>,
        text: Bytes,
        pending: RecipientSet,
    ) -> Result<(), SpoolError> {
        self.make_room(frame.len() as u64 + text.len() as u64, Class::Own)?;
        let payload_crc = crc32c::crc32c_append(crc32c::crc32c(frame.get(RECORD_HEAD..).unwrap_or_default()), &text);
        let Some(to) = self.frame(Kind::Moved, id, payload_crc, &mut frame, text.len()) else {
            return Err(SpoolError::Closed);
        };
        self.batch.push(frame.into());
        self.batch.push(text);
        let table = self.tables.get(&from.segment);
        let entry = NewEntry {
            offset: to.offset,
            len: to.len,
            pending,
            deferred_at: None,
            body: table.and_then(|table| table.body(from.offset)),
            handle: Some(table.and_then(|table| table.handle(from.offset)).unwrap_or(from)),
        };
        self.refer(to.segment, from.segment);
        self.batch.moves.push(StagedMove { from, to, entry });
        Ok(())
    }

    pub(super) fn stage_flush(&mut self, reply: Reply<()>) {
        match self.unwritten() {
            Some(error) => drop(reply.send(Err(error))),
            None => self.batch.flushes.push(reply),
        }
    }

    /// Why something that was told to the writer is not even in the batch.
    pub(super) fn unwritten(&self) -> Option<SpoolError> {
        let waits = || SpoolError::Full { reason: "outcomes wait for room".into() };
        let short = || (!self.waiting.is_empty()).then(|| self.short.clone().unwrap_or_else(waits));
        self.failed.clone().or_else(short)
    }

    /// The log comes to rest: says so in it, so that whatever is found damaged before this point is known to be no torn tail.
    pub(super) fn seal(&mut self) {
        if !self.seal_due() {
            return;
        }
        let mut frame = vec![0; RECORD_HEAD];
        let crc = crc32c::crc32c(&[]);
        if let Some(seal) = self.frame(Kind::Seal, self.shared.last_id(), crc, &mut frame, 0) {
            self.batch.push(frame.into());
            self.commit();
            if let Some(head) = self.head.as_mut().filter(|head| head.at == seal.offset + seal.len) {
                head.sealed = head.at;
            }
        }
    }

    /// True when everything is synced, and nothing in the log says so. A full segment needs no seal: the next one tells.
    pub(super) fn seal_due(&self) -> bool {
        let due = |head: &Open| head.synced == head.at && head.at > head.sealed && head.at > SEGMENT_HEAD as u32;
        self.failed.is_none() && self.head.as_ref().is_some_and(due) && self.fits(RECORD_HEAD as u64, Class::Mark)
    }

    /// Puts the header to the front of `frame`; says where the record goes, that has `more` octets behind the frame.
    fn frame(&self, kind: Kind, id: MessageId, payload_crc: u32, frame: &mut [u8], more: usize) -> Option<Location> {
        let head = self.head.as_ref()?;
        let offset = head.at + self.batch.len;
        let len = (frame.len() + more) as u32;
        let format = match kind {
            Kind::Message | Kind::Moved => format(frame.get(RECORD_HEAD..).unwrap_or_default()),
            Kind::Mark | Kind::Seal => 1,
        };
        let header = Header { kind, format, len: len - RECORD_HEAD as u32, synced: head.synced, id, payload_crc };
        frame.get_mut(..RECORD_HEAD)?.copy_from_slice(&header.encode(&head.segment.head, offset));
        Some(Location { segment: head.segment.head.number, offset, len })
    }

    /// Takes outcomes into account. Returns the file of the message's text when these were its last.
    fn settle(&mut self, at: At, outcomes: &[(u16, Outcome)]) -> Option<BodyRef> {
        let table = self.tables.get_mut(&at.segment)?;
        let remains = table.settle(at.offset, outcomes)?;
        self.reap_due |= table.live == 0;
        if let Some(body) = remains.body {
            self.body_bytes = self.body_bytes.saturating_sub(body.size);
            self.bodies = self.bodies.saturating_sub(1);
        }
        if let Some(handle) = remains.handle {
            self.shared.index_mut(|index| index.forward.remove(&handle));
        }
        remains.body
    }

    fn refer(&mut self, from: u32, to: u32) {
        if from != to
            && let Some(table) = self.tables.get_mut(&from)
        {
            table.refers_to.insert(to);
        }
    }
}
