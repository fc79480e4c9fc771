//! Authorities that a file names, to verify hosts by.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    client::VerifierBuilderError,
    pki_types::{
        CertificateDer,
        pem::{self, PemObject as _},
    },
};

use super::{outgoing::client_config, verify::Verifier};

/// Why a file names no authorities.
#[derive(Debug, thiserror::Error)]
pub enum AuthoritiesError {
    /// It is not PEM.
    #[error("not in PEM: {0}")]
    Pem(#[source] pem::Error),
    /// What is in it cannot vouch for anybody.
    #[error("no certificate of an authority: {0}")]
    Certificate(#[source] rustls::Error),
    /// It holds nothing.
    #[error("no certificate in it")]
    Empty,
    /// Nobody can be verified by it.
    #[error("{0}")]
    Verifier(#[source] VerifierBuilderError),
}

/// Reads certificates in PEM.
///
/// # Errors
/// There is none, or one that is none of an authority.
pub fn read_authorities(text: &[u8]) -> Result<RootCertStore, AuthoritiesError> {
    let mut authorities = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(text) {
        let certificate = certificate.map_err(AuthoritiesError::Pem)?;
        authorities.add(certificate).map_err(AuthoritiesError::Certificate)?;
    }
    if authorities.is_empty() { Err(AuthoritiesError::Empty) } else { Ok(authorities) }
}

/// What makes handshakes with hosts that one of these authorities vouches for, with sessions to be resumed.
///
/// # Errors
/// Nobody can be verified by them.
pub fn authorities_config(authorities: RootCertStore) -> Result<Arc<ClientConfig>, AuthoritiesError> {
    config_of(Verifier::authorities(authorities))
}

/// What makes handshakes with hosts that Mozilla's authorities vouch for, with sessions to be resumed.
///
/// # Errors
/// Nobody can be verified by them.
pub fn public_config() -> Result<Arc<ClientConfig>, AuthoritiesError> {
    config_of(Verifier::public())
}

fn config_of(verifier: Result<Verifier, VerifierBuilderError>) -> Result<Arc<ClientConfig>, AuthoritiesError> {
    let verifier = verifier.map_err(AuthoritiesError::Verifier)?;
    client_config(Arc::new(verifier), None).map_err(AuthoritiesError::Certificate)
}
