//! One relay pod's Monitor, read as a stream of snapshots.

use std::{
    future, io,
    net::SocketAddr,
    pin::Pin,
    task::{Poll, ready},
    time::Duration,
};

use http::StatusCode;
use mailsluice_crds::monitor::Snapshot;
use tokio::{
    io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf},
    net::TcpStream,
    time,
};

use super::response::{self, Body, ResponseError};
use crate::credential::Token;

/// A pod that is there answers a connection in milliseconds.
const CONNECT: Duration = Duration::from_secs(5);
/// The relay sends an empty line each 10 s; after three of them the pod is taken for gone.
const SILENCE: Duration = Duration::from_secs(30);
/// Octets that are read at a time.
const READ: usize = 8 << 10;
/// 64 rows with all their texts at their longest are under 1 MiB.
const LONGEST_LINE: usize = 1 << 20;

/// Why a pod's Monitor cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    /// No connection, or it broke.
    #[error("{}", .0.kind())]
    Io(#[from] io::Error),
    /// It did not answer in time.
    #[error("no answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// What it answered is no HTTP.
    #[error("it does not answer by HTTP: {0}")]
    Http(#[from] ResponseError),
    /// It answered with something else.
    #[error("it answered {0}")]
    Refused(StatusCode),
    /// A line was longer than any Monitor is.
    #[error("a line of more than {LONGEST_LINE} octets")]
    TooLong,
    /// A line was no snapshot.
    #[error("no Monitor of a relay that this operator knows: {0}")]
    NoSnapshot(#[from] serde_json::Error),
    /// The pod's address is another relay's by now.
    #[error("it is the relay {0:?}")]
    OtherRelay(String),
    /// The relay ended the stream, as it does when it stops.
    #[error("it ended the stream")]
    Ended,
}

/// Reads snapshots until something fails, which it always does in the end, and hands on each.
pub(super) async fn read(
    address: SocketAddr,
    token: &Token,
    relay: &str,
    mut each: impl FnMut(Snapshot),
) -> StreamError {
    match read_until_failure(address, token, relay, &mut each).await {
        Ok(()) => StreamError::Ended,
        Err(error) => error,
    }
}

async fn read_until_failure(
    address: SocketAddr,
    token: &Token,
    relay: &str,
    each: &mut impl FnMut(Snapshot),
) -> Result<(), StreamError> {
    // On the heap while it lasts: what the question takes need not be held for as long as the pod is followed.
    let (mut socket, mut body, begun) = Box::pin(ask(address, token)).await?;
    let mut lines = Lines::default();
    let mut take = |octets: &[u8]| {
        body.take(octets, |data| {
            lines.take(data, |line| {
                let snapshot: Snapshot = serde_json::from_slice(line)?;
                if snapshot.relay != relay {
                    return Err(StreamError::OtherRelay(snapshot.relay));
                }
                each(snapshot);
                Ok(())
            })
        })?;
        Ok::<_, StreamError>(body.has_ended())
    };
    let mut ended = take(&begun)?;
    drop(begun);
    while !ended {
        ended = within(SILENCE, take_next(&mut socket, &mut take)).await??;
    }
    Ok(())
}

/// Asks for the stream; the connection, the body that comes by it, and what has come of that already.
async fn ask(address: SocketAddr, token: &Token) -> Result<(TcpStream, Body, Vec<u8>), StreamError> {
    let mut socket = within(CONNECT, TcpStream::connect(address)).await??;
    let secret = token.secret();
    let question = format!("GET /monitor/stream HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {secret}\r\n\r\n");
    let answer = async {
        socket.write_all(question.as_bytes()).await?;
        let mut octets = Vec::with_capacity(READ);
        loop {
            if socket.read_buf(&mut octets).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            if let Some(head) = response::head(&octets)? {
                if head.status != StatusCode::OK {
                    return Err(StreamError::Refused(head.status));
                }
                return Ok((head.body, octets.split_off(head.octets)));
            }
        }
    };
    let (body, begun) = within(CONNECT, answer).await??;
    Ok((socket, body, begun))
}

/// Reads what has come next and hands it on; whether that was the last.
async fn take_next(
    socket: &mut TcpStream,
    mut take: impl FnMut(&[u8]) -> Result<bool, StreamError>,
) -> Result<bool, StreamError> {
    future::poll_fn(|context| {
        // On the stack: one for each pod would be memory that is nearly always idle.
        let mut octets = [0; READ];
        let mut buffer = ReadBuf::new(&mut octets);
        ready!(Pin::new(&mut *socket).poll_read(context, &mut buffer))?;
        Poll::Ready(match buffer.filled() {
            [] => Ok(true),
            octets => take(octets),
        })
    })
    .await
}

async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Result<T, StreamError> {
    time::timeout(limit, future).await.map_err(|_| StreamError::Silent(limit))
}

/// Cuts a stream of octets into lines of bounded length, and leaves out empty ones.
#[derive(Debug, Default)]
struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    fn take(
        &mut self,
        mut data: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), StreamError>,
    ) -> Result<(), StreamError> {
        while let Some(end) = data.iter().position(|octet| *octet == b'\n') {
            let (line, rest) = data.split_at(end);
            self.append(line)?;
            data = rest.get(1..).unwrap_or_default();
            let line = std::mem::take(&mut self.begun);
            if !line.is_empty() {
                each(&line)?;
            }
        }
        self.append(data)
    }

    fn append(&mut self, data: &[u8]) -> Result<(), StreamError> {
        if self.begun.len() + data.len() > LONGEST_LINE {
            return Err(StreamError::TooLong);
        }
        self.begun.extend_from_slice(data);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(chunks: &[&str]) -> Result<Vec<String>, StreamError> {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for chunk in chunks {
            lines.take(chunk.as_bytes(), |line| {
                seen.push(String::from_utf8_lossy(line).into_owned());
                Ok(())
            })?;
        }
        Ok(seen)
    }

    #[test]
    fn lines_are_found_however_the_network_cuts_them_and_heartbeats_are_left_out() {
        for (chunks, expected) in [
            (vec!["{1}\n{2}\n"], vec!["{1}", "{2}"]),
            (vec!["{", "1", "}", "\n"], vec!["{1}"]),
            (vec!["\n\n{1}\n", "\n"], vec!["{1}"]),
            (vec!["{1}"], vec![]),
        ] {
            assert_eq!(lines_of(&chunks).unwrap(), expected, "{chunks:?}");
        }
    }

    #[test]
    fn a_line_without_an_end_is_cut_off_before_it_fills_the_memory() {
        let chunk = "x".repeat(LONGEST_LINE / 2 + 1);
        assert!(matches!(lines_of(&[&chunk, &chunk]), Err(StreamError::TooLong)));
    }

    const SNAPSHOT: &str = r#"{"relay":"outbound","version":"1","logLevel":"Major","link":{"state":"Open"},"queue":{"messages":0,"bytes":0,"hosts":0,"suspendedHosts":0},"monitor":[],"hostsNotShown":0}"#;

    /// A pod that answers one request with this, and what it was asked.
    async fn pod(answer: String) -> (SocketAddr, tokio::task::JoinHandle<String>) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let asked = tokio::spawn(async move {
            let (mut connection, _) = socket.accept().await.unwrap();
            let mut asked = vec![0; 4_096];
            let length = connection.read(&mut asked).await.unwrap();
            connection.write_all(answer.as_bytes()).await.unwrap();
            asked.truncate(length);
            String::from_utf8(asked).unwrap()
        });
        (address, asked)
    }

    #[tokio::test]
    async fn a_pods_stream_is_read_with_the_credential_and_whatever_ends_it_is_told() {
        let lines = format!("{SNAPSHOT}\n\n{SNAPSHOT}\n");
        let ok = |body: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let chunked = |body: &str| {
            let parts = body
                .as_bytes()
                .chunks(100)
                .map(|part| format!("{:x}\r\n{}\r\n", part.len(), std::str::from_utf8(part).unwrap()));
            let parts: String = parts.collect();
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{parts}0\r\n\r\n")
        };
        let other = SNAPSHOT.replace("outbound", "inbound") + "\n";
        for (name, answer, snapshots, end) in [
            ("two snapshots", ok(&lines), 2, "it ended the stream"),
            (
                "no credential",
                "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n".into(),
                0,
                "it answered 401 Unauthorized",
            ),
            ("another relay", ok(&other), 0, r#"it is the relay "inbound""#),
            ("no Monitor", ok("{}\n"), 0, "no Monitor of a relay that this operator knows"),
            ("in chunks", chunked(&lines), 2, "it ended the stream"),
            ("to the connection's end", format!("HTTP/1.1 200 OK\r\n\r\n{lines}"), 2, "it ended the stream"),
            ("no answer", String::new(), 0, "unexpected end of file"),
            ("no HTTP", "220 ESMTP\r\n".into(), 0, "it does not answer by HTTP: invalid HTTP version"),
        ] {
            let (address, asked) = pod(answer).await;
            let token = crate::credential::tests::token();
            let mut seen = 0;
            let error = read(address, &token, "outbound", |_| seen += 1).await;
            assert_eq!(seen, snapshots, "{name}");
            assert!(error.to_string().starts_with(end), "{name}: {error}");
            let asked = asked.await.unwrap();
            assert!(asked.starts_with("GET /monitor/stream "), "{name}: {asked}");
            assert!(asked.contains(&format!("authorization: Bearer {}\r\n", token.secret())), "{name}: {asked}");
        }
        let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = nobody.local_addr().unwrap();
        drop(nobody);
        let error = read(closed, &crate::credential::tests::token(), "outbound", |_| ()).await;
        assert_eq!(error.to_string(), "connection refused");
    }
}
