//! Writes records from a thread of its own, so that a slow reader of the log never holds mail up.

use std::{
    io, mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use mailsluice_crds::LogLevel;

use super::record::{Line, Tag};

/// Octets of records that may wait for a reader that is slow. What comes beyond is dropped, counted, and the count written.
const BACKLOG: usize = 8 << 20;

/// How long the first record that waits is left waiting for others: so that under load the thread wakes and writes some
/// hundred times a second, and not once for each record.
const GATHER: Duration = Duration::from_millis(2);

/// The way from records to their output.
pub struct Writer {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Something waits to be written, or the writer is gone.
    work: Condvar,
    /// Everything that waited is written.
    done: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    writing: bool,
    dropped: u64,
    /// Whether the last record was text, not JSON.
    text: bool,
    closed: bool,
    /// How many wait until everything is written.
    flushing: u32,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    pub(super) fn start(mut out: impl io::Write + Send + 'static) -> io::Result<Writer> {
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        thread::Builder::new().name("log".into()).spawn(move || {
            let mut batch = Vec::new();
            loop {
                let mut state = theirs.lock();
                while state.waiting.is_empty() && !state.closed {
                    state = theirs.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                if state.waiting.is_empty() {
                    return;
                }
                // Whoever closes or flushes the log waits for what is in it now, not for more.
                if !state.closed && state.flushing == 0 {
                    drop(state);
                    thread::sleep(GATHER);
                    state = theirs.lock();
                }
                mem::swap(&mut state.waiting, &mut batch);
                let dropped = mem::take(&mut state.dropped);
                let text = state.text;
                state.writing = true;
                drop(state);
                // There is nobody to tell that the log cannot be written.
                let _ = out.write_all(&batch);
                if dropped > 0 {
                    let line = Line::begin(text, LogLevel::Problems, Tag::Relay);
                    let what = format!("the log's reader is slow: {dropped} records were dropped");
                    let _ = out.write_all(line.finish(&what).as_bytes());
                }
                let _ = out.flush();
                batch.clear();
                batch.shrink_to(1 << 20);
                theirs.lock().writing = false;
                theirs.done.notify_all();
            }
        })?;
        Ok(Writer { shared })
    }

    pub(super) fn write(&self, line: &str, text: bool) {
        let mut state = self.shared.lock();
        state.text = text;
        if state.waiting.len() + line.len() > BACKLOG {
            state.dropped += 1;
            return;
        }
        let idle = state.waiting.is_empty() && !state.writing;
        state.waiting.extend_from_slice(line.as_bytes());
        drop(state);
        if idle {
            self.shared.work.notify_one();
        }
    }

    pub(super) fn flush(&self) {
        let mut state = self.shared.lock();
        state.flushing += 1;
        while !state.waiting.is_empty() || state.writing {
            state = self.shared.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.flushing -= 1;
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_one();
    }
}
