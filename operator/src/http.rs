//! HTTP: health, readiness and metrics.

use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, time};
use tracing::debug;

use crate::metrics::Metrics;

/// Whoever connects and says nothing does not stay.
const HEADERS: Duration = Duration::from_secs(10);
/// After an accept that failed, as it does while the process has no descriptor left.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What the endpoints answer from.
#[derive(Clone)]
pub struct Endpoints {
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whether the caches are filled and the operator is not stopping.
    pub ready: Arc<AtomicBool>,
}

/// Listens there. On the unspecified IPv6 address, which takes both families, IPv4 will do where there is no IPv6.
///
/// # Errors
/// When the address cannot be taken.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(_) if address.is_ipv6() && address.ip().is_unspecified() => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        result => result,
    }
}

/// Serves for ever.
pub async fn serve(socket: TcpListener, endpoints: Endpoints) {
    loop {
        let connection = match socket.accept().await {
            Ok((connection, _)) => connection,
            Err(error) => {
                debug!(%error, "accept");
                time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let endpoints = endpoints.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let response = answer(&endpoints, &request);
                async move { Ok::<_, Infallible>(response) }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEADERS);
            if let Err(error) = http.serve_connection(TokioIo::new(connection), service).await {
                debug!(%error, "an HTTP connection ended early");
            }
        });
    }
}

fn answer(endpoints: &Endpoints, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "GET it\n");
    }
    match request.uri().path() {
        "/healthz" => text(StatusCode::OK, "ok\n"),
        "/readyz" if endpoints.ready.load(Ordering::Relaxed) => text(StatusCode::OK, "ok\n"),
        "/readyz" => text(StatusCode::SERVICE_UNAVAILABLE, "the operator is starting or stopping\n"),
        "/metrics" => match endpoints.metrics.render() {
            Ok(metrics) => text(StatusCode::OK, metrics),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        },
        _ => text(StatusCode::NOT_FOUND, "there are /healthz, /readyz and /metrics\n"),
    }
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let plain = header::HeaderValue::from_static(prometheus::TEXT_FORMAT);
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}
