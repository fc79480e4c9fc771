//! A connection, in clear or under TLS.

use std::{
    io,
    net::IpAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::TcpStream,
    time,
};
use tokio_rustls::{TlsConnector, TlsStream};

use super::{Acceptor, Bindings, Details, Facts, HANDSHAKE_TIMEOUT, TlsFault, Wanted, binding::end_point};

/// How long the other side may take for the end of TLS: it only has to be told.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection, in clear or under TLS.
#[derive(Debug)]
pub enum Stream {
    /// In clear.
    Plain(TcpStream),
    /// Under TLS; boxed, so that a connection in clear does not carry its size.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// The server's side of a handshake.
    ///
    /// # Errors
    /// What went wrong; the connection is of no use any more.
    pub async fn accept(self, acceptor: Acceptor) -> io::Result<(Stream, Details)> {
        let Stream::Plain(stream) = self else {
            return Err(io::Error::other("TLS is active already"));
        };
        let stream = time::timeout(HANDSHAKE_TIMEOUT, acceptor.tls.accept(stream)).await??;
        let connection = stream.get_ref().1;
        let server = acceptor.server_side(connection);
        let details = Details { server, ..Details::of(connection) };
        Ok((Stream::Tls(Box::new(TlsStream::Server(stream))), details))
    }

    /// The client's side of a handshake.
    ///
    /// # Errors
    /// What went wrong; the connection is of no use any more.
    pub async fn connect(self, wanted: &Wanted) -> Result<Stream, TlsFault> {
        let Stream::Plain(stream) = self else {
            return Err(TlsFault::Io(io::Error::other("TLS is active already")));
        };
        let handshake = TlsConnector::from(wanted.config.clone()).connect(wanted.name.clone(), stream);
        let stream =
            time::timeout(HANDSHAKE_TIMEOUT, handshake).await.map_err(|_| TlsFault::TimedOut(HANDSHAKE_TIMEOUT))??;
        Ok(Stream::Tls(Box::new(TlsStream::Client(stream))))
    }

    /// What the handshake agreed on; none in clear.
    #[must_use]
    pub fn details(&self) -> Option<Details> {
        match self {
            Stream::Plain(_) => None,
            Stream::Tls(stream) => Some(Details::of(stream.get_ref().1)),
        }
    }

    /// What SCRAM can bind to on a connection to a host; nothing in clear.
    #[must_use]
    pub fn bindings(&self) -> Option<Bindings> {
        match self {
            Stream::Tls(stream) => match stream.as_ref() {
                TlsStream::Client(client) => {
                    let connection = client.get_ref().1;
                    let shown = connection.peer_certificates().and_then(<[_]>::first);
                    Some(Bindings::of(connection, shown.and_then(end_point)))
                }
                TlsStream::Server(_) => None,
            },
            Stream::Plain(_) => None,
        }
    }

    /// The relay's own address in it.
    #[must_use]
    pub fn local_ip(&self) -> Option<IpAddr> {
        let stream = match self {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => stream.get_ref().0,
        };
        stream.local_addr().ok().map(|address| address.ip())
    }

    /// What the certificate of the other side says of itself, where it showed one.
    #[must_use]
    pub fn peer_certificate(&self) -> Option<String> {
        match self {
            Stream::Plain(_) => None,
            Stream::Tls(stream) => Some(Facts(stream.get_ref().1.peer_certificates()?.first()?).to_string()),
        }
    }

    /// Writes all of it, to the socket.
    ///
    /// # Errors
    /// What the system or TLS says.
    pub async fn say(&mut self, octets: &[u8]) -> io::Result<()> {
        self.write_all(octets).await?;
        // TLS may still hold records that the socket had no room for.
        self.flush().await
    }

    /// Tells the other side that TLS ends here, so that it need not take the end for an attack.
    pub async fn close(mut self) {
        if let Stream::Tls(_) = &self {
            // Nobody is left to tell of a failure.
            let _ = time::timeout(CLOSE_TIMEOUT, self.shutdown()).await;
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, octets),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write(context, octets),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
        }
    }
}
