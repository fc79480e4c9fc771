//! The ports on which mail is taken: accepts connections, within the limit, and gives each a session.

mod arrival;
mod authenticate;
mod draft;
mod etrn;
mod guest;
mod header;
mod hold;
mod incoming;
mod noted;
mod session;
mod turns;

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::BytesMut;
use mailsluice_crds::{
    LogLevel,
    relay::{Listener, TlsMode},
};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    access::Accounts,
    clients::Clients,
    config::Config,
    limiter::Limiter,
    log::{Log, Tag},
    metrics::Metrics,
    queue::SharedQueue,
    smtp::Reply,
    socket,
    spool::Spool,
    tcp::Gate,
    tls::Certificates,
};

pub use turns::Turns;

/// What sessions work with.
pub struct Reception {
    /// Where accepted mail goes.
    pub spool: Spool,
    /// Where it waits.
    pub queue: Arc<SharedQueue>,
    /// The one way out.
    pub gate: Arc<Gate>,
    /// What listeners with TLS show.
    pub certificates: Arc<Certificates>,
    /// How much each client has taken.
    pub limiter: Arc<Limiter>,
    /// Which messages are served at once.
    pub turns: Arc<Turns>,
    /// What clients are known by.
    pub accounts: Arc<Accounts>,
    /// What is known of them.
    pub clients: Arc<Clients>,
    /// The configuration in force.
    pub config: watch::Receiver<Arc<Config>>,
    /// Where records go.
    pub log: Log,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Sessions, so that a stop can wait for them.
    pub sessions: TaskTracker,
    /// Set when the relay stops.
    pub stop: CancellationToken,
}

impl Reception {
    /// Has a session with the client at `peer`, who came to `port`, until it ends.
    pub(crate) async fn serve(self: Arc<Self>, mut stream: TcpStream, peer: SocketAddr, port: u16) {
        if let Some(guest) = Box::pin(arrival::arrive(&self, &mut stream, peer, port)).await {
            session::Session::new(self, guest, port).run(stream).await;
        }
    }
}

/// The wait after an accept that failed for want of descriptors or memory: at once it would only fail again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The open ports, by their number.
pub struct Listeners {
    reception: Arc<Reception>,
    address: IpAddr,
    open: HashMap<u16, CancellationToken>,
    /// Connections that may still be opened. Changed settings take effect as connections end.
    room: Arc<Semaphore>,
    capacity: u32,
}

impl Listeners {
    /// No port yet.
    #[must_use]
    pub fn new(reception: Arc<Reception>, address: IpAddr) -> Listeners {
        Listeners { reception, address, open: HashMap::new(), room: Arc::new(Semaphore::new(0)), capacity: 0 }
    }

    /// Opens the ports that are listed and not open yet, and closes those that are open and not listed; sessions that
    /// are under way go on. What can be opened is, whatever becomes of the others. A port on which TLS begins at once is open
    /// only while there is a certificate for it.
    ///
    /// # Errors
    /// The first port that cannot be opened, and what the system says.
    pub fn configure(&mut self, listeners: &[Listener], connections: u32) -> Result<(), ListenError> {
        self.resize(connections);
        let certificates = self.reception.certificates.clone();
        let can_open = |listener: &&Listener| match &listener.tls {
            Some(tls) if tls.mode == TlsMode::Implicit => certificates.acceptor(&tls.secret_name, false).is_some(),
            _ => true,
        };
        self.open.retain(|port, stop| {
            let listed = listeners.iter().filter(can_open).any(|listener| listener.port == *port);
            if !listed {
                stop.cancel();
            }
            listed
        });
        let mut result = Ok(());
        for listener in listeners.iter().filter(can_open) {
            if self.open.contains_key(&listener.port) {
                continue;
            }
            match socket::listen((self.address, listener.port).into()) {
                Ok(socket) => {
                    let stop = self.reception.stop.child_token();
                    self.open.insert(listener.port, stop.clone());
                    let (reception, room, name) = (self.reception.clone(), self.room.clone(), listener.name.clone());
                    reception
                        .log
                        .at(LogLevel::Major, Tag::SmtpIn)
                        .field("listener", &name)
                        .field("address", self.address)
                        .number("port", listener.port)
                        .say("takes mail");
                    self.reception.sessions.spawn(accept(reception, (socket, listener.port), room, stop));
                }
                Err(source) => {
                    let error = ListenError { address: self.address, port: listener.port, source };
                    result = result.and(Err(error));
                }
            }
        }
        result
    }

    fn resize(&mut self, connections: u32) {
        if connections > self.capacity {
            self.room.add_permits((connections - self.capacity) as usize);
        } else if connections < self.capacity {
            let taken = self.capacity - connections;
            let room = self.room.clone();
            tokio::spawn(async move {
                if let Ok(permits) = room.acquire_many_owned(taken).await {
                    permits.forget();
                }
            });
        }
        self.capacity = connections;
    }
}

/// A port that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("listen on {address} port {port}: {source}")]
pub struct ListenError {
    address: IpAddr,
    port: u16,
    source: io::Error,
}

async fn accept(
    reception: Arc<Reception>,
    (socket, port): (TcpListener, u16),
    room: Arc<Semaphore>,
    stop: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) if stream.set_nodelay(true).is_ok() => match room.clone().try_acquire_owned() {
                Ok(permit) => {
                    let serving = reception.clone();
                    reception.sessions.spawn(async move {
                        // Made in here: a future that is taken in and then awaited has room for itself twice.
                        serving.serve(stream, peer, port).await;
                        drop(permit);
                    });
                }
                Err(_) => {
                    reception.metrics.refused.with_label_values(&["421"]).inc();
                    reception
                        .log
                        .at(LogLevel::Problems, Tag::SmtpIn)
                        .field("client", peer)
                        .say("turned a client away: limits.clientConnections is reached");
                    let hello = reception.config.borrow().hello.clone();
                    let text = format!("{hello} has as many connections as it may; try again later");
                    let reply = Reply::enhanced(421, (3, 2), text);
                    // What a load balancer has to say for whom was not read.
                    if !reception.config.borrow().border.is_proxy(port, peer.ip()) {
                        reception.turned_away(peer.ip(), &reply);
                    }
                    tokio::spawn(turn_away(stream, reply));
                }
            },
            // The client was gone before anything could be said to it.
            Ok(_) => {}
            Err(error) => {
                reception.log.at(LogLevel::Problems, Tag::SmtpIn).say(format_args!("accept a connection: {error}"));
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn turn_away(mut stream: TcpStream, reply: Reply) {
    let mut text = BytesMut::new();
    reply.render(&mut text);
    // A client that does not even take the refusal is not waited for.
    let _ = time::timeout(Duration::from_secs(5), stream.write_all(&text)).await;
}
