//! The real disk: a directory of a local file system, by rustix.

use std::any::Any;
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Advice, FallocateFlags, FlockOperation};
use rustix::io::{Errno, ReadWriteFlags};

use super::error::SpoolError;
use super::storage::{LockError, Storage, StorageFile};

/// Name of the file whose lock says that a process has the spool open. It stays after a kill; the lock does not.
const LOCK_FILE: &str = "lock";

/// Mail is private: nobody but the relay's user may read it.
const FILE_MODE: u32 = 0o600;

/// The room of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Octets in all.
    pub capacity: u64,
    /// Octets that the relay can still write.
    pub available: u64,
}

impl Room {
    /// That of the file system with this file or folder.
    ///
    /// # Errors
    /// What the system says.
    pub fn of(path: &Path) -> io::Result<Room> {
        let said = rustix::fs::statvfs(path)?;
        let octets = |blocks: u64| blocks.saturating_mul(said.f_frsize);
        Ok(Room { capacity: octets(said.f_blocks), available: octets(said.f_bavail) })
    }
}

/// A directory of a local file system.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
    directory: File,
    /// Whether a lock file may be made where there is none.
    may_make: bool,
}

impl Disk {
    /// Opens the directory `path`; where it is missing it is made, and its name synced into the one above.
    ///
    /// # Errors
    /// [`SpoolError::Io`] with what the operating system says.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, SpoolError> {
        let path = path.into();
        Self::make(&path)
            .map(|directory| Self { directory, path: path.clone(), may_make: true })
            .map_err(|error| SpoolError::io("open", &path.display().to_string(), error))
    }

    /// Opens a directory that must be there, and makes nothing in it: for reading a spool.
    ///
    /// # Errors
    /// [`SpoolError::Io`] with what the operating system says.
    pub fn existing(path: impl Into<PathBuf>) -> Result<Self, SpoolError> {
        let path = path.into();
        let opened = File::open(&path).and_then(|file| match file.metadata()?.is_dir() {
            true => Ok(file),
            false => Err(io::ErrorKind::NotADirectory.into()),
        });
        match opened {
            Ok(directory) => Ok(Self { path, directory, may_make: false }),
            Err(error) => Err(SpoolError::io("open", &path.display().to_string(), error)),
        }
    }

    /// Opens the lock file for writing, or else for reading: on a file system that is read-only a lock can be had all the same.
    fn lock_file(&self) -> io::Result<Option<File>> {
        let path = self.path.join(LOCK_FILE);
        if self.may_make {
            return Self::options().create(true).truncate(false).open(path).map(Some);
        }
        match Self::options().open(&path).or_else(|_| File::open(&path)) {
            Ok(file) => Ok(Some(file)),
            // No relay ever had it open.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn make(path: &Path) -> io::Result<File> {
        let missing: Vec<_> =
            path.ancestors().take_while(|level| !level.as_os_str().is_empty() && !level.exists()).collect();
        std::fs::create_dir_all(path)?;
        for above in missing.iter().filter_map(|level| level.parent()) {
            File::open(if above.as_os_str().is_empty() { Path::new(".") } else { above })?.sync_all()?;
        }
        File::open(path)
    }

    fn options() -> OpenOptions {
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(FILE_MODE);
        options
    }
}

impl Storage for Disk {
    fn describe(&self) -> String {
        self.path.display().to_string()
    }

    fn lock(&self) -> Result<Box<dyn Any + Send>, LockError> {
        let Some(mut file) = self.lock_file().map_err(LockError::Io)? else { return Ok(Box::new(())) };
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                // The id is a courtesy to whoever finds the lock held: its failure must not keep the spool shut.
                let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
                Ok(Box::new(file))
            }
            Err(Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                Err(LockError::Held(holder.trim().parse().ok()))
            }
            Err(error) => Err(LockError::Io(error.into())),
        }
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        Ok(Arc::new(DiskFile(Self::options().create_new(true).open(self.path.join(name))?)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        Ok(Arc::new(DiskFile(Self::options().open(self.path.join(name))?)))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            // A name that is not UTF-8 is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.directory.sync_all()
    }

    fn random(&self) -> u64 {
        // The standard library keys its hash tables from the operating system's generator, anew for each state.
        RandomState::new().hash_one(std::process::id())
    }
}

#[derive(Debug)]
struct DiskFile(File);

impl StorageFile for DiskFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn read_cached(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match rustix::io::preadv2(&self.0, &mut [IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT) {
            Ok(read) => Ok(read),
            // Not every file system and kernel knows how to answer from memory only.
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::INTR) => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(rustix::io::pwritev(&self.0, parts, offset)?)
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        loop {
            match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), 0, len) {
                Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn forget_cached(&self) -> io::Result<()> {
        match rustix::fs::fadvise(&self.0, 0, None, Advice::DontNeed) {
            // A file system that keeps nothing in memory has nothing to forget.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}
