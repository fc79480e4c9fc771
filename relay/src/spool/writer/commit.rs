//! Committing: one write for all that is staged, one sync when somebody waits for it, and the answers.

use std::io::{self, IoSlice};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use bytes::Bytes;
use rustix::io::Errno;

use super::{Open, Writer};
use crate::spool::batch::{Batch, StagedAppend, StagedMark, StagedMove, Unclaimed};
use crate::spool::error::{Health, SpoolError};
use crate::spool::segment::Segment;
use crate::spool::storage::write_all_at;

impl Writer {
    /// Writes the batch, syncs when somebody waits for it, and answers.
    pub(super) fn commit(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return;
        }
        if let Some(error) = self.failed.clone() {
            return refuse(batch, &error);
        }
        if batch.sync_dir
            && let Err(error) = self.shared.storage.sync_dir()
        {
            self.fail("sync", "the directory", &error);
            return self.abandon(batch);
        }
        if let Some(head) = &self.head
            && let Err(error) = write_parts(head, &batch.parts)
        {
            return self.write_failed(batch, &error);
        }
        if let Some(head) = &mut self.head {
            head.at += batch.len;
        }
        if batch.needs_sync() && !self.sync() {
            return self.abandon(batch);
        }
        self.apply(batch);
    }

    /// The batch is written, and synced when it had to be.
    fn apply(&mut self, batch: Batch) {
        let counters = &self.shared.counters;
        counters.messages.fetch_add(batch.appends.len() as u64, Relaxed);
        counters.marks.fetch_add(batch.marks.len() as u64, Relaxed);
        self.condemned.extend(batch.marks.into_iter().filter_map(|staged| staged.mark.body));
        for StagedAppend { stored, entry, recipients, file, reply, commands } in batch.appends {
            counters.message_bytes.fetch_add(u64::from(entry.len) + entry.body.map_or(0, |body| body.size), Relaxed);
            if let Some(body) = entry.body {
                self.body_bytes += body.size;
                self.bodies += 1;
            }
            if let Some(table) = self.tables.get_mut(&stored.location.segment) {
                table.push(entry);
            }
            if let Some(file) = file {
                file.keep();
            }
            // An answer that nobody takes withdraws the message when it is dropped.
            let _ = reply.send(Ok(Unclaimed::new(stored, recipients, commands)));
        }
        for StagedMove { from, to, entry } in batch.moves {
            counters.compacted_bytes.fetch_add(to.len.into(), Relaxed);
            if let Some(handle) = entry.handle {
                self.shared.index_mut(|index| index.forward.insert(handle, to));
            }
            if let Some(table) = self.tables.get_mut(&to.segment) {
                table.push(entry);
            }
            if let Some(table) = self.tables.get_mut(&from.segment) {
                table.vacate(from.offset);
                self.reap_due |= table.live == 0;
            }
        }
        for reply in batch.flushes {
            let _ = reply.send(Ok(()));
        }
    }

    /// The write of the batch failed: for want of room it is cut off again, else that is the end.
    fn write_failed(&mut self, batch: Batch, error: &io::Error) {
        let Some(head) = &mut self.head else { return };
        let name = head.segment.name.clone();
        let Some(short) = SpoolError::lack_of_room("write", &name, error) else {
            self.fail("write", &name, error);
            return self.abandon(batch);
        };
        // What was written of it must not be found by recovery, since it is answered as not stored.
        let file = &head.segment.file;
        let cut = file.truncate(head.at.into()).and_then(|()| file.sync_data());
        let is_cut = match cut {
            Ok(()) => {
                head.synced = head.at;
                true
            }
            // Nothing can be cut now, but nothing can have been written either; the next write goes to the same place.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::ROFS) => false,
            Err(error) => {
                self.fail("cut off", &name, &error);
                return self.abandon(batch);
            }
        };
        // The next tick writes a seal, and so finds out whether there is room again.
        head.sealed = 0;
        let Batch { marks, appends, flushes, .. } = batch;
        for StagedMark { mark, target, deferred_before } in marks.into_iter().rev() {
            if let Some(table) = self.tables.get_mut(&target.segment) {
                table.set_deferred_at(target.offset, deferred_before);
            }
            self.waiting.push_front(mark);
        }
        for append in appends {
            if !is_cut && let Some(file) = append.file {
                file.keep();
            }
            let _ = append.reply.send(Err(short.clone()));
        }
        flushes.into_iter().for_each(|reply| drop(reply.send(Err(short.clone()))));
        self.shared.set_health(Health::of(&short));
        self.short = Some(short);
    }

    /// Answers a batch of which nobody knows whether it is on the disk.
    fn abandon(&mut self, batch: Batch) {
        if let Some(error) = self.failed.clone() {
            refuse(batch, &error);
        }
    }

    /// True when the log has octets that a power cut could take, and a sync would help.
    pub(super) fn unsynced(&self) -> bool {
        self.failed.is_none() && self.head.as_ref().is_some_and(|head| head.synced < head.at)
    }

    /// Syncs the segment that is written to. False when that failed, now or ever before.
    pub(super) fn sync(&mut self) -> bool {
        if self.failed.is_some() {
            return false;
        }
        let Some(segment) = self.head.as_ref().map(|head| head.segment.clone()) else { return true };
        if let Err(error) = self.timed_sync(&segment) {
            self.fail("sync", &segment.name, &error);
            return false;
        }
        if let Some(head) = &mut self.head {
            head.synced = head.at;
        }
        self.remove_condemned();
        true
    }

    pub(super) fn timed_sync(&self, segment: &Segment) -> io::Result<()> {
        let start = Instant::now();
        segment.file.sync_data()?;
        let took = start.elapsed();
        self.shared.counters.synced(took);
        if let Some(on_sync) = &self.shared.options.on_sync {
            on_sync(took);
        }
        Ok(())
    }

    pub(super) fn fail(&mut self, what: &'static str, file: &str, error: &io::Error) {
        self.fail_with(SpoolError::Failing { reason: format!("cannot {what} {file}: {error}").into() });
    }

    pub(super) fn fail_with(&mut self, error: SpoolError) {
        let error = match error {
            failing @ SpoolError::Failing { .. } => failing,
            other => SpoolError::Failing { reason: other.to_string().into() },
        };
        self.shared.set_health(Health::of(&error));
        self.failed = Some(error);
    }
}

fn write_parts(head: &Open, parts: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
    write_all_at(&*head.segment.file, head.at.into(), &mut slices)
}

/// Answers everybody in the batch with `error`. Body files stay: a record that may be on the disk speaks of them.
fn refuse(batch: Batch, error: &SpoolError) {
    for append in batch.appends {
        if let Some(file) = append.file {
            file.keep();
        }
        let _ = append.reply.send(Err(error.clone()));
    }
    batch.flushes.into_iter().for_each(|reply| drop(reply.send(Err(error.clone()))));
}
