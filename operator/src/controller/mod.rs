//! The way of an SMTPRelay through the operator, one page:
//!
//! 1. [`dereference`]: what it refers to and what there is of it, from the caches;
//! 2. [`crate::scale`]: how many pods there are to be now, while some hand their mail over; [`crate::shares`]: how limits are divided among them;
//!    [`validate`]: whether it can be carried out, and as what (pure);
//! 3. [`crate::resources::build`]: the objects that it is made of (pure);
//! 4. [`apply`]: those that differ are applied; [`mod@grow`]: claims that are too small are asked to grow;
//! 5. [`report`]: its status is drawn (pure), and written where it differs; transitions become Events.
//!
//! Of one that somebody has paused only the status is drawn.
//!
//! A pod that asks for a sidecar has a way of its own, [`injected`], and a place in its relay's status; an SMTPAccess has [`mod@access`], and what
//! is granted has a place in its relay's configuration.
//!
//! Reconciles are asked for by changes of the relay, of its TCP Schedule, of what asks it for access, of its objects and pods, and of its pods'
//! Monitors. One that finds nothing to do writes nothing.

mod access;
mod apply;
mod attempts;
mod dereference;
mod divide;
mod grow;
mod injected;
mod memory;
mod report;
mod schedule;
mod validate;
mod waiting;

#[cfg(test)]
mod tests;

use std::{
    convert::Infallible,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{FutureExt as _, StreamExt as _, channel::mpsc::UnboundedReceiver, future::BoxFuture};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Client, Resource,
    runtime::{
        applier,
        controller::{Action, Config, Error},
        reflector::{ObjectRef, Store},
    },
};
use mailsluice_crds::{SMTPAccess, SMTPAccessStatus, SMTPRelay, SMTPRelayStatus, TCPSchedule, TCPScheduleStatus};
use tracing::{Instrument as _, info_span, warn};

use crate::{
    board::Board,
    client_pods::PodBook,
    credential::MonitorKey,
    events::Publisher,
    growth::Growths,
    metrics::Metrics,
    monitor::Monitors,
    resources,
    scale::{self, Departures, Scale},
    shares::Divisions,
    token_keys::TokenKeys,
    watch::{self, Stores},
};
use attempts::Attempts;
use dereference::Found;
use injected::Told;
use memory::Memory;
use waiting::Waiting;

/// Relays, or TCP Schedules, that are reconciled at a time: enough to be quick, and no burden to the API server.
const CONCURRENCY: u16 = 8;
/// After an API call that failed for a reason that passes.
const RETRY: Duration = Duration::from_secs(5);

/// What reconciles share.
pub struct Context {
    /// The way to the API server.
    pub client: Client,
    /// What there is.
    pub stores: Stores,
    /// The pods' Monitors.
    pub monitors: Monitors,
    /// The image of relay pods.
    pub relay_image: String,
    /// What credentials are derived from.
    pub monitor_key: Arc<MonitorKey>,
    /// The cluster's keys of service account tokens.
    pub token_keys: TokenKeys,
    /// The pods of service accounts that relays let in.
    pub client_pods: PodBook,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What the page of all relays shows.
    pub board: Arc<Board>,
    /// What tells of transitions.
    pub events: Publisher,
    watch_namespace: Option<String>,
    attempts: Attempts,
    departures: Departures,
    divisions: Divisions,
    growths: Growths,
    told: Told,
    relay_statuses: Memory<SMTPRelay, SMTPRelayStatus>,
    schedule_statuses: Memory<TCPSchedule, TCPScheduleStatus>,
    access_statuses: Memory<SMTPAccess, SMTPAccessStatus>,
}

/// What a [`Context`] is made of.
pub struct Parts {
    /// The way to the API server.
    pub client: Client,
    /// What there is.
    pub stores: Stores,
    /// The pods' Monitors.
    pub monitors: Monitors,
    /// The image of relay pods.
    pub relay_image: String,
    /// What credentials are derived from.
    pub monitor_key: Arc<MonitorKey>,
    /// The cluster's keys of service account tokens.
    pub token_keys: TokenKeys,
    /// The pods of service accounts that relays let in.
    pub client_pods: PodBook,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What the page of all relays shows.
    pub board: Arc<Board>,
    /// The namespace to watch; all, where it is absent.
    pub watch_namespace: Option<String>,
}

impl Context {
    /// What reconciles share.
    #[must_use]
    pub fn new(parts: Parts) -> Context {
        let Parts {
            client,
            stores,
            monitors,
            relay_image,
            monitor_key,
            token_keys,
            client_pods,
            metrics,
            board,
            watch_namespace,
        } = parts;
        let instance = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
        let events = Publisher::new(client.clone(), instance, metrics.clone());
        let (relay_statuses, schedule_statuses) = (Memory::default(), Memory::default());
        Context {
            client,
            stores,
            monitors,
            relay_image,
            monitor_key,
            token_keys,
            client_pods,
            metrics,
            board,
            events,
            watch_namespace,
            attempts: Attempts::default(),
            departures: Departures::default(),
            divisions: Divisions::default(),
            growths: Growths::default(),
            told: Told::default(),
            relay_statuses,
            schedule_statuses,
            access_statuses: Memory::default(),
        }
    }

    /// Whether what is in that namespace is known.
    fn watches(&self, namespace: &str) -> bool {
        self.watch_namespace.as_deref().is_none_or(|watched| watched == namespace)
    }

    /// Forgets relays, TCP Schedules, SMTPAccesses and pods that are not there any more.
    fn forget(&self) {
        self.monitors.retain(|relay| self.stores.relays.get(relay).is_some());
        self.metrics
            .retain_relays(|namespace, name| self.stores.relays.get(&ObjectRef::new(name).within(namespace)).is_some());
        self.board.retain(|namespace, name| self.stores.relays.get(&ObjectRef::new(name).within(namespace)).is_some());
        self.attempts.retain(|relay| self.stores.relays.get(relay).is_some());
        self.departures.retain(|relay| self.stores.relays.get(relay).is_some());
        self.divisions.retain(|relay| self.stores.relays.get(relay).is_some());
        self.growths.retain(|relay| self.stores.relays.get(relay).is_some());
        self.told.retain(|pod| self.stores.injected.get(pod).is_some());
        self.relay_statuses.retain(|relay| self.stores.relays.get(relay).is_some());
        self.access_statuses.retain(|access| self.stores.accesses.get(access).is_some());
        self.schedule_statuses.retain(|schedule| self.stores.schedules.get(schedule).is_some());
    }
}

/// Why a reconcile is tried again.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// What the relay refers to could not be read.
    #[error("looking up what it refers to: {0}")]
    Dereference(#[source] kube::Error),
    /// The manifests could not be written down.
    #[error("writing down its manifests: {0}")]
    Manifests(#[from] serde_json::Error),
    /// An object could not be applied.
    #[error("applying {kind} {name:?}: {source}")]
    Apply {
        /// The object's kind.
        kind: String,
        /// Its name.
        name: String,
        /// What went wrong.
        source: kube::Error,
    },
    /// An object could not be removed.
    #[error("removing {kind} {name:?}: {source}")]
    Remove {
        /// The object's kind.
        kind: String,
        /// Its name.
        name: String,
        /// What went wrong.
        source: kube::Error,
    },
    /// The status could not be written.
    #[error("writing its status: {0}")]
    Status(#[source] kube::Error),
}

/// Carries out an SMTPRelay.
async fn reconcile(relay: Arc<SMTPRelay>, context: Arc<Context>) -> Result<Action, ReconcileError> {
    if relay.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    context.board.note(&watch::key(&*relay), relay.status.as_ref());
    let found = dereference::dereference(&context, relay).await?;
    if found.is_paused() {
        let scale = as_it_is(&context, &found);
        return report::report(&context, &found, None, (&apply::untouched(&found), &grow::nothing()), (scale, None))
            .await;
    }
    let scale = scale(&context, &found);
    let divided = divide::divide(&context, &found).await?;
    let plan =
        validate::validate(&found, (scale.replicas, divided.shares), &context.relay_image, &context.monitor_key)?;
    let (applied, grown) = match &plan {
        Ok(plan) => {
            let applied = apply::apply(&context, &found, resources::build(plan)).await?;
            let grown = grow::grow(&context, &found, &applied, &scale).await?;
            (applied, grown)
        }
        Err(obstacle) => (apply::nothing(&found, obstacle.clone()), grow::nothing()),
    };
    report::report(&context, &found, plan.as_ref().ok(), (&applied, &grown), (scale, divided.again)).await
}

/// How many pods there are to be now.
fn scale(context: &Context, found: &Found) -> Scale {
    let now = Instant::now();
    let staying = found.pods.iter().filter(|pod| !pod.leaving && !pod.ended).map(|pod| pod.name());
    let present = found.stateful_set.as_deref().and_then(scale::present).or_else(|| scale::left(found.name(), staying));
    let (before, _) = context.relay_statuses.stored(&found.key, found.relay.status.as_ref(), now);
    let stranded = before.queue.as_ref().map_or(&[][..], |queue| &queue.stranded);
    let seen = context.monitors.seen(&found.key, now);
    context.departures.decide(&found.key, (found.relay.spec.replicas, present), &seen, stranded, now)
}

/// The pods of a relay that is paused: none of them is told to leave, so none is waited for.
fn as_it_is(context: &Context, found: &Found) -> Scale {
    let (before, _) = context.relay_statuses.stored(&found.key, found.relay.status.as_ref(), Instant::now());
    let stranded = before.queue.as_ref().map(|queue| queue.stranded.clone()).unwrap_or_default();
    let replicas = found.stateful_set.as_deref().and_then(scale::present).unwrap_or_default();
    Scale { replicas, leaving: 0, stranded, again: None }
}

/// Runs the relays' reconciles until their queue ends, and finishes those under way.
pub async fn run_relays(context: Arc<Context>, queue: UnboundedReceiver<ObjectRef<SMTPRelay>>) {
    run("SMTPRelay", &context, context.stores.relays.clone(), queue, |relay, context| {
        reconcile(relay, context).boxed()
    })
    .await;
}

/// Runs the TCP Schedules' reconciles until their queue ends, and finishes those under way.
pub async fn run_schedules(context: Arc<Context>, queue: UnboundedReceiver<ObjectRef<TCPSchedule>>) {
    let schedules = context.stores.schedules.clone();
    run("TCPSchedule", &context, schedules, queue, |found, context| schedule::reconcile(found, context).boxed()).await;
}

/// Runs the SMTPAccesses' reconciles until their queue ends, and finishes those under way.
pub async fn run_accesses(context: Arc<Context>, queue: UnboundedReceiver<ObjectRef<SMTPAccess>>) {
    let accesses = context.stores.accesses.clone();
    run("SMTPAccess", &context, accesses, queue, |found, context| access::reconcile(found, context).boxed()).await;
}

/// Runs the reconciles of pods that ask for a sidecar until their queue ends, and finishes those under way.
pub async fn run_injected(context: Arc<Context>, queue: UnboundedReceiver<ObjectRef<Pod>>) {
    let pods = context.stores.injected.clone();
    run("Pod", &context, pods, queue, |pod, context| injected::reconcile(pod, context).boxed()).await;
}

async fn run<K>(
    kind: &'static str,
    context: &Arc<Context>,
    store: Store<K>,
    queue: UnboundedReceiver<ObjectRef<K>>,
    reconcile: impl Fn(Arc<K>, Arc<Context>) -> BoxFuture<'static, Result<Action, ReconcileError>>,
) where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    let waiting = Waiting::new(context.metrics.reconciles_waiting(kind));
    let runs = applier(
        |object: Arc<K>, context: Arc<Context>| {
            let key = watch::key(&*object);
            waiting.begun(&key);
            let span = info_span!("reconcile", kind, object = %key);
            timed(kind, context.metrics.clone(), reconcile(object, context)).instrument(span).boxed()
        },
        |_, _, _| Action::requeue(RETRY),
        context.clone(),
        store,
        queue.inspect(|object| waiting.asked(object.clone())).map(Ok::<_, Infallible>),
        Config::default().concurrency(CONCURRENCY),
    );
    let mut runs = pin!(runs);
    while let Some(run) = runs.next().await {
        match run {
            Ok(_) => context.metrics.reconciled(kind, "done"),
            // It was deleted while it waited for its turn.
            Err(Error::ObjectNotFound(object)) => {
                waiting.begun(&object.into_kind_unchecked(()));
                context.forget();
            }
            Err(error) => {
                context.metrics.reconciled(kind, "failed");
                warn!(kind, %error, "a reconcile failed and will be repeated");
            }
        }
    }
}

/// Notes how long a reconcile took.
async fn timed<T>(kind: &'static str, metrics: Arc<Metrics>, reconcile: impl Future<Output = T>) -> T {
    let start = Instant::now();
    let result = reconcile.await;
    metrics.reconcile_took(kind, start.elapsed());
    result
}
