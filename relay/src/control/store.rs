//! The holds on disk: a file in the spool's folder, written whole, synced and renamed, so that a hold that was answered is there
//! after a power cut. A file of its own and not records in the log: holds are few, outlive the mail they are on, and have to be
//! known before the first message that a start finds.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use mailsluice_ctl::{Hold, Line, Target, hold::HoldOn};

use crate::{mta_sts::store::write_whole, queue::Holds};

/// The file in the spool's folder.
const FILE: &str = "holds.json";

/// Where holds are kept.
#[derive(Debug, Clone)]
pub struct Store {
    file: PathBuf,
}

impl Store {
    /// Holds in a spool's folder.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Store {
        Store { file: folder.join(FILE) }
    }

    /// What was held before. Where that cannot be read, everything is held from `now` on, with the reason: mail that somebody holds
    /// must not go because a file is damaged. Waits for the disk.
    #[must_use]
    pub fn load(&self, now: Timestamp) -> Holds {
        let list = match fs::read(&self.file) {
            Ok(octets) => serde_json::from_slice::<Vec<HoldOn>>(&octets).map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        };
        let list = list.unwrap_or_else(|error| {
            let reason = format!("{FILE}, which says what is held, cannot be read; release --all forgets it: {error}");
            let hold = Hold { by: Line::fitted("mailsluice-relay"), since: now, reason: Some(Line::fitted(&reason)) };
            vec![HoldOn { target: Target::All, hold }]
        });
        Holds::of(list)
    }

    /// Keeps these. When it returns they are on the disk. Waits for it.
    ///
    /// # Errors
    /// What the system says; then what was kept before still is.
    pub fn save(&self, holds: &Holds) -> io::Result<()> {
        write_whole(&self.file, &serde_json::to_vec_pretty(&holds.list())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_are_kept_and_a_damaged_file_holds_everything() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_folder(folder.path());
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(store.load(now), Holds::default(), "there is no file yet");
        let mut holds = Holds::default();
        for target in ["a.test", "00064A7B0C1D2E3F"] {
            let hold = Hold { by: Line::fitted("alice"), since: now, reason: Some(Line::fitted("why")) };
            holds.add(target.parse().unwrap(), hold);
        }
        store.save(&holds).unwrap();
        assert_eq!(store.load(now), holds);
        fs::write(folder.path().join(FILE), "[{").unwrap();
        let [HoldOn { target: Target::All, hold }] = &*store.load(now).list() else { panic!("all mail is held") };
        assert!(hold.to_string().contains("holds.json"), "{hold}");
    }
}
