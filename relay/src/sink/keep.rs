//! Keeps messages: `N.eml`, octet for octet as it was received, and `N.json`, its envelope.
//!
//! A file has its name only when it is whole, and the envelope comes last: who sees `N.json` has all of it.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    mem,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use jiff::Timestamp;
use serde::Serialize;
use tokio::task;

use crate::smtp::{BodyType, Envelope};

/// Octets that are gathered before they are written: most messages are written at once.
const CHUNK_SIZE: usize = 256 << 10;

/// The folder of kept messages.
pub(super) struct Keeper {
    folder: Arc<Path>,
    /// Of the next message that is whole.
    next: AtomicU64,
    /// Tells messages apart that are not.
    begun: AtomicU64,
}

/// What `N.json` holds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KeptEnvelope {
    received_at: Timestamp,
    client: SocketAddr,
    helo: String,
    sender: String,
    recipients: Vec<String>,
    size: u64,
    eight_bit: bool,
}

impl KeptEnvelope {
    pub(super) fn new(received_at: Timestamp, client: SocketAddr, helo: String, envelope: &Envelope) -> KeptEnvelope {
        KeptEnvelope {
            received_at,
            client,
            helo,
            sender: envelope.from.as_str().to_owned(),
            recipients: envelope.recipients.iter().map(|recipient| recipient.path.as_str().to_owned()).collect(),
            size: envelope.size.unwrap_or_default(),
            eight_bit: envelope.body != BodyType::SevenBit,
        }
    }
}

impl Keeper {
    /// Opens the folder, and makes it where it is missing. Messages that are there stay, and are counted on from.
    pub(super) fn open(folder: PathBuf) -> io::Result<Keeper> {
        fs::create_dir_all(&folder)?;
        let mut last = 0;
        for entry in fs::read_dir(&folder)? {
            let name = PathBuf::from(entry?.file_name());
            let number = name.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            last = last.max(number.unwrap_or(0));
        }
        Ok(Keeper { folder: folder.into(), next: AtomicU64::new(last + 1), begun: AtomicU64::new(0) })
    }

    pub(super) fn begin(&self) -> Keeping {
        let process = std::process::id();
        let name = format!(".{process}-{}.part", self.begun.fetch_add(1, Ordering::Relaxed));
        Keeping {
            part: Part { path: self.folder.join(name), file: None },
            folder: self.folder.clone(),
            text: Vec::new(),
        }
    }

    pub(super) fn next_number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

/// A message that is being kept. Dropped before it is finished, it leaves nothing behind.
pub(super) struct Keeping {
    part: Part,
    folder: Arc<Path>,
    text: Vec<u8>,
}

/// A file that does not have its name yet.
struct Part {
    path: PathBuf,
    file: Option<File>,
}

impl Keeping {
    pub(super) async fn write(&mut self, text: &[u8]) -> io::Result<()> {
        self.text.extend_from_slice(text);
        if self.text.len() < CHUNK_SIZE {
            return Ok(());
        }
        let chunk = mem::take(&mut self.text);
        let mut part = mem::replace(&mut self.part, Part { path: PathBuf::new(), file: None });
        self.part = blocking(move || part.write(&chunk).map(|()| part)).await?;
        Ok(())
    }

    pub(super) async fn finish(self, number: u64, envelope: KeptEnvelope) -> io::Result<()> {
        let Keeping { mut part, folder, text } = self;
        blocking(move || {
            part.write(&text)?;
            part.rename(&folder.join(format!("{number}.eml")))?;
            part.write(&serde_json::to_vec_pretty(&envelope)?)?;
            part.rename(&folder.join(format!("{number}.json")))
        })
        .await
    }
}

impl Part {
    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(File::create_new(&self.path)?),
        };
        file.write_all(text)
    }

    fn rename(&mut self, to: &Path) -> io::Result<()> {
        self.file = None;
        fs::rename(&self.path, to)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // A part that stays behind takes room and does no harm.
            let _ = fs::remove_file(&self.path);
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
