//! HTTP: health, readiness and metrics.
//!
//! Ready is a sidecar that takes commands, whether its gateway is there or not: it must not hold its pod back, and an application gets a
//! better answer from it than a refused connection.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;

/// What the endpoints answer from.
#[derive(Clone)]
pub(super) struct Endpoints {
    pub(super) metrics: Arc<Metrics>,
    /// Whether the ports are open, and no stop is under way.
    pub(super) ready: Arc<AtomicBool>,
    pub(super) stop: CancellationToken,
}

/// Serves until the sidecar stops.
pub(super) async fn serve(socket: TcpListener, endpoints: Endpoints) -> io::Result<()> {
    let stop = endpoints.stop.clone();
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(endpoints);
    axum::serve(socket, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

async fn ready(State(endpoints): State<Endpoints>) -> (StatusCode, &'static str) {
    if endpoints.ready.load(Ordering::Relaxed) {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the sidecar is stopping\n")
    }
}

async fn metrics(State(endpoints): State<Endpoints>) -> Response {
    match endpoints.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
