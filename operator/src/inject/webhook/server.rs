//! Where the API server asks.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time,
};
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use super::review;
use crate::http::{answer_with, text};

/// Where questions are sent.
const PATH: &str = "/inject";
/// No question is longer: the API server takes no larger object.
const QUESTION: usize = 4 << 20;
/// Who connects and says nothing does not stay.
const PATIENCE: Duration = Duration::from_secs(10);
/// The API server keeps few connections.
const CONNECTIONS: usize = 64;
/// After an accept that failed, as it does while the process has no descriptor left.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Serves for ever, under the certificate of the moment; nobody, while there is none.
pub(super) async fn serve(
    socket: TcpListener,
    certificate: watch::Receiver<Option<Arc<ServerConfig>>>,
    image: Arc<str>,
) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // The semaphore is never closed.
        let Ok(seat) = room.clone().acquire_owned().await else { return };
        let stream = match socket.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                debug!(%error, "accept");
                time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let Some(config) = certificate.borrow().clone() else { continue };
        let image = image.clone();
        tokio::spawn(async move {
            converse(stream, config, image).await;
            drop(seat);
        });
    }
}

async fn converse(stream: TcpStream, config: Arc<ServerConfig>, image: Arc<str>) {
    let stream = match time::timeout(PATIENCE, TlsAcceptor::from(config).accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return debug!(%error, "no handshake with who asks the webhook"),
        Err(_) => return,
    };
    let service = service_fn(|request| {
        let image = image.clone();
        async move { Ok::<_, Infallible>(answer(request, &image).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
        debug!(%error, "a connection to the webhook ended early");
    }
}

async fn answer(request: Request<Incoming>, image: &str) -> Response<Full<Bytes>> {
    if request.uri().path() != PATH {
        return text(StatusCode::NOT_FOUND, "ask /inject\n");
    }
    if request.method() != Method::POST {
        return text(StatusCode::METHOD_NOT_ALLOWED, "POST it\n");
    }
    let question = match time::timeout(PATIENCE, Limited::new(request.into_body(), QUESTION).collect()).await {
        Ok(Ok(question)) => question.to_bytes(),
        Ok(Err(error)) => return text(StatusCode::BAD_REQUEST, format!("{error}\n")),
        Err(_) => return text(StatusCode::REQUEST_TIMEOUT, "the question did not end\n"),
    };
    match review::answer(&question, image) {
        Ok(answer) => answer_with(StatusCode::OK, HeaderValue::from_static("application/json"), answer.to_string()),
        Err(error) => text(StatusCode::BAD_REQUEST, format!("no AdmissionReview of a pod: {error}\n")),
    }
}
