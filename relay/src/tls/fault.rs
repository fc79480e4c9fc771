//! Why there is no TLS with a host, with the alert or with what its certificate says of itself.

use std::{fmt, io, sync::Arc, time::Duration};

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
    /// The fault's own name, at most 32 characters.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            TlsFault::NotOffered => "TLS_NOT_OFFERED",
            TlsFault::Injection => "TLS_INJECTION",
            TlsFault::Certificate(fault) => fault.code,
            TlsFault::Alert(_) => "TLS_ALERT",
            TlsFault::Protocol(_) => "TLS_PROTOCOL",
            TlsFault::Io(_) => "TLS_BROKEN",
            TlsFault::TimedOut(_) => "TLS_TIMEOUT",
            TlsFault::NotReady(_) => "TLS_NOT_READY",
        }
    }

    /// The number of the alert, or the system's of its error.
    #[must_use]
    pub fn number(&self) -> Option<i32> {
        match self {
            TlsFault::Alert(alert) => Some(i32::from(u8::from(*alert))),
            TlsFault::Io(error) => error.raw_os_error(),
            _ => None,
        }
    }
}

/// `handshake_failure`, as RFC 8446 section 6 spells it.
fn alert_name(alert: AlertDescription) -> String {
    let mut name = String::new();
    for letter in format!("{alert:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

impl From<io::Error> for TlsFault {
    fn from(error: io::Error) -> TlsFault {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::AlertReceived(alert)) => TlsFault::Alert(*alert),
            Some(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(other)))) => {
                match other.downcast_ref::<CertificateFault>() {
                    Some(fault) => TlsFault::Certificate(fault.clone()),
                    None => TlsFault::Certificate(CertificateFault { code: "CERT_BAD", text: other.to_string() }),
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
    /// Its own name, such as `CERT_EXPIRED`.
    pub code: &'static str,
    /// A sentence, with the names and dates of the certificate.
    pub text: String,
}

impl CertificateFault {
    /// What a verifier says of this certificate, with the name that it was to have.
    #[must_use]
    pub fn new(error: &rustls::Error, certificate: &CertificateDer<'_>, wanted: &str) -> CertificateFault {
        use CertificateError as Why;
        let (code, why) = match error {
            rustls::Error::InvalidCertificate(why) => match why {
                Why::Expired | Why::ExpiredContext { .. } => ("CERT_EXPIRED", "has expired".to_owned()),
                Why::NotValidYet | Why::NotValidYetContext { .. } => {
                    ("CERT_NOT_YET_VALID", "is not valid yet".to_owned())
                }
                Why::NotValidForName | Why::NotValidForNameContext { .. } => {
                    ("CERT_WRONG_NAME", format!("is not for {wanted}"))
                }
                Why::UnknownIssuer => ("CERT_UNKNOWN_ISSUER", "is from nobody who is trusted".to_owned()),
                Why::Revoked => ("CERT_REVOKED", "is revoked".to_owned()),
                Why::BadSignature => ("CERT_BAD_SIGNATURE", "has a signature that is not its issuer's".to_owned()),
                other => ("CERT_BAD", format!("cannot be used: {other}")),
            },
            other => ("CERT_BAD", format!("cannot be used: {other}")),
        };
        CertificateFault { code, text: format!("the host's certificate {why}; it is {}", Facts(certificate)) }
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

impl fmt::Display for Facts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok((_, certificate)) = x509_parser::certificate::X509Certificate::from_der(self.0) else {
            return f.write_str("no X.509 certificate");
        };
        let names = match certificate.subject_alternative_name() {
            Ok(Some(extension)) => extension.value.general_names.iter().filter_map(name_of).collect(),
            _ => Vec::new(),
        };
        match names.as_slice() {
            [] => write!(f, "for no host")?,
            names => {
                let shown = names.iter().take(NAMES_SHOWN).cloned().collect::<Vec<_>>().join(", ");
                write!(f, "for {shown}")?;
                if names.len() > NAMES_SHOWN {
                    write!(f, " and {} more", names.len() - NAMES_SHOWN)?;
                }
            }
        }
        let day = |time: x509_parser::time::ASN1Time| {
            jiff::Timestamp::from_second(time.timestamp()).map_or_else(|_| "?".to_owned(), |at| format!("{at:.0}"))
        };
        let validity = certificate.validity();
        write!(f, ", from {} to {}", day(validity.not_before), day(validity.not_after))?;
        write!(f, ", issued by {}", certificate.issuer())
    }
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
        assert_eq!((fault.code(), fault.number()), ("TLS_ALERT", Some(40)));
    }

    #[test]
    fn a_fault_says_what_the_certificate_says_of_itself() {
        let mut wanted = rcgen::CertificateParams::new(["mail.test".to_owned(), "192.0.2.1".to_owned()]).unwrap();
        wanted.not_before = rcgen::date_time_ymd(2024, 1, 1);
        wanted.not_after = rcgen::date_time_ymd(2024, 2, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let made = wanted.self_signed(&key).unwrap();
        for (why, code, words) in [
            (CertificateError::Expired, "CERT_EXPIRED", "has expired"),
            (CertificateError::NotValidForName, "CERT_WRONG_NAME", "is not for other.test"),
            (CertificateError::UnknownIssuer, "CERT_UNKNOWN_ISSUER", "is from nobody who is trusted"),
        ] {
            let fault = CertificateFault::new(&rustls::Error::InvalidCertificate(why), made.der(), "other.test");
            assert_eq!(fault.code, code);
            let facts =
                "it is for mail.test, 192.0.2.1, from 2024-01-01T00:00:00Z to 2024-02-01T00:00:00Z, issued by CN=";
            assert!(fault.text.starts_with(&format!("the host's certificate {words}; {facts}")), "{}", fault.text);
            // As a handshake hands it on.
            let seen = TlsFault::from(io::Error::other(rustls::Error::from(fault.clone())));
            assert!(matches!(&seen, TlsFault::Certificate(same) if *same == fault), "{seen:?}");
        }
    }
}
