//! What Secrets hold: read from folders, a file per key, and again when a file changes.
//!
//! In a cluster the folders are mounts of Secrets, which the kubelet keeps fresh; without one they are folders beside the
//! manifests. Nothing of what is read here goes into a log record.

use std::{
    collections::BTreeMap,
    fs, io,
    path::PathBuf,
    sync::{PoisonError, RwLock},
};

use crate::config::{Stamp, stamp};

/// Where Secrets are.
#[derive(Debug, Clone)]
pub struct Secrets {
    folder: PathBuf,
}

/// A Secret that is missing or holds nothing that can be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// A key cannot be read.
    #[error("Secret {name}: {key}: {source}")]
    Unreadable {
        /// The Secret.
        name: String,
        /// Its key.
        key: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A key holds something else than it should.
    #[error("Secret {name}: {key}: {fault}")]
    Unusable {
        /// The Secret.
        name: String,
        /// Its key.
        key: &'static str,
        /// What is wrong, without what it holds.
        fault: String,
    },
}

impl Secrets {
    /// Those below this folder, each in a folder of its name.
    #[must_use]
    pub fn below(folder: PathBuf) -> Secrets {
        Secrets { folder }
    }

    /// What a key of a Secret holds.
    ///
    /// # Errors
    /// [`SecretError::Unreadable`].
    pub fn read(&self, name: &str, key: &'static str) -> Result<Vec<u8>, SecretError> {
        fs::read(self.path(name, key)).map_err(|source| SecretError::Unreadable { name: name.to_owned(), key, source })
    }

    /// Where a key of a Secret is.
    pub(crate) fn path(&self, name: &str, key: &str) -> PathBuf {
        // Admission lets no name through that leads out of the folder.
        self.folder.join(name).join(key)
    }
}

/// Values that were made of Secrets, by the Secret's name. One that turns bad keeps the value it had before.
pub struct Kept<T> {
    secrets: Secrets,
    keys: &'static [&'static str],
    load: fn(&Secrets, &str) -> Result<T, SecretError>,
    known: RwLock<BTreeMap<String, Known<T>>>,
}

struct Known<T> {
    stamps: Vec<Stamp>,
    value: Option<T>,
    fault: Option<SecretError>,
}

/// A Secret with a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faulty {
    /// What is wrong with it.
    pub fault: String,
    /// Whether what it held before is still in force.
    pub in_force: bool,
}

impl<T: Clone> Kept<T> {
    /// Values that `load` makes of these keys.
    #[must_use]
    pub fn new(
        secrets: Secrets,
        keys: &'static [&'static str],
        load: fn(&Secrets, &str) -> Result<T, SecretError>,
    ) -> Kept<T> {
        Kept { secrets, keys, load, known: RwLock::default() }
    }

    /// Reads those of `names` that are new or have changed, and forgets all others; whether anything changed.
    pub fn look<'a>(&self, names: impl Iterator<Item = &'a str> + Clone) -> bool {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let before = known.len();
        known.retain(|name, _| names.clone().any(|wanted| wanted == name));
        let mut changed = known.len() != before;
        for name in names {
            // Before the files are read: what changes in between is read again.
            let stamps: Vec<_> = self.keys.iter().map(|key| stamp(&self.secrets.path(name, key))).collect();
            if known.get(name).is_some_and(|entry| entry.stamps == stamps) {
                continue;
            }
            changed = true;
            let last = known.remove(name).and_then(|entry| entry.value);
            let (value, fault) = match (self.load)(&self.secrets, name) {
                Ok(value) => (Some(value), None),
                Err(error) => (last, Some(error)),
            };
            known.insert(name.to_owned(), Known { stamps, value, fault });
        }
        changed
    }

    /// The value of a Secret, where it has ever had one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<T> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(name)?.value.clone()
    }

    /// All values, each with its Secret's name.
    #[must_use]
    pub fn values(&self) -> Vec<(String, T)> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().filter_map(|(name, entry)| Some((name.clone(), entry.value.clone()?))).collect()
    }

    /// The Secrets that have a fault.
    #[must_use]
    pub fn faulty(&self) -> Vec<Faulty> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let faulty = |entry: &Known<T>| {
            Some(Faulty { fault: entry.fault.as_ref()?.to_string(), in_force: entry.value.is_some() })
        };
        known.values().filter_map(faulty).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_secret_is_read_again_and_a_bad_one_keeps_what_was_in_force() {
        let folder = tempfile::tempdir().unwrap();
        let load = |secrets: &Secrets, name: &str| {
            let text = String::from_utf8_lossy(&secrets.read(name, "key")?).into_owned();
            let fault = || SecretError::Unusable { name: name.into(), key: "key", fault: "no number".into() };
            text.parse::<u32>().map_err(|_| fault())
        };
        let kept = Kept::new(Secrets::below(folder.path().into()), &["key"], load);
        assert!(kept.look(["a"].into_iter()));
        assert_eq!(kept.get("a"), None);
        assert!(kept.faulty()[0].fault.starts_with("Secret a: key: No such file"), "{:?}", kept.faulty());
        assert!(!kept.look(["a"].into_iter()), "nothing changed");

        fs::create_dir(folder.path().join("a")).unwrap();
        for (text, value, in_force) in
            [("1", Some(1), None), ("2", Some(2), None), ("x", Some(2), Some(true)), ("3", Some(3), None)]
        {
            let next = folder.path().join("next");
            fs::write(&next, text).unwrap();
            fs::rename(&next, folder.path().join("a/key")).unwrap();
            assert!(kept.look(["a"].into_iter()), "{text}");
            assert_eq!(kept.get("a"), value, "{text}");
            assert_eq!(kept.faulty().first().map(|faulty| faulty.in_force), in_force, "{text}");
        }
        assert!(kept.look([].into_iter()));
        assert_eq!(kept.get("a"), None, "a Secret that nobody names is forgotten");
    }
}
