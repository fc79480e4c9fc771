//! What must be known before mail may be taken: which files there are, where ids and numbers go on, and that the end of the log
//! is fit to be left behind. It reads little; the messages are read by [recovery](super::recovery), while the relay works.

use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::sync::Arc;

use super::body::body_number;
use super::damage::{copy_aside, move_aside, set_aside_before, undamaged_name};
use super::error::SpoolError;
use super::message::{At, MessageId, Outcome};
use super::payload::StoredMark;
use super::record::{Header, Kind, PAYLOAD_FORMAT, RECORD_HEAD, SEGMENT_HEAD, SegmentHead, Walk, walk};
use super::report::Damage;
use super::segment::{NotASegment, Segment, Whole, segment_number};
use super::storage::{Storage, StorageFile, write_all_at};

/// What there is.
#[derive(Debug)]
pub(super) struct Survey {
    /// From the oldest on.
    pub(super) segments: Vec<Arc<Segment>>,
    /// Numbers of the body files.
    pub(super) bodies: BTreeSet<u64>,
    pub(super) last_id: MessageId,
    pub(super) next_segment: u32,
    pub(super) next_body: u64,
    pub(super) salt: u64,
    pub(super) torn_bytes: u64,
    pub(super) damage: Vec<Damage>,
    /// File and offset of each part that an earlier start has set aside.
    pub(super) aside: Vec<(Arc<str>, u64)>,
    /// Files that were removed.
    pub(super) swept: usize,
}

impl Survey {
    /// Looks at what there is, and makes the end of the log fit to be left behind.
    pub(super) fn make(storage: &dyn Storage) -> Result<Self, SpoolError> {
        let names = storage.list().map_err(|error| SpoolError::io("list", &storage.describe(), error))?;
        let mut survey = Self {
            segments: Vec::new(),
            bodies: names.iter().filter_map(|name| body_number(name)).collect(),
            last_id: MessageId::from_u64(0),
            next_segment: 1,
            next_body: 1,
            salt: 0,
            torn_bytes: 0,
            damage: Vec::new(),
            aside: names.iter().filter_map(|name| set_aside_before(name)).map(|(file, at)| (file.into(), at)).collect(),
            swept: 0,
        };
        survey.open_segments(storage, &names)?;
        survey.look_at_the_end()?;

        let numbers = names.iter().filter_map(|name| segment_number(undamaged_name(name).unwrap_or(name)));
        survey.next_segment = numbers.max().unwrap_or(0).saturating_add(1);
        let body = names.iter().filter_map(|name| body_number(undamaged_name(name).unwrap_or(name))).max().unwrap_or(0);
        // Numbers tell the time as ids do: so one is not given again after its file is gone, which a record may still name.
        survey.next_body = body.max(survey.last_id.get()).saturating_add(1);
        Ok(survey)
    }

    fn open_segments(&mut self, storage: &dyn Storage, names: &[String]) -> Result<(), SpoolError> {
        let mut headless = Vec::new();
        for name in names.iter().filter(|name| segment_number(name).is_some()) {
            match Segment::open(storage, name) {
                Ok(segment) => self.segments.push(Arc::new(segment)),
                Err(NotASegment::Unborn) => {
                    // What stays is removed at the next start.
                    let _ = storage.remove(name);
                    self.swept += 1;
                }
                Err(NotASegment::Damaged(file)) => headless.push((name.clone(), file)),
                Err(NotASegment::Error(error)) => return Err(error),
            }
        }
        self.segments.sort_by_key(|segment| segment.head.number);
        self.last_id = self.segments.iter().map(|segment| segment.head.floor).max().unwrap_or(self.last_id);
        let salts: BTreeSet<u64> = self.segments.iter().map(|segment| segment.head.salt).collect();
        self.salt = self.segments.last().map_or_else(|| storage.random(), |newest| newest.head.salt);
        for (name, file) in headless {
            self.open_headless(storage, &name, &file, &salts)?;
        }
        self.segments.sort_by_key(|segment| segment.head.number);
        Ok(())
    }

    /// A segment without its head is read with the salt of the others.
    fn open_headless(
        &mut self,
        storage: &dyn Storage,
        name: &str,
        file: &Arc<dyn StorageFile>,
        salts: &BTreeSet<u64>,
    ) -> Result<(), SpoolError> {
        let number = segment_number(name).unwrap_or(0);
        let damage = |len, what, saved| Damage { file: name.into(), offset: 0, len, id: None, what, saved };
        for salt in salts {
            let head = SegmentHead { number, salt: *salt, floor: MessageId::from_u64(0) };
            let segment = Segment { head, name: name.into(), file: file.clone() };
            let whole = segment.read_whole()?;
            if !walk(&whole.octets, &segment.head).records.is_empty() {
                self.segments.push(Arc::new(segment));
                let what = "the head of a segment is damaged; the records behind it are read all the same";
                let octets = whole.octets.get(..SEGMENT_HEAD).unwrap_or_default();
                let saved = copy_aside(storage, name, 0, octets).ok();
                self.damage.push(damage(SEGMENT_HEAD as u64, what, saved));
                return Ok(());
            }
        }
        let size = file.size().map_err(|error| SpoolError::io("look at", name, error))?;
        let saved = move_aside(storage, name).map_err(|error| SpoolError::writing("rename", name, error))?;
        self.damage.push(damage(size, "nothing in a segment can be told from noise", Some(saved)));
        Ok(())
    }

    /// Segments that were made ahead give their room back; the last one that was written to is mended; and no id that it or the
    /// one before it has is given out again. What is older is below their floors.
    fn look_at_the_end(&mut self) -> Result<(), SpoolError> {
        let mut written = 0;
        for segment in self.segments.iter().rev() {
            if written == 0 && segment.is_blank() {
                // It is removed by the writer once all that is older is read, since its floor may be the only one to tell the
                // ids of what is gone.
                segment
                    .file
                    .truncate(SEGMENT_HEAD as u64)
                    .map_err(|error| SpoolError::writing("cut", &segment.name, error))?;
                continue;
            }
            if written == 0 {
                settle(segment)?;
            }
            let whole = segment.read_whole()?;
            let walk = walk_known(segment, &whole.octets)?;
            self.last_id = walk.records.iter().map(|(_, header)| header.id).fold(self.last_id, MessageId::max);
            if written == 0 {
                self.torn_bytes = mend(segment, whole, &walk)?;
            }
            written += 1;
            if written == 2 {
                break;
            }
        }
        Ok(())
    }
}

/// Sees to it that what is read of the segment is on the disk: the process before this one may have ended without a sync, or
/// because of one that failed.
fn settle(segment: &Segment) -> Result<(), SpoolError> {
    let file = &segment.file;
    let settled = file.sync_data().and_then(|()| file.forget_cached());
    settled.map_err(|error| SpoolError::io("sync", &segment.name, error))
}

/// Walks through a segment of this version; a later one's is an error.
pub(super) fn walk_known(segment: &Segment, octets: &[u8]) -> Result<Walk, SpoolError> {
    let walk = walk(octets, &segment.head);
    match walk.unknown {
        None => Ok(walk),
        Some(offset) => Err(SpoolError::UnsupportedFormat {
            file: segment.name.clone(),
            // The octet behind the kind; a kind that is not known is a later format too.
            found: octets.get(offset as usize + 9).map_or(0, |format| u32::from((*format).max(PAYLOAD_FORMAT + 1))),
            supported: PAYLOAD_FORMAT.into(),
        }),
    }
}

/// Makes the segment that was written to last fit to be left behind: afterwards all that is in it is on the disk, and nothing
/// in it but damage is unsound. Returns the octets of records that a power cut left unfinished.
///
/// What lies before the newest `synced` is damaged if it is unsound. What lies behind it was being written: there, a power cut
/// leaves some pages and not others, in any order.
fn mend(segment: &Segment, whole: Whole, walk: &Walk) -> Result<u64, SpoolError> {
    let failed = |error| SpoolError::writing("mend", &segment.name, error);
    if whole.unreadable {
        // A broken disk, not a torn write: nothing is touched.
        return Ok(0);
    }
    let octets = whole.octets;
    let synced = walk.records.iter().map(|(_, header)| header.synced).max().unwrap_or(0).max(SEGMENT_HEAD as u32);
    let mut torn: Vec<(u32, u32)> = walk.bad.iter().copied().filter(|(offset, _)| *offset >= synced).collect();
    let torn_bytes = torn.iter().map(|(_, len)| u64::from(*len)).sum();
    let mut marks = BTreeSet::new();
    for (offset, header) in walk.records.iter().filter(|(_, header)| header.kind == Kind::Mark) {
        if *offset >= synced && leads_nowhere(&marks, (segment.head.number, synced), &octets, *offset, header) {
            torn.push((*offset, header.total() as u32));
        } else {
            marks.insert(*offset);
        }
    }
    for (offset, len) in torn.iter().filter(|(offset, _)| *offset < walk.end) {
        match cover(segment, &octets, synced, *offset, *len) {
            // A file system that needs room even for this may have none; the worst of it is a false alarm at the next start.
            Err(error) if SpoolError::lack_of_room("mend", &segment.name, &error).is_none() => {
                return Err(failed(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    segment.file.truncate(walk.end.into()).and_then(|()| segment.file.sync_data()).map_err(failed)?;
    Ok(torn_bytes)
}

/// True when a mark defers recipients and the one before it, of the same write, is not among the sound `marks`: what still older
/// ones tell could not be found behind it. It was not synced either, so it may go too.
fn leads_nowhere(
    marks: &BTreeSet<u32>,
    (segment, synced): (u32, u32),
    octets: &[u8],
    offset: u32,
    header: &Header,
) -> bool {
    let is_lost = |at: At| at.segment == segment && at.offset >= synced && !marks.contains(&at.offset);
    let payload = octets.get(offset as usize + RECORD_HEAD..).and_then(|rest| rest.get(..header.len as usize));
    match payload.map(StoredMark::decode) {
        Some(Ok(mark)) => {
            mark.previous.is_some_and(is_lost)
                && mark.outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Deferred(_)))
        }
        _ => false,
    }
}

/// Covers a torn stretch that has sound records behind it with the head of a seal: so it is not taken for damage at the next
/// start. Nothing else is ever written to a place that was written before.
fn cover(segment: &Segment, octets: &[u8], synced: u32, offset: u32, len: u32) -> io::Result<()> {
    let stretch = octets.get(offset as usize..).and_then(|rest| rest.get(..len as usize));
    let Some((_, rest)) = stretch.and_then(|stretch| stretch.split_at_checked(RECORD_HEAD)) else { return Ok(()) };
    let header = Header {
        kind: Kind::Seal,
        format: 1,
        len: rest.len() as u32,
        synced,
        id: MessageId::from_u64(0),
        payload_crc: crc32c::crc32c(rest),
    };
    let head = header.encode(&segment.head, offset);
    write_all_at(&*segment.file, offset.into(), &mut [IoSlice::new(&head)])
}
