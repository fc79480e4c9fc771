//! A folder of texts as one `.tar.gz`.

use std::io::{self, Write};

use flate2::{Compression, write::GzEncoder};
use jiff::Timestamp;

/// A text in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    /// Its path in the folder.
    pub(crate) path: String,
    /// What is in it.
    pub(crate) text: String,
}

impl File {
    /// A file.
    pub(crate) fn new(path: impl Into<String>, text: impl Into<String>) -> File {
        File { path: path.into(), text: text.into() }
    }
}

/// Writes the files, in their order, into a folder of that name.
///
/// # Errors
/// What writing gave.
pub(crate) fn write(out: impl Write, folder: &str, files: &[File], at: Timestamp) -> io::Result<()> {
    let mut archive = tar::Builder::new(GzEncoder::new(out, Compression::default()));
    for File { path, text } in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(u64::try_from(at.as_second()).unwrap_or(0));
        archive.append_data(&mut header, format!("{folder}/{path}"), text.as_bytes())?;
    }
    archive.into_inner()?.finish()?.flush()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn files_come_out_as_they_went_in_and_in_their_order() {
        let long = format!("logs/{}.log", "p".repeat(150));
        let files = [File::new("SUMMARY.md", "# caffè\n"), File::new(long, "x".repeat(100_000))];
        let mut octets = Vec::new();
        write(&mut octets, "folder", &files, Timestamp::UNIX_EPOCH).unwrap();
        assert!(octets.len() < 10_000, "{} octets", octets.len());
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(octets.as_slice()));
        let read: Vec<File> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let path = entry.path().unwrap().display().to_string();
                let mut text = String::new();
                entry.read_to_string(&mut text).unwrap();
                File::new(path.strip_prefix("folder/").unwrap(), text)
            })
            .collect();
        assert_eq!(read, files);
    }
}
