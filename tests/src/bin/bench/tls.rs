//! One version, one cipher and one key exchange for everybody, so that TLS costs all of them the same.

use std::sync::{Arc, OnceLock};

use mailsluice_tests::certificate::Certificate;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
};

/// TLS 1.3 with AES-256-GCM and X25519: every relay here has them.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384],
        kx_groups: vec![aws_lc_rs::kx_group::X25519],
        ..aws_lc_rs::default_provider()
    })
}

/// What the source connects with: each handshake is a full one.
pub(crate) fn client() -> Arc<ClientConfig> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    CONFIG.get_or_init(|| with(Resumption::disabled())).clone()
}

/// What resumes the session before, where the server has it.
pub(crate) fn resuming_client() -> Arc<ClientConfig> {
    with(Resumption::in_memory_sessions(1))
}

/// It looks at no certificate: it measures.
fn with(resumption: Resumption) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let verifier = Arc::new(Anyone(provider()));
    let mut config = builder.expect("TLS").dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.resumption = resumption;
    Arc::new(config)
}

/// What the sink answers with.
pub(crate) fn server(certificate: &Certificate) -> Arc<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let chain = CertificateDer::pem_slice_iter(certificate.chain.as_bytes()).map(|der| der.expect("a certificate"));
    let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).expect("a key");
    Arc::new(builder.expect("TLS").with_no_client_auth().with_single_cert(chain.collect(), key).expect("a certificate"))
}

#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
