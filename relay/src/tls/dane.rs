//! DANE: whether a host shows the certificate that its TLSA records name (RFC 6698, 7671 and 7672 section 3).
//!
//! Decisions:
//! - Usable are DANE-TA(2) and DANE-EE(3), of the whole certificate or of its key, as they are or by SHA-256 or SHA-512.
//!   PKIX-TA(0) and PKIX-EE(1) are not (RFC 7672 section 3.1.3): mail has no list of authorities that all agree on.
//! - Where records of one usage and selector have both digests, those by SHA-512 alone count (RFC 7671 section 9).
//! - With DANE-EE(3) neither the names nor the dates in a certificate matter (RFC 7672 section 3.1.1).
//! - With DANE-TA(2) the certificate must be in its time, signed through to the authority, and made out to the name under which
//!   the records were found or to the domain that the mail is for (3.1.2, 3.2.2). The authority's own certificate must be in
//!   what the host sends, as 3.1.2 asks of hosts, and not be the host's own.
//! - A session under DANE is never resumed: what the host showed is looked at each time.

use std::{fmt, sync::Arc};

use mailsluice_crds::catalogue::TlsCode;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use sha2::{Digest as _, Sha256, Sha512};

use super::fault::{CertificateFault, Facts};

/// Whom a record names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Usage {
    /// An authority whose certificates are good for the host.
    Authority,
    /// The host's own certificate.
    EndEntity,
}

/// What of a certificate a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Selector {
    Certificate,
    PublicKey,
}

/// How a record says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Matching {
    Whole,
    Sha256,
    Sha512,
}

/// A TLSA record that can be used for mail.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tlsa {
    usage: Usage,
    selector: Selector,
    matching: Matching,
    data: Vec<u8>,
}

impl Tlsa {
    /// None where the record is one that no mail client may use, or is malformed.
    fn usable(usage: u8, selector: u8, matching: u8, data: &[u8]) -> Option<Tlsa> {
        let usage = match usage {
            2 => Usage::Authority,
            3 => Usage::EndEntity,
            _ => return None,
        };
        let selector = match selector {
            0 => Selector::Certificate,
            1 => Selector::PublicKey,
            _ => return None,
        };
        let matching = match (matching, data.len()) {
            (0, 1..) => Matching::Whole,
            (1, 32) => Matching::Sha256,
            (2, 64) => Matching::Sha512,
            _ => return None,
        };
        Some(Tlsa { usage, selector, matching, data: data.to_owned() })
    }

    fn names(&self, certificate: &CertificateDer<'_>) -> bool {
        match self.selector {
            Selector::Certificate => self.says(certificate),
            Selector::PublicKey => ParsedCertificate::try_from(certificate)
                .is_ok_and(|certificate| self.says(certificate.subject_public_key_info().as_ref())),
        }
    }

    fn says(&self, octets: &[u8]) -> bool {
        match self.matching {
            Matching::Whole => octets == self.data,
            Matching::Sha256 => Sha256::digest(octets)[..] == self.data,
            Matching::Sha512 => Sha512::digest(octets)[..] == self.data,
        }
    }
}

/// A TLSA record as it stands in the DNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawTlsa<'a> {
    /// The certificate usage.
    pub usage: u8,
    /// The selector.
    pub selector: u8,
    /// The matching type.
    pub matching: u8,
    /// The certificate association data.
    pub data: &'a [u8],
}

/// A record as it is written in zone files, which is how TLS reports give it (RFC 8460 section 4.4).
impl fmt::Display for RawTlsa<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} ", self.usage, self.selector, self.matching)?;
        self.data.iter().try_for_each(|octet| write!(f, "{octet:02X}"))
    }
}

/// The TLSA records of a host, at least one, all of them proved by DNSSEC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsaSet {
    base: String,
    usable: Vec<Tlsa>,
    texts: Vec<String>,
}

impl TlsaSet {
    /// The records below `base`, the name that the host is to be known by.
    #[must_use]
    pub fn new<'a>(base: &str, records: impl IntoIterator<Item = RawTlsa<'a>>) -> TlsaSet {
        let mut set = TlsaSet { base: base.to_owned(), usable: Vec::new(), texts: Vec::new() };
        for record in records {
            set.usable.extend(Tlsa::usable(record.usage, record.selector, record.matching, record.data));
            set.texts.push(record.to_string());
        }
        let strong: Vec<_> = set.usable.iter().filter(|record| record.matching == Matching::Sha512).cloned().collect();
        set.usable.retain(|record| {
            record.matching != Matching::Sha256
                || strong.iter().all(|other| (other.usage, other.selector) != (record.usage, record.selector))
        });
        set
    }

    /// The name below which the records were found: what the host is called in the handshake (RFC 7672 section 8.1).
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Whether any record can be used. Where none can, the session must be under TLS, and nobody is authenticated (RFC 7672
    /// section 2.2).
    #[must_use]
    pub fn is_usable(&self) -> bool {
        !self.usable.is_empty()
    }

    /// The records as zone files write them.
    #[must_use]
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Whether a host that shows these certificates is the one that the records name.
    fn check(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        names: &[ServerName<'static>],
        now: UnixTime,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Result<(), Mismatch> {
        let of = |usage| self.usable.iter().filter(move |record| record.usage == usage);
        if of(Usage::EndEntity).any(|record| record.names(own)) {
            return Ok(());
        }
        let mut authorities = RootCertStore::empty();
        for other in others.iter().filter(|other| of(Usage::Authority).any(|record| record.names(other))) {
            authorities.add(other.clone().into_owned())?;
        }
        if authorities.is_empty() {
            return Err(Mismatch::NoRecord);
        }
        let own = ParsedCertificate::try_from(own)?;
        verify_server_cert_signed_by_trust_anchor(&own, &authorities, others, now, algorithms.all)?;
        let mut last = None;
        for name in names {
            match verify_server_name(&own, name) {
                Ok(()) => return Ok(()),
                Err(error) => last = Some(error),
            }
        }
        Err(Mismatch::Invalid(last.unwrap_or(CertificateError::NotValidForName.into())))
    }
}

/// Why a certificate is not the one that the records name.
#[derive(Debug)]
enum Mismatch {
    /// None of them names it, nor an authority behind it.
    NoRecord,
    /// They name an authority, which does not vouch for it.
    Invalid(Error),
}

impl From<Error> for Mismatch {
    fn from(error: Error) -> Mismatch {
        Mismatch::Invalid(error)
    }
}

/// Looks at a host's certificate with the eyes of its TLSA records.
#[derive(Debug)]
pub(super) struct Verifier {
    records: Arc<TlsaSet>,
    names: Vec<ServerName<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    /// For mail to the domain `next_hop`.
    pub(super) fn new(records: Arc<TlsaSet>, next_hop: &str, provider: &CryptoProvider) -> Verifier {
        let names = [records.base(), next_hop];
        let names = names.into_iter().filter_map(|name| ServerName::try_from(name.to_owned()).ok()).collect();
        Verifier { names, records, algorithms: provider.signature_verification_algorithms }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let base = self.records.base();
        match self.records.check(end_entity, intermediates, &self.names, now, self.algorithms) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(Mismatch::NoRecord) => Err(CertificateFault {
                code: TlsCode::DaneMismatch,
                text: format!(
                    "none of the TLSA records of {base} names the host's certificate; it is {}",
                    Facts(end_entity)
                ),
            }
            .into()),
            Err(Mismatch::Invalid(error)) => Err(CertificateFault::new(&error, end_entity, base).into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
