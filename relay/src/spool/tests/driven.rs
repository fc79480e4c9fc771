//! A spool on a simulated disk whose writer works when a simulation of the whole relay lets it.

use std::time::Duration;

use super::*;

/// The writer, without its thread.
pub(crate) struct Driven(Engine);

impl Driven {
    /// Opens a spool of small segments.
    pub(crate) fn open(disk: &SimDisk) -> Result<(Spool, Recovery, Self), SpoolError> {
        let (spool, recovery, engine) = Spool::assemble(Arc::new(disk.clone()), options())?;
        Ok((spool, recovery, Self(engine)))
    }

    /// Carries out the commands that wait; false when there are none.
    pub(crate) fn turn(&mut self) -> bool {
        let commands: Vec<_> = self.0.commands.try_iter().collect();
        if commands.is_empty() {
            return false;
        }
        let reply = self.0.writer.turn(commands);
        assert!(reply.is_none(), "nobody closes a spool under a simulation");
        true
    }

    /// What is due in between.
    pub(crate) fn tick(&mut self) {
        self.0.writer.tick();
    }

    /// When the next tick is due at the latest.
    pub(crate) fn rest(&self) -> Option<Duration> {
        self.0.writer.rest()
    }
}
