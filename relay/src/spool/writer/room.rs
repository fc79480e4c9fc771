//! Room: the segments that are written to, who may use the last of them, and giving back what nobody needs.

use std::io;
use std::sync::Arc;

use super::{Open, Writer};
use crate::spool::body::body_name;
use crate::spool::error::{Health, SpoolError};
use crate::spool::record::{SEGMENT_HEAD, SegmentHead};
use crate::spool::segment::Segment;
use crate::spool::table::Table;

/// Who asks for room in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// A client's mail: only while the spare segment is there.
    Client,
    /// A report or a moved message: may use the last segment but for a quarter.
    Own,
    /// A mark: may use all.
    Mark,
}

impl Writer {
    /// Sees to it that a record of `need` octets fits the segment that is written to; goes on to the next one for it.
    pub(super) fn make_room(&mut self, need: u64, class: Class) -> Result<(), SpoolError> {
        self.refusal(class)?;
        if !self.fits(need, class) && self.spare.is_some() {
            self.rotate();
            self.refusal(class)?;
        }
        if self.fits(need, class) {
            return Ok(());
        }
        let limit = self.shared.options.segment_size as usize;
        Err(self.short.clone().unwrap_or(SpoolError::TooLarge { size: need as usize, limit }))
    }

    /// Why nothing of this class goes in now, however small it is.
    fn refusal(&self, class: Class) -> Result<(), SpoolError> {
        match (&self.failed, &self.short) {
            (Some(failed), _) => Err(failed.clone()),
            (None, Some(short)) if class == Class::Client => Err(short.clone()),
            _ => Ok(()),
        }
    }

    pub(super) fn fits(&self, need: u64, class: Class) -> bool {
        let size = self.shared.options.segment_size;
        let room = match (class, &self.spare) {
            (Class::Own, None) => size - size / 4,
            _ => size,
        };
        self.head.as_ref().is_some_and(|head| u64::from(head.at) + u64::from(self.batch.len) + need <= room.into())
    }

    /// Commits, closes the segment that is written to, and goes on with the spare.
    fn rotate(&mut self) {
        self.commit();
        if self.failed.is_some() {
            return;
        }
        if let Some(head) = self.head.take() {
            // Its unused room goes back; and it must be whole on the disk before anything is written behind it.
            let closed = head.segment.file.truncate(head.at.into()).and_then(|()| self.timed_sync(&head.segment));
            if let Err(error) = closed {
                return self.fail("close", &head.segment.name, &error);
            }
            self.remove_condemned();
            if let Some(table) = self.tables.get_mut(&head.segment.head.number) {
                table.bytes = head.at.into();
                table.shrink();
            }
            self.reap_due = true;
        }
        self.provide();
    }

    /// Makes the segments that are missing: the one that is written to, and the spare.
    pub(super) fn provide(&mut self) {
        if self.failed.is_some() {
            return;
        }
        self.short = None;
        while self.head.is_none() || self.spare.is_none() {
            if self.head.is_none()
                && let Some(segment) = self.spare.take()
            {
                let number = segment.head.number;
                self.tables.insert(number, Table::new(number, self.shared.options.segment_size.into()));
                self.shared.index_mut(|index| index.segments.insert(number, segment.clone()));
                let at = SEGMENT_HEAD as u32;
                self.head = Some(Open { segment, at, synced: at, sealed: at });
                continue;
            }
            match self.make_segment() {
                Ok(segment) => self.spare = Some(Arc::new(segment)),
                Err(error) if error.is_temporary_room() => {
                    self.short = Some(error);
                    break;
                }
                // Out of file descriptors, no permission: nothing is lost by it, and it may pass.
                Err(SpoolError::Io { what: "create", file, source }) => {
                    self.short = Some(SpoolError::Full { reason: format!("cannot create {file}: {source}").into() });
                    break;
                }
                Err(error) => {
                    self.fail_with(error);
                    break;
                }
            }
        }
        let health = self.failed.as_ref().or(self.short.as_ref()).map_or(Health::Good, Health::of);
        if self.shared.health() != health {
            self.shared.set_health(health);
        }
    }

    fn make_segment(&mut self) -> Result<Segment, SpoolError> {
        let head = SegmentHead { number: self.next_segment, salt: self.salt, floor: self.shared.last_id() };
        // Taken even if it fails: a file that is left behind must not be in the way of the next try.
        self.next_segment += 1;
        let segment = Segment::create(&*self.shared.storage, head, self.shared.options.segment_size)?;
        self.shared.storage.sync_dir().map_err(|error| SpoolError::io("sync the name of", &segment.name, error))?;
        Ok(segment)
    }

    /// Removes the files of texts that are done. To be called when the marks that say so have just been synced.
    pub(super) fn remove_condemned(&mut self) {
        if self.failed.is_some() {
            return;
        }
        for body in std::mem::take(&mut self.condemned) {
            // What stays is an orphan, which the next start sweeps.
            let _ = self.shared.storage.remove(&body_name(body.number));
        }
    }

    /// Removes the segments that nothing needs any more: one round, since a segment may go only when those that it speaks
    /// of are gone for good.
    pub(super) fn reap(&mut self) {
        if self.recovering || !self.reap_due || self.failed.is_some() {
            return;
        }
        self.reap_due = false;
        // Where the disk has no room even for a segment to write to, it is from here that room comes.
        let head = self.head_number().unwrap_or(u32::MAX);
        let free = |table: &Table| {
            table.live == 0
                && !table.pinned
                && table.number < head
                && !table.refers_to.iter().any(|other| self.tables.contains_key(other))
        };
        let freed: Vec<u32> = self.tables.values().filter(|table| free(table)).map(|table| table.number).collect();
        for number in &freed {
            let name = crate::spool::segment::segment_name(*number);
            match self.shared.storage.remove(&name) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // It stays, and is tried again when the next one is freed.
                Err(_) => continue,
            }
            self.tables.remove(number);
            self.shared.index_mut(|index| index.segments.remove(number));
            // Another segment may have waited for this one.
            self.reap_due = true;
        }
        if self.reap_due
            && let Err(error) = self.shared.storage.sync_dir()
        {
            self.fail("sync", "the directory", &error);
        }
    }
}
