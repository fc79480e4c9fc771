//! What is damaged is set aside: copied, or moved, to where neither recovery nor compaction touches it, for a human to look at.

use std::io;
use std::sync::Arc;

use super::message::MessageId;
use super::record::{Kind, headers_in};
use super::report::Damage;
use super::segment::Segment;
use super::storage::{Storage, write_all_at};

/// Files of this name are nobody's but the administrator's.
const PREFIX: &str = "damaged-";

/// The name under which `name` is set aside.
pub(super) fn damaged_name(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// The name that a file had before it was set aside.
pub(super) fn undamaged_name(name: &str) -> Option<&str> {
    name.strip_prefix(PREFIX)
}

/// Moves a whole file aside.
pub(super) fn move_aside(storage: &dyn Storage, name: &str) -> io::Result<Arc<str>> {
    let aside = damaged_name(name);
    storage.rename(name, &aside)?;
    Ok(aside.into())
}

/// Copies octets of a segment to a file of their own.
pub(super) fn copy_aside(storage: &dyn Storage, segment: &str, offset: u32, octets: &[u8]) -> io::Result<Arc<str>> {
    let name = format!("{}-at-{offset:08x}", damaged_name(segment));
    match storage.create(&name) {
        Ok(file) => {
            let saved = write_all_at(&*file, 0, &mut [io::IoSlice::new(octets)]).and_then(|()| file.sync_data());
            if let Err(error) = saved {
                // Half a copy is none.
                let _ = storage.remove(&name);
                return Err(error);
            }
        }
        // An earlier start has saved it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    storage.sync_dir()?;
    Ok(name.into())
}

/// Collects what is damaged in one segment, and saves it.
pub(super) struct Collector<'a> {
    pub(super) storage: &'a dyn Storage,
    pub(super) segment: &'a Segment,
    pub(super) octets: &'a [u8],
    /// Something could not be saved, so the segment must stay.
    pub(super) unsaved: bool,
    pub(super) found: Vec<Damage>,
}

impl<'a> Collector<'a> {
    pub(super) fn new(storage: &'a dyn Storage, segment: &'a Segment, octets: &'a [u8]) -> Self {
        Self { storage, segment, octets, unsaved: false, found: Vec::new() }
    }

    /// A stretch that is no record.
    pub(super) fn stretch(&mut self, stretch: (u32, u32)) {
        let saved = self.save(stretch);
        let headers = headers_in(self.octets, &self.segment.head, stretch);
        if headers.is_empty() {
            self.add(stretch, None, "records in the log are damaged; what they were cannot be told", saved);
            return;
        }
        for header in headers {
            let what = match header.kind {
                Kind::Message | Kind::Moved => "a message in the log is damaged and cannot be delivered",
                Kind::Mark => "an outcome in the log is damaged; its message may be delivered twice",
                Kind::Seal => "a seal in the log is damaged; nothing follows from it",
            };
            self.add(stretch, Some(header.id), what, saved.clone());
        }
    }

    /// A record that is sound, but cannot be used.
    pub(super) fn record(&mut self, record: (u32, u32), id: MessageId, what: &'static str) {
        let saved = self.save(record);
        self.add(record, Some(id), what, saved);
    }

    fn save(&mut self, (offset, len): (u32, u32)) -> Option<Arc<str>> {
        let octets = self.octets.get(offset as usize..).and_then(|rest| rest.get(..len as usize)).unwrap_or_default();
        let saved = copy_aside(self.storage, &self.segment.name, offset, octets).ok();
        self.unsaved |= saved.is_none();
        saved
    }

    fn add(&mut self, (offset, len): (u32, u32), id: Option<MessageId>, what: &'static str, saved: Option<Arc<str>>) {
        let file = self.segment.name.clone();
        self.found.push(Damage { file, offset: offset.into(), len: len.into(), id, what, saved });
    }
}
