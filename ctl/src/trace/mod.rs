//! `trace`: the whole life of a message, told from log records. Pure.
//!
//! - [`record`]: records out of the lines of a log, whoever wrapped them: `journalctl`, `kubectl logs`, a file;
//! - [`life`]: from records to what happened to the message, in its order;
//! - [`text`]: a life as people read it.

mod life;
mod record;
mod text;

pub use life::{Event, Life, Outcome, What, life};
pub use record::{Record, records};

#[cfg(test)]
mod tests;
