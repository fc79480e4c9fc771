//! Whom to believe on the way out: anybody, or those whom authorities vouch for.
//!
//! Both check that the host has the key of the certificate that it shows. Names are compared with the names of the certificate's
//! subjectAltName alone, never with its common name (RFC 9525 section 6.3).

use std::sync::{Arc, Mutex, PoisonError};

use rustls::{
    DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::fault::CertificateFault;

/// The provider of cryptography.
pub(super) fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()))
}

/// Whose certificates are believed.
#[derive(Debug)]
pub(super) enum Verifier {
    /// Anybody's.
    Anybody(WebPkiSupportedAlgorithms),
    /// Those of the name that is asked for, which one of the authorities vouches for.
    Authorities(Arc<WebPkiServerVerifier>),
}

impl Verifier {
    /// Believes anybody.
    pub(super) fn anybody() -> Verifier {
        Verifier::Anybody(provider().signature_verification_algorithms)
    }

    /// Believes these authorities.
    pub(super) fn authorities(roots: RootCertStore) -> Result<Verifier, rustls::client::VerifierBuilderError> {
        Ok(Verifier::Authorities(WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build()?))
    }

    /// Believes those that vouch for public hosts, as Mozilla keeps their list. They are part of the program, since its image
    /// holds no files beside it.
    pub(super) fn public() -> Result<Verifier, rustls::client::VerifierBuilderError> {
        Verifier::authorities(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
    }
}

/// Believes anybody, and keeps what the authorities would have said.
#[derive(Debug)]
pub struct Witness {
    authorities: Arc<Verifier>,
    said: Mutex<Option<CertificateFault>>,
}

impl Witness {
    /// A witness of one handshake.
    pub(super) fn new(authorities: Arc<Verifier>) -> Witness {
        Witness { authorities, said: Mutex::default() }
    }

    /// Why the certificate would not have been believed.
    #[must_use]
    pub fn said(&self) -> Option<CertificateFault> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Verifier::Authorities(inner) = self.authorities.as_ref()
            && let Err(error) = inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        {
            let fault = CertificateFault::new(&error, end_entity, &server_name.to_str());
            *self.said.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self {
            Verifier::Anybody(_) => Ok(ServerCertVerified::assertion()),
            Verifier::Authorities(inner) => inner
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
                .map_err(|error| CertificateFault::new(&error, end_entity, &server_name.to_str()).into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match self {
            Verifier::Anybody(algorithms) => verify_tls12_signature(message, certificate, signed, algorithms),
            Verifier::Authorities(inner) => inner.verify_tls12_signature(message, certificate, signed),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match self {
            Verifier::Anybody(algorithms) => verify_tls13_signature(message, certificate, signed, algorithms),
            Verifier::Authorities(inner) => inner.verify_tls13_signature(message, certificate, signed),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        match self {
            Verifier::Anybody(algorithms) => algorithms.supported_schemes(),
            Verifier::Authorities(inner) => inner.supported_verify_schemes(),
        }
    }
}
