//! Private keys: read, made, used, and shown as the record of the DNS that others verify by.

use std::fmt::Write as _;

use aws_lc_rs::{
    digest,
    encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};

/// A private key that signs mail: RSA of 2048 to 8192 bits (RFC 8301 section 3.2), or Ed25519 (RFC 8463).
#[derive(Debug)]
pub struct Key(Kind);

#[derive(Debug)]
enum Kind {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

/// What kind of key is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum NewKey {
    /// RSA with 2048 bits: what every receiver verifies.
    Rsa,
    /// RSA with 4096 bits: its record is too long for one string of the DNS, and for the forms of some providers.
    Rsa4096,
    /// Ed25519: short and quick, and unknown to many receivers: let it sign beside RSA.
    Ed25519,
}

/// Why a key is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// There is no private key in PEM.
    #[error("no private key in PEM: {0}")]
    NotPem(String),
    /// A key that DKIM does not know, or that is too weak.
    #[error("neither an RSA key of 2048 to 8192 bits nor an Ed25519 key: {0}")]
    Unfit(String),
    /// The library failed, which it has no reason to.
    #[error("the key cannot be used")]
    Failed,
}

impl Key {
    /// Reads a key in PEM: PKCS #8 (`BEGIN PRIVATE KEY`), or PKCS #1 (`BEGIN RSA PRIVATE KEY`).
    ///
    /// # Errors
    /// See [`KeyFault`]; nothing of the key is in it.
    pub fn from_pem(pem: &[u8]) -> Result<Key, KeyFault> {
        let der = PrivateKeyDer::from_pem_slice(pem).map_err(|error| KeyFault::NotPem(error.to_string()))?;
        let rsa = |key: RsaKeyPair| Key(Kind::Rsa(Box::new(key)));
        match der {
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der())
                .map(rsa)
                .map_err(|error| KeyFault::Unfit(error.to_string())),
            PrivateKeyDer::Pkcs8(der) => {
                let der = der.secret_pkcs8_der();
                match Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
                    Ok(key) => Ok(Key(Kind::Ed25519(Box::new(key)))),
                    Err(_) => RsaKeyPair::from_pkcs8(der).map(rsa).map_err(|error| KeyFault::Unfit(error.to_string())),
                }
            }
            _ => Err(KeyFault::Unfit("it is for elliptic curves of another kind".to_owned())),
        }
    }

    /// Makes a key; and its PEM (PKCS #8).
    ///
    /// # Errors
    /// [`KeyFault::Failed`].
    pub fn generate(kind: NewKey) -> Result<(Key, String), KeyFault> {
        let failed = |_| KeyFault::Failed;
        let rsa = |size| -> Result<(Key, Pkcs8V1Der<'static>), KeyFault> {
            let key = RsaKeyPair::generate(size).map_err(failed)?;
            let der = key.as_der().map_err(failed)?;
            Ok((Key(Kind::Rsa(Box::new(key))), der))
        };
        let (key, der) = match kind {
            NewKey::Rsa => rsa(KeySize::Rsa2048)?,
            NewKey::Rsa4096 => rsa(KeySize::Rsa4096)?,
            NewKey::Ed25519 => {
                let key = Ed25519KeyPair::generate().map_err(failed)?;
                let der = key.as_der().map_err(failed)?;
                (Key(Kind::Ed25519(Box::new(key))), der)
            }
        };
        Ok((key, pem(der.as_ref())))
    }

    /// The name of its algorithm in a signature's `a=`.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        match self.0 {
            Kind::Rsa(_) => "rsa-sha256",
            Kind::Ed25519(_) => "ed25519-sha256",
        }
    }

    /// Signs the canonical form of a header.
    ///
    /// # Errors
    /// [`KeyFault::Failed`].
    pub fn sign(&self, canonical: &[u8]) -> Result<Vec<u8>, KeyFault> {
        match &self.0 {
            Kind::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), canonical, &mut signature)
                    .map_err(|_| KeyFault::Failed)?;
                Ok(signature)
            }
            Kind::Ed25519(key) => {
                // RFC 8463 section 3: what is signed is the hash.
                let hash = digest::digest(&digest::SHA256, canonical);
                Ok(key.try_sign(hash.as_ref()).map_err(|_| KeyFault::Failed)?.as_ref().to_vec())
            }
        }
    }

    /// The text of the record that others verify by (RFC 6376 section 3.6.1, RFC 8463 section 4).
    ///
    /// # Errors
    /// [`KeyFault::Failed`].
    pub fn record(&self) -> Result<String, KeyFault> {
        let (name, public) = match &self.0 {
            Kind::Rsa(key) => {
                let der: PublicKeyX509Der<'_> = key.public_key().as_der().map_err(|_| KeyFault::Failed)?;
                ("rsa", BASE64.encode(der.as_ref()))
            }
            Kind::Ed25519(key) => ("ed25519", BASE64.encode(key.public_key().as_ref())),
        };
        Ok(format!("v=DKIM1; k={name}; p={public}"))
    }
}

fn pem(der: &[u8]) -> String {
    let mut out = String::from("-----BEGIN PRIVATE KEY-----\n");
    let text = BASE64.encode(der);
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at_checked(64).unwrap_or((rest, ""));
        // A String takes all that is written to it.
        let _ = writeln!(out, "{line}");
        rest = after;
    }
    out.push_str("-----END PRIVATE KEY-----\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_was_made_can_be_read_and_its_record_is_its_own() {
        for (kind, algorithm, start) in [
            (NewKey::Rsa, "rsa-sha256", "v=DKIM1; k=rsa; p=MIIB"),
            (NewKey::Ed25519, "ed25519-sha256", "v=DKIM1; k=ed25519; p="),
        ] {
            let (made, pem) = Key::generate(kind).unwrap();
            let read = Key::from_pem(pem.as_bytes()).unwrap();
            assert_eq!(read.algorithm(), algorithm);
            assert!(read.record().unwrap().starts_with(start));
            assert_eq!(read.record(), made.record());
            // Both algorithms are deterministic.
            assert_eq!(read.sign(b"from:a"), made.sign(b"from:a"));
        }
    }

    #[test]
    fn what_is_no_key_is_told_what_it_should_be() {
        let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
        for (pem, says) in [
            ("", "no private key in PEM"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "neither an RSA key of 2048"),
            (&other, "neither an RSA key of 2048"),
        ] {
            let fault = Key::from_pem(pem.as_bytes()).unwrap_err().to_string();
            assert!(fault.starts_with(says), "{fault}");
        }
    }
}
