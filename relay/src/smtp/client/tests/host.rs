//! A host that follows a script.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::task::JoinHandle;

/// A line of the script.
#[derive(Debug, Clone)]
pub(super) enum Line {
    /// The client sends exactly this.
    Expect(&'static str),
    /// The same.
    ExpectOwned(String),
    /// The client closes without another octet.
    ExpectEnd,
    /// The host sends this.
    Say(&'static str),
    /// The host closes.
    HangUp,
    /// The host does nothing any more, its connection open.
    Silence,
}

/// The host and the client's end of its connection.
pub(super) struct Host {
    stream: RefCell<Option<DuplexStream>>,
    script: JoinHandle<DuplexStream>,
}

impl Host {
    pub(super) fn start(lines: Vec<Line>) -> Self {
        let (stream, host) = tokio::io::duplex(64 * 1024);
        Self { stream: RefCell::new(Some(stream)), script: tokio::spawn(follow(host, lines)) }
    }

    /// The client's end; to be had once.
    pub(super) fn stream(&self) -> DuplexStream {
        self.stream.borrow_mut().take().unwrap()
    }

    /// The client's end, and how often it was written to.
    pub(super) fn counted_stream(&self) -> (Counted, Writes) {
        let writes = Writes::default();
        (Counted(self.stream(), writes.clone()), writes)
    }

    /// Waits until the script was followed to its end.
    pub(super) async fn done(self) {
        self.script.await.unwrap();
    }
}

/// Follows the script; the connection stays open as long as the result is held.
async fn follow(mut stream: DuplexStream, lines: Vec<Line>) -> DuplexStream {
    for line in lines {
        match line {
            Line::Expect(text) => expect(&mut stream, text).await,
            Line::ExpectOwned(text) => expect(&mut stream, &text).await,
            Line::ExpectEnd => {
                let mut rest = Vec::new();
                stream.read_to_end(&mut rest).await.unwrap();
                assert!(rest.is_empty(), "the client sent {}", rest.escape_ascii());
            }
            Line::Say(text) => stream.write_all(text.as_bytes()).await.unwrap(),
            Line::HangUp => {
                stream = tokio::io::duplex(1).0;
                break;
            }
            Line::Silence => std::future::pending().await,
        }
    }
    stream
}

async fn expect(stream: &mut DuplexStream, text: &str) {
    let mut seen = vec![0; text.len()];
    let result = stream.read_exact(&mut seen).await;
    assert!(result.is_ok(), "the client left before {}", text.escape_debug());
    assert_eq!(String::from_utf8_lossy(&seen), text);
}

/// How often a stream was written to.
#[derive(Debug, Clone, Default)]
pub(super) struct Writes(Arc<AtomicUsize>);

impl Writes {
    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A stream that counts the writes.
#[derive(Debug)]
pub(super) struct Counted(DuplexStream, Writes);

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.1.0.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.0).poll_write(context, octets)
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
