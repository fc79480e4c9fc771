//! What SCRAM can bind to on a connection: its channel bindings.

use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::{ConnectionCommon, ProtocolVersion, pki_types::CertificateDer};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// The channel bindings of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bindings {
    /// That of tls-exporter (RFC 9266); under TLS 1.3 alone, since what is exported before it can be another's, too.
    pub exporter: Option<[u8; 32]>,
    /// That of tls-server-end-point (RFC 5929 section 4), where the certificate's signature defines one.
    pub end_point: Option<Arc<[u8]>>,
}

impl Bindings {
    /// Those of a connection whose server has shown a certificate with this end point.
    pub(super) fn of<Data>(connection: &ConnectionCommon<Data>, end_point: Option<Arc<[u8]>>) -> Bindings {
        let export = || {
            let is_1_3 = connection.protocol_version() == Some(ProtocolVersion::TLSv1_3);
            let label = b"EXPORTER-Channel-Binding";
            is_1_3.then(|| connection.export_keying_material([0; 32], label, Some(&[])).ok())?
        };
        Bindings { exporter: export(), end_point }
    }
}

/// The hash of tls-server-end-point: that of the certificate's signature, SHA-256 in the place of weaker ones; None where the
/// signature has none of its own (RFC 5929 section 4.1).
pub(super) fn end_point(certificate: &CertificateDer<'_>) -> Option<Arc<[u8]>> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let algorithm = match parsed.signature_algorithm.algorithm.to_id_string().as_str() {
        // RSA and ECDSA with MD5, SHA-1 and SHA-256.
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.113549.1.1.11"
        | "1.2.840.10045.4.1"
        | "1.2.840.10045.4.3.2" => &digest::SHA256,
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => &digest::SHA384,
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => &digest::SHA512,
        _ => return None,
    };
    Some(digest::digest(algorithm, certificate).as_ref().into())
}
