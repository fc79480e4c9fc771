//! Files that change while the sidecar runs: the token, which the kubelet renews, and the authorities.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use rustls::{ClientConfig, client::Resumption};

use crate::{
    config::{Stamp, stamp},
    smtp::sasl::{Credentials, Secret, is_token},
    tls::{self, AuthoritiesError},
};

/// Octets of a token: what fits into a line of AUTH, with room around it.
const TOKEN_MAX: usize = 8_000;

/// Sessions of TLS that are kept, to be resumed: the gateway has one name.
const SESSIONS: usize = 4;

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It holds no token.
    #[error("{}: it holds no token: {fault}", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// What is wrong; never what is in it.
        fault: &'static str,
    },
    /// It holds no authorities.
    #[error("{}: {source}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why.
        source: AuthoritiesError,
    },
}

type Load<T> = Box<dyn Fn(&Path) -> Result<Arc<T>, FileError> + Send + Sync>;

/// What a file holds, read again when it changes.
pub(super) struct Reread<T> {
    path: PathBuf,
    load: Load<T>,
    known: Mutex<(Stamp, Arc<T>)>,
}

impl<T> Reread<T> {
    /// Reads the file.
    pub(super) fn open(
        path: PathBuf,
        load: impl Fn(&Path) -> Result<Arc<T>, FileError> + Send + Sync + 'static,
    ) -> Result<Self, FileError> {
        // The stamp first, so that no change falls between.
        let stamp = stamp(&path);
        let value = load(&path)?;
        Ok(Reread { path, load: Box::new(load), known: Mutex::new((stamp, value)) })
    }

    /// Reads the file, or begins with another value where it is of no use.
    fn open_or(
        path: PathBuf,
        load: impl Fn(&Path) -> Result<Arc<T>, FileError> + Send + Sync + 'static,
        otherwise: impl FnOnce() -> Result<Arc<T>, FileError>,
    ) -> Result<Self, FileError> {
        let stamp = stamp(&path);
        let known = match load(&path) {
            Ok(value) => (stamp, value),
            // As if there were no file: where there is one, it is looked at again, and what is wrong with it told.
            Err(_) => (None, otherwise()?),
        };
        Ok(Reread { path, load: Box::new(load), known: Mutex::new(known) })
    }

    /// What it holds now. Where it has become useless, what it held before, and why.
    pub(super) fn get(&self) -> (Arc<T>, Option<FileError>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now = stamp(&self.path);
        if known.0 == now {
            return (known.1.clone(), None);
        }
        match (self.load)(&self.path) {
            Ok(value) => {
                *known = (now, value);
                (known.1.clone(), None)
            }
            Err(error) => (known.1.clone(), Some(error)),
        }
    }
}

/// The token of the pod's service account, shown by this name.
pub(super) fn token(path: PathBuf, name: String) -> Result<Reread<Credentials>, FileError> {
    Reread::open(path, move |path| {
        let text = read(path)?;
        let bad = |fault| FileError::Token { path: path.to_owned(), fault };
        let token = text.trim_ascii();
        if token.is_empty() {
            return Err(bad("it is empty"));
        }
        if token.len() > TOKEN_MAX {
            return Err(bad("it is too long"));
        }
        match std::str::from_utf8(token) {
            Ok(text) if is_token(token) => Ok(Arc::new(Credentials::new(name.clone(), Secret::Token(text.to_owned())))),
            _ => Err(bad("there are characters in it that no token has")),
        }
    })
}

/// What makes handshakes with a gateway that one of the authorities vouches for; those of public hosts, while there is no such file.
pub(super) fn authorities(path: PathBuf) -> Result<Reread<ClientConfig>, FileError> {
    let bad = |path: &Path, source| FileError::Authorities { path: path.to_owned(), source };
    let load = move |path: &Path| {
        let config = tls::read_authorities(&read(path)?).and_then(tls::authorities_config);
        config.map(few_sessions).map_err(|source| bad(path, source))
    };
    let shown = path.clone();
    Reread::open_or(path, load, || tls::public_config().map(few_sessions).map_err(|source| bad(&shown, source)))
}

fn few_sessions(config: Arc<ClientConfig>) -> Arc<ClientConfig> {
    let mut config = Arc::unwrap_or_clone(config);
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Arc::new(config)
}

fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    fs::read(path).map_err(|source| FileError::Unreadable { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_again_when_it_changes_and_kept_when_it_cannot_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let put = |text: &str| {
            fs::write(folder.path().join("new"), text).unwrap();
            fs::rename(folder.path().join("new"), &path).unwrap();
        };
        let shown = |token: &str| Credentials::new("pod-0", Secret::Token(token.into()));
        assert!(token(path.clone(), "pod-0".into()).is_err_and(|error| error.to_string().contains("No such file")));
        put("one.two\n");
        let file = token(path.clone(), "pod-0".into()).unwrap();
        assert_eq!(*file.get().0, shown("one.two"));
        put("three");
        let (now, fault) = file.get();
        assert!(fault.is_none());
        assert_eq!(*now, shown("three"));
        for (text, why) in [("", "it is empty"), ("a b", "characters"), (&*"x".repeat(8_001), "too long")] {
            put(text);
            let (now, fault) = file.get();
            assert_eq!(*now, shown("three"));
            let fault = fault.unwrap().to_string();
            assert!(fault.contains(why) && !fault.contains("a b"), "{fault}");
        }
        fs::remove_file(&path).unwrap();
        assert!(file.get().1.is_some());
        put("four");
        assert_eq!(*file.get().0, shown("four"));
    }

    #[test]
    fn authorities_are_certificates_in_pem_and_those_of_public_hosts_until_there_are_some() {
        tls::install();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.crt");
        let put = |text: &str| {
            fs::write(folder.path().join("new"), text).unwrap();
            fs::rename(folder.path().join("new"), &path).unwrap();
        };
        let file = authorities(path.clone()).unwrap();
        let (public, fault) = file.get();
        assert!(fault.is_none(), "a file may come later");
        for (text, why) in
            [("", "no certificate in it"), ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "")]
        {
            put(text);
            for file in [&file, &authorities(path.clone()).unwrap()] {
                let fault = file.get().1.unwrap().to_string();
                assert!(fault.contains(why) && fault.contains("ca.crt: "), "{fault}");
            }
            assert!(Arc::ptr_eq(&file.get().0, &public));
        }
        put(&rcgen::generate_simple_self_signed(["mail.test".to_owned()]).unwrap().cert.pem());
        let (own, fault) = file.get();
        assert!(fault.is_none() && !Arc::ptr_eq(&own, &public));
        fs::remove_file(&path).unwrap();
        let (kept, fault) = file.get();
        assert!(fault.is_some() && Arc::ptr_eq(&kept, &own), "what was known stays in force");
    }
}
