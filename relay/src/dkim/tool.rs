//! The commands that make keys, and show the records by which others verify.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::{KEY_FILE, Key, KeyFault, NewKey};

/// Octets of one string of a TXT record (RFC 1035 section 3.3.14).
const STRING_MAX: usize = 255;

/// Shows the record of a key.
#[derive(Debug, clap::Args)]
pub struct ShowRecord {
    /// A private key in PEM, SELECTOR.key; or a folder of such files, as a Secret is.
    #[arg(value_name = "FILE")]
    path: PathBuf,
    /// The domain that signs; without it, names are for the zone's own file.
    #[arg(long)]
    domain: Option<String>,
    /// The selector [default: the file's name without .key].
    #[arg(long)]
    selector: Option<String>,
}

/// Makes a key, and shows its record.
#[derive(Debug, clap::Args)]
pub struct MakeKey {
    /// Where the private key goes: SELECTOR.key. A file that is there already is left alone.
    #[arg(value_name = "FILE")]
    path: PathBuf,
    /// What kind of key.
    #[arg(long, value_enum, default_value_t = NewKey::Rsa)]
    algorithm: NewKey,
    /// The domain that signs; without it, names are for the zone's own file.
    #[arg(long)]
    domain: Option<String>,
}

/// Why a command did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// A file cannot be read or written.
    #[error("{}: {error}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file holds no key that signs.
    #[error("{}: {fault}", .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: KeyFault,
    },
    /// A folder holds no keys.
    #[error("{}: no file in it is named SELECTOR{KEY_FILE}", .0.display())]
    NoKeys(PathBuf),
    /// The output cannot be written.
    #[error("write the output: {0}")]
    Output(#[from] io::Error),
}

impl ShowRecord {
    /// Writes the record, or those of a folder.
    ///
    /// # Errors
    /// See [`ToolError`].
    pub fn run(&self, out: &mut impl io::Write) -> Result<(), ToolError> {
        let files = if self.path.is_dir() { keys_in(&self.path)? } else { vec![self.path.clone()] };
        for path in files {
            let io = |error| ToolError::Io { path: path.clone(), error };
            let key = |fault| ToolError::Key { path: path.clone(), fault };
            let record = Key::from_pem(&fs::read(&path).map_err(io)?).and_then(|key| key.record()).map_err(key)?;
            let selector = self.selector.clone().unwrap_or_else(|| selector(&path));
            writeln!(out, "{}", line(&selector, self.domain.as_deref(), &record))?;
        }
        Ok(())
    }
}

impl MakeKey {
    /// Makes the key, and writes its record.
    ///
    /// # Errors
    /// See [`ToolError`].
    pub fn run(&self, out: &mut impl io::Write) -> Result<(), ToolError> {
        let io = |error| ToolError::Io { path: self.path.clone(), error };
        let fault = |fault| ToolError::Key { path: self.path.clone(), fault };
        let (key, pem) = Key::generate(self.algorithm).map_err(fault)?;
        // For its owner alone: who has the key can write mail in the domain's name.
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path);
        file.and_then(|mut file| file.write_all(pem.as_bytes())).map_err(io)?;
        writeln!(out, "{}", line(&selector(&self.path), self.domain.as_deref(), &key.record().map_err(fault)?))?;
        Ok(())
    }
}

fn keys_in(folder: &Path) -> Result<Vec<PathBuf>, ToolError> {
    let io = |error| ToolError::Io { path: folder.to_owned(), error };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.to_string_lossy().ends_with(KEY_FILE) {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() { Err(ToolError::NoKeys(folder.to_owned())) } else { Ok(files) }
}

fn selector(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.strip_suffix(KEY_FILE).unwrap_or(&name).to_owned()
}

/// A line of a zone's file; a long text is split into strings, which the DNS puts together again (RFC 6376 section 3.6.2.2).
fn line(selector: &str, domain: Option<&str>, record: &str) -> String {
    let name = match domain {
        Some(domain) => format!("{selector}._domainkey.{}.", domain.trim_end_matches('.')),
        None => format!("{selector}._domainkey"),
    };
    let mut strings = String::new();
    let mut rest = record;
    while !rest.is_empty() {
        let (string, after) = rest.split_at_checked(STRING_MAX).unwrap_or((rest, ""));
        strings.push_str(&format!(" \"{string}\""));
        rest = after;
    }
    if record.len() > STRING_MAX { format!("{name} IN TXT ({strings} )") } else { format!("{name} IN TXT{strings}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_a_line_of_a_zone_with_strings_that_the_dns_can_hold() {
        assert_eq!(line("s1", None, "v=DKIM1; p=x"), "s1._domainkey IN TXT \"v=DKIM1; p=x\"");
        let long = "x".repeat(600);
        let shown = line("s1", Some("example.org"), &long);
        let strings: Vec<&str> = shown.split('"').skip(1).step_by(2).collect();
        assert!(shown.starts_with("s1._domainkey.example.org. IN TXT ( \""), "{shown}");
        assert_eq!(strings.iter().map(|string| string.len()).collect::<Vec<_>>(), [255, 255, 90]);
        assert_eq!(strings.concat(), long);
    }

    #[test]
    fn a_key_that_is_there_is_not_overwritten_and_its_record_is_shown_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s2026.key");
        let make = MakeKey { path: path.clone(), algorithm: NewKey::Ed25519, domain: Some("example.org".into()) };
        let (mut made, mut shown) = (Vec::new(), Vec::new());
        make.run(&mut made).unwrap();
        assert!(matches!(make.run(&mut Vec::new()), Err(ToolError::Io { .. })));
        for path in [path, folder.path().to_owned()] {
            shown.clear();
            ShowRecord { path, domain: Some("example.org".into()), selector: None }.run(&mut shown).unwrap();
            assert_eq!(String::from_utf8_lossy(&shown), String::from_utf8_lossy(&made));
        }
        assert!(shown.starts_with(b"s2026._domainkey.example.org. IN TXT \"v=DKIM1; k=ed25519; p="));
    }
}
