//! What domains themselves ask of TLS: their TLSA records and MTA-STS policies, and how sessions under them are counted.

use std::net::IpAddr;

use mailsluice_crds::{
    catalogue::{Code, TlsCode},
    relay::TlsPolicy,
};
use mailsluice_ctl::words::test::StepKind;

use super::{approach::Approach, fault::Fault, steps::Steps};
use crate::{
    clock,
    mta_sts::{Asked, Found, InForce, Mode},
    route::{NextHop, RouteCode, RouteError, Target},
    smtp::Domain,
    tls::TlsFault,
    tls_report::{self, Failure, Policy, PolicyType},
};

/// What a domain asks for with MTA-STS, for as long as a session lasts.
#[derive(Debug, Default)]
pub(super) struct Asks {
    found: Found,
}

impl Asks {
    /// What is done with hosts that do not show who they are; none where there is no policy.
    pub(super) fn mode(&self) -> Option<Mode> {
        self.found.policy.as_ref().map(|in_force| in_force.policy.mode)
    }

    /// Notes it for a dry run.
    fn note(&self, steps: &Steps) {
        let Found { policy, failed, unknown } = &self.found;
        let failed = failed.as_ref().map(|why| format!("the announced policy could not be had: {why}"));
        let unknown = unknown.then(|| "the DNS does not say whether a policy is announced".to_owned());
        let trouble = failed.or(unknown);
        let known = policy
            .as_ref()
            .map(|in_force| format!("mode {:?}, for {}", in_force.policy.mode, in_force.policy.hosts.join(", ")));
        match (known, trouble) {
            (Some(known), None) => steps.ok(StepKind::MtaSts, &known),
            (Some(known), Some(trouble)) => {
                steps.note(StepKind::MtaSts, None, &format!("{trouble}; the one before it is in force: {known}"));
            }
            (None, Some(trouble)) => steps.note(StepKind::MtaSts, None, &trouble),
            (None, None) => steps.ok(StepKind::MtaSts, "the domain has no policy: mail goes as with Opportunistic"),
        }
    }
}

impl Approach {
    /// Whether answers of the DNS are to be proved.
    pub(super) fn asks_for_dane(&self) -> bool {
        self.config.tls_to(&self.hop).0 == TlsPolicy::Dane
    }

    /// Asks for the domain's MTA-STS policy, where the route wants it, and leaves of the targets those that it names.
    ///
    /// # Errors
    /// When it names none of them.
    pub(super) async fn narrow(&self, mut targets: Vec<Target>) -> Result<Vec<Target>, Fault> {
        let NextHop::Mx(domain) = &self.hop else { return Ok(targets) };
        if self.config.tls_to(&self.hop).0 != TlsPolicy::MtaSts || domain.literal().is_some() {
            return Ok(targets);
        }
        let found = self.find_policy(domain).await;
        if let Some(why) = &found.failed {
            self.tell_report(&self.sts(found.policy.as_ref()), Some(failure(why.code().name(), None, None)));
        }
        let asks = self.asks.get_or_init(|| Asks { found });
        self.note(|steps| asks.note(steps));
        let Some(in_force) = &asks.found.policy else { return Ok(targets) };
        let names: Vec<String> = targets.iter().map(|target| target.name.clone()).collect();
        let strangers = targets.iter().filter(|target| !in_force.policy.names(&target.name));
        if let Some(stranger) = strangers.into_iter().next() {
            let failure = failure("validation-failure", Some(stranger), Some(TlsCode::StsOtherHost.into()));
            self.tell_report(&self.sts(Some(in_force)), Some(failure));
        }
        if in_force.policy.mode == Mode::Enforce {
            targets.retain(|target| in_force.policy.names(&target.name));
        }
        if targets.is_empty() {
            let mut names = names;
            names.dedup();
            let text = format!(
                "the MTA-STS policy of {domain} names other mail exchangers than the DNS: {} in place of {}",
                names.join(", "),
                in_force.policy.hosts.join(", ")
            );
            return Err(Fault::policy(TlsCode::StsOtherHost, &text, clock::now()));
        }
        Ok(targets)
    }

    /// What is known of a domain's MTA-STS policy.
    pub(super) async fn find_policy(&self, domain: &Domain) -> Found {
        let asked = Asked {
            domain: domain.as_str(),
            private: self.config.routes.allows_private(&self.host),
            resolver: &self.courier.resolver,
            lease: &self.lease,
            source: self.way.source(),
        };
        self.courier.policies.find(asked).await
    }

    /// Counts a look-up that was not proved.
    pub(super) fn tell_route(&self, error: &RouteError) {
        if error.code == RouteCode::DnssecBogus {
            let policy = Policy {
                policy_type: PolicyType::Tlsa,
                policy_string: Vec::new(),
                policy_domain: self.host.clone(),
                mx_host: Vec::new(),
            };
            self.tell_report(&policy, Some(failure("dnssec-invalid", None, Some(error.code.into()))));
        }
    }

    /// Counts a session with a target, where its policy is one that reports are about; `fault`: why it is not as the policy asks.
    pub(super) fn tell_session(&self, target: &Target, local: Option<IpAddr>, fault: Option<&TlsFault>) {
        let failed = |fault: &TlsFault| {
            let mut failure = failure(tls_report::result_type(fault), Some(target), Some(fault.code()));
            failure.sending_mta_ip = local;
            failure
        };
        let policy = match self.config.tls_to(&self.hop).0 {
            TlsPolicy::Dane => match &target.tlsa {
                Some(tlsa) if !tlsa.is_usable() && fault.is_none() => {
                    let policy = tlsa_policy(tlsa.base(), tlsa.texts());
                    return self.tell_report(&policy, Some(failure("tlsa-invalid", Some(target), None)));
                }
                Some(tlsa) => tlsa_policy(tlsa.base(), tlsa.texts()),
                None => self.no_policy(),
            },
            TlsPolicy::MtaSts => match self.asks.get().map(|asks| &asks.found) {
                Some(Found { policy: Some(in_force), .. }) => self.sts(Some(in_force)),
                // It is counted already, as one that could not be had.
                Some(Found { failed: Some(_), .. }) => return,
                _ => self.no_policy(),
            },
            _ => return,
        };
        self.tell_report(&policy, fault.map(failed));
    }

    fn tell_report(&self, policy: &Policy, failure: Option<Failure>) {
        if self.dry_run.is_some() {
            return;
        }
        let result = failure.as_ref().map_or("success", |failure| failure.result_type.as_str());
        self.courier.metrics.tls_report_sessions.with_label_values(&[policy.policy_type.name(), result]).inc();
        self.courier.reports.count(policy, failure);
    }

    fn sts(&self, in_force: Option<&InForce>) -> Policy {
        Policy {
            policy_type: PolicyType::Sts,
            policy_string: in_force.map(|in_force| in_force.lines.clone()).unwrap_or_default(),
            policy_domain: self.host.clone(),
            mx_host: in_force.map(|in_force| in_force.policy.hosts.clone()).unwrap_or_default(),
        }
    }

    fn no_policy(&self) -> Policy {
        Policy {
            policy_type: PolicyType::NoPolicyFound,
            policy_string: Vec::new(),
            policy_domain: self.host.clone(),
            mx_host: Vec::new(),
        }
    }
}

fn tlsa_policy(base: &str, records: &[String]) -> Policy {
    Policy {
        policy_type: PolicyType::Tlsa,
        policy_string: records.to_vec(),
        policy_domain: base.to_owned(),
        mx_host: Vec::new(),
    }
}

fn failure(result_type: &str, target: Option<&Target>, code: Option<Code>) -> Failure {
    Failure {
        result_type: result_type.to_owned(),
        sending_mta_ip: None,
        receiving_mx_hostname: target.map(|target| target.name.clone()),
        receiving_ip: target.map(|target| target.address.ip()),
        failure_reason_code: code.map(|code| code.to_string()),
    }
}
