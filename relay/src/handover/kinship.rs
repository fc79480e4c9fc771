//! How siblings know each other: by the service account that their pods share.
//!
//! Each shows its pod's projected token, made for siblings and nobody else, and the other one verifies it by the cluster's keys, without
//! asking anybody; a sibling is who has the account that its own token names. So there is no secret to be made, stored or changed: the
//! kubelet renews the tokens. The operator's credential of the Monitor would not do: relays know its hash alone, which whoever may read the
//! ConfigMap knows too.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    access::{KEYS_FILE, KeysError, TokenError, TokenKeys},
    config::{Stamp, stamp},
};

/// The audience of siblings' tokens.
pub const AUDIENCE: &str = "mailsluice-siblings";

/// A pod's own token, and what others' are verified by.
pub struct Kinship {
    token: PathBuf,
    keys_file: PathBuf,
    keys: Mutex<Option<(Stamp, Arc<TokenKeys>)>>,
}

/// Why somebody is no sibling, or it cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum Stranger {
    /// This pod's own token cannot be read.
    #[error("the pod's own token {}: {source}", file.display())]
    NoToken {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There are no keys to verify tokens by.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// This pod's own token is not good.
    #[error("the pod's own token: {0}")]
    Own(#[source] TokenError),
    /// The one that was shown is not good.
    #[error("its token: {0}")]
    Shown(#[source] TokenError),
    /// It is good, and another account's.
    #[error("it is {0}")]
    Other(String),
}

impl Kinship {
    /// With the token in this file, and the cluster's keys in `folder`.
    #[must_use]
    pub fn new(token: PathBuf, folder: &Path) -> Kinship {
        Kinship { token, keys_file: folder.join(KEYS_FILE), keys: Mutex::default() }
    }

    /// What this pod shows to its siblings.
    ///
    /// # Errors
    /// [`Stranger::NoToken`].
    pub fn token(&self) -> Result<String, Stranger> {
        match fs::read_to_string(&self.token) {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(source) => Err(Stranger::NoToken { file: self.token.clone(), source }),
        }
    }

    /// Whether who shows this token is a sibling.
    ///
    /// # Errors
    /// Why not.
    pub fn verify(&self, shown: &str) -> Result<(), Stranger> {
        let keys = self.keys()?;
        let shown = keys.verify(shown.as_bytes()).map_err(Stranger::Shown)?.identity;
        let own = keys.verify(self.token()?.as_bytes()).map_err(Stranger::Own)?.identity;
        if shown == own { Ok(()) } else { Err(Stranger::Other(shown.to_string())) }
    }

    /// The keys, read again when they have changed.
    fn keys(&self) -> Result<Arc<TokenKeys>, KeysError> {
        let mut known = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let now = stamp(&self.keys_file);
        match &*known {
            Some((seen, keys)) if *seen == now => Ok(keys.clone()),
            _ => {
                let keys = Arc::new(TokenKeys::load(&self.keys_file, AUDIENCE)?);
                *known = Some((now, keys.clone()));
                Ok(keys)
            }
        }
    }
}
