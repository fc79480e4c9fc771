//! Waits until a sidecar takes mail: the hook by which the kubelet starts the next container of the pod no sooner.
//!
//! A hook, and no startup probe, which would cost the pod seconds: the kubelet runs the hook as a part of the container's start, and looks at a
//! probe once a second, and at what it found another second later.

use std::{
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

/// How long a sidecar is waited for: it starts in some milliseconds, and one that does not come must not hold its pod back.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until the sidecar that serves its health at `http` takes mail, for so long at most; whether it does. That port is the last that it
/// opens.
#[must_use]
pub fn await_started(http: SocketAddr, patience: Duration) -> bool {
    let end = Instant::now() + patience;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        if TcpStream::connect_timeout(&http, left).is_ok() {
            return true;
        }
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::{net::TcpSocket, task};

    use super::*;

    #[tokio::test]
    async fn the_wait_ends_when_the_port_is_open_or_the_time_is_over() {
        // Bound, so that nobody else gets the port, and not open yet.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = socket.local_addr().unwrap();
        assert!(!await_started(address, Duration::from_millis(20)));
        let waiting = task::spawn_blocking(move || await_started(address, Duration::from_secs(60)));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!waiting.is_finished(), "nobody listens yet");
        let _listener = socket.listen(1).unwrap();
        assert!(waiting.await.unwrap());
    }
}
