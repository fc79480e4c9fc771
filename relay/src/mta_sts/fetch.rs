//! Fetches a policy over HTTPS (RFC 8461 section 3.3), from a server that nobody here knows: with limits on everything.
//!
//! Decisions:
//! - HTTP/1.1, one GET, one connection, no redirect (3.3). 64 KiB and half a minute at most; the RFC proposes the same size, and a
//!   minute, which is long for mail that waits.
//! - The certificate must be valid for `mta-sts.` and the domain, and from the authorities that vouch for public hosts.
//! - Addresses inside are refused unless the domain's route allows them for mail: a domain's owner could have the relay call
//!   inside machines otherwise.
//! - Nothing is opened while the TCP Schedule is closed: a fetch is part of a session that was allowed.

use std::{fmt, sync::Arc, time::Duration};

use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use mailsluice_crds::catalogue::TlsCode;
use rustls::{CertificateError, ClientConfig, pki_types::ServerName};
use tokio::{net::TcpStream, time};
use tokio_rustls::TlsConnector;

use super::{Asked, Policy, PolicyError};
use crate::{
    errors::shortened,
    route::RouteError,
    tcp::{ConnectError, connect},
};

const HTTPS: u16 = 443;
const TIME: Duration = Duration::from_secs(30);
const SIZE: usize = 64 << 10;

/// Why a policy could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The server's address could not be had.
    #[error("{0}")]
    Address(#[from] RouteError),
    /// No connection.
    #[error("{0}")]
    Connect(#[from] ConnectError),
    /// The handshake failed.
    #[error("TLS: {0}")]
    Tls(std::io::Error),
    /// The server's certificate is not to be trusted.
    #[error("the web server's certificate: {0}")]
    Certificate(CertificateError),
    /// The server does not speak HTTP, or broke off.
    #[error("HTTP: {0}")]
    Http(String),
    /// It answered something else than 200.
    #[error("the web server answered {0}; redirects are not followed")]
    Status(StatusCode),
    /// It answered with something else than text.
    #[error("the web server answered with Content-Type {0:?} in place of text/plain")]
    ContentType(String),
    /// Too large.
    #[error("the policy has more than {} KiB", SIZE >> 10)]
    TooLarge,
    /// Too slow.
    #[error("no policy came within {} s", TIME.as_secs())]
    TimedOut,
    /// What came is no policy.
    #[error("what the web server gives is no policy: {0}")]
    Policy(#[from] PolicyError),
}

impl FetchError {
    /// Its code, which is the result type of RFC 8460 section 4.3.2.2.
    #[must_use]
    pub fn code(&self) -> TlsCode {
        match self {
            FetchError::Policy(_) => TlsCode::StsInvalid,
            FetchError::Certificate(_) => TlsCode::StsWebpkiInvalid,
            _ => TlsCode::StsFetchError,
        }
    }
}

/// A policy as it came.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) text: String,
    pub(super) policy: Policy,
}

/// Fetches the policy of a domain.
pub(super) async fn fetch(asked: Asked<'_>, tls: &Arc<ClientConfig>) -> Result<Fetched, FetchError> {
    let text = time::timeout(TIME, get(&format!("mta-sts.{}", asked.domain), asked, tls))
        .await
        .map_err(|_| FetchError::TimedOut)??;
    let policy = Policy::parse(&text)?;
    Ok(Fetched { text, policy })
}

async fn get(server: &str, asked: Asked<'_>, tls: &Arc<ClientConfig>) -> Result<String, FetchError> {
    let stream = open(server, asked).await?;
    let name = ServerName::try_from(server.to_owned()).map_err(|error| FetchError::Http(error.to_string()))?;
    let stream = TlsConnector::from(tls.clone()).connect(name, stream).await.map_err(of_tls)?;
    let http = |error: hyper::Error| FetchError::Http(error.to_string());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(http)?;
    let request = Request::get("/.well-known/mta-sts.txt")
        .header(header::HOST, server)
        .header(header::USER_AGENT, concat!("mailsluice/", env!("CARGO_PKG_VERSION")))
        .header(header::ACCEPT, "text/plain")
        .body(Empty::<Bytes>::new())
        .map_err(|error| FetchError::Http(error.to_string()))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(http)?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let content_type = response.headers().get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("text/plain") {
            return Err(FetchError::ContentType(shortened(content_type, 64)));
        }
        let body = Limited::new(response.into_body(), SIZE).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() { FetchError::TooLarge } else { FetchError::Http(error.to_string()) }
        })?;
        Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
    };
    // Whoever ends first, the other has nothing more to do; what the connection itself says, the exchange says too.
    tokio::pin!(connection);
    tokio::pin!(exchange);
    tokio::select! {
        biased;
        result = &mut exchange => result,
        _ = &mut connection => exchange.await,
    }
}

/// The first of the server's addresses that answers.
async fn open(server: &str, asked: Asked<'_>) -> Result<TcpStream, FetchError> {
    let addresses = asked.resolver.web_server(server, HTTPS, asked.private).await?;
    let mut last = FetchError::TimedOut;
    for pair in addresses.chunks(2) {
        let Some(first) = pair.first() else { continue };
        let mut race = connect(asked.lease, asked.source, *first, pair.get(1).copied()).await;
        if let Some((_, stream)) = race.won {
            return Ok(stream);
        }
        last = race.failed.pop().map_or(last, |(_, error)| error.into());
    }
    Err(last)
}

fn of_tls(error: std::io::Error) -> FetchError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(why)) => FetchError::Certificate(why.clone()),
        _ => FetchError::Tls(error),
    }
}

impl fmt::Display for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mode {:?}, {} s, for {}", self.policy.mode, self.policy.max_age, self.policy.hosts.join(", "))
    }
}
