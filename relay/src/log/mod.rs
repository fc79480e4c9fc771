//! Log records at the six levels, as JSON or text, with levels that change while the relay runs.
//!
//! A module of our own and not `tracing`, whose five levels cannot hold the six of the product, and whose filters know
//! neither a host nor the TCP Schedule's own level. A record that its level does not let through costs one comparison.
//!
//! No message text and no secret goes into a record at any level.

mod levels;
mod record;
mod writer;

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
};

use jiff::Timestamp;
use mailsluice_crds::{
    LogLevel,
    relay::{self, LogFormat},
};

pub use levels::Override;
pub use record::{Record, Tag};
pub use writer::Writer;

use levels::{HostLevel, Wanted};

/// The marker of records on what happened when a TCP/IP session was asked for.
pub const TCP_SMTP: &str = "TCP(SMTP)";

/// Where records go. Cheap to clone.
#[derive(Clone)]
pub struct Log {
    shared: Arc<Shared>,
}

struct Shared {
    /// The relay's own level.
    level: AtomicU8,
    /// The TCP Schedule's.
    schedule_level: AtomicU8,
    text: AtomicBool,
    /// Whether `hosts` has anything, so that the common case takes no lock.
    any_hosts: AtomicBool,
    hosts: RwLock<HashMap<String, HostLevel>>,
    relay: RwLock<Arc<str>>,
    wanted: Mutex<Wanted>,
    writer: Writer,
}

impl Log {
    /// A log at the default levels that writes to `out` from a thread of its own.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn new(out: impl io::Write + Send + 'static) -> io::Result<Log> {
        let shared = Shared {
            level: AtomicU8::new(LogLevel::default() as u8),
            schedule_level: AtomicU8::new(LogLevel::Major as u8),
            text: AtomicBool::new(false),
            any_hosts: AtomicBool::new(false),
            hosts: RwLock::default(),
            relay: RwLock::new("".into()),
            wanted: Mutex::default(),
            writer: Writer::start(out)?,
        };
        Ok(Log { shared: Arc::new(shared) })
    }

    /// Takes over the levels and the format of a configuration, for the records from here on. What was changed at run time is
    /// over.
    pub fn configure(&self, relay: &str, log: &relay::Log, schedule_level: LogLevel) {
        let shared = &self.shared;
        shared.schedule_level.store(schedule_level as u8, Ordering::Relaxed);
        shared.text.store(log.format == LogFormat::Text, Ordering::Relaxed);
        *write(&shared.relay) = relay.into();
        self.want(|wanted| *wanted = Wanted::configured(log.clone()));
    }

    /// Changes a level at run time.
    pub fn set(&self, change: Override) {
        self.want(|wanted| wanted.change(change));
    }

    /// Lets levels fall back whose time is over at `now`.
    pub fn fall_back(&self, now: Timestamp) {
        self.want(|wanted| wanted.forget_over(now));
    }

    /// Levels that were changed at run time.
    #[must_use]
    pub fn overrides(&self) -> Vec<Override> {
        lock(&self.shared.wanted).overrides().to_vec()
    }

    /// The level for a host, or of the relay.
    #[must_use]
    pub fn level_of(&self, host: Option<&str>) -> LogLevel {
        host.and_then(|host| self.own_level(host)).unwrap_or_else(|| self.level())
    }

    /// Changes what is wanted, and puts it in force.
    fn want(&self, change: impl FnOnce(&mut Wanted)) {
        let shared = &self.shared;
        let mut wanted = lock(&shared.wanted);
        change(&mut wanted);
        let (level, hosts) = wanted.in_force();
        shared.level.store(level as u8, Ordering::Relaxed);
        shared.any_hosts.store(!hosts.is_empty(), Ordering::Relaxed);
        *write(&shared.hosts) = hosts;
    }

    /// The relay's Log Level.
    #[must_use]
    pub fn level(&self) -> LogLevel {
        level(self.shared.level.load(Ordering::Relaxed))
    }

    /// Whether a record of the relay would be shown: for callers that would have to gather what goes into it.
    #[must_use]
    pub fn shows(&self, level: LogLevel) -> bool {
        self.level().lets_through(level)
    }

    /// A record of the relay.
    pub fn at(&self, level: LogLevel, tag: Tag) -> Record<'_> {
        self.record(self.level().lets_through(level), level, tag)
    }

    /// A record about a host, which may have a level of its own.
    pub fn at_host(&self, level: LogLevel, tag: Tag, host: &str) -> Record<'_> {
        self.record(self.shows_host(level, host), level, tag).field("host", host)
    }

    /// A record about the TCP Schedule, shown by the schedule's own level.
    pub fn at_schedule(&self, level: LogLevel, tag: Tag) -> Record<'_> {
        self.record(self.shows_schedule(level), level, tag)
    }

    /// A record, at AllInfo, about a host's question to the TCP Schedule: shown where the host's level lets it through, and
    /// where the schedule's own does, to follow every question.
    pub fn at_question(&self, tag: Tag, host: &str) -> Record<'_> {
        let level = LogLevel::AllInfo;
        self.record(self.shows_schedule(level) || self.shows_host(level, host), level, tag).field("host", host)
    }

    /// Whether a record about `host` would be shown: for callers that would have to gather what goes into it.
    #[must_use]
    pub fn shows_host(&self, level: LogLevel, host: &str) -> bool {
        if !self.shared.any_hosts.load(Ordering::Relaxed) {
            return self.level().lets_through(level);
        }
        self.own_level(host).unwrap_or_else(|| self.level()).lets_through(level)
    }

    fn own_level(&self, host: &str) -> Option<LogLevel> {
        let hosts = read(&self.shared.hosts);
        let own = hosts.get(host).filter(|own| own.until.is_none_or(|until| Timestamp::now() < until));
        own.map(|own| own.level)
    }

    /// Waits until everything that was recorded is written.
    pub fn flush(&self) {
        self.shared.writer.flush();
    }

    fn shows_schedule(&self, wanted: LogLevel) -> bool {
        level(self.shared.schedule_level.load(Ordering::Relaxed)).lets_through(wanted)
    }

    fn record(&self, shown: bool, level: LogLevel, tag: Tag) -> Record<'_> {
        if !shown {
            return Record::hidden();
        }
        let relay = read(&self.shared.relay).clone();
        let text = self.shared.text.load(Ordering::Relaxed);
        Record::begin(&self.shared.writer, text, level, tag, &relay)
    }
}

fn level(number: u8) -> LogLevel {
    LogLevel::ALL.get(usize::from(number)).copied().unwrap_or_default()
}

// A panic while one of these is held leaves it as it was: whole values are put in, never half of one.
fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

fn lock<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
