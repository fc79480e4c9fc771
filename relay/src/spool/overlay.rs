//! A view of a storage whose changes stay in memory: so a spool can be read by the code that a start runs, and nothing of it is
//! touched.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::storage::{LockError, Storage, StorageFile, read_full_at};

/// The view.
#[derive(Debug)]
pub(super) struct Overlay {
    below: Arc<dyn Storage>,
    names: Mutex<Names>,
}

#[derive(Debug, Default)]
struct Names {
    gone: BTreeSet<String>,
    made: BTreeMap<String, Arc<OverlayFile>>,
}

impl Overlay {
    pub(super) fn new(below: Arc<dyn Storage>) -> Self {
        Self { below, names: Mutex::default() }
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, names: &Names, name: &str) -> io::Result<Arc<OverlayFile>> {
        match names.made.get(name) {
            Some(file) => Ok(file.clone()),
            None if names.gone.contains(name) => Err(io::ErrorKind::NotFound.into()),
            None => Ok(Arc::new(OverlayFile(Mutex::new(Octets::Below(self.below.open(name)?))))),
        }
    }
}

impl Storage for Overlay {
    fn describe(&self) -> String {
        self.below.describe()
    }

    fn lock(&self) -> Result<Box<dyn Any + Send>, LockError> {
        self.below.lock()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        if self.list()?.iter().any(|other| other == name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = Arc::new(OverlayFile(Mutex::new(Octets::Here(Vec::new()))));
        self.names().made.insert(name.to_owned(), file.clone());
        Ok(file)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        Ok(self.file(&self.names(), name)?)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let below = self.below.list()?;
        let names = self.names();
        let mut all: BTreeSet<String> = below.into_iter().filter(|name| !names.gone.contains(name)).collect();
        all.extend(names.made.keys().cloned());
        Ok(all.into_iter().collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut names = self.names();
        names.made.remove(name);
        names.gone.insert(name.to_owned());
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut names = self.names();
        let file = self.file(&names, from)?;
        names.made.remove(from);
        names.gone.insert(from.to_owned());
        names.made.insert(to.to_owned(), file);
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }

    fn random(&self) -> u64 {
        self.below.random()
    }
}

#[derive(Debug)]
struct OverlayFile(Mutex<Octets>);

#[derive(Debug)]
enum Octets {
    /// As the storage has them.
    Below(Arc<dyn StorageFile>),
    /// Changed: all of them are here.
    Here(Vec<u8>),
}

impl OverlayFile {
    fn octets(&self) -> MutexGuard<'_, Octets> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let mut octets = self.octets();
        if let Octets::Below(file) = &*octets {
            let mut copy = vec![0; usize::try_from(file.size()?).unwrap_or(usize::MAX)];
            let read = read_full_at(&**file, 0, &mut copy)?;
            copy.truncate(read);
            *octets = Octets::Here(copy);
        }
        if let Octets::Here(octets) = &mut *octets {
            change(octets);
        }
        Ok(())
    }
}

impl StorageFile for OverlayFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let octets = self.octets();
        match &*octets {
            Octets::Below(file) => file.read_at(offset, buffer),
            Octets::Here(octets) => {
                let rest = usize::try_from(offset).ok().and_then(|at| octets.get(at..)).unwrap_or_default();
                let len = rest.len().min(buffer.len());
                for (to, from) in buffer.iter_mut().zip(rest) {
                    *to = *from;
                }
                Ok(len)
            }
        }
    }

    fn read_cached(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut written = 0;
        self.change(|octets| {
            for part in parts {
                let at = usize::try_from(offset).unwrap_or(usize::MAX).saturating_add(written);
                let end = at.saturating_add(part.len());
                if octets.len() < end {
                    octets.resize(end, 0);
                }
                if let Some(place) = octets.get_mut(at..end) {
                    place.copy_from_slice(part);
                }
                written += part.len();
            }
        })?;
        Ok(written)
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        self.change(|octets| octets.resize(octets.len().max(len), 0))
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.change(|octets| octets.resize(usize::try_from(len).unwrap_or(usize::MAX), 0))
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn forget_cached(&self) -> io::Result<()> {
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        match &*self.octets() {
            Octets::Below(file) => file.size(),
            Octets::Here(octets) => Ok(octets.len() as u64),
        }
    }
}
