//! One operator at a time: the leader holds a Lease (coordination.k8s.io/v1) in the operator's namespace.
//!
//! [`election`] decides, purely; here the Lease is read and written; [`gate`] lets a leader's writes pass, and nobody else's.
//! An orderly stop lets the Lease go, so that the next one leads within a look at it; after a kill it is taken once it has not been
//! renewed for its length.

pub mod election;
pub mod gate;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use tokio::time::{self, Instant};
use tracing::{info, warn};

use crate::names;
use election::{Election, HELD, LOOK, RENEWAL};
pub use gate::Gate;

/// A call that is not answered in this time is given up and made again.
const CALL: Duration = Duration::from_secs(3);

/// One that would lead, or does.
pub struct Candidate {
    leases: Api<Lease>,
    name: String,
    election: Election,
    held: Option<Lease>,
    /// Whether the last look at the Lease was answered.
    sees: Arc<AtomicBool>,
}

/// Why the Lease could not be read or written.
#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error("{0}")]
    Api(#[from] kube::Error),
    #[error("the API server did not answer in time")]
    Late,
}

impl CallError {
    /// Whether somebody else has written since.
    fn is_conflict(&self) -> bool {
        matches!(self, CallError::Api(kube::Error::Api(status)) if matches!(status.code, 404 | 409))
    }
}

impl Candidate {
    /// One for the Lease of this name in the client's own namespace. `sees` is kept true while the Lease can be read.
    #[must_use]
    pub fn new(client: Client, name: String, sees: Arc<AtomicBool>) -> Candidate {
        let host = std::env::var("HOSTNAME").ok().filter(|host| !host.is_empty());
        // A restarted process is another one: what its predecessor sent may still be on its way.
        let identity = format!("{}_{:016x}", host.as_deref().unwrap_or(names::MANAGER), rand::random::<u64>());
        Candidate { leases: Api::default_namespaced(client), name, election: Election::new(identity), held: None, sees }
    }

    /// Waits until this one leads, and tells the identity of whoever does meanwhile. The gate is open as long as it is known to.
    pub async fn win(&mut self, tell: impl Fn(&str)) -> Gate {
        let mut told = String::new();
        loop {
            let outcome = self.try_to_win(&mut told, &tell).await;
            self.sees.store(outcome.is_ok(), Ordering::Relaxed);
            match outcome {
                Ok(Some(gate)) => return gate,
                Ok(None) => {}
                Err(error) => warn!(lease = self.name, %error, "the Lease cannot be read or taken, and will be again"),
            }
            time::sleep(LOOK).await;
        }
    }

    /// Renews as long as this one leads, and shuts the gate when it does not any more.
    pub async fn keep(&mut self, gate: &Gate) {
        let mut pause = RENEWAL;
        loop {
            tokio::select! {
                biased;
                () = gate.closed() => break,
                () = time::sleep(pause) => {}
            }
            let asked = Instant::now();
            pause = match self.renew().await {
                Ok(true) => {
                    gate.extend(asked + HELD);
                    RENEWAL
                }
                Ok(false) => break,
                Err(error) => {
                    warn!(lease = self.name, %error, "the Lease cannot be renewed, and is tried again");
                    LOOK
                }
            };
        }
        gate.shut();
        self.held = None;
    }

    /// Lets the Lease go, where this one holds it, for the next to take at once.
    pub async fn release(&mut self) {
        let Some(held) = self.held.take() else { return };
        let spec = election::released(held.spec.as_ref().unwrap_or(&LeaseSpec::default()), Timestamp::now());
        match self.replace(held.metadata, spec).await {
            Ok(_) => info!(lease = self.name, "the Lease is let go"),
            Err(error) => warn!(lease = self.name, %error, "the Lease could not be let go, and will run out"),
        }
    }

    async fn try_to_win(&mut self, told: &mut String, tell: &impl Fn(&str)) -> Result<Option<Gate>, CallError> {
        let found = self.read().await?;
        let spec = found.as_ref().map(|lease| lease.spec.clone().unwrap_or_default());
        let now = Instant::now();
        let Some(wanted) = self.election.claim(spec.as_ref(), Timestamp::now(), now) else {
            let holder = spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
            if *told != holder {
                info!(lease = self.name, holder, "standing by");
                tell(&holder);
                *told = holder;
            }
            return Ok(None);
        };
        let written = match found {
            Some(lease) => self.replace(lease.metadata, wanted).await,
            None => self.create(wanted).await,
        };
        match written {
            Ok(lease) => {
                self.held = Some(lease);
                Ok(Some(Gate::new(now + HELD)))
            }
            // Somebody else was quicker.
            Err(error) if error.is_conflict() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether this one still leads.
    async fn renew(&mut self) -> Result<bool, CallError> {
        let Some(held) = &self.held else { return Ok(false) };
        let spec = election::renewed(held.spec.as_ref().unwrap_or(&LeaseSpec::default()), Timestamp::now());
        match self.replace(held.metadata.clone(), spec).await {
            Ok(lease) => self.held = Some(lease),
            // An edit by hand is no loss, and neither is an answer that got lost: it is written over at the next turn.
            Err(error) if error.is_conflict() => match self.read().await? {
                Some(lease) if lease.spec.as_ref().is_some_and(|spec| self.election.is_holder(spec)) => {
                    self.held = Some(lease);
                    return Err(error);
                }
                _ => return Ok(false),
            },
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    async fn read(&self) -> Result<Option<Lease>, CallError> {
        in_time(self.leases.get_opt(&self.name)).await
    }

    async fn create(&self, spec: LeaseSpec) -> Result<Lease, CallError> {
        let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
        let lease = Lease { metadata, spec: Some(spec) };
        in_time(self.leases.create(&parameters(), &lease)).await
    }

    /// Writes it over what was read, unless somebody has written since: the version is part of the metadata.
    async fn replace(&self, mut metadata: ObjectMeta, spec: LeaseSpec) -> Result<Lease, CallError> {
        metadata.managed_fields = None;
        let lease = Lease { metadata, spec: Some(spec) };
        in_time(self.leases.replace(&self.name, &parameters(), &lease)).await
    }
}

fn parameters() -> PostParams {
    PostParams { field_manager: Some(names::MANAGER.into()), ..PostParams::default() }
}

async fn in_time<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    Ok(time::timeout(CALL, call).await.map_err(|_| CallError::Late)??)
}
