//! Why there is no TLS with a host, with the alert or with what its certificate says of itself.

use std::{fmt, io, sync::Arc, time::Duration};

use mailsluice_crds::catalogue::{Alert, Code, TlsCode};
use rustls::{AlertDescription, CertificateError, OtherError, pki_types::CertificateDer};
use x509_parser::{extensions::GeneralName, prelude::FromDer as _};

/// Names of a certificate that a fault shows.
const NAMES_SHOWN: usize = 3;

/// Why there is no TLS with a host.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// TLS is asked for, and the host offers none.
    #[error("the host offers no STARTTLS, and its route asks for TLS")]
    NotOffered,
    /// More than the reply to STARTTLS came in clear: somebody wants it to be taken for what comes under TLS.
    #[error("more than its reply to STARTTLS came in clear before the handshake")]
    Injection,
    /// The host's certificate is not to be trusted.
    #[error(transparent)]
    Certificate(CertificateFault),
    /// The host ended the handshake with an alert.
    #[error("the host ended the handshake with the alert {}", alert_name(*.0))]
    Alert(AlertDescription),
    /// The two do not come together, or the host breaks the protocol.
    #[error("{0}")]
    Protocol(rustls::Error),
    /// The connection failed.
    #[error("{0}")]
    Io(io::Error),
    /// The handshake took longer than it may.
    #[error("the handshake was not done after {} s", .0.as_secs())]
    TimedOut(Duration),
    /// What the route asks for is not there: a Secret, or a name to verify.
    #[error("{0}")]
    NotReady(String),
}

impl TlsFault {
    /// The fault's code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            TlsFault::NotOffered => TlsCode::NotOffered.into(),
            TlsFault::Injection => TlsCode::Injection.into(),
            TlsFault::Certificate(fault) => fault.code.into(),
            TlsFault::Alert(alert) => Alert::new(u8::from(*alert)).into(),
            TlsFault::Protocol(_) => TlsCode::Protocol.into(),
            TlsFault::Io(_) => TlsCode::Broken.into(),
            TlsFault::TimedOut(_) => TlsCode::Timeout.into(),
            TlsFault::NotReady(_) => TlsCode::NotReady.into(),
        }
    }

    /// The number of the alert, or the system's of its error.
    #[must_use]
    pub fn number(&self) -> Option<i32> {
        match self {
            TlsFault::Io(error) => error.raw_os_error(),
            _ => self.code().number(),
        }
    }
}

/// `handshake_failure`, as RFC 8446 section 6 spells it.
fn alert_name(alert: AlertDescription) -> String {
    Alert::new(u8::from(alert)).name()
}

impl From<io::Error> for TlsFault {
    fn from(error: io::Error) -> TlsFault {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::AlertReceived(alert)) => TlsFault::Alert(*alert),
            Some(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(other)))) => {
                match other.downcast_ref::<CertificateFault>() {
                    Some(fault) => TlsFault::Certificate(fault.clone()),
                    None => TlsFault::Certificate(CertificateFault { code: TlsCode::Bad, text: other.to_string() }),
                }
            }
            Some(other) => TlsFault::Protocol(other.clone()),
            None => TlsFault::Io(error),
        }
    }
}

/// Why a host's certificate is not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct CertificateFault {
    /// Its code, such as `CERT_EXPIRED`.
    pub code: TlsCode,
    /// A sentence, with the names and dates of the certificate.
    pub text: String,
}

impl CertificateFault {
    /// What a verifier says of this certificate, with the name that it was to have. What is wrong comes first, with the date, the
    /// names or the issuer that make it wrong; then what else the certificate says of itself.
    #[must_use]
    pub fn new(error: &rustls::Error, certificate: &CertificateDer<'_>, wanted: &str) -> CertificateFault {
        use CertificateError as Why;
        let of = Facts(certificate);
        let (code, text) = match (error, of.read()) {
            (rustls::Error::InvalidCertificate(why), Some(Details { names, from, to, issuer })) => match why {
                Why::Expired | Why::ExpiredContext { .. } => {
                    (TlsCode::Expired, format!("expired at {to}; it is for {names}, issued by {issuer}"))
                }
                Why::NotValidYet | Why::NotValidYetContext { .. } => {
                    (TlsCode::NotYetValid, format!("is not valid before {from}; it is for {names}, issued by {issuer}"))
                }
                Why::NotValidForName | Why::NotValidForNameContext { .. } => (
                    TlsCode::WrongName,
                    format!("is for {names}, not for {wanted}; it is good from {from} to {to}, issued by {issuer}"),
                ),
                Why::UnknownIssuer => (
                    TlsCode::UnknownIssuer,
                    format!("is issued by {issuer}, who is not trusted; it is for {names}, from {from} to {to}"),
                ),
                Why::Revoked => (TlsCode::Revoked, format!("is revoked; it is {of}")),
                Why::BadSignature => {
                    (TlsCode::BadSignature, format!("has a signature that is not its issuer's; it is {of}"))
                }
                other => (TlsCode::Bad, format!("cannot be used: {other}; it is {of}")),
            },
            (other, _) => (TlsCode::Bad, format!("cannot be used: {other}; it is {of}")),
        };
        CertificateFault { code, text: format!("the host's certificate {text}") }
    }
}

impl From<CertificateFault> for rustls::Error {
    fn from(fault: CertificateFault) -> rustls::Error {
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(fault))))
    }
}

/// What a certificate says of itself: its names, its dates and its issuer.
#[derive(Debug)]
pub struct Facts<'a>(pub &'a CertificateDer<'a>);

/// The same in words.
struct Details {
    names: String,
    from: String,
    to: String,
    issuer: String,
}

impl Facts<'_> {
    fn read(&self) -> Option<Details> {
        let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(self.0).ok()?;
        let names: Vec<String> = match certificate.subject_alternative_name() {
            Ok(Some(extension)) => extension.value.general_names.iter().filter_map(name_of).collect(),
            _ => Vec::new(),
        };
        let shown = names.iter().take(NAMES_SHOWN).cloned().collect::<Vec<_>>().join(", ");
        let names = match names.len() {
            0 => "no host".to_owned(),
            count if count > NAMES_SHOWN => format!("{shown} and {} more", count - NAMES_SHOWN),
            _ => shown,
        };
        let day = |time: x509_parser::time::ASN1Time| {
            jiff::Timestamp::from_second(time.timestamp()).map_or_else(|_| "?".to_owned(), |at| format!("{at:.0}"))
        };
        let itself = if certificate.issuer() == certificate.subject() { "itself, " } else { "" };
        let validity = certificate.validity();
        Some(Details {
            names: clean(&names),
            from: day(validity.not_before),
            to: day(validity.not_after),
            issuer: format!("{itself}{}", clean(&certificate.issuer().to_string())),
        })
    }
}

impl fmt::Display for Facts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.read() {
            None => f.write_str("no X.509 certificate"),
            Some(Details { names, from, to, issuer }) => {
                write!(f, "for {names}, from {from} to {to}, issued by {issuer}")
            }
        }
    }
}

/// A stranger wrote it.
fn clean(text: &str) -> String {
    text.replace(char::is_control, "?")
}

fn name_of(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(octets) => match octets.len() {
            4 => <[u8; 4]>::try_from(*octets).ok().map(|octets| std::net::IpAddr::from(octets).to_string()),
            _ => <[u8; 16]>::try_from(*octets).ok().map(|octets| std::net::IpAddr::from(octets).to_string()),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_have_the_names_of_the_standard() {
        for (alert, name) in [
            (AlertDescription::HandshakeFailure, "handshake_failure"),
            (AlertDescription::BadCertificate, "bad_certificate"),
            (AlertDescription::ProtocolVersion, "protocol_version"),
        ] {
            assert_eq!(alert_name(alert), name);
        }
        let fault = TlsFault::from(io::Error::other(rustls::Error::AlertReceived(AlertDescription::HandshakeFailure)));
        assert_eq!((fault.code().name().as_ref(), fault.number()), ("TLS_ALERT 40", Some(40)));
    }

    #[test]
    fn a_fault_says_what_the_certificate_says_of_itself() {
        let mut wanted = rcgen::CertificateParams::new(["mail.test".to_owned(), "192.0.2.1".to_owned()]).unwrap();
        wanted.not_before = rcgen::date_time_ymd(2024, 1, 1);
        wanted.not_after = rcgen::date_time_ymd(2024, 2, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let made = wanted.self_signed(&key).unwrap();
        let (from, to) = ("2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z");
        let (names, issuer) = ("mail.test, 192.0.2.1", "itself, CN=rcgen self signed cert");
        for (why, code, says) in [
            (
                CertificateError::Expired,
                "CERT_EXPIRED",
                format!("expired at {to}; it is for {names}, issued by {issuer}"),
            ),
            (
                CertificateError::NotValidYet,
                "CERT_NOT_YET_VALID",
                format!("is not valid before {from}; it is for {names}, issued by {issuer}"),
            ),
            (
                CertificateError::NotValidForName,
                "CERT_WRONG_NAME",
                format!("is for {names}, not for other.test; it is good from {from} to {to}, issued by {issuer}"),
            ),
            (
                CertificateError::UnknownIssuer,
                "CERT_UNKNOWN_ISSUER",
                format!("is issued by {issuer}, who is not trusted; it is for {names}, from {from} to {to}"),
            ),
            (
                CertificateError::Revoked,
                "CERT_REVOKED",
                format!("is revoked; it is for {names}, from {from} to {to}, issued by {issuer}"),
            ),
        ] {
            let fault = CertificateFault::new(&rustls::Error::InvalidCertificate(why), made.der(), "other.test");
            assert_eq!(
                (fault.code.name(), fault.text.as_str()),
                (code, format!("the host's certificate {says}").as_str())
            );
            // As a handshake hands it on.
            let seen = TlsFault::from(io::Error::other(rustls::Error::from(fault.clone())));
            assert!(matches!(&seen, TlsFault::Certificate(same) if *same == fault), "{seen:?}");
        }
    }
}
