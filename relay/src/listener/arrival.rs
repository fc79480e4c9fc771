//! Who has come: the client behind a connection, by its address or by a load balancer's word, and whether there is room for it.

use std::{net::SocketAddr, time::Duration};

use mailsluice_crds::LogLevel;
use tokio::{
    io::{self, AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time,
};

use super::Reception;
use crate::{
    limiter::{Over, Seat},
    log::Tag,
    proxy_protocol::{self, Parsed},
    smtp::Reply,
};

/// How long a load balancer may take for its header: Postfix's `smtpd_upstream_proxy_timeout`. It speaks first, and at once.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a client that is turned away may take to be told so.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(5);

/// A client that has been let in.
#[derive(Debug)]
pub(super) struct Guest {
    /// Its address.
    pub(super) address: SocketAddr,
    /// The load balancer or filter that speaks for it.
    pub(super) via: Option<SocketAddr>,
    /// Its place among its connections; none for whoever speaks for others.
    pub(super) seat: Option<Seat>,
}

/// Finds out who has come to `port`, and lets it in.
///
/// None where it is not let in, or has gone; that has been told then.
pub(super) async fn arrive(
    reception: &Reception,
    stream: &mut TcpStream,
    peer: SocketAddr,
    port: u16,
) -> Option<Guest> {
    let mut guest = Guest { address: peer, via: None, seat: None };
    if reception.config.borrow().border.is_proxy(port, peer.ip()) {
        let read = time::timeout(HEADER_TIMEOUT, read_header(stream)).await;
        let read = read.unwrap_or_else(|_| Err(io::Error::other("no PROXY header in time")));
        let result = match &read {
            Ok(Some(_)) => "client",
            Ok(None) => "local",
            Err(_) => "refused",
        };
        reception.metrics.proxy_headers.with_label_values(&[result]).inc();
        match read {
            Ok(Some(client)) => guest = Guest { address: client, via: Some(peer), seat: None },
            // The load balancer's own connection: it is no client, and not one of a client's.
            Ok(None) => return Some(guest),
            Err(error) => {
                let record = reception.log.at(LogLevel::Problems, Tag::SmtpIn).field("proxy", peer);
                record.say(format_args!("a load balancer's connection is closed: {error}"));
                return None;
            }
        }
    }
    match reception.seat(guest.address, port) {
        Ok(seat) => guest.seat = seat,
        Err(over) => {
            let reply = reception.over(guest.address, &over, 421);
            reception.turned_away(guest.address.ip(), &reply);
            let mut text = bytes::BytesMut::new();
            reply.render(&mut text);
            // A client that does not even take the refusal is not waited for.
            let _ = time::timeout(REFUSAL_TIMEOUT, stream.write_all(&text)).await;
            return None;
        }
    }
    Some(guest)
}

/// Takes the header, and nothing behind it, from the connection.
async fn read_header(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut header = Vec::new();
    let mut seen = [0; proxy_protocol::LONGEST];
    loop {
        let there = stream.peek(&mut seen).await?;
        if there == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let taken = header.len();
        header.extend_from_slice(seen.get(..there).unwrap_or_default());
        // What is not all of it is taken as well, so that the next look waits for more.
        let (length, client) = match proxy_protocol::parse(&header).map_err(io::Error::other)? {
            Parsed::Header { length, client } => (length, Some(client)),
            Parsed::Incomplete => (header.len(), None),
        };
        stream.read_exact(seen.get_mut(..length - taken).unwrap_or_default()).await?;
        if let Some(client) = client {
            return Ok(client);
        }
    }
}

impl Reception {
    /// A place for a connection of `client`, who came to `port`; none is needed by those who speak for others.
    pub(super) fn seat(&self, client: SocketAddr, port: u16) -> Result<Option<Seat>, Over> {
        let config = self.config.borrow().clone();
        if config.border.may_xclient(port, client.ip()) {
            return Ok(None);
        }
        self.limiter.enter(client.ip(), &config.border.terms(client.ip()).shares).map(Some)
    }

    /// Notes that a limit is reached, and says what the client is to be told, by this code.
    pub(super) fn over(&self, client: SocketAddr, over: &Over, code: u16) -> Reply {
        // As Postfix: 4.7.0 where the connection is closed, else 4.7.1.
        let reply = Reply::enhanced(code, (7, u16::from(code != 421)), over.text(client.ip()));
        self.metrics.limits_reached.with_label_values(&[over.scope.label(), over.field()]).inc();
        self.metrics.refused.with_label_values(&[code.to_string().as_str()]).inc();
        let record = self.log.at(LogLevel::Problems, Tag::SmtpIn).field("client", client);
        record.field("limit", over.field()).say(format_args!("refused: {reply}"));
        reply
    }
}
