//! MTA-STS: a domain's policy says which hosts take its mail, and that they show who they are (RFC 8461).
//!
//! - [`record`]: what the DNS announces (pure); [`policy`]: the policy itself (pure);
//! - [`step`]: whether a policy is used, fetched, or done without (pure);
//! - [`fetch`]: over HTTPS; [`store`]: on disk.

mod fetch;
mod policy;
mod record;
mod step;
pub(crate) mod store;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use mailsluice_crds::{LogLevel, relay::SourceAddress};
use rustls::ClientConfig;

pub use fetch::FetchError;
pub use policy::{Mode, Policy, PolicyError};

use crate::{
    clock,
    log::{Log, Tag},
    route::Resolver,
    tcp::Lease,
};
use step::{Remembered, Step};
use store::{Entry, Store};

/// Domains of which something is remembered. Beyond it a policy is used and not kept.
const MOST: usize = 10_000;

/// The policies of all domains.
pub struct Policies {
    domains: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Known>>>>,
    store: Arc<Store>,
    tls: Option<Arc<ClientConfig>>,
    log: Log,
}

/// What is known of a domain.
#[derive(Default)]
struct Known {
    policy: Option<(Entry, Arc<Policy>)>,
    /// The id and the moment of the last fetch, if it failed, and why.
    failed: Option<(String, Timestamp, Arc<FetchError>)>,
}

/// A domain's policy in force.
#[derive(Debug, Clone)]
pub struct InForce {
    /// What it says.
    pub policy: Arc<Policy>,
    /// Its lines, as TLS reports give them.
    pub lines: Vec<String>,
}

/// What is known of a domain's policy.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// None where the domain has none, or has withdrawn it.
    pub policy: Option<InForce>,
    /// Why one that is announced could not be had, this time or a little while ago.
    pub failed: Option<Arc<FetchError>>,
    /// Whether the DNS could not say if one is announced.
    pub unknown: bool,
}

/// A domain whose policy is looked for.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Its name.
    pub domain: &'a str,
    /// Whether its web server may have an address inside.
    pub private: bool,
    /// Whom to ask.
    pub resolver: &'a Resolver,
    /// The leave to open connections.
    pub lease: &'a Lease,
    /// Where they come from.
    pub source: Option<&'a SourceAddress>,
}

impl Policies {
    /// Those of a folder, with the TLS that web servers are asked under; without it none is fetched. Waits for the disk.
    #[must_use]
    pub fn load(folder: PathBuf, tls: Option<Arc<ClientConfig>>, log: Log) -> Policies {
        let store = Store::below(folder);
        let now = clock::now();
        let mut domains = HashMap::new();
        for (entry, policy) in store.load() {
            if remembered(&entry, &policy).holds(now) && domains.len() < MOST {
                let known = Known { policy: Some((entry.clone(), Arc::new(policy))), failed: None };
                domains.insert(entry.domain, Arc::new(tokio::sync::Mutex::new(known)));
            } else if let Err(error) = store.remove(&entry.domain) {
                tell_disk(&log, &entry.domain, &error);
            }
        }
        Policies { domains: Mutex::new(domains), store: Arc::new(store), tls, log }
    }

    /// The policy of a domain, fetched where it is new or due.
    pub async fn find(&self, asked: Asked<'_>) -> Found {
        let known = self.known(asked.domain);
        // Sessions of one domain wait for one fetch.
        let mut known = known.lock().await;
        let mut unknown = false;
        let announced = match asked.resolver.texts(&format!("_mta-sts.{}", asked.domain)).await {
            Ok(texts) => record::announced(&texts),
            Err(error) => {
                let record = self.log.at_host(LogLevel::Problems, Tag::Route, asked.domain).field("code", error.code);
                record
                    .say(format_args!("whether the domain has an MTA-STS policy could not be learnt: {}", error.text));
                unknown = true;
                None
            }
        };
        let next = {
            let remembered = known.policy.as_ref().map(|(entry, policy)| remembered(entry, policy));
            let failed = known.failed.as_ref().map(|(id, at, _)| (id.as_str(), *at));
            step::step(remembered, failed, announced.as_deref(), clock::now())
        };
        let mut failed = None;
        match (next, announced) {
            (Step::Fetch, Some(id)) => failed = self.fetch(&mut known, id, asked).await,
            (Step::Nothing, Some(_)) => failed = known.failed.as_ref().map(|(_, _, error)| error.clone()),
            _ => {}
        }
        self.drop_if_over(&mut known, asked.domain).await;
        let policy = known.policy.as_ref().filter(|(_, policy)| policy.mode != Mode::None);
        let policy = policy.map(|(entry, policy)| InForce {
            policy: policy.clone(),
            lines: entry.text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect(),
        });
        Found { policy, failed, unknown }
    }

    /// Fetches a policy and remembers it, or that it could not be had; why, then.
    async fn fetch(&self, known: &mut Known, id: String, asked: Asked<'_>) -> Option<Arc<FetchError>> {
        let domain = asked.domain;
        let tls = self.tls.as_ref()?;
        let at = |level| self.log.at_host(level, Tag::Route, domain).field("policyId", &id);
        match fetch::fetch(asked, tls).await {
            Ok(fetched) => {
                at(LogLevel::LowLevel).say(format_args!("the domain's MTA-STS policy is fetched: {fetched}"));
                let entry = Entry { domain: domain.to_owned(), id, fetched: clock::now(), text: fetched.text };
                let (store, saved) = (self.store.clone(), entry.clone());
                if !self.is_full()
                    && let Ok(Err(error)) = tokio::task::spawn_blocking(move || store.save(&saved)).await
                {
                    tell_disk(&self.log, domain, &error);
                }
                known.policy = Some((entry, Arc::new(fetched.policy)));
                known.failed = None;
                None
            }
            Err(error) => {
                let kept =
                    if known.policy.is_some() { "; the one that is known stays in force till it is over" } else { "" };
                at(LogLevel::Problems)
                    .field("code", error.code())
                    .say(format_args!("the domain's MTA-STS policy could not be fetched: {error}{kept}"));
                let error = Arc::new(error);
                known.failed = Some((id, clock::now(), error.clone()));
                Some(error)
            }
        }
    }

    async fn drop_if_over(&self, known: &mut Known, domain: &str) {
        let over = |(entry, policy): &(Entry, Arc<Policy>)| !remembered(entry, policy).holds(clock::now());
        if known.policy.as_ref().is_some_and(over) {
            known.policy = None;
            let (store, name) = (self.store.clone(), domain.to_owned());
            if let Ok(Err(error)) = tokio::task::spawn_blocking(move || store.remove(&name)).await {
                tell_disk(&self.log, domain, &error);
            }
        }
    }

    fn known(&self, domain: &str) -> Arc<tokio::sync::Mutex<Known>> {
        let mut domains = self.lock();
        match domains.get(domain) {
            Some(known) => known.clone(),
            None => {
                let known = Arc::default();
                if domains.len() < MOST {
                    domains.insert(domain.to_owned(), Arc::clone(&known));
                } else {
                    // Those of which nothing is known make room.
                    domains.retain(|_, known| known.try_lock().map_or(true, |known| known.policy.is_some()));
                }
                known
            }
        }
    }

    fn is_full(&self) -> bool {
        self.lock().len() >= MOST
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<tokio::sync::Mutex<Known>>>> {
        self.domains.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remembered<'a>(entry: &'a Entry, policy: &Policy) -> Remembered<'a> {
    Remembered { id: &entry.id, fetched: entry.fetched, max_age: policy.max_age }
}

fn tell_disk(log: &Log, domain: &str, error: &std::io::Error) {
    log.at_host(LogLevel::Failures, Tag::Route, domain)
        .say(format_args!("the domain's MTA-STS policy could not be written to disk: {error}"));
}
