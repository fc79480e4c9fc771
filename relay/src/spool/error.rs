//! What can go wrong in the spool, as the caller must tell it apart: no room, gone for good, not readable, not ours to open.

use std::io;
use std::sync::Arc;

use rustix::io::Errno;

use super::message::MessageId;

/// Why the spool did not do what it was asked. Cheap to clone: one failed sync answers many sessions.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SpoolError {
    /// The disk or the quota has no room for more mail; nothing was stored. The room that marks and bounces need is kept
    /// back, so deliveries go on, and accepting resumes by itself. A client is answered 452 4.3.1.
    #[error("the spool has no room for more mail: {reason}; free space on its volume or enlarge it")]
    Full {
        /// What the operating system said, and at what.
        reason: Arc<str>,
    },
    /// The file system takes no writes; nothing was stored. Resumes by itself. A client is answered 452 4.3.1.
    #[error(
        "the spool's file system is read-only: {reason}; make it writable again (look for I/O errors in the kernel's log)"
    )]
    ReadOnly {
        /// What the operating system said, and at what.
        reason: Arc<str>,
    },
    /// A write or a sync failed, so what the disk holds is no longer known. Final: only opening the spool again, which reads
    /// what is really there, helps. A client is answered 451 4.3.0.
    #[error(
        "the spool has stopped accepting mail: {reason}; check the volume: once it can be written, the relay reads what is really on it"
    )]
    Failing {
        /// What failed first.
        reason: Arc<str>,
    },
    /// The spool was closed; the relay is stopping. A client is answered 421 4.3.2.
    #[error("the spool is closed")]
    Closed,
    /// The envelope is larger than a record may be. A client is answered 552 5.3.4.
    #[error("the envelope takes {size} octets, the spool stores at most {limit}: use fewer recipients in one message")]
    TooLarge {
        /// Octets of the encoded envelope.
        size: usize,
        /// The most octets that the spool stores.
        limit: usize,
    },
    /// The message is delivered, bounced or removed, and so is its record.
    #[error("message {0} is no longer in the spool")]
    Gone(MessageId),
    /// The segment of this location has gone, with every message that was in it.
    #[error(
        "segment {segment} of the spool has gone, with the message at offset {offset}: it was delivered, bounced or removed"
    )]
    NoRecord {
        /// Segment of the location.
        segment: u32,
        /// Offset of the location.
        offset: u32,
    },
    /// What was read is not what was written.
    #[error("{file} is damaged at octet {offset}{}: {what}", .id.map(|id| format!(" (message {id})")).unwrap_or_default())]
    Damaged {
        /// Name of the file in the spool's directory.
        file: Arc<str>,
        /// Where in the file.
        offset: u64,
        /// The message, where its id could be read.
        id: Option<MessageId>,
        /// What does not fit.
        what: &'static str,
    },
    /// Another process has the spool open.
    #[error("the spool {directory} is in use by another process{}: stop that one, or give this one a spool directory of its own", .holder.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    Locked {
        /// The spool's directory.
        directory: Arc<str>,
        /// The other process, where it has left its id.
        holder: Option<u32>,
    },
    /// A file of the spool was written by a later version.
    #[error(
        "{file} has spool format {found}, this version reads up to {supported}: start the version that wrote it, or a later one, and let it deliver its queue before going back"
    )]
    UnsupportedFormat {
        /// Name of the file in the spool's directory.
        file: Arc<str>,
        /// The format found.
        found: u32,
        /// The newest format that this version reads.
        supported: u32,
    },
    /// An option does not fit another.
    #[error("spool option {option} is {value}: {want}")]
    BadOption {
        /// Name of the option.
        option: &'static str,
        /// Its value.
        value: u64,
        /// What it must be.
        want: &'static str,
    },
    /// The operating system refused something while opening or reading.
    #[error("cannot {what} {file}: {source}")]
    Io {
        /// What was tried: "open", "read", …
        what: &'static str,
        /// Name of the file in the spool's directory.
        file: Arc<str>,
        /// The operating system's answer.
        source: Arc<io::Error>,
    },
}

impl SpoolError {
    /// True when the same mail may be taken later without a restart (SMTP 452 4.3.1).
    pub fn is_temporary_room(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::ReadOnly { .. })
    }

    /// True when a message cannot be read because the disk does not give back what was written, as opposed to a trouble that
    /// may pass. Reading it again without a restart makes nothing better.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            Self::Io { source, .. } => is_damage(source),
            _ => false,
        }
    }

    pub(super) fn io(what: &'static str, file: &str, source: io::Error) -> Self {
        Self::Io { what, file: file.into(), source: Arc::new(source) }
    }

    /// The error of a failed create, allocation or write: lack of room where it is one, `None` where it is final.
    pub(super) fn lack_of_room(what: &'static str, file: &str, error: &io::Error) -> Option<Self> {
        let reason = || format!("cannot {what} {file}: {error}").into();
        match Errno::from_io_error(error)? {
            Errno::NOSPC | Errno::DQUOT => Some(Self::Full { reason: reason() }),
            Errno::ROFS => Some(Self::ReadOnly { reason: reason() }),
            _ => None,
        }
    }

    /// As [`Self::lack_of_room`], and otherwise an [`Self::Io`].
    pub(super) fn writing(what: &'static str, file: &str, error: io::Error) -> Self {
        Self::lack_of_room(what, file, &error).unwrap_or_else(|| Self::io(what, file, error))
    }
}

/// True when an error of reading means that what was written is not there any more.
pub(super) fn is_damage(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
    Errno::from_io_error(error) == Some(Errno::IO) || matches!(error.kind(), InvalidData | NotFound | UnexpectedEof)
}

/// Whether the spool takes mail, and why not: a copy of what the writer last saw, so asking costs no I/O.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It takes mail.
    Good,
    /// It has no room for mail of clients; marks and bounces still go in. Resumes by itself.
    Full(Arc<str>),
    /// The file system takes no writes. Resumes by itself.
    ReadOnly(Arc<str>),
    /// A write or a sync failed, or the spool was closed: final until it is opened again.
    Failing(Arc<str>),
}

impl Health {
    pub(super) fn of(error: &SpoolError) -> Self {
        match error {
            SpoolError::Full { reason } => Self::Full(reason.clone()),
            SpoolError::ReadOnly { reason } => Self::ReadOnly(reason.clone()),
            SpoolError::Failing { reason } => Self::Failing(reason.clone()),
            other => Self::Failing(other.to_string().into()),
        }
    }
}
