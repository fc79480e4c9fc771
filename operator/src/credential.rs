//! The credential to which a relay shows its Monitor.
//!
//! It is derived from a key of the operator's, so that nothing needs to be stored: each relay has its own, and is given
//! only its hash.

use std::{fmt, fs, io, path::PathBuf};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::names;

/// A shorter key could be guessed from a relay's hash. 32 octets are as many as SHA-256 has.
const LEAST_KEY: usize = 32;

/// The operator's key.
pub struct MonitorKey(Vec<u8>);

/// The credential of one relay.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("the Monitor key {}: {source}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds too little.
    #[error("the Monitor key {} has {length} octets: write {LEAST_KEY} or more random ones", .file.display())]
    TooShort {
        /// The file.
        file: PathBuf,
        /// What it holds.
        length: usize,
    },
}

impl MonitorKey {
    /// Reads the key.
    ///
    /// # Errors
    /// When the file cannot be read, or is too short to be a key.
    pub fn read(file: PathBuf) -> Result<Self, KeyError> {
        let octets = match fs::read(&file) {
            Ok(octets) => octets,
            Err(source) => return Err(KeyError::Unreadable { file, source }),
        };
        // A newline at the end is an editor's, not the key's.
        let key = octets.trim_ascii_end();
        if key.len() < LEAST_KEY {
            return Err(KeyError::TooShort { file, length: key.len() });
        }
        Ok(MonitorKey(key.to_vec()))
    }

    /// The credential of the relay of that namespace, name and uid.
    #[must_use]
    pub fn token(&self, namespace: &str, name: &str, uid: &str) -> Token {
        // HMAC takes keys of any length, so this is always there.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return Token(String::new()) };
        mac.update(format!("{namespace}/{name}/{uid}").as_bytes());
        Token(names::hex(&mac.finalize().into_bytes()))
    }
}

impl Token {
    /// What the operator sends.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// What the relay is given: the credential's hash.
    #[must_use]
    pub fn hash(&self) -> String {
        names::sha256_hex(self.0.as_bytes())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write as _;

    use super::*;

    /// Some relay's credential.
    pub(crate) fn token() -> Token {
        MonitorKey(vec![7; LEAST_KEY]).token("shop", "outbound", "u1")
    }

    #[test]
    fn each_relay_has_its_own_credential_and_is_given_only_its_hash() {
        let key = MonitorKey(vec![7; LEAST_KEY]);
        let token = key.token("shop", "outbound", "u1");
        assert_eq!(token, key.token("shop", "outbound", "u1"));
        assert_eq!(token.secret().len(), 64);
        for other in
            [key.token("shop", "outbound", "u2"), key.token("shop", "other", "u1"), key.token("mill", "outbound", "u1")]
        {
            assert_ne!(token, other);
        }
        assert_eq!(token.hash(), names::sha256_hex(token.secret().as_bytes()));
        assert!(!format!("{token:?}").contains(token.secret()), "a credential shows in a log");
    }

    #[test]
    fn a_key_that_could_be_guessed_is_refused() {
        for (content, taken) in [("short", false), ("0123456789abcdef0123456789abcdef\n", true), ("\n", false)] {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(content.as_bytes()).unwrap();
            assert_eq!(MonitorKey::read(file.path().to_owned()).is_ok(), taken, "{content:?}");
        }
        assert!(matches!(MonitorKey::read("/nowhere/key".into()), Err(KeyError::Unreadable { .. })));
    }
}
