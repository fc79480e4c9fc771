//! Starts the process, and lets it lead when it may.

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use kube::{Config, client::ClientBuilder};
use tracing::{info, warn};

use crate::{
    board::Board,
    credential::{KeyError, MonitorKey},
    http::{self, Endpoints},
    inject::webhook,
    lease::Candidate,
    metrics::Metrics,
    requests::Counter,
    term::{self, End, Term},
};

/// What the operator is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// The image of relay pods.
    pub relay_image: String,
    /// The namespace to watch; all, where it is absent.
    pub watch_namespace: Option<String>,
    /// The name of the Lease that the leader holds, in the operator's own namespace.
    pub lease: String,
    /// The file with the key that Monitors' credentials are derived from.
    pub monitor_key_file: PathBuf,
    /// Where health, metrics and, on loopback, the page of all relays are served.
    pub http: SocketAddr,
    /// The webhook that injects sidecars; none, where it is absent.
    pub webhook: Option<webhook::Options>,
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
    /// The webhook cannot be served.
    #[error("--webhook {address}: {source}")]
    Webhook {
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

impl From<kube::Error> for RunError {
    fn from(error: kube::Error) -> Self {
        RunError::Client(Box::new(error))
    }
}

/// Runs until `stop` comes.
///
/// # Errors
/// See [`RunError`].
pub async fn run(options: Options, stop: impl Future<Output = ()>) -> Result<(), RunError> {
    let Options { relay_image, watch_namespace, lease, monitor_key_file, http, webhook } = options;
    let monitor_key = Arc::new(MonitorKey::read(monitor_key_file)?);
    let metrics = Arc::new(Metrics::new()?);
    let socket = http::bind(http).await.map_err(|source| RunError::Http { address: http, source })?;
    let config = Config::infer().await.map_err(kube::Error::InferConfig)?;
    let client = ClientBuilder::try_from(config.clone())?.with_layer(&Counter::new(metrics.requests())).build();
    let ready = Arc::new(AtomicBool::new(false));
    let board = Arc::new(Board::default());
    let endpoints = Endpoints { metrics: metrics.clone(), ready: ready.clone(), board: board.clone() };
    let server = tokio::spawn(http::serve(socket, endpoints));
    let webhook = match webhook {
        Some(options) => {
            let (address, image) = (options.address, relay_image.as_str().into());
            let started = webhook::start(options, client.clone(), image).await;
            Some(started.map_err(|source| RunError::Webhook { address, source })?)
        }
        None => None,
    };
    let mut candidate = Candidate::new(client, lease, ready.clone());
    let namespace = watch_namespace.as_deref().unwrap_or("all");
    info!(version = env!("CARGO_PKG_VERSION"), namespace, "started");

    let term = Term {
        config,
        watch_namespace,
        relay_image,
        monitor_key,
        metrics: metrics.clone(),
        ready: ready.clone(),
        board: board.clone(),
    };
    let mut stop = pin!(stop);
    let result = loop {
        let gate = tokio::select! {
            () = &mut stop => break Ok(()),
            gate = candidate.win(|holder| board.held_by(holder)) => gate,
        };
        info!("this operator leads");
        metrics.leader.set(1);
        let end = term::serve(&term, &mut candidate, &gate, stop.as_mut()).await;
        metrics.leader.set(0);
        match end {
            Ok(End::Lost) => warn!("this operator does not lead any more"),
            Ok(End::Stopped) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    ready.store(false, Ordering::Relaxed);
    candidate.release().await;
    server.abort();
    if let Some(webhook) = webhook {
        webhook.abort();
    }
    info!("stopped");
    result
}
