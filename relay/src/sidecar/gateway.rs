//! Connections to the gateway: where it is, TLS with it, and the pod's token.
//!
//! Decisions:
//! - All addresses of the gateway's name are its replicas. They are looked up for each connection, and tried one after the other.
//! - The certificate is verified by the gateway's name, and the token is shown under TLS alone.
//! - What is offered counts as it is after the login.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use mailsluice_crds::{
    LogLevel,
    relay::{TlsMode, TlsPolicy},
};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{net, time};

use super::{
    addresses::Addresses,
    away::Away,
    metrics::{Metrics, Open},
    offers::Offers,
    reread::{FileError, Reread},
    watcher::Watcher,
};
use crate::{
    ids::SessionId,
    log::{Log, Tag},
    smtp::{
        Reply,
        client::{self, Called, Client, ClientError, ErrorKind, Fate, Stage, StartTls, Timeouts},
        sasl::Credentials,
    },
    socket::{self, Failure},
    tls::{Stream, TlsFault, Wanted},
};

/// How long an address may take to be connected to, before the next is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long it may take from there to the end of the login.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the DNS may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the gateway is, and how it is known.
pub(super) struct Gateway {
    /// Its name, or address, and port.
    pub(super) called: (String, u16),
    /// The name of its certificate.
    pub(super) name: ServerName<'static>,
    /// When TLS begins.
    pub(super) mode: TlsMode,
    /// Who vouches for it.
    pub(super) authorities: Reread<ClientConfig>,
    /// What it is shown.
    pub(super) token: Reread<Credentials>,
    /// The sidecar's own name.
    pub(super) hello: String,
    pub(super) addresses: Mutex<Addresses>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) log: Log,
}

/// A connection that the gateway has let in.
pub(super) struct Connection {
    pub(super) client: Client<Stream, Watcher>,
    pub(super) address: SocketAddr,
    pub(super) opened: Instant,
    pub(super) offers: Offers,
    /// Counts it.
    pub(super) _open: Open,
}

impl Gateway {
    /// As it is shown: `mail.example.org:587`.
    pub(super) fn shown(&self) -> String {
        let (host, port) = &self.called;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// Connects to one of its replicas: another one where the first does not let the sidecar in, until `deadline`.
    pub(super) async fn connect(&self, deadline: Instant) -> Result<Connection, Away> {
        let (host, port) = &self.called;
        let found: Vec<_> = match time::timeout(LOOKUP_TIMEOUT, net::lookup_host((host.as_str(), *port))).await {
            Ok(found) => found.map_err(Away::Lookup)?.collect(),
            Err(elapsed) => return Err(Away::Lookup(elapsed.into())),
        };
        if self.log.shows(LogLevel::AllInfo) {
            let shown: Vec<_> = found.iter().map(SocketAddr::to_string).collect();
            let record = self.log.at(LogLevel::AllInfo, Tag::Route);
            record.say(format_args!("the DNS has led to {} for {}", shown.join(", "), self.shown()));
        }
        let order = self.addresses().order(found, &mut rand::rng(), Instant::now());
        let mut why = Away::NoAddress;
        for (tried, address) in order.into_iter().enumerate() {
            // Another one than the first is tried in any case.
            if tried > 1 && Instant::now() >= deadline {
                break;
            }
            match self.open(address).await {
                Ok(connection) => {
                    self.addresses().works(address);
                    return Ok(connection);
                }
                Err(away) => {
                    self.log.at(LogLevel::LowLevel, Tag::Tcp).say(format_args!("no session with the gateway: {away}"));
                    self.failed(address);
                    why = away;
                }
            }
        }
        Err(why)
    }

    /// An address is to be tried after the others.
    pub(super) fn failed(&self, address: SocketAddr) {
        self.addresses().failed(address, Instant::now());
    }

    fn addresses(&self) -> std::sync::MutexGuard<'_, Addresses> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn open(&self, address: SocketAddr) -> Result<Connection, Away> {
        let stream = match time::timeout(CONNECT_TIMEOUT, socket::connect(address, None)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(Failure::Source(error) | Failure::Connect(error))) => return Err(Away::Connect(address, error)),
            Err(_) => return Err(Away::Silent { address, limit: CONNECT_TIMEOUT }),
        };
        let opening = self.log_in(address, Stream::Plain(stream));
        let (client, hello) = match time::timeout(OPEN_TIMEOUT, Box::pin(opening)).await {
            Ok(opened) => opened?,
            Err(_) => return Err(Away::Silent { address, limit: OPEN_TIMEOUT }),
        };
        Ok(Connection {
            client,
            address,
            opened: Instant::now(),
            offers: Offers::of(&hello),
            _open: self.metrics.connection(),
        })
    }

    /// Takes a connection through TLS and the login; the reply to EHLO behind it.
    async fn log_in(&self, address: SocketAddr, stream: Stream) -> Result<(Client<Stream, Watcher>, Reply), Away> {
        let session = |error| Away::Session(address, error);
        let mut client = self.secure(address, stream).await?;
        let (host, port) = &self.called;
        let called = Called { host, port: *port, channel: None };
        let credentials = self.current(&self.token);
        if let Err(error) = client.authenticate(&credentials, called).await {
            let refused = error.reply().is_some_and(Reply::is_permanent);
            self.metrics.authentications.with_label_values(&[if refused { "refused" } else { "failed" }]).inc();
            return Err(session(error));
        }
        self.metrics.authentications.with_label_values(&["done"]).inc();
        let hello = client.greet_again().await.map_err(session)?;
        Ok((client, hello))
    }

    async fn secure(&self, address: SocketAddr, stream: Stream) -> Result<Client<Stream, Watcher>, Away> {
        let session = |error| Away::Session(address, error);
        let settings = client::Config { hello: self.hello.clone(), timeouts: Timeouts::default() };
        let settings = Arc::new(settings);
        let watcher = Watcher::new(self.log.clone(), address);
        let id = watcher.id();
        if self.mode == TlsMode::Implicit {
            let failed =
                |fault| ClientError { stage: Stage::StartTls, kind: ErrorKind::Tls(fault), fate: Fate::NotAccepted };
            let stream = self.handshake(stream, address, id).await.map_err(|fault| session(failed(fault)))?;
            return Client::start(stream, settings, watcher).await.map_err(session);
        }
        let client = Client::start(stream, settings, watcher).await.map_err(session)?;
        if !client.capabilities().start_tls {
            return Err(Away::InClear(address));
        }
        match client.start_tls(|stream| self.handshake(stream, address, id)).await.map_err(session)? {
            StartTls::Done(client) => Ok(client),
            StartTls::Refused(_, reply) => Err(session(ClientError {
                stage: Stage::StartTls,
                kind: ErrorKind::Reply(reply),
                fate: Fate::NotAccepted,
            })),
        }
    }

    async fn handshake(&self, stream: Stream, address: SocketAddr, id: SessionId) -> Result<Stream, TlsFault> {
        let wanted = Wanted {
            policy: TlsPolicy::Verified,
            mode: self.mode,
            or_clear: false,
            verified: true,
            config: self.current(&self.authorities),
            name: self.name.clone(),
            witness: None,
        };
        let result = stream.connect(&wanted).await;
        if let Ok(stream) = &result
            && let Some(details) = stream.details()
        {
            let record = |level| self.log.at(level, Tag::Smtp).field("session", id).field("peer", address);
            record(LogLevel::LowLevel)
                .field("tlsVersion", details.version)
                .field("tlsCipher", &details.cipher)
                .field("tlsHandshake", details.kind())
                .say("TLS is established");
            if self.log.shows(LogLevel::AllInfo) {
                let shown = stream.peer_certificate().unwrap_or_else(|| "none".to_owned());
                record(LogLevel::AllInfo).say(format_args!("the gateway's certificate is {shown}"));
            }
        }
        let counted = match &result {
            Ok(stream) => stream.details().map_or("full", |details| details.kind()),
            Err(_) => "failed",
        };
        self.metrics.handshakes.with_label_values(&[wanted.policy.name(), counted]).inc();
        result
    }

    /// What a file holds. Where it has become useless, that is told, and what it held before goes on.
    fn current<T>(&self, file: &Reread<T>) -> Arc<T> {
        let (value, fault): (_, Option<FileError>) = file.get();
        if let Some(fault) = fault {
            let record = self.log.at(LogLevel::Failures, Tag::Relay);
            record.say(format_args!("{fault}; what it held before stays in force"));
        }
        value
    }
}
