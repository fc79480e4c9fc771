//! A term of leadership: everything that reconciles begins with it and ends with it.
//!
//! One that follows knows nothing and costs nothing; a term begins with a listing of what there is.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::channel::mpsc;
use kube::{Config, client::ClientBuilder};
use tokio::{task::JoinHandle, time};
use tracing::{error, info, warn};

use crate::{
    board::Board,
    client_pods::PodBook,
    controller::{self, Context, Parts},
    credential::MonitorKey,
    lease::{Candidate, Gate},
    metrics::Metrics,
    monitor::Monitors,
    requests::Counter,
    run::RunError,
    token_keys::TokenKeys,
    watch::{self, Queues},
};

/// Reconciles under way are given so long to finish; a pod is given 30 s.
const STOP: Duration = Duration::from_secs(10);

/// What every term has in common.
pub struct Term {
    /// The way to the API server.
    pub config: Config,
    /// The namespace to watch; all, where it is absent.
    pub watch_namespace: Option<String>,
    /// The image of relay pods.
    pub relay_image: String,
    /// What credentials are derived from.
    pub monitor_key: Arc<MonitorKey>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whether the operator can do what it is there for.
    pub ready: Arc<AtomicBool>,
    /// What the page of all relays shows.
    pub board: Arc<Board>,
}

/// How a term ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// In order, with nothing under way; the Lease is still held, unless it was lost meanwhile.
    Stopped,
    /// The Lease is lost: nothing is written any more, whatever was under way.
    Lost,
}

/// Leads as long as the Lease is held, or until `stop` comes.
///
/// # Errors
/// When there is no way to the API server, or a part ended that never does.
pub async fn serve(
    term: &Term,
    candidate: &mut Candidate,
    gate: &Gate,
    mut stop: Pin<&mut impl Future<Output = ()>>,
) -> Result<End, RunError> {
    let client = ClientBuilder::try_from(term.config.clone())?
        .with_layer(&Counter::new(term.metrics.requests()))
        .with_layer(gate)
        .build();
    let (relays, relay_queue) = mpsc::unbounded();
    let (schedules, schedule_queue) = mpsc::unbounded();
    let (accesses, access_queue) = mpsc::unbounded();
    let (injected, injected_queue) = mpsc::unbounded();
    let queues = Queues {
        relays: relays.clone(),
        schedules: schedules.clone(),
        accesses: accesses.clone(),
        injected: injected.clone(),
    };
    let (stores, watches) = watch::watch(&client, term.watch_namespace.as_deref(), &queues);
    drop(queues);
    let mut watches = tokio::spawn(watches);
    let token_keys = TokenKeys::default();
    let keys = tokio::spawn(token_keys.clone().keep_fresh(client.clone(), stores.clone(), relays.clone()));
    let (client_pods, watching) = PodBook::new(term.watch_namespace.clone());
    let pods = tokio::spawn(watching.run(client.clone(), stores.clone(), relays.clone()));
    let context = Arc::new(Context::new(Parts {
        client,
        stores: stores.clone(),
        monitors: Monitors::new(relays.clone(), term.metrics.clone()),
        relay_image: term.relay_image.clone(),
        monitor_key: term.monitor_key.clone(),
        token_keys,
        client_pods,
        metrics: term.metrics.clone(),
        board: term.board.clone(),
        watch_namespace: term.watch_namespace.clone(),
    }));
    term.ready.store(false, Ordering::Relaxed);
    term.board.lead();
    let work = tokio::spawn({
        let (context, ready) = (context.clone(), term.ready.clone());
        async move {
            // A status drawn before everything is known would be wrong, and written.
            if stores.ready().await.is_err() {
                return;
            }
            ready.store(true, Ordering::Relaxed);
            info!("caches are filled");
            let relays = controller::run_relays(context.clone(), relay_queue);
            let schedules = controller::run_schedules(context.clone(), schedule_queue);
            let accesses = controller::run_accesses(context.clone(), access_queue);
            let injected = controller::run_injected(context.clone(), injected_queue);
            tokio::select! {
                _ = async { tokio::join!(relays, schedules, accesses, injected) } => {}
                () = context.events.keep_counting() => {}
            }
            context.events.finish().await;
        }
    });

    let mut keep = pin!(candidate.keep(gate));
    let end = tokio::select! {
        () = &mut keep => Ok(End::Lost),
        () = &mut stop => Ok(End::Stopped),
        _ = &mut watches => Err(RunError::Ended),
    };
    // First nobody counts on it; then nothing new is asked for; then what is under way ends; the streams end with it.
    term.ready.store(false, Ordering::Relaxed);
    watches.abort();
    keys.abort();
    pods.abort();
    relays.close_channel();
    schedules.close_channel();
    accesses.close_channel();
    injected.close_channel();
    let stopper = work.abort_handle();
    if !matches!(end, Ok(End::Lost)) {
        info!("stopping");
        tokio::select! {
            () = finish(work) => {}
            () = &mut keep => warn!("the Lease was lost while reconciles were under way"),
        }
    }
    stopper.abort();
    context.monitors.retain(|_| false);
    term.board.stand_by();
    term.metrics.retain_relays(|_, _| false);
    end
}

/// Waits until what is under way has ended, within reason.
async fn finish(work: JoinHandle<()>) {
    match time::timeout(STOP, work).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => error!(%error, "a reconcile panicked"),
        Err(_) => warn!("reconciles under way did not end in time and are given up"),
    }
}
