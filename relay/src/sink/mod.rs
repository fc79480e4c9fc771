//! An SMTP server that accepts everything: where a first try and benchmarks deliver to.
//!
//! - [`session`]: one client's session;
//! - [`show`]: what is printed, a line for each message or totals;
//! - [`keep`]: messages and their envelopes as files.

mod keep;
mod session;
mod show;

use std::{
    fmt,
    future::Future,
    io::{self, Write as _},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio::{net::TcpListener, time};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{smtp::server, socket};
use keep::Keeper;
use show::Show;

/// How the sink calls itself.
const HOSTNAME: &str = "mailsluice-sink";

/// The largest message: a number that every client can read (RFC 1870 allows 20 digits), and that none reaches.
const MAX_SIZE: u64 = 1 << 40;

/// The wait after an accept that failed for want of descriptors or memory: at once it would only fail again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a stop waits for messages that are under way.
const STOP_TIME: Duration = Duration::from_secs(2);

/// What the command line says.
#[derive(Debug)]
pub struct Options {
    /// Where to listen.
    pub address: SocketAddr,
    /// Print totals instead of a line for each message.
    pub quiet: bool,
    /// The folder in which messages are kept.
    pub save: Option<PathBuf>,
}

/// What sessions work with.
struct Sink {
    protocol: Arc<server::Config>,
    show: Show,
    keeper: Option<Keeper>,
    stop: CancellationToken,
}

/// Accepts mail until `stopped`.
///
/// # Errors
/// When the port or the folder cannot be opened, or nobody takes what is printed.
pub async fn run(options: Options, stopped: impl Future<Output = ()>) -> io::Result<()> {
    let Options { address, quiet, save } = options;
    let socket = socket::listen(address).map_err(|error| during(&error, format_args!("listen on {address}")))?;
    let keeper = match save {
        Some(folder) => {
            let name = folder.display().to_string();
            Some(Keeper::open(folder).map_err(|error| during(&error, format_args!("keep messages in {name}")))?)
        }
        None => None,
    };
    say(format_args!("takes mail on {}", socket.local_addr()?));
    serve(socket, keeper, quiet, io::stdout(), stopped).await
}

async fn serve(
    socket: TcpListener,
    keeper: Option<Keeper>,
    quiet: bool,
    out: impl io::Write + Send + 'static,
    stopped: impl Future<Output = ()>,
) -> io::Result<()> {
    let mut protocol = server::Config::new(HOSTNAME, MAX_SIZE);
    protocol.max_recipients = usize::MAX;
    let (show, mut printer) = if quiet { Show::totals(out) } else { Show::lines(out) };
    let sink = Arc::new(Sink { protocol: Arc::new(protocol), show, keeper, stop: CancellationToken::new() });
    let sessions = TaskTracker::new();
    let printed = tokio::select! {
        () = accept(&socket, &sink, &sessions) => None,
        () = stopped => None,
        printed = printer.ended() => Some(printed),
    };
    drop(socket);
    sink.stop.cancel();
    sessions.close();
    // Who has not ended by then is cut off with the process.
    let _ = time::timeout(STOP_TIME, sessions.wait()).await;
    match printed {
        Some(printed) => printed,
        None => {
            sink.show.end();
            printer.ended().await
        }
    }
}

async fn accept(socket: &TcpListener, sink: &Arc<Sink>, sessions: &TaskTracker) {
    loop {
        match socket.accept().await {
            Ok((stream, peer)) => {
                let sink = sink.clone();
                // A client that goes away without a word ends its session, and nothing else.
                sessions.spawn(async move { session::run(&sink, stream, peer).await.ok() });
            }
            Err(error) => {
                say(format_args!("accept a connection: {error}"));
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Says something that is about no message, on standard error.
fn say(what: impl fmt::Display) {
    // Who has closed it does not want to know.
    let _ = writeln!(io::stderr(), "{what}");
}

fn during(error: &io::Error, what: impl fmt::Display) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

#[cfg(test)]
mod tests;
