//! STARTTLS on the way out (RFC 3207).

use std::future::Future;

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Client, ClientError, ErrorKind, Fate, Observer, Stage, wire::Wire};
use crate::{smtp::reply::Reply, tls::TlsFault};

/// What came of asking for TLS.
#[derive(Debug)]
pub enum StartTls<S, T, O> {
    /// The session begins anew, under TLS.
    Done(Client<T, O>),
    /// The host would not, with this reply; the session goes on in clear.
    Refused(Client<S, O>, Reply),
}

impl<S, O> Client<S, O>
where
    S: AsyncRead + AsyncWrite + Unpin,
    O: Observer,
{
    /// Asks for TLS, lets `handshake` make it of the connection, and says EHLO again. What the host had offered is forgotten.
    ///
    /// # Errors
    /// The connection is at its end: see [`ErrorKind::Tls`].
    pub async fn start_tls<T, F>(mut self, handshake: impl FnOnce(S) -> F) -> Result<StartTls<S, T, O>, ClientError>
    where
        T: AsyncRead + AsyncWrite + Unpin,
        F: Future<Output = Result<T, TlsFault>>,
    {
        let timeouts = self.config.timeouts;
        self.wire.enter(Stage::StartTls);
        self.wire.command(&["STARTTLS"]);
        self.wire.flush(timeouts.block).await?;
        let reply = self.wire.reply(timeouts.start_tls).await?;
        if reply.closes() {
            return Err(self.wire.error(ErrorKind::Reply(reply)));
        }
        if !reply.is_success() {
            self.wire.enter(Stage::Idle);
            return Ok(StartTls::Refused(self, reply));
        }
        let fault =
            |fault| ClientError { stage: Stage::StartTls, kind: ErrorKind::Tls(fault), fate: Fate::NotAccepted };
        let (stream, observer) = self.wire.into_parts().ok_or_else(|| fault(TlsFault::Injection))?;
        // A boxed future: it is large, and over before the first message.
        let stream = Box::pin(handshake(stream)).await.map_err(fault)?;
        let wire = Wire::new(stream, observer);
        Client::greeted(wire, self.config, self.banner).await.map(StartTls::Done)
    }
}
