//! The few things that the spool asks of a disk, so that the same code runs on a real one and on a simulated one.
//!
//! A [`Storage`] is one flat directory. What is written is only in the operating system's hands until [`StorageFile::sync_data`]
//! returns; a file's name, new or gone, only until [`Storage::sync_dir`] returns.

use std::any::Any;
use std::fmt;
use std::io::{self, IoSlice};
use std::sync::Arc;

/// One directory of files.
pub trait Storage: Send + Sync + fmt::Debug + 'static {
    /// What to call this directory in a message to a human.
    fn describe(&self) -> String;

    /// Makes the directory this process's alone. Freed when the returned guard is dropped, or with the process.
    ///
    /// # Errors
    /// [`LockError::Held`] when another holder lives.
    fn lock(&self) -> Result<Box<dyn Any + Send>, LockError>;

    /// Makes a new file for reading and writing; an existing one is an error.
    ///
    /// # Errors
    /// What the operating system says.
    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>>;

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// What the operating system says.
    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>>;

    /// The names of all files.
    ///
    /// # Errors
    /// What the operating system says.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Removes a file's name; who has it open may read on.
    ///
    /// # Errors
    /// What the operating system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Renames a file, replacing what has the new name.
    ///
    /// # Errors
    /// What the operating system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Makes all creations, removals and renames so far durable.
    ///
    /// # Errors
    /// What the operating system says. After an error nothing is known, and a second call that succeeds proves nothing.
    fn sync_dir(&self) -> io::Result<()>;

    /// Sixty-four bits that nobody outside can guess.
    fn random(&self) -> u64;

    /// Whether its files may keep a thread waiting, as a disk does and memory does not.
    fn may_wait(&self) -> bool {
        true
    }
}

/// The directory cannot be locked.
#[derive(Debug)]
pub enum LockError {
    /// Another holder lives; its process id, where it has left it.
    Held(Option<u32>),
    /// The operating system refused.
    Io(io::Error),
}

/// An open file. Reads and writes name their place, so a file can be shared without a lock.
pub trait StorageFile: Send + Sync + fmt::Debug + 'static {
    /// Reads at most `buffer.len()` octets; 0 at the end of the file.
    ///
    /// # Errors
    /// What the operating system says.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// As [`Self::read_at`], but only what is in memory already.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is, or the file system cannot tell; else what the operating system says.
    fn read_cached(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes at most all of `parts`, one after the other; returns how many octets.
    ///
    /// # Errors
    /// What the operating system says.
    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Reserves room for the first `len` octets and makes the file at least so long, filled with zeros. A file system that
    /// cannot is no error: then a write may meet a full disk.
    ///
    /// # Errors
    /// What the operating system says.
    fn preallocate(&self, len: u64) -> io::Result<()>;

    /// Cuts the file to `len` octets.
    ///
    /// # Errors
    /// What the operating system says.
    fn truncate(&self, len: u64) -> io::Result<()>;

    /// Makes all writes so far durable (fdatasync).
    ///
    /// # Errors
    /// What the operating system says. After an error nothing is known, and a second call that succeeds proves nothing.
    fn sync_data(&self) -> io::Result<()>;

    /// Forgets what is in memory of the file and not about to be written: reads after it tell what is on the disk. It matters
    /// after a failed sync, which may leave octets in memory that will never be written.
    ///
    /// # Errors
    /// What the operating system says.
    fn forget_cached(&self) -> io::Result<()>;

    /// Octets of the file.
    ///
    /// # Errors
    /// What the operating system says.
    fn size(&self) -> io::Result<u64>;
}

/// Does work on files where it may wait: on a thread for that, or at once where nothing waits. `None` when the thread is gone.
pub(super) async fn apart<T: Send + 'static>(may_wait: bool, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    if may_wait { tokio::task::spawn_blocking(work).await.ok() } else { Some(work()) }
}

/// Most parts that one write takes: Linux's IOV_MAX.
const PARTS_MAX: usize = 1024;

/// Writes all of `parts` from `offset`, in as few calls as can be.
///
/// # Errors
/// What the storage says; then an unknown part of it is written.
pub(super) fn write_all_at(file: &dyn StorageFile, mut offset: u64, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
    let mut rest = parts;
    // Empty parts at the front would make a write of nothing look like a full disk.
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        let now = rest.len().min(PARTS_MAX);
        match file.write_at(offset, rest.get(..now).unwrap_or_default()) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                offset += written as u64;
                IoSlice::advance_slices(&mut rest, written);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Fills `buffer` from `offset`; returns how much of it the file had.
///
/// # Errors
/// What the storage says.
pub(super) fn read_full_at(file: &dyn StorageFile, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(offset + done as u64, rest) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
