//! TLS on the way out: what is wanted of it towards each host.
//!
//! Decisions:
//! - A policy comes to a value, [`Wanted`], for each target: whose certificate, of which name, and whether mail goes in clear where
//!   that cannot be had. The client knows no policies.
//! - The name of a smarthost is the one that its route gives. By MX it is the exchanger's own name, as at Postfix's level `verify`:
//!   hosted domains have no certificate in their own name. Who can forge the MX answer can name another exchanger, which plain DNS
//!   cannot prevent: for that there are the policies that authenticate the name first.
//! - Opportunistic is Postfix's `may`: any certificate will do, and mail goes in clear to a host that offers no TLS, refuses it or
//!   fails at the handshake. Postfix waits for another attempt before it does so after a failed handshake; here the same attempt
//!   goes on in a second connection, once, since whoever can break a handshake can as well hide that TLS is offered.
//! - The name is sent in the handshake (SNI) under every policy: hosts choose their certificate by it.
//! - Where a domain's own policy is asked for, what it says of the host decides: its TLSA records, or the mode of its MTA-STS policy.
//!   A policy on trial takes any certificate, and what the authorities say of it is kept for the report. Without a policy it is as
//!   with Opportunistic.
//! - TLS 1.2 and 1.3. A host that knows only older ones gets its mail in clear where the policy allows that.
//! - Each policy has sessions of its own to resume, for each smarthost with certificates of its own others still: none that was
//!   made with a stranger is resumed where a certificate is to be verified.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use mailsluice_crds::relay::{Route, SMTPRelaySpec, SecretRef, Smarthost, TlsMode, TlsPolicy};
use rustls::{
    ClientConfig, RootCertStore,
    client::{Resumption, danger::ServerCertVerifier},
    pki_types::ServerName,
    sign::{CertifiedKey, SingleCertAndKey},
};

use super::{
    TlsFault,
    authorities::read_authorities,
    certificates::{CHAIN, KEY},
    dane,
    verify::{Verifier, Witness, provider},
};
use crate::{
    mta_sts::Mode,
    route::Target,
    secrets::{Faulty, Kept, SecretError, Secrets},
};

/// The key of a Secret that holds authorities.
const AUTHORITIES: &str = "ca.crt";

/// Hosts whose last session is kept, to be resumed, for each policy.
const SESSIONS: usize = 1_024;

/// What is wanted of TLS on a connection to one target.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// In whose name.
    pub policy: TlsPolicy,
    /// When it begins.
    pub mode: TlsMode,
    /// Whether mail goes in clear where there is no TLS.
    pub or_clear: bool,
    /// Whether the certificate has to show that the host is the one that is named.
    pub verified: bool,
    /// Makes the handshake, and verifies the certificate.
    pub config: Arc<ClientConfig>,
    /// The name that the host is asked for, and its certificate is verified by.
    pub name: ServerName<'static>,
    /// Knows what the authorities say of the certificate, where that is asked and decides nothing.
    pub witness: Option<Arc<Witness>>,
}

/// Whom a host is to be believed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Belief {
    Anybody,
    Authorities,
}

/// What makes handshakes with hosts, and the sessions to be resumed.
pub struct Outgoing {
    anybody: Arc<Verifier>,
    public: Option<Arc<Verifier>>,
    authorities: Kept<Arc<Verifier>>,
    identities: Kept<Arc<CertifiedKey>>,
    /// Made when they are first asked for, and anew when a Secret has changed.
    configs: Mutex<HashMap<Class, Arc<ClientConfig>>>,
}

/// Connections whose sessions may be resumed by each other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Class {
    policy: TlsPolicy,
    belief: Belief,
    authorities: Option<String>,
    identity: Option<String>,
}

impl Outgoing {
    /// Without any Secret yet; `authorities` vouch for public hosts, in place of those that come with the program.
    #[must_use]
    pub fn new(secrets: Secrets, authorities: Option<RootCertStore>) -> Outgoing {
        let public = authorities.map_or_else(Verifier::public, Verifier::authorities);
        Outgoing {
            anybody: Arc::new(Verifier::anybody()),
            public: public.ok().map(Arc::new),
            authorities: Kept::new(secrets.clone(), &[AUTHORITIES], load_authorities),
            identities: Kept::new(secrets, &[CHAIN, KEY], load_identity),
            configs: Mutex::default(),
        }
    }

    /// Reads what is new or has changed; whether anything changed.
    pub fn look(&self, spec: &SMTPRelaySpec) -> bool {
        let named = |secret: fn(&Smarthost) -> Option<&str>| spec.smarthosts().filter_map(secret);
        let authorities = self.authorities.look(named(|host| Some(host.ca.as_ref()?.secret_name.as_str())));
        let identities =
            self.identities.look(named(|host| Some(host.client_certificate.as_ref()?.secret_name.as_str())));
        if authorities || identities {
            // What was verified by other authorities is not to be resumed.
            let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
            configs.retain(|class, _| class.authorities.is_none() && class.identity.is_none());
        }
        authorities || identities
    }

    /// The faults of Secrets, as sentences.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let sentence = |Faulty { fault, in_force }, what: &str| match in_force {
            true => format!("{fault}; the {what} that it held before stays in force"),
            false => format!("{fault}; mail for smarthosts with this {what} waits"),
        };
        let authorities = self.authorities.faulty().into_iter().map(|faulty| sentence(faulty, "ca"));
        let identities = self.identities.faulty().into_iter().map(|faulty| sentence(faulty, "clientCertificate"));
        authorities.chain(identities).collect()
    }

    /// What makes handshakes with public web servers.
    #[must_use]
    pub fn web(&self) -> Option<Arc<ClientConfig>> {
        client_config(self.public.clone()?, None).ok()
    }

    /// What is wanted of TLS towards a target to which this route leads; none where mail goes in clear. `mode`: what the
    /// MTA-STS policy of the domain says, where the TLS policy asks for one and there is one.
    ///
    /// # Errors
    /// [`TlsFault::NotReady`]: what the route asks for is not there.
    pub fn wanted(
        &self,
        policy: TlsPolicy,
        route: Option<&Route>,
        target: &Target,
        (domain, sts): (&str, Option<Mode>),
    ) -> Result<Option<Wanted>, TlsFault> {
        let smarthost = route.and_then(|route| route.smarthost.as_ref());
        let mode = smarthost.map_or(TlsMode::StartTls, |smarthost| smarthost.tls_mode);
        let clear = mode == TlsMode::StartTls;
        let (belief, or_clear) = match policy {
            TlsPolicy::Off => return Ok(None),
            TlsPolicy::Opportunistic => (Belief::Anybody, clear),
            TlsPolicy::Required => (Belief::Anybody, false),
            TlsPolicy::Verified => (Belief::Authorities, false),
            TlsPolicy::Dane => (Belief::Anybody, clear && target.tlsa.is_none()),
            TlsPolicy::MtaSts => match sts {
                None | Some(Mode::None | Mode::Testing) => (Belief::Anybody, clear),
                Some(Mode::Enforce) => (Belief::Authorities, false),
            },
        };
        let verified = belief == Belief::Authorities;
        let secret = |secret: Option<&SecretRef>| secret.map(|secret| secret.secret_name.clone());
        let class = Class {
            policy,
            belief,
            authorities: secret(smarthost.and_then(|host| host.ca.as_ref())).filter(|_| verified),
            identity: secret(smarthost.and_then(|host| host.client_certificate.as_ref())),
        };
        let mut wanted = Wanted {
            policy,
            mode,
            or_clear,
            verified,
            config: self.config(class.clone(), verified)?,
            name: name_of(target, verified)?,
            witness: None,
        };
        if policy == TlsPolicy::Dane
            && let Some(records) = &target.tlsa
        {
            if let Ok(name) = ServerName::try_from(records.base().to_owned()) {
                wanted.name = name;
            }
            if records.is_usable() {
                wanted.verified = true;
                let verifier = dane::Verifier::new(records.clone(), domain, &provider());
                wanted.config =
                    single_config(Arc::new(verifier), self.identity(&class)?).map_err(TlsFault::Protocol)?;
            }
        }
        if sts == Some(Mode::Testing)
            && let Some(public) = &self.public
        {
            let witness = Arc::new(Witness::new(public.clone()));
            wanted.config = single_config(witness.clone(), None).map_err(TlsFault::Protocol)?;
            wanted.witness = Some(witness);
        }
        Ok(Some(wanted))
    }

    /// The certificate that the relay shows.
    fn identity(&self, class: &Class) -> Result<Option<Arc<CertifiedKey>>, TlsFault> {
        match &class.identity {
            Some(name) => Ok(Some(self.identities.get(name).ok_or_else(|| missing(name))?)),
            None => Ok(None),
        }
    }

    fn config(&self, class: Class, verified: bool) -> Result<Arc<ClientConfig>, TlsFault> {
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = configs.get(&class) {
            return Ok(known.clone());
        }
        let verifier = match (&class.authorities, verified) {
            (_, false) => self.anybody.clone(),
            (Some(name), true) => self.authorities.get(name).ok_or_else(|| missing(name))?,
            (None, true) => {
                self.public.clone().ok_or_else(|| TlsFault::NotReady("there are no authorities to trust".into()))?
            }
        };
        let config = client_config(verifier, self.identity(&class)?).map_err(TlsFault::Protocol)?;
        configs.insert(class, config.clone());
        Ok(config)
    }
}

fn missing(name: &str) -> TlsFault {
    TlsFault::NotReady(format!("the Secret {name} is missing, or cannot be used"))
}

/// What makes one handshake that this verifier decides: nothing is resumed.
fn single_config(
    verifier: Arc<impl ServerCertVerifier + 'static>,
    identity: Option<Arc<CertifiedKey>>,
) -> Result<Arc<ClientConfig>, rustls::Error> {
    let mut config = Arc::unwrap_or_clone(client_config(verifier, identity)?);
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// What makes handshakes that this verifier decides, with sessions of its own to resume.
///
/// # Errors
/// When the provider of cryptography knows none of the versions.
pub fn client_config(
    verifier: Arc<impl ServerCertVerifier + 'static>,
    identity: Option<Arc<CertifiedKey>>,
) -> Result<Arc<ClientConfig>, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match identity {
        Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity))),
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(Arc::new(config))
}

/// The name by which a target is asked for and verified.
fn name_of(target: &Target, verified: bool) -> Result<ServerName<'static>, TlsFault> {
    let address = || ServerName::IpAddress(target.address.ip().into());
    // An address literal, or a smarthost that its route gives by address.
    if target.name.starts_with('[') {
        return Ok(address());
    }
    match ServerName::try_from(target.name.trim_end_matches('.').to_owned()) {
        Ok(name) => Ok(name),
        Err(_) if verified => {
            Err(TlsFault::NotReady(format!("no certificate can be for the name {}, so none is verified", target.name)))
        }
        Err(_) => Ok(address()),
    }
}

fn load_authorities(secrets: &Secrets, name: &str) -> Result<Arc<Verifier>, SecretError> {
    let unusable = |fault: String| SecretError::Unusable { name: name.to_owned(), key: AUTHORITIES, fault };
    let text = secrets.read(name, AUTHORITIES)?;
    let roots = read_authorities(&text).map_err(|error| unusable(error.to_string()))?;
    Verifier::authorities(roots).map(Arc::new).map_err(|error| unusable(error.to_string()))
}

fn load_identity(secrets: &Secrets, name: &str) -> Result<Arc<CertifiedKey>, SecretError> {
    let unusable = |key, fault: String| SecretError::Unusable { name: name.to_owned(), key, fault };
    let (chain, key) = super::certificates::read(secrets, name)?;
    CertifiedKey::from_der(chain, key, &provider())
        .map(Arc::new)
        .map_err(|error| unusable(KEY, format!("does not go with the certificate: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(name: &str) -> Target {
        Target { name: name.to_owned(), address: ([192, 0, 2, 1], 25).into(), tlsa: None, proved: true }
    }

    fn outgoing() -> Outgoing {
        Outgoing::new(Secrets::below("/nowhere".into()), None)
    }

    fn route(smarthost: Smarthost) -> Route {
        Route { domains: vec!["*".into()], smarthost: Some(smarthost), ..Route::default() }
    }

    #[test]
    fn a_policy_says_whether_mail_may_go_in_clear() {
        use TlsPolicy::{Off, Opportunistic, Required, Verified};
        let outgoing = outgoing();
        let at_once = Smarthost { tls_mode: TlsMode::Implicit, ..Smarthost::new("mail.test", 465) };
        for (policy, smarthost, or_clear) in [
            (Off, None, None),
            (Opportunistic, None, Some(true)),
            (Required, None, Some(false)),
            (Verified, None, Some(false)),
            (Opportunistic, Some(Smarthost::new("mail.test", 587)), Some(true)),
            // There is no clear to fall back to.
            (Opportunistic, Some(at_once), Some(false)),
        ] {
            let route = smarthost.map(route);
            let wanted = outgoing.wanted(policy, route.as_ref(), &target("mail.test"), ("mail.test", None)).unwrap();
            assert_eq!(wanted.map(|wanted| wanted.or_clear), or_clear, "{policy:?} {route:?}");
        }
    }

    #[test]
    fn hosts_are_verified_by_the_name_that_leads_to_them() {
        for (name, verified) in [
            ("mx.example.com", Some("mx.example.com")),
            ("Mail.Example.com.", Some("Mail.Example.com")),
            ("192.0.2.9", Some("192.0.2.9")),
            ("[192.0.2.1]", Some("192.0.2.1")),
            ("bad name", None),
        ] {
            let found = name_of(&target(name), true).ok().map(|name| name.to_str().into_owned());
            assert_eq!(found.as_deref(), verified, "{name}");
            assert!(name_of(&target(name), false).is_ok(), "{name}");
        }
    }

    #[test]
    fn policies_share_no_sessions() {
        let outgoing = outgoing();
        let config =
            |policy| outgoing.wanted(policy, None, &target("mx.test"), ("mx.test", None)).unwrap().unwrap().config;
        let tls = [TlsPolicy::Opportunistic, TlsPolicy::Required, TlsPolicy::Verified];
        for one in tls {
            for other in tls {
                assert_eq!(Arc::ptr_eq(&config(one), &config(other)), one == other, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn what_a_domain_asks_for_decides() {
        use crate::tls::dane::{RawTlsa, TlsaSet};
        let outgoing = outgoing();
        let records = |usage| {
            let raw = RawTlsa { usage, selector: 1, matching: 1, data: &[1; 32] };
            Some(Arc::new(TlsaSet::new("base.test", [raw])))
        };
        for (policy, tlsa, sts, (or_clear, verified), name) in [
            (TlsPolicy::Dane, None, None, (true, false), "mx.test"),
            (TlsPolicy::Dane, records(3), None, (false, true), "base.test"),
            // None that can be used: under TLS, with anybody.
            (TlsPolicy::Dane, records(1), None, (false, false), "base.test"),
            (TlsPolicy::MtaSts, None, None, (true, false), "mx.test"),
            (TlsPolicy::MtaSts, None, Some(Mode::Testing), (true, false), "mx.test"),
            (TlsPolicy::MtaSts, None, Some(Mode::Enforce), (false, true), "mx.test"),
        ] {
            let target = Target { tlsa, ..target("mx.test") };
            let wanted = outgoing.wanted(policy, None, &target, ("domain.test", sts)).unwrap().unwrap();
            let shown = ((wanted.or_clear, wanted.verified), wanted.name.to_str().into_owned());
            assert_eq!(shown, ((or_clear, verified), name.to_owned()), "{policy:?} {target:?} {sts:?}");
            assert_eq!(wanted.witness.is_some(), sts == Some(Mode::Testing), "{policy:?} {sts:?}");
        }
        let of = |sts| outgoing.wanted(TlsPolicy::MtaSts, None, &target("mx.test"), ("d.test", sts)).unwrap().unwrap();
        let (enforced, without) = (of(Some(Mode::Enforce)), of(None));
        assert!(!Arc::ptr_eq(&enforced.config, &without.config), "what was made with a stranger is not resumed");
    }

    #[test]
    fn a_missing_secret_stops_what_needs_it() {
        let outgoing = outgoing();
        let ca = Some(SecretRef { secret_name: "mail-ca".into() });
        let route = route(Smarthost { ca, ..Smarthost::new("mail.test", 25) });
        let spec = SMTPRelaySpec { routes: vec![route.clone()], ..SMTPRelaySpec::default() };
        assert!(outgoing.look(&spec));
        let fault =
            outgoing.wanted(TlsPolicy::Verified, Some(&route), &target("mail.test"), ("mail.test", None)).unwrap_err();
        assert_eq!(fault.to_string(), "the Secret mail-ca is missing, or cannot be used");
        let faults = outgoing.faults();
        assert!(faults[0].starts_with("Secret mail-ca: ca.crt: No such file"), "{faults:?}");
        assert!(faults[0].ends_with("; mail for smarthosts with this ca waits"), "{faults:?}");
    }
}
