//! The text of a message on its way in: in memory while it is small, in a file of its own when it grows.

use std::io::IoSlice;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::error::SpoolError;
use super::payload::FileRef;
use super::shared::Shared;
use super::storage::{StorageFile, apart, write_all_at};

/// Octets gathered before they are written to a body's file: large enough that the hop to a thread that may wait for the
/// disk is paid seldom, small enough for a thousand sessions at once.
const WRITE_SIZE: usize = 256 * 1024;

/// Where body `number` is.
pub(super) fn body_name(number: u64) -> String {
    format!("body-{number:016x}")
}

/// The number in a body file's name.
pub(super) fn body_number(name: &str) -> Option<u64> {
    let number = u64::from_str_radix(name.strip_prefix("body-")?, 16).ok()?;
    (body_name(number) == name).then_some(number)
}

/// A text that is complete, ready to be appended. Dropped before that, it leaves nothing.
#[derive(Debug)]
pub struct Body(pub(super) Text);

#[derive(Debug)]
pub(super) enum Text {
    Small(Bytes),
    Large(BodyFile),
}

impl Body {
    /// Octets of the text.
    pub fn size(&self) -> u64 {
        match &self.0 {
            Text::Small(text) => text.len() as u64,
            Text::Large(file) => file.size,
        }
    }
}

impl From<Bytes> for Body {
    fn from(text: Bytes) -> Self {
        Self(Text::Small(text))
    }
}

/// The file of a text; removed when dropped, unless a record refers to it.
#[derive(Debug)]
pub(super) struct BodyFile {
    shared: Arc<Shared>,
    number: u64,
    pub(super) size: u64,
    crc: u32,
    kept: bool,
}

impl BodyFile {
    pub(super) fn reference(&self) -> FileRef {
        FileRef { number: self.number, crc: self.crc }
    }

    /// A record refers to the file, or may.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for BodyFile {
    fn drop(&mut self) {
        if !self.kept {
            // What stays is an orphan, which the next start sweeps.
            let _ = self.shared.storage.remove(&body_name(self.number));
        }
    }
}

/// Takes a text chunk by chunk.
#[derive(Debug)]
pub struct BodyWriter {
    shared: Arc<Shared>,
    gathered: BytesMut,
    file: Option<(BodyFile, Arc<dyn StorageFile>)>,
}

impl BodyWriter {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, gathered: BytesMut::new(), file: None }
    }

    /// Octets taken so far.
    pub fn size(&self) -> u64 {
        self.gathered.len() as u64 + self.file.as_ref().map_or(0, |(file, _)| file.size)
    }

    /// Takes `chunk`. Waits for the disk only when the text has outgrown [`Options::inline_max`](super::Options::inline_max).
    /// After an error, or when dropped while it waits, the writer is of no more use.
    ///
    /// # Errors
    /// [`SpoolError::Full`], [`SpoolError::ReadOnly`], or [`SpoolError::Io`] when the text could not be written.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), SpoolError> {
        if self.gathered.is_empty() {
            // Most texts come in one piece: it is taken over, not copied.
            self.gathered = chunk.into();
        } else {
            self.gathered.extend_from_slice(&chunk);
        }
        let keep = match self.file {
            None => self.shared.options.inline_max as usize,
            Some(_) => WRITE_SIZE,
        };
        if self.gathered.len() > keep { self.spill(false).await } else { Ok(()) }
    }

    /// The text is complete. A large one is on the disk when this returns.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub async fn finish(mut self) -> Result<Body, SpoolError> {
        if self.file.is_none() {
            return Ok(Body(Text::Small(self.gathered.freeze())));
        }
        self.spill(true).await?;
        match self.file {
            Some((file, _)) => Ok(Body(Text::Large(file))),
            None => Err(SpoolError::Closed),
        }
    }

    /// Writes what is gathered to the file, and syncs it when it is the last.
    async fn spill(&mut self, last: bool) -> Result<(), SpoolError> {
        let shared = self.shared.clone();
        let chunk = self.gathered.split().freeze();
        let file = self.file.take();
        // The file goes into the closure and comes back: a session that goes away meanwhile drops it there, and with it the name.
        let work = move || write_chunk(&shared, file, &chunk, last);
        self.file = Some(apart(self.shared.storage.may_wait(), work).await.ok_or(SpoolError::Closed)??);
        Ok(())
    }
}

type OpenBody = (BodyFile, Arc<dyn StorageFile>);

fn write_chunk(shared: &Arc<Shared>, file: Option<OpenBody>, chunk: &[u8], last: bool) -> Result<OpenBody, SpoolError> {
    let (mut body, file) = match file {
        Some(open) => open,
        None => create(shared)?,
    };
    let name = body_name(body.number);
    write_all_at(&*file, body.size, &mut [IoSlice::new(chunk)])
        .map_err(|error| SpoolError::writing("write", &name, error))?;
    body.size += chunk.len() as u64;
    body.crc = crc32c::crc32c_append(body.crc, chunk);
    if last {
        // Not final for the spool: nothing refers to this file yet, and it is not synced again but given up.
        file.sync_data().map_err(|error| SpoolError::writing("sync", &name, error))?;
    }
    Ok((body, file))
}

fn create(shared: &Arc<Shared>) -> Result<OpenBody, SpoolError> {
    let number = shared.next_body();
    let name = body_name(number);
    let file = shared.storage.create(&name).map_err(|error| SpoolError::writing("create", &name, error))?;
    Ok((BodyFile { shared: shared.clone(), number, size: 0, crc: 0, kept: false }, file))
}

/// Writes a whole text that is too large for the log to a file. Waits for the disk.
pub(super) fn store_whole(shared: &Arc<Shared>, text: &[u8]) -> Result<BodyFile, SpoolError> {
    write_chunk(shared, None, text, true).map(|(body, _)| body)
}
