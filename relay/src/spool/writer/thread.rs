//! The writer's thread: takes all commands that wait, carries them out in one turn, and does what is due in between.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::Writer;
use crate::spool::batch::Command;
use crate::spool::error::{Health, SpoolError};
use crate::spool::shared::Shared;

/// Commands that one turn takes at most, so that a flood of them cannot put the answers off for ever.
const TURN_MAX: usize = 8192;

/// Commands in a turn from which on many sessions are known to be at work, so that a pause will gather some more.
const BUSY: usize = 16;

/// How long a busy writer lets commands gather before its next turn: more of them then share one write and one sync, and none
/// has to wake it. A client that sends alone never waits for it.
const GATHER: Duration = Duration::from_micros(800);

/// The writer with the commands that are sent to it.
#[derive(Debug)]
pub(in crate::spool) struct Engine {
    pub(in crate::spool) writer: Writer,
    pub(in crate::spool) commands: Receiver<Command>,
}

impl Engine {
    /// Starts the thread. It ends when it is told to close, or when nobody is left who could tell it.
    pub(in crate::spool) fn start(self) -> Result<(), SpoolError> {
        let thread = thread::Builder::new().name("spool".to_owned());
        thread
            .spawn(move || self.run())
            .map(drop)
            .map_err(|error| SpoolError::io("start", "the writer's thread", error))
    }

    fn run(self) {
        let Self { mut writer, commands } = self;
        let _guard = Guard(writer.shared.clone());
        let mut due: Option<Instant> = None;
        loop {
            match next(&commands, due) {
                Next::Command(first) => {
                    // Those that came while the disk was busy with the last turn: they share one write and one sync.
                    let mut taken = 0;
                    let turn = std::iter::once(first).chain(commands.try_iter()).take(TURN_MAX).inspect(|_| taken += 1);
                    if let Some(reply) = writer.turn(turn) {
                        let _ = reply.send(writer.finish());
                        return;
                    }
                    if (BUSY..TURN_MAX).contains(&taken) {
                        thread::sleep(GATHER);
                    }
                }
                Next::Tick => {
                    writer.tick();
                    due = None;
                }
                Next::End => {
                    // Nobody is left to be told.
                    let _ = writer.finish();
                    return;
                }
            }
            // What was due stays due: a steady flow of commands must not put it off.
            due = writer.rest().map(|rest| Instant::now() + rest).map(|at| due.map_or(at, |due| due.min(at)));
        }
    }
}

enum Next {
    Command(Command),
    Tick,
    End,
}

fn next(commands: &Receiver<Command>, due: Option<Instant>) -> Next {
    let Some(due) = due else {
        return commands.recv().map_or(Next::End, Next::Command);
    };
    let wait = due.saturating_duration_since(Instant::now());
    if wait.is_zero() {
        return Next::Tick;
    }
    match commands.recv_timeout(wait) {
        Ok(command) => Next::Command(command),
        Err(RecvTimeoutError::Timeout) => Next::Tick,
        Err(RecvTimeoutError::Disconnected) => Next::End,
    }
}

/// Tells everybody when the writer is gone by its own fault.
struct Guard(Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.set_health(Health::Failing("the writer has stopped by a fault of its own".into()));
        }
    }
}
