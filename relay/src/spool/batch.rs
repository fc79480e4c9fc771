//! What one commit writes and whom it answers.

use std::sync::mpsc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::body::BodyFile;
use super::error::SpoolError;
use super::message::{At, Location, Mark, MessageId, Outcome, Purpose, Stored};
use super::recipients::RecipientSet;
use super::record::Kind;
use super::table::{BodyRef, NewEntry, Table};

/// Where an answer goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, SpoolError>>;

/// What the writer is told to do, in the order in which it does it.
#[derive(Debug)]
pub(super) enum Command {
    /// Store a message.
    Append(Box<Append>),
    /// Write a mark.
    Mark(Mark),
    /// Answer when everything before is on the disk.
    Flush(Reply<()>),
    /// Say what the log knows of a message's recipients, everything before included.
    Look(Location, Reply<Standing>),
    /// Recovery has read an older segment.
    Adopt(Table),
    /// Recovery is through: nothing hinders removal and compaction any more.
    Recovered,
    /// Finish, and answer when all is on the disk and the spool is free for another process.
    Close(Reply<()>),
}

/// How a message stands: what is needed to read the state of its recipients.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    /// Its record.
    pub(super) at: At,
    /// The recipients that are not done.
    pub(super) pending: RecipientSet,
    /// The last mark that deferred one of them.
    pub(super) deferred_at: Option<At>,
}

/// A message, encoded and checksummed by its session.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) id: MessageId,
    pub(super) kind: Kind,
    pub(super) purpose: Purpose,
    /// Room for the record's header, and then the payload but for the text.
    pub(super) frame: Vec<u8>,
    /// The text, unless it has a file.
    pub(super) text: Bytes,
    pub(super) file: Option<BodyFile>,
    /// Of the payload, text included.
    pub(super) payload_crc: u32,
    pub(super) recipients: usize,
    pub(super) reply: Reply<Unclaimed>,
    /// For taking the message back when nobody waits for the answer any more.
    pub(super) commands: mpsc::Sender<Command>,
}

/// A stored message that its session has not taken over yet. Dropped, it is withdrawn: the session that went away has not
/// answered 250, so nobody would deliver the message before the next start, and then twice.
#[derive(Debug)]
pub(super) struct Unclaimed {
    stored: Option<Stored>,
    recipients: usize,
    commands: mpsc::Sender<Command>,
}

impl Unclaimed {
    pub(super) fn new(stored: Stored, recipients: usize, commands: mpsc::Sender<Command>) -> Self {
        Self { stored: Some(stored), recipients, commands }
    }

    pub(super) fn claim(mut self) -> Option<Stored> {
        self.stored.take()
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if let Some(Stored { id, location }) = self.stored.take() {
            let outcomes = (0..self.recipients).map(|recipient| (recipient as u16, Outcome::Removed)).collect();
            // A writer that has ended cannot be told; the message is delivered after the next start.
            let _ = self.commands.send(Command::Mark(Mark { id, location, outcomes }));
        }
    }
}

/// A message in the batch.
#[derive(Debug)]
pub(super) struct StagedAppend {
    pub(super) stored: Stored,
    pub(super) entry: NewEntry,
    pub(super) recipients: usize,
    pub(super) file: Option<BodyFile>,
    pub(super) reply: Reply<Unclaimed>,
    pub(super) commands: mpsc::Sender<Command>,
}

/// A mark whose outcomes are taken into account already, to be written.
#[derive(Debug)]
pub(super) struct UnwrittenMark {
    pub(super) mark: Mark,
    /// The message's record when the mark came.
    pub(super) target: At,
    /// The file of the message's text, when the mark was its last: it goes after the mark is on the disk.
    pub(super) body: Option<BodyRef>,
}

/// A mark in the batch, with what is needed to take it out again.
#[derive(Debug)]
pub(super) struct StagedMark {
    pub(super) mark: UnwrittenMark,
    /// Where it was put to.
    pub(super) target: At,
    pub(super) deferred_before: Option<At>,
}

/// A message that compaction moves in the batch.
#[derive(Debug)]
pub(super) struct StagedMove {
    pub(super) from: At,
    pub(super) to: Location,
    pub(super) entry: NewEntry,
}

/// One commit.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) parts: Vec<Bytes>,
    /// Octets of the parts.
    pub(super) len: u32,
    pub(super) appends: Vec<StagedAppend>,
    pub(super) marks: Vec<StagedMark>,
    pub(super) moves: Vec<StagedMove>,
    pub(super) flushes: Vec<Reply<()>>,
    /// A body file was born since the directory was last synced.
    pub(super) sync_dir: bool,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.flushes.is_empty()
    }

    /// Somebody waits for the disk, or the old place of a message is given up for it.
    pub(super) fn needs_sync(&self) -> bool {
        !(self.appends.is_empty() && self.moves.is_empty() && self.flushes.is_empty())
    }

    pub(super) fn push(&mut self, part: Bytes) {
        self.len += part.len() as u32;
        if !part.is_empty() {
            self.parts.push(part);
        }
    }
}
