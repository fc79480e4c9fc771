//! Certificates, and the Secrets that hold them: folders with a file per key.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A certificate that its own key signed, so that it is its own authority.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// In PEM.
    pub chain: String,
    /// Its private key, in PEM.
    pub key: String,
}

impl Certificate {
    /// A new one for this name.
    #[must_use]
    pub fn of(name: &str) -> Certificate {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("make a certificate");
        Certificate { chain: made.cert.pem(), key: made.signing_key.serialize_pem() }
    }

    /// Puts it where the Secret `name` is read from; the file with the certificate.
    #[must_use]
    pub fn put(&self, folder: &Path, name: &str) -> PathBuf {
        let secret = folder.join(name);
        fs::create_dir_all(&secret).expect("make a Secret");
        for (key, text) in [("tls.key", &self.key), ("tls.crt", &self.chain)] {
            // As a kubelet does it: a file is there whole or not at all.
            let new = folder.join(format!("{name}.{key}.new"));
            fs::write(&new, text).expect("write a Secret");
            fs::rename(&new, secret.join(key)).expect("put a Secret in place");
        }
        secret.join("tls.crt")
    }
}
