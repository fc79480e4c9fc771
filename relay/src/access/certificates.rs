//! Clients' certificates: by which authorities they are signed, and which names they bear.
//!
//! A certificate that no authority of ours has signed does not end the handshake: many mail servers show the one they have to
//! whoever asks. It says nothing then.

use std::{collections::BTreeSet, sync::Arc};

use mailsluice_crds::relay::ClientCertificates;
use rustls::{
    RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, UnixTime, pem::PemObject as _},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::secrets::{Faulty, Kept, SecretError, Secrets};

const KEY: &str = "ca.crt";

/// What a client's certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The Secrets with an authority that has signed it.
    signed_by: BTreeSet<String>,
    /// Its subject alternative names.
    names: Vec<String>,
}

impl Holder {
    /// What a certificate says that these have signed, and that bears these names.
    #[must_use]
    pub fn new<'a>(signed_by: impl IntoIterator<Item = &'a str>, names: impl IntoIterator<Item = &'a str>) -> Holder {
        Holder {
            signed_by: signed_by.into_iter().map(str::to_owned).collect(),
            names: names.into_iter().map(str::to_owned).collect(),
        }
    }

    /// Whether it is one that an entry asks for.
    #[must_use]
    pub fn is_one_of(&self, asked: &ClientCertificates) -> bool {
        self.signed_by.contains(&asked.secret_name) && (asked.names.is_empty() || self.wanted(asked).is_some())
    }

    /// The name by which it is known best: one that is asked for, or else the first. None where no authority of ours has signed it, and
    /// where it bears none.
    #[must_use]
    pub fn name<'a>(&self, asked: impl IntoIterator<Item = &'a ClientCertificates>) -> Option<&str> {
        if self.signed_by.is_empty() {
            return None;
        }
        let mut asked = asked.into_iter().filter(|asked| self.signed_by.contains(&asked.secret_name));
        asked.find_map(|asked| self.wanted(asked)).or(self.names.first()).map(String::as_str)
    }

    /// A name of it that an entry asks for.
    fn wanted(&self, asked: &ClientCertificates) -> Option<&String> {
        // A URI's case matters, that of other names does not.
        let same = |wanted: &String, name: &String| {
            name == wanted || (!wanted.contains("://") && name.eq_ignore_ascii_case(wanted))
        };
        self.names.iter().find(|name| asked.names.iter().any(|wanted| same(wanted, name)))
    }
}

/// The authorities that sign clients' certificates, by the Secret they are in.
pub struct Authorities {
    kept: Kept<Arc<dyn ClientCertVerifier>>,
}

impl Authorities {
    /// None yet.
    #[must_use]
    pub fn new(secrets: Secrets) -> Authorities {
        Authorities { kept: Kept::new(secrets, &[KEY], load) }
    }

    /// Reads what is new or has changed; whether anything changed.
    pub fn look<'a>(&self, names: impl Iterator<Item = &'a str> + Clone) -> bool {
        self.kept.look(names)
    }

    /// The faults of Secrets, as sentences.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let sentence = |Faulty { fault, in_force }| match in_force {
            true => format!("{fault}; the authorities that it held before are believed on"),
            false => format!("{fault}; no certificate lets anybody in by it"),
        };
        self.kept.faulty().into_iter().map(sentence).collect()
    }

    /// What a chain of certificates says now, by those of the Secrets that are asked for; None without a chain.
    #[must_use]
    pub fn holder<'a>(&self, chain: &[CertificateDer<'_>], secrets: impl Iterator<Item = &'a str>) -> Option<Holder> {
        let (own, between) = chain.split_first()?;
        let now = UnixTime::now();
        let signed = |secret: &&str| {
            self.kept.get(secret).is_some_and(|authority| authority.verify_client_cert(own, between, now).is_ok())
        };
        let signed_by = secrets.filter(signed).map(str::to_owned).collect();
        Some(Holder { signed_by, names: names(own) })
    }
}

/// The names that a certificate bears.
fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let names = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) | GeneralName::URI(name) | GeneralName::RFC822Name(name) => Some((*name).to_owned()),
        _ => None,
    });
    names.collect()
}

fn load(secrets: &Secrets, name: &str) -> Result<Arc<dyn ClientCertVerifier>, SecretError> {
    let unusable = |fault: String| SecretError::Unusable { name: name.to_owned(), key: KEY, fault };
    let text = secrets.read(name, KEY)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| unusable(format!("not in PEM: {error}")))?;
        roots.add(certificate).map_err(|error| unusable(format!("no authority's certificate: {error}")))?;
    }
    if roots.is_empty() {
        return Err(unusable("no certificate in it".into()));
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| unusable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};

    use super::*;

    #[test]
    fn a_holder_is_known_by_who_signed_and_by_the_names_that_the_certificate_bears() {
        let folder = tempfile::tempdir().unwrap();
        let authority = |secret: &str| {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().unwrap();
            let certificate = params.self_signed(&key).unwrap();
            fs::create_dir(folder.path().join(secret)).unwrap();
            fs::write(folder.path().join(secret).join(KEY), certificate.pem()).unwrap();
            Issuer::new(params, key)
        };
        let (ours, theirs) = (authority("ours"), authority("theirs"));
        fs::create_dir(folder.path().join("bad")).unwrap();
        fs::write(folder.path().join("bad").join(KEY), "nothing").unwrap();
        let authorities = Authorities::new(Secrets::below(folder.path().into()));
        assert!(authorities.look(["ours", "theirs", "bad"].into_iter()));
        assert_eq!(
            authorities.faults(),
            ["Secret bad: ca.crt: no certificate in it; no certificate lets anybody in by it"]
        );

        let mut params = CertificateParams::new(vec!["app.test".into()]).unwrap();
        params.subject_alt_names.push(SanType::URI("spiffe://test/Shop".try_into().unwrap()));
        params.subject_alt_names.push(SanType::Rfc822Name("app@mail.test".try_into().unwrap()));
        let key = KeyPair::generate().unwrap();
        let chain = [params.signed_by(&key, &ours).unwrap().der().clone()];
        let holder = authorities.holder(&chain, ["ours", "theirs", "bad", "none"].into_iter()).unwrap();
        assert_eq!(holder, Holder::new(["ours"], ["app.test", "spiffe://test/Shop", "app@mail.test"]));
        drop(theirs);

        for (secret, names, is) in [
            ("ours", &[][..], true),
            ("theirs", &[], false),
            ("ours", &["other.test", "APP.test"], true),
            ("ours", &["spiffe://test/Shop"], true),
            ("ours", &["spiffe://test/shop"], false),
            ("ours", &["app@mail.test"], true),
            ("ours", &["test"], false),
        ] {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            let asked = ClientCertificates { secret_name: secret.into(), names };
            assert_eq!(holder.is_one_of(&asked), is, "{asked:?}");
        }
        assert_eq!(authorities.holder(&[], ["ours"].into_iter()), None);
    }
}
