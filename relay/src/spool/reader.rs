//! The text of a message on its way out: read from memory where it still is, else on a thread that may wait for the disk.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::body::body_name;
use super::error::{SpoolError, is_damage};
use super::message::{Envelope, Location};
use super::payload::{FileRef, Head};
use super::record::Kind;
use super::segment::Segment;
use super::shared::Shared;
use super::storage::{StorageFile, apart, read_full_at};

/// Octets that are read from a body file at once: a few TLS records, and all of a large text that is ever in memory.
const READ_SIZE: usize = 64 * 1024;

/// Reads a message's envelope, and readies its text.
pub(super) async fn read(shared: &Arc<Shared>, location: Location) -> Result<(Envelope, BodyReader), SpoolError> {
    let (head, text) = read_record(shared, location).await?;
    let body = match head.file {
        None => BodyReader::small(text),
        Some(file) => BodyReader::large(shared, file, head.envelope.size).await?,
    };
    Ok((head.envelope, body))
}

/// Reads a message's record: its head, and its text when that is in it.
pub(super) async fn read_record(shared: &Shared, location: Location) -> Result<(Head, Bytes), SpoolError> {
    let (segment, now) = shared.locate(location)?;
    let record = read_at(shared.storage.may_wait(), segment.file.clone(), now.offset.into(), now.len as usize)
        .await
        .map_err(|error| SpoolError::io("read", &segment.name, error));
    record
        .and_then(|record| message(&segment, now, record))
        .inspect_err(|error| shared.note_error(&segment.name, now.offset.into(), error))
}

/// The head and the text in a message's record.
pub(super) fn message(segment: &Segment, at: Location, record: Vec<u8>) -> Result<(Head, Bytes), SpoolError> {
    let (header, mut payload) = segment.parse(at.offset, record)?;
    if !matches!(header.kind, Kind::Message | Kind::Moved) {
        return Err(segment.damaged(at.offset, Some(header.id), "no message is in the place of a message"));
    }
    let (head, text_at) = Head::decode(header.id, &payload)
        .map_err(|_| segment.damaged(at.offset, Some(header.id), "the envelope cannot be read"))?;
    let text = payload.split_off(text_at.min(payload.len()));
    Ok((head, text))
}

/// Reads up to `len` octets: without leaving the thread when they are in memory.
async fn read_at(may_wait: bool, file: Arc<dyn StorageFile>, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; len];
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_cached(offset + done as u64, rest) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let work = move || {
                    let rest = buffer.get_mut(done..).unwrap_or_default();
                    let read = read_full_at(&*file, offset + done as u64, rest)?;
                    buffer.truncate(done + read);
                    Ok(buffer)
                };
                return apart(may_wait, work).await.unwrap_or_else(|| Err(io::Error::other("the relay is stopping")));
            }
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(done);
    Ok(buffer)
}

/// Gives a message's text chunk by chunk.
#[derive(Debug)]
pub struct BodyReader {
    size: u64,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// Read and verified with its record.
    Memory(Bytes),
    File {
        name: String,
        file: Arc<dyn StorageFile>,
        shared: Arc<Shared>,
        read: u64,
        crc: u32,
        want: u32,
    },
}

impl BodyReader {
    fn small(text: Bytes) -> Self {
        Self { size: text.len() as u64, source: Source::Memory(text) }
    }

    async fn large(shared: &Arc<Shared>, text: FileRef, size: u64) -> Result<Self, SpoolError> {
        let name = body_name(text.number);
        let storage = shared.storage.clone();
        let theirs = name.clone();
        let open = apart(storage.may_wait(), move || storage.open(&theirs)).await;
        let file = open
            .ok_or(SpoolError::Closed)?
            .map_err(|error| SpoolError::io("open", &name, error))
            .inspect_err(|error| shared.note_error(&name, 0, error))?;
        Ok(Self { size, source: Source::File { name, file, shared: shared.clone(), read: 0, crc: 0, want: text.crc } })
    }

    /// Octets of the whole text.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The next chunk, at most 64 KiB of a large text, all of a small one; `None` after the last.
    ///
    /// The last chunk is given only when the whole text fits its checksum: so who has not had an error has the text as it
    /// was accepted, and who has had one must break the transfer off, never end it.
    ///
    /// # Errors
    /// `InvalidData` or `UnexpectedEof` when the text is not what was stored; else what the operating system says.
    pub async fn next_chunk(&mut self) -> io::Result<Option<Bytes>> {
        match &mut self.source {
            Source::Memory(text) => Ok(Some(std::mem::take(text)).filter(|text| !text.is_empty())),
            Source::File { name, file, shared, read, crc, want } => {
                let chunk = file_chunk(shared.storage.may_wait(), name, file, self.size, read, crc, *want).await;
                chunk.inspect_err(|error| {
                    if is_damage(error) {
                        shared.note_damage(name, 0, error);
                    }
                })
            }
        }
    }
}

/// The next chunk of a text of `size` octets that has a file, of which `read` are read already.
async fn file_chunk(
    may_wait: bool,
    name: &str,
    file: &Arc<dyn StorageFile>,
    size: u64,
    read: &mut u64,
    crc: &mut u32,
    want: u32,
) -> io::Result<Option<Bytes>> {
    let rest = size - *read;
    if rest == 0 {
        return Ok(None);
    }
    let len = usize::try_from(rest).unwrap_or(READ_SIZE).min(READ_SIZE);
    let chunk = read_at(may_wait, file.clone(), *read, len).await?;
    if chunk.len() < len {
        let text = format!("{name} in the spool ends after {} of {size} octets", *read + chunk.len() as u64);
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
    }
    *read += len as u64;
    *crc = crc32c::crc32c_append(*crc, &chunk);
    if *read == size && *crc != want {
        let text = format!("{name} in the spool does not fit its checksum");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    Ok(Some(chunk.into()))
}
