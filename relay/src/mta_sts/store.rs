//! Policies on disk, a file for each domain, so that they outlive the relay: one that is forgotten protects nobody.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Policy;

/// What is remembered of a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    pub(super) domain: String,
    /// What the DNS called the policy.
    pub(super) id: String,
    pub(super) fetched: Timestamp,
    /// The policy as the web server gave it.
    pub(super) text: String,
}

/// The folder of the policies.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
}

impl Store {
    pub(super) fn below(folder: PathBuf) -> Store {
        Store { folder }
    }

    /// All that can be read. Waits for the disk.
    pub(super) fn load(&self) -> Vec<(Entry, Policy)> {
        let Ok(files) = fs::read_dir(&self.folder) else { return Vec::new() };
        files
            .filter_map(|file| {
                let path = file.ok()?.path();
                let entry: Entry = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
                // Under any other name it was not written here.
                (Some(path) == self.path(&entry.domain)).then_some(())?;
                let policy = Policy::parse(&entry.text).ok()?;
                Some((entry, policy))
            })
            .collect()
    }

    /// Writes an entry, whole or not at all, and synced. Waits for the disk.
    pub(super) fn save(&self, entry: &Entry) -> io::Result<()> {
        let Some(path) = self.path(&entry.domain) else { return Ok(()) };
        fs::create_dir_all(&self.folder)?;
        write_whole(&path, &serde_json::to_vec(entry)?)
    }

    /// Forgets a domain. Waits for the disk.
    pub(super) fn remove(&self, domain: &str) -> io::Result<()> {
        match self.path(domain).map(fs::remove_file) {
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// None for a name that no file can have.
    fn path(&self, domain: &str) -> Option<PathBuf> {
        let plain = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_');
        let good = domain.len() <= 240 && !domain.starts_with('.') && domain.bytes().all(plain) && !domain.is_empty();
        good.then(|| self.folder.join(format!("{domain}.json")))
    }
}

/// Writes a file that is there whole or not at all, and is still there after a power cut.
///
/// # Errors
/// What the system says.
pub(crate) fn write_whole(path: &Path, octets: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(octets)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(domain: &str) -> Entry {
        let text = "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 60\n".to_owned();
        Entry { domain: domain.to_owned(), id: "1".to_owned(), fetched: Timestamp::UNIX_EPOCH, text }
    }

    #[test]
    fn what_is_saved_is_there_again_and_what_is_damaged_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::below(folder.path().join("mta-sts"));
        assert!(store.load().is_empty(), "there is no folder yet");
        for domain in ["one.example", "two.example", "_x.example"] {
            store.save(&entry(domain)).unwrap();
        }
        let mut again = entry("one.example");
        again.id = "2".to_owned();
        store.save(&again).unwrap();
        store.remove("two.example").unwrap();
        store.remove("two.example").unwrap();
        for odd in ["../escape", "a/b", "", ".hidden", "[192.0.2.1]"] {
            store.save(&entry(odd)).unwrap();
        }
        fs::write(folder.path().join("mta-sts/broken.example.json"), "{").unwrap();
        fs::write(folder.path().join("mta-sts/torn.example.new"), "{").unwrap();
        fs::copy(folder.path().join("mta-sts/one.example.json"), folder.path().join("mta-sts/other.example.json"))
            .unwrap();
        let mut found: Vec<_> = store.load().into_iter().map(|(entry, _)| (entry.domain, entry.id)).collect();
        found.sort();
        assert_eq!(found, [("_x.example".to_owned(), "1".to_owned()), ("one.example".to_owned(), "2".to_owned())]);
        assert!(!folder.path().join("escape.json").exists());
    }
}
