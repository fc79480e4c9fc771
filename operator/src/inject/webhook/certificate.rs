//! The authority that the replicas share, and the certificate that each signs with it for itself.
//!
//! The API server is told of the authority alone, so a replica may have another certificate at every start, and a new one in good time.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{ToSpan as _, civil::Date};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivatePkcs8KeyDer};

/// How long an authority is good for.
const AUTHORITY_DAYS: i32 = 365;
/// So long before its end there is a new one, which stands beside it until nobody uses it any more.
const RENEWAL_DAYS: i32 = 120;
/// How long a replica's certificate is good for; far less than an authority has left.
const OWN_DAYS: i32 = 30;

const CERTIFICATES: &str = "ca.crt";
const KEY: &str = "ca.key";
const UNTIL: &str = "until";
const END: &str = "-----END CERTIFICATE-----\n";

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum CertificateError {
    /// It could not be made or signed.
    #[error(transparent)]
    Make(#[from] rcgen::Error),
    /// It could not be used.
    #[error(transparent)]
    Use(#[from] rustls::Error),
    /// A date is none.
    #[error(transparent)]
    Date(#[from] jiff::Error),
}

/// An authority, as its Secret holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Authority {
    /// Its certificate in PEM, and behind it that of the one before.
    pub(super) certificates: String,
    key: String,
    until: Date,
}

impl Authority {
    /// The one that the Secret holds, if it does.
    pub(super) fn of(secret: &Secret) -> Option<Authority> {
        let data = secret.data.as_ref()?;
        let text = |key| String::from_utf8(data.get::<str>(key)?.0.clone()).ok();
        Some(Authority { certificates: text(CERTIFICATES)?, key: text(KEY)?, until: text(UNTIL)?.parse().ok()? })
    }

    /// A new one, which succeeds the one before.
    pub(super) fn new(before: Option<&Authority>, today: Date) -> Result<Authority, CertificateError> {
        let key = KeyPair::generate()?;
        let until = today.checked_add(AUTHORITY_DAYS.days())?;
        let mut certificates = authority(until, today)?.self_signed(&key)?.pem().replace("\r\n", "\n");
        if let Some((before, _)) = before.and_then(|before| before.certificates.split_once(END)) {
            certificates = format!("{certificates}{before}{END}");
        }
        Ok(Authority { certificates, key: key.serialize_pem(), until })
    }

    /// Whether it is time for a new one.
    pub(super) fn is_due(&self, today: Date) -> bool {
        today.checked_add(RENEWAL_DAYS.days()).map_or(true, |then| then >= self.until)
    }

    /// As a Secret holds it.
    pub(super) fn data(&self) -> BTreeMap<String, ByteString> {
        let octets = |text: &str| ByteString(text.as_bytes().to_vec());
        let until = self.until.to_string();
        [(CERTIFICATES, &self.certificates), (KEY, &self.key), (UNTIL, &until)]
            .map(|(key, text)| (key.to_owned(), octets(text)))
            .into()
    }

    /// What serves under a certificate for this host, signed today.
    pub(super) fn serve_as(&self, host: &str, today: Date) -> Result<Arc<ServerConfig>, CertificateError> {
        let issuer = Issuer::new(authority(self.until, today)?, KeyPair::from_pem(&self.key)?);
        let key = KeyPair::generate()?;
        let mut own = CertificateParams::new([host.to_owned()])?;
        good(&mut own, today, today.checked_add(OWN_DAYS.days())?)?;
        own.distinguished_name = DistinguishedName::new();
        own.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = own.signed_by(&key, &issuer)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.into())?;
        Ok(Arc::new(config))
    }
}

/// What is said of an authority in its certificate, and in those that it signs.
fn authority(until: Date, today: Date) -> Result<CertificateParams, CertificateError> {
    let mut params = CertificateParams::default();
    good(&mut params, today, until)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("mailsluice webhook until {until}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    Ok(params)
}

/// From yesterday, for clocks that are behind, to that day; midnight, UTC.
fn good(params: &mut CertificateParams, today: Date, until: Date) -> Result<(), CertificateError> {
    let day = |date: Date| date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs());
    (params.not_before, params.not_after) = (day(today.yesterday()?), day(until));
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use rustls::{
        ClientConfig, ClientConnection, RootCertStore, ServerConnection,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    };

    use super::*;

    /// Whether a client that believes these authorities believes what is served.
    fn believed(certificates: &str, served: &Arc<ServerConfig>, host: &'static str) -> bool {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(certificates.as_bytes()) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let client = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut client = ClientConnection::new(Arc::new(client), ServerName::try_from(host).unwrap()).unwrap();
        let mut server = ServerConnection::new(served.clone()).unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            let mut octets = Vec::new();
            client.write_tls(&mut octets).unwrap();
            server.read_tls(&mut octets.as_slice()).unwrap();
            if server.process_new_packets().is_err() {
                return false;
            }
            octets.clear();
            server.write_tls(&mut octets).unwrap();
            client.read_tls(&mut octets.as_slice()).unwrap();
            if client.process_new_packets().is_err() {
                return false;
            }
        }
        true
    }

    #[test]
    fn a_new_authority_comes_in_time_and_the_one_before_is_believed_beside_it() {
        let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let first = Authority::new(None, today).unwrap();
        let mut secret = Secret::default();
        assert_eq!(Authority::of(&secret), None);
        secret.data = Some(first.data());
        assert_eq!(Authority::of(&secret).as_ref(), Some(&first));
        for (days, due) in [(0, false), (244, false), (245, true), (400, true)] {
            assert_eq!(first.is_due(today.checked_add(days.days()).unwrap()), due, "after {days} days");
        }
        let second = Authority::new(Some(&first), today).unwrap();
        let third = Authority::new(Some(&second), today).unwrap();
        for (authority, by) in
            [(&first, [true, true, false]), (&second, [false, true, true]), (&third, [false, false, true])]
        {
            for host in ["mailsluice-webhook.mailsluice.svc", "127.0.0.1"] {
                let served = authority.serve_as(host, today).unwrap();
                let seen = [&first, &second, &third].map(|known| believed(&known.certificates, &served, host));
                assert_eq!(seen, by, "{host}");
                assert!(!believed(&third.certificates, &served, "other.test"), "by its name alone");
            }
        }
    }

    #[test]
    fn what_is_in_the_secret_and_no_authority_is_replaced() {
        let mut data = Authority::new(None, date(2026, 1, 1)).unwrap().data();
        data.insert(UNTIL.to_owned(), ByteString(b"soon".to_vec()));
        assert_eq!(Authority::of(&Secret { data: Some(data), ..Secret::default() }), None);
    }
}
