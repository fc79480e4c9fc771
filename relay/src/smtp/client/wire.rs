//! The connection of a client session: flights of commands out, replies in, each with its time limit.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

use super::{ClientError, ErrorKind, Fate, Observer, Stage};
use crate::smtp::reply::{Reply, ReplyError, ReplyParser, Severity};

/// Octets read at once: the replies to a flight, mostly.
const READ_SIZE: usize = 2 * 1024;
/// Octets of replies that are read while a write waits; more than a batch of commands can call for.
const READ_AHEAD_MAX: usize = 64 * 1024;
/// Octets of buffer that an idle session keeps.
const KEPT_SIZE: usize = 8 * 1024;

/// What is shown in the place of secrets.
pub(super) const HIDDEN: &str = "…";

#[derive(Debug)]
pub(super) struct Wire<S, O> {
    stream: S,
    pub(super) observer: O,
    input: BytesMut,
    /// What the next flush writes.
    pub(super) output: BytesMut,
    parser: ReplyParser,
    stage: Stage,
    pub(super) fate: Fate,
}

impl<S, O> Wire<S, O>
where
    S: AsyncRead + AsyncWrite + Unpin,
    O: Observer,
{
    pub(super) fn new(stream: S, observer: O) -> Self {
        Self {
            stream,
            observer,
            input: BytesMut::new(),
            output: BytesMut::new(),
            parser: ReplyParser::new(),
            stage: Stage::Idle,
            fate: Fate::NotAccepted,
        }
    }

    /// Comes to a stage.
    pub(super) fn enter(&mut self, stage: Stage) {
        if self.stage != stage {
            self.stage = stage;
            self.observer.stage(stage);
        }
    }

    /// An error at this stage.
    pub(super) fn error(&self, kind: ErrorKind) -> ClientError {
        ClientError { stage: self.stage, kind, fate: self.fate }
    }

    /// The error of a reply that makes no sense at this stage.
    pub(super) fn unexpected(&self, reply: Reply) -> ClientError {
        self.error(ErrorKind::Protocol(ReplyError::Unexpected(Box::new(reply))))
    }

    /// Puts a command, given in parts, into the next flight.
    pub(super) fn command(&mut self, parts: &[&str]) {
        let start = self.output.len();
        for part in parts {
            self.output.extend_from_slice(part.as_bytes());
        }
        let line = self.output.get(start..).unwrap_or_default();
        if let Ok(line) = std::str::from_utf8(line) {
            self.observer.command(line);
        }
        self.output.extend_from_slice(b"\r\n");
    }

    /// Puts a command, as it was written, into the next flight.
    pub(super) fn command_octets(&mut self, line: &[u8]) {
        if let Ok(line) = std::str::from_utf8(line) {
            self.observer.command(line);
        }
        self.output.extend_from_slice(line);
        self.output.extend_from_slice(b"\r\n");
    }

    /// Puts a line that holds a secret into the next flight; the observer is told of `shown` in its place.
    pub(super) fn secret(&mut self, parts: &[&str], shown: &str) {
        for part in parts {
            self.output.extend_from_slice(part.as_bytes());
        }
        self.observer.command(shown);
        self.output.extend_from_slice(b"\r\n");
    }

    /// The connection.
    pub(super) fn stream(&self) -> &S {
        &self.stream
    }

    /// Writes the flight.
    pub(super) async fn flush(&mut self, limit: Duration) -> Result<(), ClientError> {
        let result = timeout(limit, self.write_out()).await;
        self.output.clear();
        match result {
            Ok(Ok(())) => Ok(()),
            Ok(Err(kind)) => Err(self.error(kind)),
            Err(_) => Err(self.error(ErrorKind::TimedOut(limit))),
        }
    }

    /// Writes all output. While the connection takes none, reads what the host says: it may be waiting for that to be read.
    async fn write_out(&mut self) -> Result<(), ErrorKind> {
        let mut written = 0;
        poll_fn(|context| {
            loop {
                let rest = self.output.get(written..).unwrap_or_default();
                if rest.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                match Pin::new(&mut self.stream).poll_write(context, rest) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(ErrorKind::Closed)),
                    Poll::Ready(Ok(count)) => {
                        written += count;
                        self.observer.sent(count);
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(ErrorKind::Io(error))),
                    Poll::Pending if self.input.len() >= READ_AHEAD_MAX => return Poll::Pending,
                    Poll::Pending => match ready!(poll_fill(&mut self.stream, &mut self.input, context)) {
                        Ok(0) => return Poll::Ready(Err(ErrorKind::Closed)),
                        Ok(count) => self.observer.received(count),
                        Err(error) => return Poll::Ready(Err(ErrorKind::Io(error))),
                    },
                }
            }
        })
        .await?;
        self.stream.flush().await.map_err(ErrorKind::Io)
    }

    /// Reads the next reply. A 421 is an error.
    pub(super) async fn reply(&mut self, limit: Duration) -> Result<Reply, ClientError> {
        let reply = self.receive(limit).await?;
        self.observer.reply(&reply);
        self.unless_closing(reply)
    }

    /// Reads the reply to a line of AUTH: so too, but the observer is told no challenge, from which a password could be guessed.
    pub(super) async fn challenge(&mut self, limit: Duration) -> Result<Reply, ClientError> {
        let reply = self.receive(limit).await?;
        if reply.severity() == Severity::Intermediate {
            self.observer.reply(&Reply::new(reply.code(), HIDDEN));
        } else {
            self.observer.reply(&reply);
        }
        self.unless_closing(reply)
    }

    async fn receive(&mut self, limit: Duration) -> Result<Reply, ClientError> {
        match self.parse()? {
            Some(reply) => Ok(reply),
            None => match timeout(limit, self.read_reply()).await {
                Ok(result) => result,
                Err(_) => Err(self.error(ErrorKind::TimedOut(limit))),
            },
        }
    }

    fn unless_closing(&mut self, reply: Reply) -> Result<Reply, ClientError> {
        if reply.code() == 421 {
            // Whatever was asked, the answer is no.
            self.fate = Fate::NotAccepted;
            return Err(self.error(ErrorKind::Reply(reply)));
        }
        Ok(reply)
    }

    fn parse(&mut self) -> Result<Option<Reply>, ClientError> {
        let parsed = self.parser.parse(&mut self.input);
        parsed.map_err(|error| self.error(ErrorKind::Protocol(error)))
    }

    async fn read_reply(&mut self) -> Result<Reply, ClientError> {
        loop {
            self.input.reserve(READ_SIZE);
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) => return Err(self.error(ErrorKind::Closed)),
                Ok(count) => self.observer.received(count),
                Err(error) => return Err(self.error(ErrorKind::Io(error))),
            }
            if let Some(reply) = self.parse()? {
                return Ok(reply);
            }
        }
    }

    /// Looks, without waiting, whether the host said something or hung up since the last reply; that ends the session.
    pub(super) async fn expect_silence(&mut self, limit: Duration) -> Result<(), ClientError> {
        let heard = poll_fn(|context| {
            Poll::Ready(match poll_fill(&mut self.stream, &mut self.input, context) {
                Poll::Pending => None,
                Poll::Ready(result) => Some(result),
            })
        })
        .await;
        if let Some(Ok(count)) = &heard {
            self.observer.received(*count);
        }
        if self.input.is_empty() && !self.parser.is_midway() {
            return match heard {
                Some(Err(error)) => Err(self.error(ErrorKind::Io(error))),
                Some(Ok(_)) => Err(self.error(ErrorKind::Closed)),
                None => Ok(()),
            };
        }
        // What it said before it hung up tells more than that it did.
        let reply = self.reply(limit).await?;
        Err(self.unexpected(reply))
    }

    /// Gives the connection back. None where the host has said more than what was read: nothing may be in a buffer when the
    /// connection goes on under TLS.
    pub(super) fn into_parts(self) -> Option<(S, O)> {
        (self.input.is_empty() && !self.parser.is_midway()).then_some((self.stream, self.observer))
    }

    /// After a write has failed with `error`: the refusal that the host sent before it hung up, if there is one.
    pub(super) async fn last_words(&mut self, error: &ClientError, limit: Duration) -> Option<Reply> {
        if !matches!(error.kind, ErrorKind::Io(_) | ErrorKind::TimedOut(_) | ErrorKind::Closed) {
            return None;
        }
        let reply = match self.reply(limit).await {
            Ok(reply) => reply,
            Err(error) => error.reply()?.clone(),
        };
        if reply.is_transient() || reply.is_permanent() {
            self.fate = Fate::NotAccepted;
            Some(reply)
        } else {
            None
        }
    }

    /// Closes the connection in order.
    pub(super) async fn shut_down(&mut self, limit: Duration) -> Result<(), ClientError> {
        match timeout(limit, self.stream.shutdown()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.error(ErrorKind::Io(error))),
            Err(_) => Err(self.error(ErrorKind::TimedOut(limit))),
        }
    }

    /// Gives back the memory of a large message.
    pub(super) fn shrink(&mut self) {
        if self.output.capacity() > KEPT_SIZE {
            self.output = BytesMut::new();
        }
    }
}

/// Reads once into the buffer; 0 is the end of the stream.
fn poll_fill<S: AsyncRead + Unpin>(
    stream: &mut S,
    input: &mut BytesMut,
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut space = [0; READ_SIZE];
    let mut buffer = ReadBuf::new(&mut space);
    ready!(Pin::new(stream).poll_read(context, &mut buffer))?;
    input.extend_from_slice(buffer.filled());
    Poll::Ready(Ok(buffer.filled().len()))
}
