//! A message on its way into the queue.

use std::fmt;

use jiff::Timestamp;

use super::{Recipients, host::NewEntry};
use crate::spool::{Location, MessageId, Timing, Told};

/// A message as the queue needs it.
#[derive(Debug)]
pub struct Arrival {
    /// Its id, which also tells when it was accepted: ids are in the order of acceptance.
    pub id: MessageId,
    /// Where it is in the spool.
    pub location: Location,
    /// Octets of its text.
    pub size: u64,
    /// When it was accepted.
    pub received_at: Timestamp,
    /// When it may be sent and is to be delivered, and how much it matters.
    pub timing: Timing,
    /// The hosts that it goes to.
    pub parts: Vec<Part>,
}

impl Arrival {
    /// The hosts that it goes to, for people: with a space between them, and the first ones alone where there are many.
    #[must_use]
    pub fn hosts(&self) -> impl fmt::Display + '_ {
        const MOST: usize = 16;
        fmt::from_fn(|f| {
            for (index, part) in self.parts.iter().take(MOST).enumerate() {
                write!(f, "{}{}", if index > 0 { " " } else { "" }, part.host)?;
            }
            if self.parts.len() > MOST { write!(f, " …") } else { Ok(()) }
        })
    }
}

/// A message's recipients at one host.
#[derive(Debug)]
pub struct Part {
    /// The host, as the Monitor names it.
    pub host: String,
    /// The recipients that it is to take.
    pub recipients: Recipients,
    /// Attempts that were made and failed: above 0 only for what a restart found in the spool.
    pub attempts: u32,
    /// Not to be tried before; for what a restart found in the spool.
    pub due: Option<Timestamp>,
    /// What its sender was told of its delay; for what a restart found in the spool.
    pub told: Told,
    /// Whether it is to go even without the TLS that its domain asks for (RFC 8689 section 3).
    pub tls_optional: bool,
}

impl Part {
    pub(super) fn entry(self, timing: &Timing, now: Timestamp) -> NewEntry {
        NewEntry {
            recipients: self.recipients,
            attempts: self.attempts,
            due: self.due.filter(|due| *due > now),
            held: timing.hold_until.filter(|until| *until > now),
            priority: timing.priority.unwrap_or_default(),
            told: self.told,
            tls_optional: self.tls_optional,
        }
    }
}
