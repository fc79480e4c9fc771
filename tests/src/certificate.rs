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

    /// One for this name that an authority of its own signed, whose own certificate comes second; valid in these years alone.
    #[must_use]
    pub fn signed(name: &str, years: std::ops::Range<i32>) -> (Certificate, String) {
        let authority_key = rcgen::KeyPair::generate().expect("a key");
        let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("an authority");
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        authority.distinguished_name.push(rcgen::DnType::CommonName, format!("Authority of {name}"));
        let root = authority.self_signed(&authority_key).expect("an authority's certificate").pem();
        let issuer = rcgen::Issuer::new(authority, authority_key);
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut own = rcgen::CertificateParams::new([name.to_owned()]).expect("a name");
        own.distinguished_name.push(rcgen::DnType::CommonName, name);
        (own.not_before, own.not_after) =
            (rcgen::date_time_ymd(years.start, 1, 1), rcgen::date_time_ymd(years.end, 1, 1));
        let signed = own.signed_by(&key, &issuer).expect("a certificate");
        (Certificate { chain: signed.pem(), key: key.serialize_pem() }, root)
    }

    /// Puts it where the Secret `name` is read from; the file with the certificate.
    #[must_use]
    pub fn put(&self, folder: &Path, name: &str) -> PathBuf {
        let secret = folder.join(name);
        for (key, text) in [("tls.key", &self.key), ("tls.crt", &self.chain)] {
            put(folder, name, key, text);
        }
        secret.join("tls.crt")
    }
}

/// Puts one key of the Secret `name` where it is read from.
pub fn put(folder: &Path, name: &str, key: &str, text: &str) {
    let secret = folder.join(name);
    fs::create_dir_all(&secret).expect("make a Secret");
    // As a kubelet does it: a file is there whole or not at all.
    let new = folder.join(format!("{name}.{key}.new"));
    fs::write(&new, text).expect("write a Secret");
    fs::rename(&new, secret.join(key)).expect("put a Secret in place");
}
