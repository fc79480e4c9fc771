//! HTTP: health, readiness, metrics, the Monitor with its page and the TCP Schedule's week, what is counted for TLS reports, and the mail of
//! siblings that are scaled away.
//!
//! The Monitor names mail addresses' domains and hosts, so it answers to loopback, and off loopback only to a credential
//! that the operator holds: the relay knows its SHA-256 and never the credential itself.

use std::{
    convert::Infallible,
    fmt::Write as _,
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures::stream;
use jiff::Timestamp;
use mailsluice_crds::monitor::Snapshot;
use sha2::{Digest as _, Sha256};
use tokio::{net::TcpListener, sync::watch, time};
use tokio_util::sync::CancellationToken;

use crate::{
    handover::{self, Answer, Offer, Taker, clocks},
    metrics::Metrics,
    monitor::Monitor,
    page,
    tcp::Timetable,
    tls_report::{Report, TlsReports},
};

/// An empty line goes over a silent stream so often, so that either side notices when the other is gone.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// What the endpoints answer from.
#[derive(Clone)]
pub struct Endpoints {
    /// The Monitor.
    pub monitor: Arc<Monitor>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What is counted for TLS reports.
    pub reports: Arc<TlsReports>,
    /// A file with the lower-case hexadecimal SHA-256 of the credential.
    pub credential: Option<PathBuf>,
    /// Whether the relay takes mail: its listeners are open and it is not stopping.
    pub ready: Arc<AtomicBool>,
    /// What takes siblings' mail, where there are siblings.
    pub taker: Option<Arc<Taker>>,
    /// Set when the relay stops.
    pub stop: CancellationToken,
}

/// Serves until the relay stops.
///
/// # Errors
/// When the socket fails.
pub async fn serve(socket: TcpListener, endpoints: Endpoints) -> io::Result<()> {
    let stop = endpoints.stop.clone();
    let guarded = Router::new()
        .route("/monitor", get(monitor))
        .route("/monitor/stream", get(monitor_stream))
        .route("/schedule", get(schedule))
        .route("/tls-reports", get(tls_reports))
        .merge(page::routes())
        .route_layer(middleware::from_fn_with_state(endpoints.clone(), authorize))
        .route_layer(middleware::from_fn(page::protect));
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route(handover::PATH, post(take_over))
        .merge(guarded)
        .with_state(endpoints);
    axum::serve(socket, router.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

async fn ready(State(endpoints): State<Endpoints>) -> (StatusCode, &'static str) {
    if !endpoints.ready.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "the relay is starting or stopping\n");
    }
    if !endpoints.monitor.accepts_mail() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the spool cannot take mail\n");
    }
    (StatusCode::OK, "ok\n")
}

async fn metrics(State(endpoints): State<Endpoints>) -> Response {
    match endpoints.metrics.render(&endpoints.monitor.sample(), Timestamp::now()) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn take_over(State(endpoints): State<Endpoints>, request: Request) -> Result<axum::Json<Answer>, Response> {
    let Some(taker) = &endpoints.taker else {
        return Err((StatusCode::NOT_FOUND, "this relay has no siblings\n").into_response());
    };
    let offer = offer(request.headers());
    let batch = request.into_body().into_data_stream();
    match taker.take(offer, batch).await {
        Ok(answer) => Ok(axum::Json(answer)),
        Err((status, why)) => Err((status, format!("{why}\n")).into_response()),
    }
}

/// What the headers of a batch say of it.
fn offer(headers: &HeaderMap) -> Offer {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    Offer {
        credential: bearer(headers).map(str::to_owned),
        content_type: text(header::CONTENT_TYPE.as_str()).map(str::to_owned),
        clock: text(clocks::HEADER).and_then(|clock| clock.parse().ok()),
    }
}

async fn monitor(State(endpoints): State<Endpoints>) -> axum::Json<Snapshot> {
    axum::Json(endpoints.monitor.whole())
}

async fn schedule(State(endpoints): State<Endpoints>) -> axum::Json<Timetable> {
    axum::Json(endpoints.monitor.timetable())
}

async fn tls_reports(State(endpoints): State<Endpoints>) -> axum::Json<Vec<Report>> {
    axum::Json(endpoints.reports.reports())
}

async fn monitor_stream(State(endpoints): State<Endpoints>) -> Response {
    let (first, changes) = endpoints.monitor.subscribe();
    let lines = stream::unfold(Lines { first: Some(first), changes, stop: endpoints.stop }, |mut lines| async {
        lines.next().await.map(|line| (Ok::<_, Infallible>(line), lines))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

/// One subscriber's stream: a snapshot in each line.
struct Lines {
    first: Option<Snapshot>,
    changes: watch::Receiver<Arc<Snapshot>>,
    stop: CancellationToken,
}

impl Lines {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(line(&first));
        }
        tokio::select! {
            changed = self.changes.changed() => {
                changed.ok()?;
                let snapshot = self.changes.borrow_and_update().clone();
                Some(line(&snapshot))
            }
            () = time::sleep(HEARTBEAT) => Some(Bytes::from_static(b"\n")),
            () = self.stop.cancelled() => None,
        }
    }
}

fn line(snapshot: &Snapshot) -> Bytes {
    // A snapshot is plain data, which always has a JSON form.
    let mut text = serde_json::to_vec(snapshot).unwrap_or_default();
    text.push(b'\n');
    text.into()
}

async fn authorize(
    State(endpoints): State<Endpoints>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    if mailsluice_page::is_loopback(peer.ip()) {
        return if mailsluice_page::names_this_machine(request.headers()) {
            next.run(request).await
        } else {
            (StatusCode::FORBIDDEN, "ask for the Monitor by localhost or by an address\n").into_response()
        };
    }
    let Some(file) = &endpoints.credential else {
        return (StatusCode::FORBIDDEN, "this relay shows its Monitor on loopback only\n").into_response();
    };
    let Ok(expected) = tokio::fs::read_to_string(file).await else {
        return (StatusCode::FORBIDDEN, "this relay's Monitor has no credential yet\n").into_response();
    };
    match bearer(request.headers()) {
        Some(token) if same(&sha256_hex(token), expected.trim()) => next.run(request).await,
        _ => (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], "a credential is needed\n")
            .into_response(),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

fn sha256_hex(token: &str) -> String {
    let mut hex = String::with_capacity(64);
    for octet in Sha256::digest(token.as_bytes()) {
        // Writing into a String cannot fail.
        let _ = write!(hex, "{octet:02x}");
    }
    hex
}

/// Compares without telling by the time it takes how much was right.
fn same(left: &str, right: &str) -> bool {
    left.len() == right.len() && left.bytes().zip(right.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_known_by_its_hash() {
        let hash = sha256_hex("secret");
        assert_eq!(hash, "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b");
        assert!(same(&hash, &sha256_hex("secret")));
        assert!(!same(&hash, &sha256_hex("Secret")) && !same(&hash, ""));
    }
}
