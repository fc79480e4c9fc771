//! The sidecar: takes mail on its pod's loopback from an application that speaks plain SMTP, and hands it to the gateway while the
//! application waits. It keeps nothing: what is not answered by the gateway is not answered.
//!
//! The way of a message: [`session`] → [`dialog`] (what can be passed on at once) → [`commands`] (what may be answered ahead of the gateway) →
//! [`pool`] (a connection that is ready, or a new one by [`gateway`]) → the gateway's replies → [`session`] → [`text`] → the gateway's reply.
//!
//! - [`needs`]: whether a MAIL may be answered ahead;
//! - [`offers`]: what the application is offered; [`journal`]: what begins a transaction again over another connection;
//! - [`away`]: what the application is told while the gateway is away; [`addresses`]: which replica is tried first;
//! - [`reread`]: the token and the authorities; [`metrics`], [`http`]: how it is seen; [`options`]: how it is told; [`started`]: how it is
//!   waited for.

mod addresses;
mod away;
mod commands;
mod dialog;
mod gateway;
mod http;
mod journal;
mod metrics;
mod needs;
mod offers;
mod options;
mod pool;
mod reread;
mod session;
mod started;
mod text;
mod watcher;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use mailsluice_crds::{LogLevel, relay};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::Semaphore,
    time,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    hello,
    log::{Log, Tag},
    run::VERSION,
    socket,
};
use gateway::Gateway;
use http::Endpoints;
use metrics::Metrics;
use pool::{Pool, Terms};
use session::Reception;

pub use options::{GatewayAddress, LoopbackAddress, OptionError, Options};
pub use reread::FileError;
pub use started::{PATIENCE, await_started};

/// How long a stop waits for messages that are under way. Kubernetes gives 30 seconds, and 10 are promised.
const STOP_TIME: Duration = Duration::from_secs(8);

/// How long a stop takes leave of the gateway.
const LEAVE_TIME: Duration = Duration::from_secs(1);

/// Sessions at once; who comes then waits in the kernel.
const SESSIONS_MAX: usize = 1_000;

/// The wait after an accept that failed for want of descriptors or memory: at once it would only fail again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why a sidecar does not run.
#[derive(Debug, thiserror::Error)]
pub enum SidecarError {
    /// A file that it needs is of no use.
    #[error(transparent)]
    File(#[from] FileError),
    /// A port cannot be opened.
    #[error("listen on {address}: {source}")]
    Listen {
        /// The address and port.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The machine has none of the addresses.
    #[error("this machine has none of the addresses to listen on")]
    NoAddress,
    /// Something else of the system's.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The metrics cannot be set up.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}

/// Runs a sidecar until SIGTERM or SIGINT.
///
/// # Errors
/// See [`SidecarError`].
pub async fn run(options: Options, log: Log) -> Result<(), SidecarError> {
    let level = options.log_level;
    log.configure("", &relay::Log { level, format: options.log_format, ..relay::Log::default() }, level);
    log.at(LogLevel::Major, Tag::Relay).field("version", VERSION).say("the sidecar starts");
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);

    let hostname = hello::machine();
    let metrics = Arc::new(Metrics::new(VERSION)?);
    let stop = CancellationToken::new();
    let mode = options.tls.unwrap_or_else(|| options.gateway.usual_tls());
    let gateway = Gateway {
        called: (options.gateway.host, options.gateway.port),
        name: options.tls_name.unwrap_or(options.gateway.name),
        mode,
        authorities: reread::authorities(options.authorities)?,
        token: reread::token(options.token, hostname.clone())?,
        hello: hostname.clone(),
        addresses: std::sync::Mutex::default(),
        metrics: metrics.clone(),
        log: log.clone(),
    };
    let terms = Terms { warm: options.warm, most: options.connections, wait: options.wait };
    let pool = Arc::new(Pool::new(gateway, terms, stop.clone()));

    let sockets = listen(&options.listen, &log)?;
    let listen_error = |source| SidecarError::Listen { address: options.http, source };
    let endpoints = Endpoints { metrics: metrics.clone(), ready: Arc::new(AtomicBool::new(true)), stop: stop.clone() };
    let ready = endpoints.ready.clone();
    // The last port: who waits for the sidecar looks whether it is open.
    tokio::spawn(http::serve(socket::listen(options.http).map_err(listen_error)?, endpoints));
    tokio::spawn(pool.clone().keep());

    let reception = Arc::new(Reception { pool: pool.clone(), hostname, metrics, log: log.clone(), stop: stop.clone() });
    let (sessions, room) = (TaskTracker::new(), Arc::new(Semaphore::new(SESSIONS_MAX)));
    for socket in sockets {
        tokio::spawn(accept(socket, reception.clone(), sessions.clone(), room.clone()));
    }

    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    log.at(LogLevel::Major, Tag::Relay).say("the sidecar stops");
    ready.store(false, Ordering::Relaxed);
    stop.cancel();
    sessions.close();
    if time::timeout(STOP_TIME, sessions.wait()).await.is_err() {
        let record = log.at(LogLevel::Problems, Tag::Relay).number("sessions", sessions.len() as u64);
        record.say(
            "sessions were still busy and are cut off: what was not answered is for the application to send again",
        );
    }
    pool.close(LEAVE_TIME).await;
    log.flush();
    Ok(())
}

/// Opens the ports. An address of a family that the machine lacks is left out, where it has the other one.
fn listen(addresses: &[LoopbackAddress], log: &Log) -> Result<Vec<TcpListener>, SidecarError> {
    let mut sockets = Vec::new();
    for LoopbackAddress(address) in addresses.iter().copied() {
        match socket::listen(address) {
            Ok(socket) => {
                log.at(LogLevel::Major, Tag::SmtpIn).say(format_args!("takes mail on {address}"));
                sockets.push(socket);
            }
            Err(error) if socket::lacks_family(&error) => {
                log.at(LogLevel::Major, Tag::SmtpIn).say(format_args!("this machine does not have {address}"));
            }
            Err(source) => return Err(SidecarError::Listen { address, source }),
        }
    }
    if sockets.is_empty() { Err(SidecarError::NoAddress) } else { Ok(sockets) }
}

/// Gives each application that connects a session, until the sidecar stops.
async fn accept(socket: TcpListener, reception: Arc<Reception>, sessions: TaskTracker, room: Arc<Semaphore>) {
    loop {
        // The semaphore is never closed.
        let Ok(seat) = room.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            () = reception.stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, client)) => {
                let session = session::run(reception.clone(), stream, client);
                sessions.spawn(async move {
                    session.await;
                    drop(seat);
                });
            }
            Err(error) => {
                reception.log.at(LogLevel::Problems, Tag::SmtpIn).say(format_args!("accept a connection: {error}"));
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
