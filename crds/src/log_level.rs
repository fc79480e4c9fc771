//! The six Log Levels, in their order, and what each one lets through.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much is logged. Each level lets through its own records and those of every level before it.
///
/// The same six, in the same order, for a relay, for a single host, and for a TCP Schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum LogLevel {
    /// What ends the process or stops it from doing its work: a panic, a spool that cannot be written.
    CrashesOnly,
    /// What was given up: a message bounced, a configuration refused.
    Failures,
    /// What happened, a line for each: start and stop, a message accepted or delivered, a schedule's link opened or closed.
    Major,
    /// What went wrong and will be tried again: a message deferred, a host suspended, a client refused.
    #[default]
    Problems,
    /// The conversation: commands and replies, connections opened and closed.
    LowLevel,
    /// Everything: each question to the TCP Schedule and its answer, sizes, DNS answers.
    AllInfo,
}

impl LogLevel {
    /// All six, the quietest first.
    pub const ALL: [LogLevel; 6] = [
        LogLevel::CrashesOnly,
        LogLevel::Failures,
        LogLevel::Major,
        LogLevel::Problems,
        LogLevel::LowLevel,
        LogLevel::AllInfo,
    ];

    /// Whether a log set to this level shows a record of level `record`.
    #[must_use]
    pub fn lets_through(self, record: LogLevel) -> bool {
        record <= self
    }

    /// The level's name, as manifests and log records spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            LogLevel::CrashesOnly => "CrashesOnly",
            LogLevel::Failures => "Failures",
            LogLevel::Major => "Major",
            LogLevel::Problems => "Problems",
            LogLevel::LowLevel => "LowLevel",
            LogLevel::AllInfo => "AllInfo",
        }
    }
}

/// Text that names none of the six.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write one of {}", LogLevel::ALL.map(LogLevel::name).join(", "))]
pub struct NotALevel;

/// By its name, however it is capitalised.
impl FromStr for LogLevel {
    type Err = NotALevel;

    fn from_str(name: &str) -> Result<LogLevel, NotALevel> {
        LogLevel::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(name)).ok_or(NotALevel)
    }
}
