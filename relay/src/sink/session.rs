//! One client's session: says yes to everything, and lets the text go by.

use std::{io, net::SocketAddr, pin::pin};

use bytes::BytesMut;
use jiff::Timestamp;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    Sink,
    keep::{Keeping, KeptEnvelope},
    say,
};
use crate::smtp::{
    Envelope, Reply,
    server::{Event, Session},
};

/// Octets read at a time.
const READ_SIZE: usize = 64 << 10;

/// Octets of a message in which its subject is looked for.
const HEAD_MAX: usize = 16 << 10;

/// What is kept of a message that is on its way in.
struct Incoming {
    /// Its beginning, where a line is printed for it.
    head: Option<Vec<u8>>,
    file: Option<Keeping>,
    /// A part of it could not be kept.
    fault: Option<io::Error>,
}

/// There is no time limit: it is for the client to end a session with a server that is only tried out.
pub(super) async fn run(sink: &Sink, mut stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut session = Session::new(sink.protocol.clone());
    let mut input = BytesMut::with_capacity(READ_SIZE);
    let mut output = BytesMut::new();
    let mut body = Vec::new();
    let mut incoming: Option<Incoming> = None;
    let mut stopped = pin!(sink.stop.cancelled());
    loop {
        match session.next(&mut input, &mut output, &mut body) {
            event @ (Event::NeedInput | Event::NeedBody) => {
                let in_body = matches!(event, Event::NeedBody);
                if let Some(message) = &mut incoming {
                    message.take(&mut body).await;
                }
                send(&mut stream, &mut output).await?;
                input.reserve(READ_SIZE);
                let read = tokio::select! {
                    biased;
                    read = stream.read_buf(&mut input) => read?,
                    () = &mut stopped, if !in_body => {
                        session.shut_down(&mut output);
                        return send(&mut stream, &mut output).await;
                    }
                };
                if read == 0 {
                    return Ok(());
                }
            }
            Event::Flush => send(&mut stream, &mut output).await?,
            Event::Turn { .. } => session.accept_with(Reply::enhanced(251, (0, 0), "a sink has no mail waiting")),
            Event::CheckSender { .. } | Event::CheckRecipient { .. } => session.accept(),
            Event::BodyStart { .. } => {
                body.clear();
                incoming = Some(Incoming::begin(sink));
                session.accept();
            }
            Event::MessageEnd(envelope) => {
                let Some(mut message) = incoming.take() else { continue };
                message.take(&mut body).await;
                let helo = session.hello().map(|hello| hello.name.clone()).unwrap_or_default();
                match message.end(sink, peer, helo, &envelope).await {
                    Ok(()) => session.accept(),
                    Err(error) => {
                        say(format_args!("a message could not be kept: {error}"));
                        session.refuse(Reply::enhanced(451, (3, 0), "the message cannot be kept"));
                    }
                }
            }
            Event::MessageRefused { .. } | Event::MessageDropped => incoming = None,
            // Not offered here.
            Event::Authenticate(_) | Event::StartTls | Event::Handshake | Event::XClient(_) => {
                session.refuse(Reply::enhanced(454, (7, 0), "It is not available"));
            }
            Event::Close { .. } => return send(&mut stream, &mut output).await,
        }
    }
}

async fn send(stream: &mut TcpStream, output: &mut BytesMut) -> io::Result<()> {
    if !output.is_empty() {
        stream.write_all(output).await?;
        output.clear();
    }
    Ok(())
}

impl Incoming {
    fn begin(sink: &Sink) -> Incoming {
        Incoming {
            head: sink.show.wants_subjects().then(Vec::new),
            file: sink.keeper.as_ref().map(|keeper| keeper.begin()),
            fault: None,
        }
    }

    /// Takes what has come of the text, and empties `body`.
    async fn take(&mut self, body: &mut Vec<u8>) {
        if let Some(head) = &mut self.head {
            let room = HEAD_MAX.saturating_sub(head.len());
            head.extend_from_slice(body.get(..room).unwrap_or(body));
        }
        if let Some(file) = &mut self.file
            && let Err(error) = file.write(body).await
        {
            self.file = None;
            self.fault = Some(error);
        }
        body.clear();
    }

    async fn end(self, sink: &Sink, peer: SocketAddr, helo: String, envelope: &Envelope) -> io::Result<()> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let received_at = Timestamp::now();
        if let (Some(file), Some(keeper)) = (self.file, &sink.keeper) {
            file.finish(keeper.next_number(), KeptEnvelope::new(received_at, peer, helo, envelope)).await?;
        }
        sink.show.message(received_at, peer, envelope, self.head.as_deref()).await;
        Ok(())
    }
}
