//! Reading a spool that no relay has open.

use std::sync::Arc;

use super::error::SpoolError;
use super::overlay::Overlay;
use super::recovery::Recovery;
use super::shared::Options;
use super::storage::Storage;
use super::writer::Engine;
use super::{BodyReader, DamageSummary, Envelope, Location, Spool};

/// A spool as the next start would find it, read by the same code; nothing in its storage is changed. While it is open no relay
/// can open the spool.
#[derive(Debug)]
pub struct Inspection {
    spool: Spool,
    /// Not running: it keeps the lock, and takes what recovery tells.
    _engine: Engine,
}

impl Inspection {
    /// Opens the spool in `storage` for reading. What is in it is found by the [`Recovery`]. Waits for the disk.
    ///
    /// # Errors
    /// As [`Spool::open`].
    pub fn open(storage: Arc<dyn Storage>) -> Result<(Self, Recovery), SpoolError> {
        let (spool, recovery, engine) = Spool::assemble(Arc::new(Overlay::new(storage)), Options::default())?;
        Ok((Self { spool, _engine: engine }, recovery))
    }

    /// Reads a message: see [`Spool::read`].
    ///
    /// # Errors
    /// As [`Spool::read`].
    pub async fn read(&self, location: Location) -> Result<(Envelope, BodyReader), SpoolError> {
        self.spool.read(location).await
    }

    /// What is known to be damaged: see [`Spool::damage`].
    pub fn damage(&self) -> Option<DamageSummary> {
        self.spool.damage()
    }
}
