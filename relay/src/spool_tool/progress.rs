//! How far long work is: on a terminal only, and no more than ten times a second.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

/// The least time between two lines.
const INTERVAL: Duration = Duration::from_millis(100);

/// A line on standard error that tells how far work is, and goes when it is done.
pub(super) struct Progress {
    what: &'static str,
    /// When the last line was written; none where nobody looks.
    last: Option<Instant>,
    shown: bool,
}

impl Progress {
    /// Counts `what`.
    pub(super) fn new(what: &'static str) -> Progress {
        Progress { what, last: io::stderr().is_terminal().then(Instant::now), shown: false }
    }

    /// So many are done, of so many where that is known.
    pub(super) fn at(&mut self, done: usize, all: Option<usize>) {
        let Some(last) = self.last.filter(|last| last.elapsed() >= INTERVAL) else { return };
        self.last = Some(last + last.elapsed());
        self.shown = true;
        let of = all.map(|all| format!(" of {all}")).unwrap_or_default();
        // Who does not see it loses nothing.
        let _ = write!(io::stderr(), "\r{done}{of} {}\x1b[K", self.what);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
