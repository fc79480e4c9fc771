//! Starts the parts, and stops them in order.

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::channel::mpsc;
use kube::Client;
use tokio::time;
use tracing::{error, info, warn};

use crate::{
    controller::{self, Context, Parts},
    credential::{KeyError, MonitorKey},
    http::{self, Endpoints},
    metrics::Metrics,
    monitor::Monitors,
    token_keys::TokenKeys,
    watch::{self, Queues},
};

/// Reconciles under way are given so long to finish; a pod is given 30 s.
const STOP: Duration = Duration::from_secs(10);

/// What the operator is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// The image of relay pods.
    pub relay_image: String,
    /// The namespace to watch; all, where it is absent.
    pub watch_namespace: Option<String>,
    /// The file with the key that Monitors' credentials are derived from.
    pub monitor_key_file: PathBuf,
    /// Where health and metrics are served.
    pub http: SocketAddr,
}

/// Why the operator does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// There is no way to an API server.
    #[error("the way to the API server: {0}")]
    Client(#[source] Box<kube::Error>),
    /// Health and metrics cannot be served.
    #[error("--http {address}: {source}")]
    Http {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A metric's name is given twice.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// A part ended that never does.
    #[error("watching ended")]
    Ended,
}

/// Runs until `stop` comes.
///
/// # Errors
/// See [`RunError`].
pub async fn run(options: Options, stop: impl Future<Output = ()>) -> Result<(), RunError> {
    let Options { relay_image, watch_namespace, monitor_key_file, http } = options;
    let monitor_key = MonitorKey::read(monitor_key_file)?;
    let metrics = Arc::new(Metrics::new()?);
    let socket = http::bind(http).await.map_err(|source| RunError::Http { address: http, source })?;
    let client = Client::try_default().await.map_err(|error| RunError::Client(Box::new(error)))?;
    let ready = Arc::new(AtomicBool::new(false));
    let server = tokio::spawn(http::serve(socket, Endpoints { metrics: metrics.clone(), ready: ready.clone() }));

    let (relays, relay_queue) = mpsc::unbounded();
    let (schedules, schedule_queue) = mpsc::unbounded();
    let queues = Queues { relays: relays.clone(), schedules: schedules.clone() };
    let (stores, watches) = watch::watch(&client, watch_namespace.as_deref(), &queues);
    drop(queues);
    let mut watches = tokio::spawn(watches);
    let monitors = Monitors::new(relays.clone(), metrics.clone());
    let token_keys = TokenKeys::default();
    let keys = tokio::spawn(token_keys.clone().keep_fresh(client.clone(), stores.clone(), relays.clone()));
    let parts = Parts { client, stores: stores.clone(), monitors, relay_image, monitor_key, token_keys, metrics };
    let context = Arc::new(Context::new(parts));

    info!(version = env!("CARGO_PKG_VERSION"), namespace = watch_namespace.as_deref().unwrap_or("all"), "started");
    let work = tokio::spawn({
        let (context, ready) = (context.clone(), ready.clone());
        async move {
            // A status drawn before everything is known would be wrong, and written.
            if stores.ready().await.is_err() {
                return;
            }
            ready.store(true, Ordering::Relaxed);
            info!("caches are filled");
            let relays = controller::run_relays(context.clone(), relay_queue);
            let schedules = controller::run_schedules(context, schedule_queue);
            tokio::join!(relays, schedules);
        }
    });

    let ended = tokio::select! {
        () = stop => None,
        _ = &mut watches => Some(RunError::Ended),
    };
    info!("stopping");
    // First nobody counts on it; then nothing new is asked for; then what is under way ends; the streams end with it.
    ready.store(false, Ordering::Relaxed);
    watches.abort();
    keys.abort();
    relays.close_channel();
    schedules.close_channel();
    let aborter = work.abort_handle();
    match time::timeout(STOP, work).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => error!(%error, "a reconcile panicked"),
        Err(_) => {
            warn!("reconciles under way did not end in time and are given up");
            aborter.abort();
        }
    }
    context.monitors.retain(|_| false);
    server.abort();
    info!("stopped");
    ended.map_or(Ok(()), Err)
}
