//! What recovery finds and tells.

use std::fmt;
use std::sync::Arc;

use super::message::{Envelope, Location, MessageId, Pending};

/// A message that a restart found, with the recipients that are not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The message without its text.
    pub envelope: Envelope,
    /// Its place from now on.
    pub location: Location,
    /// The recipients that are not done, at least one, by their index; with attempts and due times.
    pub pending: Vec<Pending>,
}

/// What recovery did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Messages that were found and have recipients that are not done.
    pub messages: usize,
    /// Octets of records that a power cut left unfinished; no answer was given for any of them.
    pub torn_bytes: u64,
    /// What is not as it was written.
    pub damage: Vec<Damage>,
    /// Files swept that belonged to no message: texts that were never answered for, or were done.
    pub swept: usize,
}

/// A part of the spool that is not as it was written. Everything beside it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Name of the damaged file in the spool's directory.
    pub file: Arc<str>,
    /// Where in it.
    pub offset: u64,
    /// How much of it, in octets.
    pub len: u64,
    /// The message that is concerned, where its id could still be read.
    pub id: Option<MessageId>,
    /// What does not fit, and what follows from it.
    pub what: &'static str,
    /// The file in the spool's directory to which the damaged part was saved for an administrator to look at; `None` when there
    /// was no room for that: then a segment with damaged records is kept itself.
    pub saved: Option<Arc<str>>,
}

/// What is known to be damaged, found by recovery, met since, or set aside by an earlier start and not removed since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamageSummary {
    /// Damaged parts, each counted once.
    pub records: u64,
    /// The one that was met first, in words.
    pub first: Arc<str>,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} octets at {}: {}", self.file, self.len, self.offset, self.what)?;
        match &self.saved {
            Some(saved) => write!(f, "; saved in {saved}"),
            None => write!(f, "; there was no room to save it elsewhere"),
        }
    }
}
