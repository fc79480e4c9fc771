//! A clock that is wrong, for one relay: by libfaketime, which is loaded into it and changes what it takes for the time of day, and no other
//! clock. Into a program that loads libraries, that is: a release's is static, so for these tests the relay is built as it is for a first try.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use jiff::{SignedDuration, Timestamp};
use mailsluice_ctl::words::queue::QueueSaid;
use tempfile::TempDir;

use crate::{process, relay::Relay};

/// A clock that a relay can be started under.
#[derive(Debug)]
pub struct Clock {
    folder: TempDir,
}

impl Clock {
    /// One that is so far ahead, or behind where that is negative.
    #[must_use]
    pub fn off_by(seconds: i64) -> Clock {
        let clock = Clock { folder: TempDir::new().expect("a temporary folder") };
        clock.set(seconds);
        clock
    }

    /// Sets it, at once for all that runs under it.
    pub fn set(&self, seconds: i64) {
        set_in(self.folder.path(), seconds);
    }

    /// What is set for a program that runs under it.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let library = format!("/usr/lib/{}-linux-gnu/faketime/libfaketime.so.1", std::env::consts::ARCH);
        assert!(Path::new(&library).exists(), "{library} is missing; tests/install fast installs it");
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        vec![
            set("LD_PRELOAD", &library),
            set("FAKETIME_TIMESTAMP_FILE", &self.file().display().to_string()),
            // Read again each time.
            set("FAKETIME_NO_CACHE", "1"),
            // What counts how long something takes, and the times of files, are as they are.
            set("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            set("NO_FAKE_STAT", "1"),
        ]
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("offset")
    }
}

/// Sets the clock of what runs under the file `offset` of this folder.
pub fn set_in(folder: &Path, seconds: i64) {
    let new = folder.join("new");
    fs::write(&new, format!("{seconds:+}\n")).unwrap_or_else(|error| panic!("{}: {error}", new.display()));
    fs::rename(&new, folder.join("offset")).expect("put it in place");
}

/// A relay's program that can be given another clock: `MAILSLUICE_DYNAMIC_RELAY`, or built now.
#[must_use]
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| process::program("mailsluice-relay", "mailsluice-relay", "MAILSLUICE_DYNAMIC_RELAY"))
}

/// Panics unless a relay's clock is so far off: a test of another clock must have one.
pub fn assert_off_by(relay: &Relay, seconds: i64) {
    let QueueSaid::Hosts(hosts) = relay.ctl_json(&["queue"]) else { panic!("asked for hosts") };
    let shown = hosts.now;
    let off = Timestamp::now().duration_until(shown).saturating_sub(SignedDuration::from_secs(seconds));
    assert!(off.abs() < SignedDuration::from_mins(5), "its clock shows {shown}, which is not off by {seconds} s");
}
