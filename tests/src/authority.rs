//! An authority that issues certificates, and TLSA records about them.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PublicKeyData as _};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use sha2::{Digest as _, Sha256};

/// An authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, and with that of the authority behind it.
pub struct Issued {
    certificate: CertificateDer<'static>,
    authority: CertificateDer<'static>,
    key: KeyPair,
}

impl Authority {
    /// A new one.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "each one is another")]
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Test Authority");
        let key = KeyPair::generate().expect("a key");
        Authority(CertifiedIssuer::self_signed(params, key).expect("make an authority"))
    }

    /// Issues a certificate for a name.
    #[must_use]
    pub fn issue(&self, name: &str) -> Issued {
        self.issue_till(name, None)
    }

    /// Issues one that has run out.
    #[must_use]
    pub fn issue_expired(&self, name: &str) -> Issued {
        self.issue_till(name, Some(2020))
    }

    fn issue_till(&self, name: &str, year: Option<i32>) -> Issued {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        if let Some(year) = year {
            params.not_before = rcgen::date_time_ymd(year - 1, 1, 1);
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("issue a certificate").der().clone();
        Issued { certificate, authority: self.0.der().clone(), key }
    }

    /// Writes its certificate into a file in this folder.
    #[must_use]
    pub fn file(&self, folder: &Path) -> PathBuf {
        let path = folder.join("authorities.pem");
        fs::write(&path, self.0.pem()).expect("write an authority");
        path
    }
}

impl Issued {
    /// One that no authority issued: its own key signed it.
    #[must_use]
    pub fn self_signed(name: &str) -> Issued {
        let params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("make a certificate").der().clone();
        Issued { authority: certificate.clone(), certificate, key }
    }

    /// What serves it.
    #[must_use]
    pub fn server(&self) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).expect("a key");
        let chain = vec![self.certificate.clone(), self.authority.clone()];
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a certificate with its key");
        Arc::new(config)
    }

    /// The data of a TLSA record 3 1 1 that names it.
    #[must_use]
    pub fn tlsa(&self) -> String {
        hex(&Sha256::digest(self.key.subject_public_key_info()))
    }

    /// The data of a TLSA record 2 0 1 that names its authority.
    #[must_use]
    pub fn authority_tlsa(&self) -> String {
        hex(&Sha256::digest(&self.authority))
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02X}");
        text
    })
}
