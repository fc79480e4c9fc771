//! A simulated disk: what is not synced may be lost at a power cut, in part and in any order, names too. The same seed gives the
//! same losses.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use crate::spool::storage::{LockError, Storage, StorageFile};

/// Octets that a disk writes wholly or not at all, mostly.
const SECTOR: usize = 512;

/// A small generator of numbers (SplitMix64): the tests must be the same everywhere and for ever.
#[derive(Debug, Clone)]
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub(crate) fn octets(&mut self, len: usize) -> Vec<u8> {
        let mut octets = Vec::with_capacity(len + 8);
        while octets.len() < len {
            octets.extend_from_slice(&self.next().to_le_bytes());
        }
        octets.truncate(len);
        octets
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// How the disk misbehaves, beside losing what is not synced.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    /// `sync_data` answers that all is well, and does nothing.
    pub(crate) data_sync_lies: bool,
    /// `sync_dir` answers that all is well, and does nothing.
    pub(crate) dir_sync_lies: bool,
    /// Octets that fit.
    pub(crate) capacity: Option<u64>,
    /// Room cannot be reserved ahead.
    pub(crate) cannot_preallocate: bool,
    /// The next sync of data fails, and what it was to write is lost though it can still be read.
    pub(crate) fail_data_sync: bool,
    /// The next sync of the directory fails.
    pub(crate) fail_dir_sync: bool,
    /// Writes, removals and so on answer that the file system is read-only.
    pub(crate) read_only: bool,
    /// These octets of this file cannot be read.
    pub(crate) unreadable: Option<(String, Range<u64>)>,
    /// So many changes from now, the power goes.
    pub(crate) power_left: Option<usize>,
}

#[derive(Debug, Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Resize(u64),
}

#[derive(Debug, Clone)]
enum NameChange {
    Set(String, usize),
    Remove(String),
    Rename(String, String),
}

#[derive(Debug, Clone, Default)]
struct Inode {
    /// What who reads it sees.
    now: Vec<u8>,
    /// What a power cut cannot take.
    synced: Vec<u8>,
    changes: Vec<Change>,
}

#[derive(Debug)]
struct State {
    rng: Rng,
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    name_changes: Vec<NameChange>,
    faults: Faults,
    off: bool,
    locked: bool,
    data_syncs: u64,
}

/// The disk. Clones are the same disk.
#[derive(Clone)]
pub(crate) struct SimDisk(Arc<Mutex<State>>);

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimDisk")
    }
}

fn apply(octets: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Resize(len) => octets.resize(*len as usize, 0),
        Change::Write(at, data) => {
            let end = *at as usize + data.len();
            if octets.len() < end {
                octets.resize(end, 0);
            }
            octets[*at as usize..end].copy_from_slice(data);
        }
    }
}

fn apply_name(names: &mut BTreeMap<String, usize>, change: &NameChange) {
    match change {
        NameChange::Set(name, inode) => drop(names.insert(name.clone(), *inode)),
        NameChange::Remove(name) => drop(names.remove(name)),
        NameChange::Rename(from, to) => {
            if let Some(inode) = names.remove(from) {
                names.insert(to.clone(), inode);
            }
        }
    }
}

/// What a power cut leaves of a file.
fn remains(inode: &Inode, rng: &mut Rng) -> Vec<u8> {
    let mut octets = inode.synced.clone();
    let mode = rng.below(4);
    let cut = rng.below(inode.changes.len() + 1);
    for (index, change) in inode.changes.iter().enumerate() {
        // Nothing reached the disk; or all; or all up to a moment; or anything at all.
        let whole = match mode {
            0 => false,
            1 => true,
            2 if index != cut => index < cut,
            _ => {
                tear(&mut octets, change, rng);
                continue;
            }
        };
        if whole {
            apply(&mut octets, change);
        }
    }
    octets
}

/// A change of which some sectors reached the disk, in any order.
fn tear(octets: &mut Vec<u8>, change: &Change, rng: &mut Rng) {
    let Change::Write(at, data) = change else {
        if rng.one_in(2) {
            apply(octets, change);
        }
        return;
    };
    let mut from = 0;
    while from < data.len() {
        let sector = SECTOR - (*at as usize + from) % SECTOR;
        let part = &data[from..data.len().min(from + sector)];
        let place = at + from as u64;
        match rng.below(16) {
            0..7 => {}
            // Even a sector may be torn.
            7 => apply(octets, &Change::Write(place, part[..rng.below(part.len())].to_vec())),
            // Or never written, and full of what was there before.
            8 => apply(octets, &Change::Write(place, rng.octets(part.len()))),
            _ => apply(octets, &Change::Write(place, part.to_vec())),
        }
        from += sector;
    }
}

impl State {
    /// The next change is about to be made. False when the power goes at this moment: it may be half done.
    fn powered(&mut self) -> bool {
        match &mut self.faults.power_left {
            Some(0) => self.off = true,
            Some(left) => *left -= 1,
            None => {}
        }
        !self.off
    }

    fn writable(&self) -> io::Result<()> {
        match (self.off, self.faults.read_only) {
            (true, _) => Err(Errno::IO.into()),
            (_, true) => Err(Errno::ROFS.into()),
            _ => Ok(()),
        }
    }

    fn room(&self) -> u64 {
        let Some(capacity) = self.faults.capacity else { return u64::MAX };
        let used: usize = self.names.values().map(|inode| self.inodes[*inode].now.len()).sum();
        capacity.saturating_sub(used as u64)
    }

    fn change_name(&mut self, change: NameChange) -> io::Result<()> {
        self.writable()?;
        apply_name(&mut self.names, &change);
        self.name_changes.push(change);
        if self.powered() { Ok(()) } else { Err(Errno::IO.into()) }
    }

    fn change(&mut self, inode: usize, change: Change) -> io::Result<()> {
        apply(&mut self.inodes[inode].now, &change);
        self.inodes[inode].changes.push(change);
        if self.powered() { Ok(()) } else { Err(Errno::IO.into()) }
    }
}

impl SimDisk {
    pub(crate) fn new(seed: u64) -> Self {
        Self::with(Rng(seed), Vec::new(), BTreeMap::new())
    }

    fn with(rng: Rng, inodes: Vec<Inode>, names: BTreeMap<String, usize>) -> Self {
        Self(Arc::new(Mutex::new(State {
            rng,
            inodes,
            synced_names: names.clone(),
            names,
            name_changes: Vec::new(),
            faults: Faults::default(),
            off: false,
            locked: false,
            data_syncs: 0,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn faults<T>(&self, change: impl FnOnce(&mut Faults) -> T) -> T {
        change(&mut self.state().faults)
    }

    pub(crate) fn is_off(&self) -> bool {
        self.state().off
    }

    pub(crate) fn data_syncs(&self) -> u64 {
        self.state().data_syncs
    }

    /// Cuts the power, and gives what the disk has when it comes back. The old one answers nothing any more.
    pub(crate) fn power_cut(&self) -> Self {
        let mut state = self.state();
        state.off = true;
        let mut rng = Rng(state.rng.next());
        let mut names = state.synced_names.clone();
        let mode = rng.below(3);
        for change in &state.name_changes {
            if mode == 1 || (mode == 2 && rng.one_in(2)) {
                apply_name(&mut names, change);
            }
        }
        let inodes = state
            .inodes
            .iter()
            .map(|inode| {
                let octets = remains(inode, &mut rng);
                Inode { now: octets.clone(), synced: octets, changes: Vec::new() }
            })
            .collect();
        let disk = Self::with(rng, inodes, names);
        disk.state().faults = Faults { power_left: None, ..state.faults.clone() };
        disk
    }

    /// Ends the process but not the machine: what is not synced is still there, and still not synced.
    pub(crate) fn kill(&self) -> Self {
        let mut state = self.state();
        state.off = true;
        let disk = Self::with(Rng(state.rng.next()), state.inodes.clone(), state.names.clone());
        let mut next = disk.state();
        next.synced_names = state.synced_names.clone();
        next.name_changes = state.name_changes.clone();
        next.faults = Faults { power_left: None, ..state.faults.clone() };
        drop(next);
        disk
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    pub(crate) fn octets(&self, name: &str) -> Vec<u8> {
        let state = self.state();
        state.inodes[state.names[name]].now.clone()
    }

    /// A disk with these files, all synced.
    pub(crate) fn holding<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut names = BTreeMap::new();
        let mut inodes = Vec::new();
        for (name, octets) in files {
            names.insert(name.to_owned(), inodes.len());
            inodes.push(Inode { now: octets.to_vec(), synced: octets.to_vec(), changes: Vec::new() });
        }
        Self::with(Rng(1), inodes, names)
    }

    /// Removes a file behind everybody's back, for good.
    pub(crate) fn discard(&self, name: &str) {
        let mut state = self.state();
        assert!(state.names.remove(name).is_some() && state.synced_names.remove(name).is_some(), "{name} is not there");
    }

    /// Changes a file behind everybody's back, as a broken disk does.
    pub(crate) fn alter(&self, name: &str, change: impl Fn(&mut Vec<u8>)) {
        let mut state = self.state();
        let inode = state.names[name];
        let inode = &mut state.inodes[inode];
        assert!(inode.changes.is_empty(), "{name} is not synced");
        change(&mut inode.now);
        change(&mut inode.synced);
    }
}

struct Unlock(SimDisk);

impl Drop for Unlock {
    fn drop(&mut self) {
        self.0.state().locked = false;
    }
}

impl Storage for SimDisk {
    fn describe(&self) -> String {
        "simulated disk".to_owned()
    }

    fn lock(&self) -> Result<Box<dyn Any + Send>, LockError> {
        if std::mem::replace(&mut self.state().locked, true) {
            return Err(LockError::Held(Some(7)));
        }
        Ok(Box::new(Unlock(self.clone())))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        let mut state = self.state();
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = state.inodes.len();
        state.inodes.push(Inode::default());
        state.change_name(NameChange::Set(name.to_owned(), inode))?;
        Ok(Arc::new(SimFile { disk: self.clone(), inode }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        let inode = *self.state().names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile { disk: self.clone(), inode }))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.names())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        if !state.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change_name(NameChange::Remove(name.to_owned()))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.state().change_name(NameChange::Rename(from.to_owned(), to.to_owned()))
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.state();
        state.writable()?;
        if std::mem::take(&mut state.faults.fail_dir_sync) || !state.powered() {
            return Err(Errno::IO.into());
        }
        if !state.faults.dir_sync_lies {
            for change in std::mem::take(&mut state.name_changes) {
                apply_name(&mut state.synced_names, &change);
            }
        }
        Ok(())
    }

    fn random(&self) -> u64 {
        self.state().rng.next()
    }

    fn may_wait(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: usize,
}

impl SimFile {
    fn read(&self, state: &State, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some((name, range)) = &state.faults.unreadable
            && state.names.get(name) == Some(&self.inode)
            && offset < range.end
            && offset + buffer.len() as u64 > range.start
        {
            return Err(Errno::IO.into());
        }
        let octets = state.inodes[self.inode].now.get(offset as usize..).unwrap_or_default();
        let len = octets.len().min(buffer.len());
        buffer[..len].copy_from_slice(&octets[..len]);
        Ok(len)
    }
}

impl StorageFile for SimFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.read(&self.disk.state(), offset, buffer)
    }

    fn read_cached(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.disk.state();
        match state.rng.below(4) {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            1 => {
                let len = 1 + state.rng.below(buffer.len());
                let part = buffer.get_mut(..len).unwrap_or_default();
                self.read(&state, offset, part)
            }
            _ => self.read(&state, offset, buffer),
        }
    }

    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.disk.state();
        state.writable()?;
        let mut data = Vec::new();
        parts.iter().for_each(|part| data.extend_from_slice(part));
        // A write may take less than it is given.
        if data.len() > 1 && state.rng.one_in(8) {
            data.truncate(1 + state.rng.below(data.len() - 1));
        }
        let len = state.inodes[self.inode].now.len() as u64;
        let fits = len.saturating_add(state.room()).saturating_sub(offset);
        if fits == 0 {
            return Err(Errno::NOSPC.into());
        }
        data.truncate(usize::try_from(fits).unwrap_or(usize::MAX));
        let written = data.len();
        state.change(self.inode, Change::Write(offset, data))?;
        Ok(written)
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.writable()?;
        let now = state.inodes[self.inode].now.len() as u64;
        if state.faults.cannot_preallocate || now >= len {
            return Ok(());
        }
        if state.room() < len - now {
            return Err(Errno::NOSPC.into());
        }
        state.change(self.inode, Change::Resize(len))
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.writable()?;
        state.change(self.inode, Change::Resize(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.writable()?;
        if !state.powered() {
            return Err(Errno::IO.into());
        }
        if state.faults.data_sync_lies {
            return Ok(());
        }
        let changes = std::mem::take(&mut state.inodes[self.inode].changes);
        if std::mem::take(&mut state.faults.fail_data_sync) {
            // As Linux does: the pages count as clean from now on, and another sync will not write them.
            return Err(Errno::IO.into());
        }
        state.data_syncs += 1;
        let synced = &mut state.inodes[self.inode].synced;
        changes.iter().for_each(|change| apply(synced, change));
        Ok(())
    }

    fn forget_cached(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let inode = &mut state.inodes[self.inode];
        inode.now = inode.synced.clone();
        inode.changes.iter().for_each(|change| apply(&mut inode.now, change));
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.state().inodes[self.inode].now.len() as u64)
    }
}
