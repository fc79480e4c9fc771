//! The certificates that listeners show, from Secrets of type kubernetes.io/tls.

use std::sync::Arc;

use jiff::Timestamp;
use mailsluice_crds::relay::SMTPRelaySpec;
use rustls::{
    ServerConfig, ServerConnection,
    crypto::aws_lc_rs::Ticketer,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{
    ServerSide,
    asking::AnyCertificate,
    binding::{Bindings, end_point},
};
use crate::secrets::{Faulty, Kept, SecretError, Secrets};

/// The keys of a Secret of type kubernetes.io/tls.
pub(super) const CHAIN: &str = "tls.crt";
pub(super) const KEY: &str = "tls.key";

/// The certificates that listeners show.
pub struct Certificates {
    kept: Kept<Arc<Shown>>,
}

/// A certificate, ready for handshakes.
struct Shown {
    plain: TlsAcceptor,
    /// The same, asking for the client's.
    asking: TlsAcceptor,
    end_point: Option<Arc<[u8]>>,
    expires: Option<Timestamp>,
}

/// What makes handshakes with clients.
#[derive(Clone)]
pub struct Acceptor {
    pub(super) tls: TlsAcceptor,
    end_point: Option<Arc<[u8]>>,
}

impl Acceptor {
    /// What the server's side knows of a handshake that is done.
    pub(super) fn server_side(&self, connection: &ServerConnection) -> ServerSide {
        let chain = connection.peer_certificates().unwrap_or_default();
        let chain = chain.iter().map(|certificate| certificate.clone().into_owned()).collect();
        ServerSide { bindings: Bindings::of(connection, self.end_point.clone()), chain }
    }
}

impl Certificates {
    /// None yet.
    #[must_use]
    pub fn new(secrets: Secrets) -> Certificates {
        Certificates { kept: Kept::new(secrets, &[CHAIN, KEY], load) }
    }

    /// Reads what is new or has changed; whether anything changed.
    pub fn look(&self, spec: &SMTPRelaySpec) -> bool {
        let listeners = spec.listeners.iter();
        self.kept.look(listeners.filter_map(|listener| Some(listener.tls.as_ref()?.secret_name.as_str())))
    }

    /// What makes handshakes with the certificate of a Secret, and asks for the client's or not; none while there is no such
    /// certificate.
    #[must_use]
    pub fn acceptor(&self, secret_name: &str, ask: bool) -> Option<Acceptor> {
        let shown = self.kept.get(secret_name)?;
        let tls = if ask { shown.asking.clone() } else { shown.plain.clone() };
        Some(Acceptor { tls, end_point: shown.end_point.clone() })
    }

    /// When the certificates that are shown expire, each with its Secret's name.
    #[must_use]
    pub fn expiries(&self) -> Vec<(String, Timestamp)> {
        let shown = self.kept.values().into_iter();
        shown.filter_map(|(name, shown)| Some((name, shown.expires?))).collect()
    }

    /// The faults of Secrets, as sentences.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let sentence = |Faulty { fault, in_force }| match in_force {
            true => format!("{fault}; listeners go on with the certificate that it held before"),
            false => format!("{fault}; listeners with this certificate offer no TLS"),
        };
        self.kept.faulty().into_iter().map(sentence).collect()
    }
}

/// When the first certificate of a chain to expire does: with it, the chain is worth nothing.
fn expiry(chain: &[CertificateDer<'_>]) -> Option<Timestamp> {
    let not_after = |certificate: &CertificateDer<'_>| {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        Timestamp::from_second(parsed.validity().not_after.timestamp()).ok()
    };
    chain.iter().filter_map(not_after).min()
}

/// The chain of certificates and its key.
pub(super) fn read(
    secrets: &Secrets,
    name: &str,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), SecretError> {
    let unusable = |key, fault: String| SecretError::Unusable { name: name.to_owned(), key, fault };
    let chain = secrets.read(name, CHAIN)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&chain)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(CHAIN, format!("not in PEM: {error}")))?;
    if chain.is_empty() {
        return Err(unusable(CHAIN, "no certificate in it".into()));
    }
    let key = PrivateKeyDer::from_pem_slice(&secrets.read(name, KEY)?)
        .map_err(|error| unusable(KEY, format!("no private key in PEM: {error}")))?;
    Ok((chain, key))
}

fn load(secrets: &Secrets, name: &str) -> Result<Arc<Shown>, SecretError> {
    let unusable = |key, fault: String| SecretError::Unusable { name: name.to_owned(), key, fault };
    let (chain, key) = read(secrets, name)?;
    let (end_point, expires) = (chain.first().and_then(end_point), expiry(&chain));
    let make = |ask: bool| {
        let builder = ServerConfig::builder();
        let builder = match ask {
            true => builder.with_client_cert_verifier(Arc::new(AnyCertificate::new())),
            false => builder.with_no_client_auth(),
        };
        let mut config = builder
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(|error| unusable(KEY, format!("does not go with the certificate: {error}")))?;
        // Sessions are resumed by tickets that clients keep: nothing here grows with their number.
        config.ticketer = Ticketer::new().map_err(|error| unusable(KEY, error.to_string()))?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    };
    Ok(Arc::new(Shown { plain: make(false)?, asking: make(true)?, end_point, expires }))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use mailsluice_crds::relay::{ListenerTls, TlsMode};

    use super::*;

    fn spec() -> SMTPRelaySpec {
        let tls = Some(ListenerTls { secret_name: "mail-tls".into(), mode: TlsMode::StartTls });
        let mut spec = SMTPRelaySpec::default();
        spec.listeners[0].tls = tls;
        spec
    }

    fn put(folder: &Path, chain: &str, key: &str) {
        let secret = folder.join("mail-tls");
        fs::create_dir_all(&secret).unwrap();
        fs::write(secret.join(CHAIN), chain).unwrap();
        fs::write(secret.join(KEY), key).unwrap();
    }

    #[test]
    fn a_chain_expires_with_the_first_of_its_certificates() {
        let certificate = |year| {
            let mut wanted = rcgen::CertificateParams::new(vec!["mail.example".to_owned()]).unwrap();
            wanted.not_after = rcgen::date_time_ymd(year, 1, 1);
            wanted.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().clone()
        };
        let (long, short) = (certificate(2040), certificate(2031));
        assert_eq!(expiry(&[long, short]), Some("2031-01-01T00:00:00Z".parse().unwrap()));
        assert_eq!(expiry(&[CertificateDer::from(b"no certificate".to_vec())]), None);
    }

    #[test]
    fn a_secret_that_cannot_be_used_is_named_with_what_is_wrong() {
        let made = || rcgen::generate_simple_self_signed(["mail.test".to_owned()]).unwrap();
        let (one, other) = (made(), made());
        let (chain, key, other) = (one.cert.pem(), one.signing_key.serialize_pem(), other.signing_key.serialize_pem());
        for (chain, key, fault) in [
            ("", key.as_str(), Some("Secret mail-tls: tls.crt: no certificate in it")),
            (&chain, "", Some("Secret mail-tls: tls.key: no private key in PEM")),
            (&chain, &other, Some("Secret mail-tls: tls.key: does not go with the certificate")),
            (&chain, &key, None),
        ] {
            let folder = tempfile::tempdir().unwrap();
            put(folder.path(), chain, key);
            let certificates = Certificates::new(Secrets::below(folder.path().into()));
            assert!(certificates.look(&spec()));
            let faults = certificates.faults();
            assert_eq!(certificates.acceptor("mail-tls", false).is_some(), fault.is_none(), "{faults:?}");
            match fault {
                Some(fault) => assert!(faults[0].starts_with(fault), "{faults:?}"),
                None => assert!(faults.is_empty(), "{faults:?}"),
            }
            assert!(!faults.concat().contains("BEGIN"), "what it holds is no part of a fault");
        }
    }
}
