//! Relays as far as the operator sees them: each serves a Monitor on a loopback address of its own, and changes it when it is told to.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use mailsluice_crds::monitor::Snapshot;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::{
    io::{self, AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
    time,
};

use crate::objects;

/// The port that every relay's pod has.
const PORT: u16 = 8025;
/// What a relay sends while nothing changes.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// The Monitors of all relays.
pub(super) struct Monitors(Vec<watch::Sender<Arc<str>>>);

/// The address of the pod of that relay.
pub(super) fn address(relay: usize) -> Ipv4Addr {
    let number = u32::try_from(relay).expect("few enough");
    Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 64, 0, 1)) + number)
}

/// Allows for a listener of each, and connections of two operators, of which the one before is not yet known to be gone.
pub(super) fn allow_files(relays: usize) {
    let wanted = relays as u64 * 3 + 200;
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted.min(maximum.unwrap_or(wanted))), maximum })
        .expect("a limit of open files");
}

impl Monitors {
    /// Serves them, empty, until the process ends.
    pub(super) async fn start(relays: usize) -> Monitors {
        let mut shown = Vec::with_capacity(relays);
        for relay in 0..relays {
            let (sender, receiver) = watch::channel(line(relay, 0, &[]));
            let socket =
                TcpListener::bind(SocketAddr::from((address(relay), PORT))).await.expect("the address of a pod");
            tokio::spawn(serve(socket, receiver));
            shown.push(sender);
        }
        Monitors(shown)
    }

    /// Shows that many messages, which nothing hinders.
    pub(super) fn show_messages(&self, relay: usize, messages: u64) {
        let row = json!({"host": "example.com", "state": "Sending", "messages": messages});
        self.0[relay].send_replace(line(relay, messages, &[row]));
    }

    /// Shows a message for a host that is suspended.
    pub(super) fn suspend(&self, relay: usize) {
        let row = json!({
            "host": "example.com",
            "state": "Suspended",
            "messages": 1,
            "suspendedTill": Timestamp::now() + Duration::from_secs(300),
            "reason": "ConnectionFailed",
            "problem": "192.0.2.7:25 refused the connection: ECONNREFUSED (111)",
        });
        self.0[relay].send_replace(line(relay, 1, &[row]));
    }
}

/// A line of the stream.
fn line(relay: usize, messages: u64, rows: &[Value]) -> Arc<str> {
    let suspended = rows.iter().filter(|row| row["state"] == "Suspended").count();
    let snapshot = json!({
        "relay": objects::relay(relay),
        "version": env!("CARGO_PKG_VERSION"),
        "logLevel": "Problems",
        "link": {"state": "Open"},
        "queue": {"messages": messages, "bytes": messages * 4_096, "hosts": rows.len(), "suspendedHosts": suspended},
        "monitor": rows,
        "hostsNotShown": 0,
    });
    let snapshot: Snapshot = serde_json::from_value(snapshot).expect("a Monitor");
    let mut line = serde_json::to_string(&snapshot).expect("JSON");
    line.push('\n');
    line.into()
}

async fn serve(socket: TcpListener, shown: watch::Receiver<Arc<str>>) {
    while let Ok((connection, _)) = socket.accept().await {
        tokio::spawn(answer(connection, shown.clone()));
    }
}

/// Sends what is shown, until the other side has enough.
async fn answer(connection: TcpStream, mut shown: watch::Receiver<Arc<str>>) -> io::Result<()> {
    let mut connection = BufReader::new(connection);
    let mut request = String::new();
    while connection.read_line(&mut request).await? > 2 {}
    connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n\r\n").await?;
    shown.mark_changed();
    loop {
        let line = match time::timeout(HEARTBEAT, shown.changed()).await {
            Ok(Ok(())) => shown.borrow_and_update().clone(),
            Ok(Err(_)) => return Ok(()),
            Err(_) => "\n".into(),
        };
        connection.write_all(line.as_bytes()).await?;
    }
}
