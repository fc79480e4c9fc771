//! Opens one TCP connection.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{net::TcpStream, time};

/// How long a connection may take to open. RFC 5321 leaves it open; Postfix takes the same 30 seconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Why no connection could be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// What the system said.
    #[error("connect to {peer}: {source}")]
    Io {
        /// The address and port.
        peer: SocketAddr,
        /// The error, with its errno.
        source: io::Error,
    },
    /// No answer at all.
    #[error(
        "connect to {peer}: no answer within {} seconds; many networks block port 25 on its way out",
        CONNECT_TIMEOUT.as_secs()
    )]
    TimedOut {
        /// The address and port.
        peer: SocketAddr,
    },
}

impl ConnectError {
    /// The errno, where the system gave one; a connection that timed out here counts as the system's own time-out.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            ConnectError::Io { source, .. } => source.raw_os_error(),
            ConnectError::TimedOut { .. } => Some(rustix::io::Errno::TIMEDOUT.raw_os_error()),
        }
    }
}

/// Opens a connection. The lease is what allows it: without one there is no way to call this.
///
/// # Errors
/// When the system refuses, or there is no answer in time.
pub async fn connect(_lease: &super::Lease, peer: SocketAddr) -> Result<TcpStream, ConnectError> {
    let stream = time::timeout(CONNECT_TIMEOUT, TcpStream::connect(peer))
        .await
        .map_err(|_| ConnectError::TimedOut { peer })?
        .map_err(|source| ConnectError::Io { peer, source })?;
    // The client writes each flight at once; waiting for more would only add a round trip.
    stream.set_nodelay(true).map_err(|source| ConnectError::Io { peer, source })?;
    Ok(stream)
}
