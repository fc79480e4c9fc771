//! A segment: one file of the log. Making it, opening it, reading a record of it.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use rustix::io::Errno;

use super::error::SpoolError;
use super::message::MessageId;
use super::record::{BadHead, BadRecord, Header, RECORD_HEAD, SEGMENT_FORMAT, SEGMENT_HEAD, SegmentHead};
use super::storage::{Storage, StorageFile, read_full_at, write_all_at};

/// Where `number`'s segment is.
pub(super) fn segment_name(number: u32) -> String {
    format!("seg-{number:08x}.log")
}

/// The number in a segment's name.
pub(super) fn segment_number(name: &str) -> Option<u32> {
    let number = u32::from_str_radix(name.strip_prefix("seg-")?.strip_suffix(".log")?, 16).ok()?;
    (segment_name(number) == name && number > 0).then_some(number)
}

/// One file of the log.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) head: SegmentHead,
    pub(super) name: Arc<str>,
    pub(super) file: Arc<dyn StorageFile>,
}

/// What is wrong with a file that has a segment's name.
#[derive(Debug)]
pub(super) enum NotASegment {
    /// Its birth was not finished: nothing was ever written behind the head.
    Unborn,
    /// Its head is damaged; its records can be told from noise only by who knows the salt.
    Damaged(Arc<dyn StorageFile>),
    /// It cannot be used, and neither can the spool.
    Error(SpoolError),
}

impl Segment {
    /// Makes a segment of `size` octets with its head on the disk; its name is not synced yet. Leaves nothing when it fails.
    pub(super) fn create(storage: &dyn Storage, head: SegmentHead, size: u32) -> Result<Self, SpoolError> {
        let name = segment_name(head.number);
        let file = storage.create(&name).map_err(|error| SpoolError::writing("create", &name, error))?;
        let made = file
            .preallocate(size.into())
            .and_then(|()| write_all_at(&*file, 0, &mut [io::IoSlice::new(&head.encode())]))
            .map_err(|error| SpoolError::writing("allocate", &name, error))
            // A sync that fails is never lack of room: what it did is unknown.
            .and_then(|()| file.sync_data().map_err(|error| SpoolError::io("sync", &name, error)));
        if let Err(error) = made {
            // An empty segment that stays is swept at the next start.
            let _ = storage.remove(&name);
            return Err(error);
        }
        Ok(Self { head, name: name.into(), file })
    }

    /// Opens the segment with this name.
    pub(super) fn open(storage: &dyn Storage, name: &str) -> Result<Self, NotASegment> {
        let file = storage.open(name).map_err(|error| NotASegment::Error(SpoolError::io("open", name, error)))?;
        let mut octets = [0; SEGMENT_HEAD];
        // What cannot be read is no head.
        let read = read_full_at(&*file, 0, &mut octets).unwrap_or(0);
        match SegmentHead::decode(&octets) {
            Ok(head) if read == SEGMENT_HEAD && Some(head.number) == segment_number(name) => {
                Ok(Self { head, name: name.into(), file })
            }
            Err(BadHead::Format(found)) if read == SEGMENT_HEAD => {
                Err(NotASegment::Error(SpoolError::UnsupportedFormat {
                    file: name.into(),
                    found,
                    supported: SEGMENT_FORMAT,
                }))
            }
            _ if is_blank(&*file) => Err(NotASegment::Unborn),
            _ => Err(NotASegment::Damaged(file)),
        }
    }

    /// True when no record was ever written to it.
    pub(super) fn is_blank(&self) -> bool {
        is_blank(&*self.file)
    }

    /// Reads the whole file.
    pub(super) fn read_whole(&self) -> Result<Whole, SpoolError> {
        read_whole(&*self.file).map_err(|error| SpoolError::io("read", &self.name, error))
    }

    /// Reads the record at `offset`, which is `len` octets long when its reader knows that. Waits for the disk.
    pub(super) fn read_record(&self, offset: u32, len: Option<u32>) -> Result<(Header, Bytes), SpoolError> {
        let mut record = vec![0; len.map_or(RECORD_HEAD, |len| len as usize)];
        self.fill(offset, &mut record, 0)?;
        if len.is_none() {
            let header = self.header(offset, &record)?;
            record.resize(header.total() as usize, 0);
            self.fill(offset, &mut record, RECORD_HEAD)?;
        }
        self.parse(offset, record)
    }

    /// Fills `record` from its octet `from` on.
    fn fill(&self, offset: u32, record: &mut [u8], from: usize) -> Result<(), SpoolError> {
        let rest = record.get_mut(from..).unwrap_or_default();
        read_full_at(&*self.file, u64::from(offset) + from as u64, rest)
            .map(drop)
            .map_err(|error| SpoolError::io("read", &self.name, error))
    }

    fn header(&self, offset: u32, record: &[u8]) -> Result<Header, SpoolError> {
        let head =
            record.first_chunk::<RECORD_HEAD>().ok_or_else(|| self.damaged(offset, None, "the record is cut off"))?;
        Header::decode(head, &self.head, offset).map_err(|bad| match bad {
            BadRecord::Damaged => self.damaged(offset, None, "the header does not fit its checksum"),
            BadRecord::Unknown => self.damaged(offset, None, "the record is of a later version"),
        })
    }

    /// Checks the octets of a whole record; returns its header and payload.
    pub(super) fn parse(&self, offset: u32, record: Vec<u8>) -> Result<(Header, Bytes), SpoolError> {
        let header = self.header(offset, &record)?;
        let payload = Bytes::from(record).split_off(RECORD_HEAD);
        if payload.len() != header.len as usize || crc32c::crc32c(&payload) != header.payload_crc {
            return Err(self.damaged(offset, Some(header.id), "the content does not fit its checksum"));
        }
        Ok((header, payload))
    }

    pub(super) fn damaged(&self, offset: u32, id: Option<MessageId>, what: &'static str) -> SpoolError {
        SpoolError::Damaged { file: self.name.clone(), offset: offset.into(), id, what }
    }
}

/// All octets of a segment.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) octets: Vec<u8>,
    /// The disk would not give some of them back: there is something else in their place.
    pub(super) unreadable: bool,
}

/// Octets that are given up together where the disk cannot read them.
const BLOCK: usize = 4096;

fn read_whole(file: &dyn StorageFile) -> io::Result<Whole> {
    let mut octets = vec![0; usize::try_from(file.size()?).unwrap_or(usize::MAX)];
    let mut unreadable = false;
    match read_full_at(file, 0, &mut octets) {
        Ok(read) => octets.truncate(read),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::IO) => {
            for (index, block) in octets.chunks_mut(BLOCK).enumerate() {
                if read_full_at(file, (index * BLOCK) as u64, block).is_err() {
                    unreadable = true;
                    // Not zeros, which would pass for room that was never written.
                    block.fill(0xff);
                }
            }
        }
        Err(error) => return Err(error),
    }
    Ok(Whole { octets, unreadable })
}

/// True when the file has nothing but zeros behind the head. What cannot be read is not known to be nothing.
fn is_blank(file: &dyn StorageFile) -> bool {
    let mut buffer = vec![0; 64 * 1024];
    let mut offset = SEGMENT_HEAD as u64;
    loop {
        match read_full_at(file, offset, &mut buffer) {
            Ok(read) if buffer.iter().take(read).any(|octet| *octet != 0) => return false,
            Ok(read) if read < buffer.len() => return true,
            Ok(read) => offset += read as u64,
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_segments() {
        assert_eq!(segment_number("seg-000000ff.log"), Some(255));
        for name in [
            "seg-ff.log",
            "seg-000000FF.log",
            "seg-000000ff",
            "damaged-seg-000000ff.log",
            "seg-00000000.log",
            "lost+found",
        ] {
            assert_eq!(segment_number(name), None, "{name}");
        }
    }
}
