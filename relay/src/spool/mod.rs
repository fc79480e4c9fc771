//! Durable storage: what was answered 250 is here until it is delivered or bounced.
//!
//! # What is promised
//! - When [`Spool::append`] returns, the message is on the disk: its octets, and the names of new files, are synced. It is found
//!   after a kill or a power cut at any moment, whole, with every recipient that is not done.
//! - A message is never changed; what was not answered may be found all the same.
//! - [`Spool::mark`] does not wait. A mark is on the disk within about a second, and at the latest when the next append returns;
//!   on a full disk, when there is room. A crash before that costs a duplicate for each recipient that was marked done, and never
//!   a loss.
//! - Recovery tolerates what a power cut leaves at the end of the log, and nothing else: what is damaged anywhere is saved in a
//!   file whose name begins with `damaged-`, and reported with the message's id where it can be read. Everything else is found.
//! - A full disk refuses the mail of clients with [`SpoolError::Full`] and loses nothing. Room is kept back for marks and
//!   bounces, so the queue runs empty, and accepting resumes by itself.
//! - A failed sync is final until the spool is opened again: nobody knows what the disk holds then.
//!
//! # How it is laid out
//! A directory with an append-only log in segments (`segment.rs`) of 16 MiB, and a file for each text of more than 256 KiB.
//! Records (`record.rs`) carry checksums; a message's record is followed, at any distance, by marks that tell its outcomes. One
//! thread (`writer/`) writes: while the disk syncs one write, commands gather, and they share the next one.
//! A segment goes when all its messages are done; compaction copies the few that stay from the oldest one, so that they
//! do not keep the others. In memory, a message costs 32 octets.
//!
//! It uses nothing else of the relay but the values of SMTP's extensions, and asks little of a [`Storage`], so that it runs on
//! a simulated disk as well.

mod batch;
mod body;
mod codec;
mod damage;
mod disk;
mod error;
mod extras;
mod inspect;
mod message;
mod overlay;
mod payload;
mod pending;
mod reader;
mod recipients;
mod record;
mod recovery;
mod report;
mod segment;
mod shared;
mod stats;
mod storage;
mod survey;
mod table;
#[cfg(test)]
pub(crate) mod tests;
mod timing;
mod transfer;
mod writer;

use std::sync::{Arc, mpsc};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::oneshot;

pub use body::{Body, BodyWriter};
pub use disk::{Disk, Room};
pub use error::{Health, SpoolError};
pub use extras::Extras;
pub use inspect::Inspection;
pub use message::{
    Client, Deferral, Draft, ERROR_TEXT_MAX, Envelope, LastError, Location, Mark, MessageId, NotAMessageId, Outcome,
    Pending, Purpose, Stored, Told,
};
pub use reader::BodyReader;
pub use recovery::Recovery;
pub use report::{Damage, DamageSummary, Recovered, RecoveryReport};
pub use shared::{OnSync, Options};
pub use stats::{SYNC_BUCKETS, Stats};
pub use storage::{LockError, Storage, StorageFile};
pub use timing::{Deadline, Timing};
pub use transfer::{NotWaiting, Waiting};

use batch::{Append, Command, Standing};
use body::{BodyFile, Text, store_whole};
use payload::put_draft;
use record::{Kind, RECORD_HEAD};
use shared::Shared;
use storage::apart;
use survey::Survey;
use writer::{Engine, Start, Writer};

/// Most recipients of a message: an index of one has 16 bits.
const RECIPIENTS_MAX: usize = 1 << 16;

/// A handle of an open spool; clones share it. The spool is closed by [`Spool::close`], or when the last handle is dropped.
#[derive(Debug, Clone)]
pub struct Spool {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

impl Spool {
    /// Opens the spool that is in `storage`, or makes one. It takes mail at once; what is in it is found by the [`Recovery`], to
    /// be run beside. Waits for the disk.
    ///
    /// # Errors
    /// [`SpoolError::Locked`] when another process has it, [`SpoolError::UnsupportedFormat`] when a later version has written
    /// it, [`SpoolError::BadOption`], or [`SpoolError::Io`]. A full disk is no error: see [`Spool::health`].
    pub fn open(storage: Arc<dyn Storage>, options: Options) -> Result<(Self, Recovery), SpoolError> {
        let (spool, recovery, engine) = Self::assemble(storage, options)?;
        engine.start()?;
        Ok((spool, recovery))
    }

    /// The parts of an open spool, with nothing running yet.
    fn assemble(storage: Arc<dyn Storage>, options: Options) -> Result<(Self, Recovery, Engine), SpoolError> {
        options.check()?;
        let lock = storage.lock().map_err(|error| match error {
            LockError::Held(holder) => SpoolError::Locked { directory: storage.describe().into(), holder },
            LockError::Io(error) => SpoolError::io("lock", &storage.describe(), error),
        })?;
        let survey = Survey::make(&*storage)?;
        let shared = Arc::new(Shared::new(storage, options, survey.last_id, survey.next_body));
        shared.index_mut(|index| {
            index.segments.extend(survey.segments.iter().map(|segment| (segment.head.number, segment.clone())));
        });
        let start = Start { salt: survey.salt, next_segment: survey.next_segment, lock };
        let writer = Writer::new(shared.clone(), start)?;
        for (file, offset) in &survey.aside {
            let what = format_args!("{file}, at {offset}: set aside by an earlier start as damaged-{file}…");
            shared.note_damage(file, *offset, what);
        }
        let (sender, commands) = mpsc::channel();
        let recovery = Recovery::new(shared.clone(), sender.clone(), survey);
        Ok((Self { shared, commands: sender }, recovery, Engine { writer, commands }))
    }

    /// An id for a message received at `at`, to stand in the message's own text. An id that is not used costs nothing.
    pub fn reserve_id(&self, at: Timestamp) -> MessageId {
        self.shared.reserve_id(at)
    }

    /// Begins a text of unknown length.
    pub fn begin_body(&self) -> BodyWriter {
        BodyWriter::new(self.shared.clone())
    }

    /// Stores a message. When this returns it is on the disk, and its client may be answered 250. A caller that goes away before
    /// that takes the message back with it.
    ///
    /// # Errors
    /// [`SpoolError::Full`] or [`SpoolError::ReadOnly`] when there is no room, [`SpoolError::TooLarge`] when there are too many
    /// recipients, [`SpoolError::Failing`] or [`SpoolError::Closed`] when the spool takes no more mail; then nothing is promised
    /// of the message, and after `Failing` it may still be found at the next start.
    pub async fn append(&self, draft: Draft, body: Body) -> Result<Stored, SpoolError> {
        let (text, file) = self.place(body).await?;
        let size = file.as_ref().map_or(text.len() as u64, |file| file.size);
        let mut frame = vec![0; RECORD_HEAD];
        put_draft(&mut frame, &draft, size, file.as_ref().map(|file| file.reference()));
        let (head, limit) = (frame.len() - RECORD_HEAD, self.shared.options.head_max());
        if head > limit || draft.recipients.len() > RECIPIENTS_MAX {
            return Err(SpoolError::TooLarge { size: head, limit });
        }
        let id = draft.id.unwrap_or_else(|| self.reserve_id(draft.received_at));
        self.store(id, Kind::Message, draft.purpose, draft.recipients.len(), (frame, text, file)).await
    }

    /// Stores a message that waited in another spool, under the id and with the state of its recipients that it had there. The
    /// caller sees to it that no message of this id waits here.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub async fn append_waiting(&self, waiting: &Waiting, body: Body) -> Result<Stored, SpoolError> {
        let (text, file) = self.place(body).await?;
        let size = file.as_ref().map_or(text.len() as u64, |file| file.size);
        let (recipients, limit) = (waiting.envelope().recipients.len(), self.shared.options.segment_size as usize / 2);
        let frame = |wordless| {
            let mut frame = vec![0; RECORD_HEAD];
            waiting.to_store(size, wordless).put(&mut frame, file.as_ref().map(|file| file.reference()));
            frame
        };
        let mut record = frame(false);
        if record.len() > limit {
            record = frame(true);
        }
        if record.len() > limit || recipients > RECIPIENTS_MAX {
            return Err(SpoolError::TooLarge { size: record.len() - RECORD_HEAD, limit });
        }
        let id = waiting.envelope().id;
        self.shared.note_id(id);
        self.store(id, Kind::Moved, Purpose::Client, recipients, (record, text, file)).await
    }

    /// A text where it is to be: with its record, or in a file of its own.
    async fn place(&self, body: Body) -> Result<(Bytes, Option<BodyFile>), SpoolError> {
        Ok(match body.0 {
            Text::Large(file) => (Bytes::new(), Some(file)),
            Text::Small(text) if text.len() <= self.shared.options.inline_max as usize => (text, None),
            Text::Small(text) => {
                let shared = self.shared.clone();
                let stored = apart(self.shared.storage.may_wait(), move || store_whole(&shared, &text)).await;
                (Bytes::new(), Some(stored.ok_or(SpoolError::Closed)??))
            }
        })
    }

    async fn store(
        &self,
        id: MessageId,
        kind: Kind,
        purpose: Purpose,
        recipients: usize,
        (frame, text, file): (Vec<u8>, Bytes, Option<BodyFile>),
    ) -> Result<Stored, SpoolError> {
        let payload_crc = crc32c::crc32c(frame.get(RECORD_HEAD..).unwrap_or_default());
        let (reply, answer) = oneshot::channel();
        let append = Append {
            id,
            kind,
            purpose,
            frame,
            payload_crc: crc32c::crc32c_append(payload_crc, &text),
            text,
            file,
            recipients,
            reply,
            commands: self.commands.clone(),
        };
        self.ask(Command::Append(Box::new(append)), answer).await?.claim().ok_or(SpoolError::Closed)
    }

    /// Notes outcomes. Does not wait: see the [module's promise](self). A mark for recipients that are done already, or for a
    /// message that is, says nothing new and is no error.
    pub fn mark(&self, mark: Mark) {
        // After the spool is closed the outcome is lost: the message is delivered again after the next start.
        let _ = self.commands.send(Command::Mark(mark));
    }

    /// Waits until everything before it is on the disk, marks too.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub async fn flush(&self) -> Result<(), SpoolError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Command::Flush(reply), answer).await
    }

    /// Reads a message: its envelope at once, its text as it is asked for.
    ///
    /// # Errors
    /// [`SpoolError::NoRecord`] when the message is done and its place is gone, [`SpoolError::Damaged`], or [`SpoolError::Io`].
    pub async fn read(&self, location: Location) -> Result<(Envelope, BodyReader), SpoolError> {
        reader::read(&self.shared, location).await
    }

    /// Reads a message's text.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn body(&self, location: Location) -> Result<BodyReader, SpoolError> {
        self.read(location).await.map(|(_, body)| body)
    }

    /// Reads a message's envelope.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn envelope(&self, location: Location) -> Result<Envelope, SpoolError> {
        reader::read_record(&self.shared, location).await.map(|(head, _)| head.envelope)
    }

    /// Reads a message's envelope, and how each of its recipients stands that is not done. Its text is not kept.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn look(&self, location: Location) -> Result<(Envelope, Vec<Pending>), SpoolError> {
        let (reply, answer) = oneshot::channel();
        let Standing { at, pending, deferred_at } = self.ask(Command::Look(location, reply), answer).await?;
        let (head, _) = reader::read_record(&self.shared, location).await?;
        let shared = self.shared.clone();
        let gathered = apart(self.shared.storage.may_wait(), move || {
            let base = head.moved.as_ref().map(|moved| moved.pending.as_slice()).unwrap_or_default();
            let pending = pending::gather(&shared, head.envelope.id, at, &pending, base, deferred_at);
            (head.envelope, pending)
        });
        gathered.await.ok_or(SpoolError::Closed)
    }

    /// Counters and sizes, as the writer last left them.
    pub fn stats(&self) -> Stats {
        self.shared.counters.read()
    }

    /// What of the spool is known to be damaged; `None` when nothing is. Damaged parts that an earlier start has set aside count
    /// until their files are removed and the spool is opened again: so a restart does not hide that mail was lost.
    pub fn damage(&self) -> Option<DamageSummary> {
        self.shared.damage()
    }

    /// Notes that the message at `location` is not what was accepted, for a reason that only the caller can tell: `what`.
    pub fn note_unusable(&self, location: Location, what: &str) {
        let now = self.shared.forwarded(location).unwrap_or(location.at());
        self.shared.note_damage(&segment::segment_name(now.segment), now.offset.into(), what);
    }

    /// Whether the spool takes mail, as the writer last saw it.
    pub fn health(&self) -> Health {
        self.shared.health()
    }

    /// Writes and syncs what there is, marks too, and frees the spool for another process. All other handles are of no more use.
    ///
    /// # Errors
    /// [`SpoolError::Failing`] when the spool has failed, [`SpoolError::Full`] or [`SpoolError::ReadOnly`] when marks were left that
    /// found no room, [`SpoolError::Closed`] when it is closed already. It is closed in any case.
    pub async fn close(&self) -> Result<(), SpoolError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Command::Close(reply), answer).await
    }

    async fn ask<T>(
        &self,
        command: Command,
        answer: oneshot::Receiver<Result<T, SpoolError>>,
    ) -> Result<T, SpoolError> {
        self.commands.send(command).map_err(|_| SpoolError::Closed)?;
        answer.await.map_err(|_| SpoolError::Closed)?
    }
}
