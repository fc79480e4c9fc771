//! Opens a TCP connection: to one address, or to the first of two that answers.

use std::{future::Future, io, net::SocketAddr, time::Duration};

use mailsluice_crds::{
    catalogue::{Code, Errno},
    relay::SourceAddress,
};
use tokio::{net::TcpStream, time};

use crate::{
    errors::io_code,
    socket::{self, Failure},
};

/// How long a connection may take to open. RFC 5321 leaves it open; Postfix takes the same 30 seconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// The head start of the first address before the second, of the other family, is tried beside it (RFC 8305 section 5).
const HEAD_START: Duration = Duration::from_millis(250);

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
    /// The route's source is nothing that this machine can connect from.
    #[error("connect to {peer} from the route's source {}: {error}", shown(.from))]
    Source {
        /// The address and port.
        peer: SocketAddr,
        /// The source.
        from: SourceAddress,
        /// The error, with its errno.
        error: io::Error,
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
    /// The code: the system's errno; a connection that timed out here counts as the system's own time-out.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            ConnectError::Io { source, .. } => io_code(source),
            ConnectError::Source { error, .. } => io_code(error),
            ConnectError::TimedOut { .. } => Errno::TIMED_OUT.into(),
        }
    }
}

/// What came of trying one address, or two.
#[derive(Debug)]
pub struct Race<S, E> {
    /// The connection, and the index of the address that it leads to.
    pub won: Option<(usize, S)>,
    /// The addresses that failed, by their index. One that was merely slower is in neither.
    pub failed: Vec<(usize, E)>,
}

fn shown(source: &SourceAddress) -> String {
    let SourceAddress { ipv4, ipv6, interface } = source;
    let parts = [ipv4.map(|four| four.to_string()), ipv6.map(|six| six.to_string()), interface.clone()];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Opens a connection, from `source` where one is given, to the first address, or to the second if that one answers sooner or the first fails. The lease is what
/// allows it: without one there is no way to call this.
pub async fn connect(
    _lease: &super::Lease,
    source: Option<&SourceAddress>,
    first: SocketAddr,
    second: Option<SocketAddr>,
) -> Race<TcpStream, ConnectError> {
    race(open(first, source), second.map(|second| open(second, source))).await
}

async fn open(peer: SocketAddr, from: Option<&SourceAddress>) -> Result<TcpStream, ConnectError> {
    time::timeout(CONNECT_TIMEOUT, socket::connect(peer, from))
        .await
        .map_err(|_| ConnectError::TimedOut { peer })?
        .map_err(|failure| match failure {
            Failure::Connect(source) => ConnectError::Io { peer, source },
            Failure::Source(error) => ConnectError::Source { peer, from: from.cloned().unwrap_or_default(), error },
        })
}

/// Lets the second run beside the first once that has failed, or has not come to an end within its head start.
async fn race<S, E>(
    first: impl Future<Output = Result<S, E>>,
    second: Option<impl Future<Output = Result<S, E>>>,
) -> Race<S, E> {
    let mut failed = Vec::new();
    tokio::pin!(first);
    let Some(second) = second else {
        return match first.await {
            Ok(stream) => Race { won: Some((0, stream)), failed },
            Err(error) => Race { won: None, failed: vec![(0, error)] },
        };
    };
    match time::timeout(HEAD_START, &mut first).await {
        Ok(Ok(stream)) => return Race { won: Some((0, stream)), failed },
        Ok(Err(error)) => failed.push((0, error)),
        Err(_) => {}
    }
    let mut first_runs = failed.is_empty();
    let mut second_runs = true;
    tokio::pin!(second);
    while first_runs || second_runs {
        tokio::select! {
            biased;
            result = &mut first, if first_runs => match result {
                Ok(stream) => return Race { won: Some((0, stream)), failed },
                Err(error) => {
                    first_runs = false;
                    failed.push((0, error));
                }
            },
            result = &mut second, if second_runs => match result {
                Ok(stream) => return Race { won: Some((1, stream)), failed },
                Err(error) => {
                    second_runs = false;
                    failed.push((1, error));
                }
            },
        }
    }
    Race { won: None, failed }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An address that answers after so many milliseconds, or fails then.
    async fn after(
        milliseconds: u64,
        result: Result<&'static str, &'static str>,
    ) -> Result<&'static str, &'static str> {
        time::sleep(Duration::from_millis(milliseconds)).await;
        result
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_address_is_preferred_and_the_second_waits_no_longer_than_it_must() {
        let (ok, err) = (|ms| (ms, Ok("stream")), |ms| (ms, Err("refused")));
        for (first, second, won, failed, took) in [
            (ok(10), ok(10), Some(0), vec![], 10),
            (ok(249), ok(1), Some(0), vec![], 249),
            (ok(1_000), ok(10), Some(1), vec![], 260),
            (ok(300), ok(100), Some(0), vec![], 300),
            (err(10), ok(10), Some(1), vec![0], 20),
            (err(280), ok(50), Some(1), vec![0], 300),
            (ok(400), err(10), Some(0), vec![1], 400),
            (err(30_000), ok(40), Some(1), vec![], 290),
            (err(30_000), err(40), None, vec![1, 0], 30_000),
            (err(5), err(6), None, vec![0, 1], 11),
        ] {
            let begun = time::Instant::now();
            let race = race(after(first.0, first.1), Some(after(second.0, second.1))).await;
            let shown = format!("{first:?} beside {second:?}");
            assert_eq!(race.won.map(|(index, _)| index), won, "{shown}");
            assert_eq!(race.failed.iter().map(|(index, _)| *index).collect::<Vec<_>>(), failed, "{shown}");
            let late = begun.elapsed().as_millis() as u64;
            assert!((took..took + 5).contains(&late), "{shown}: {late} ms");
        }
    }
}
