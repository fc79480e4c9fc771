//! Writes down what is said over a connection to the gateway.

use std::net::SocketAddr;

use mailsluice_crds::LogLevel;

use crate::{
    ids::SessionId,
    log::{Log, Record, Tag},
    smtp::{Reply, client::Observer},
};

/// Whoever looks on at one connection.
pub(super) struct Watcher {
    log: Log,
    peer: SocketAddr,
    /// The connection's own id, for what no application has part in.
    id: SessionId,
    /// The session of the application whose transaction goes over it.
    lent_to: Option<SessionId>,
}

impl Watcher {
    pub(super) fn new(log: Log, peer: SocketAddr) -> Watcher {
        Watcher { log, peer, id: SessionId::next(), lent_to: None }
    }

    /// The connection's own id.
    pub(super) fn id(&self) -> SessionId {
        self.id
    }

    /// What is said from here on belongs to an application's session, or to none.
    pub(super) fn lend(&mut self, session: Option<SessionId>) {
        self.lent_to = session;
    }

    /// A record of the conversation.
    fn record(&self, level: LogLevel) -> Record<'_> {
        let record = self.log.at(level, Tag::Smtp).field("session", self.lent_to.unwrap_or(self.id));
        record.field("peer", self.peer)
    }
}

impl Observer for Watcher {
    fn reply(&mut self, reply: &Reply) {
        self.record(LogLevel::LowLevel).number("code", reply.code()).say(format_args!("< {reply}"));
    }

    fn command(&mut self, line: &str) {
        self.record(LogLevel::LowLevel).say(format_args!("> {line}"));
    }
}
