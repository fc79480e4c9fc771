//! HTTP: health, readiness and metrics, and on loopback the page of all relays.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, time};
use tracing::debug;

use crate::{board::Board, metrics::Metrics, page};

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
    /// What the page shows.
    pub board: Arc<Board>,
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
        let (connection, peer) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                debug!(%error, "accept");
                time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let endpoints = endpoints.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let response = answer(&endpoints, peer.ip(), &request);
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

fn answer<B>(endpoints: &Endpoints, peer: IpAddr, request: &Request<B>) -> Response<Full<Bytes>> {
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
        _ => page::answer(&endpoints.board, endpoints.ready.load(Ordering::Relaxed), peer, request),
    }
}

/// A plain text.
pub(crate) fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    answer_with(status, HeaderValue::from_static(prometheus::TEXT_FORMAT), text)
}

/// A body of this media type.
pub(crate) fn answer_with(status: StatusCode, kind: HeaderValue, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relays_are_shown_on_loopback_by_a_name_of_this_machine_and_guarded() {
        let endpoints = Endpoints {
            metrics: Arc::new(Metrics::new().unwrap()),
            ready: Arc::new(AtomicBool::new(true)),
            board: Arc::default(),
        };
        let (local, far) = ("127.0.0.1", "10.1.2.3");
        for (path, peer, host, status, kind, guarded) in [
            ("/healthz", far, "operator", 200, "text/plain", false),
            ("/metrics", far, "operator", 200, "text/plain", false),
            ("/", local, "localhost:8080", 200, "text/html", true),
            ("/page/main.js", local, "127.0.0.1:8080", 200, "text/javascript", true),
            ("/page/stream.js", local, "localhost", 404, "text/plain", true),
            ("/relays", "::ffff:127.0.0.1", "[::1]:8080", 200, "application/json", true),
            ("/relays", far, "localhost", 403, "text/plain", true),
            ("/relays", local, "evil.example", 403, "text/plain", true),
            ("/", far, "10.1.2.4:8080", 403, "text/plain", true),
            ("/relays/shop/mail", local, "localhost", 404, "text/plain", true),
            ("/explain/ECONNREFUSED", local, "localhost", 200, "application/json", true),
            ("/explain/451%204.7.1", local, "localhost", 200, "application/json", true),
            ("/explain/NOTHING_OF_THE_KIND", local, "localhost", 404, "text/plain", true),
        ] {
            let request = Request::get(path).header(header::HOST, host).body(()).unwrap();
            let answer = answer(&endpoints, peer.parse().unwrap(), &request);
            let about = format!("{path} for {peer} by {host}");
            assert_eq!(answer.status().as_u16(), status, "{about}");
            assert!(answer.headers()[header::CONTENT_TYPE].to_str().unwrap().starts_with(kind), "{about}");
            let policy = answer.headers().get(header::CONTENT_SECURITY_POLICY).map(|policy| policy.to_str().unwrap());
            assert_eq!(policy.is_some_and(|policy| policy.starts_with("default-src 'none'")), guarded, "{about}");
        }
        endpoints.ready.store(false, Ordering::Relaxed);
        let request = Request::get("/relays").body(()).unwrap();
        let answer = answer(&endpoints, local.parse().unwrap(), &request);
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "a list that is not filled yet is no list");
    }
}
