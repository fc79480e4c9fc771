//! What is damaged is set aside: copied, or moved, to where neither recovery nor compaction touches it, for a human to look at.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::Arc;

use super::message::MessageId;
use super::record::{Kind, headers_in};
use super::report::{Damage, DamageSummary};
use super::segment::{Segment, segment_number};
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

/// The file and offset of a damaged part that an earlier start has set aside under `name`. Bodies are not told of: what is set
/// aside of one has a record that is set aside too.
pub(super) fn set_aside_before(name: &str) -> Option<(&str, u64)> {
    let part = undamaged_name(name)?;
    let (segment, offset) = match part.split_once("-at-") {
        Some((segment, offset)) => (segment, u64::from_str_radix(offset, 16).ok()?),
        None => (part, 0),
    };
    segment_number(segment).map(|_| (segment, offset))
}

/// What is known to be damaged: each part once, whoever met it and however often.
#[derive(Debug, Default)]
pub(super) struct Register {
    known: BTreeSet<(Arc<str>, u64)>,
    first: Option<Arc<str>>,
}

impl Register {
    /// Notes a part; `what` describes it to a human. True when it is new.
    pub(super) fn note(&mut self, file: &str, offset: u64, what: impl fmt::Display) -> bool {
        if !self.known.insert((file.into(), offset)) {
            return false;
        }
        self.first.get_or_insert_with(|| what.to_string().into());
        true
    }

    pub(super) fn summary(&self) -> Option<DamageSummary> {
        let records = self.known.len() as u64;
        self.first.clone().map(|first| DamageSummary { records, first })
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_aside_before_is_known_by_its_name() {
        let cases = [
            ("damaged-seg-00000001.log-at-00000040", Some(("seg-00000001.log", 64))),
            ("damaged-seg-0000000a.log", Some(("seg-0000000a.log", 0))),
            ("damaged-body-00000000000000ff", None),
            ("damaged-seg-00000001.log-at-zz", None),
            ("seg-00000001.log", None),
            ("damaged-", None),
        ];
        for (name, want) in cases {
            assert_eq!(set_aside_before(name), want, "{name}");
        }
    }

    #[test]
    fn a_part_is_counted_once_and_the_first_is_told() {
        let mut register = Register::default();
        assert_eq!(register.summary(), None);
        assert!(register.note("seg", 64, "a") && !register.note("seg", 64, "b") && register.note("seg", 65, "c"));
        assert_eq!(register.summary(), Some(DamageSummary { records: 2, first: "a".into() }));
    }
}
