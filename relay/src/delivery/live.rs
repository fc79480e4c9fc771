//! Sessions that are open over an address.

use std::net::SocketAddr;

use super::session::Session;
use crate::tcp::Blame;

/// A session over an address that has said EHLO, counted for as long as it lasts.
pub(super) struct Live<'a> {
    session: &'a Session,
    address: SocketAddr,
}

impl<'a> Live<'a> {
    pub(super) fn new(session: &'a Session, address: SocketAddr) -> Self {
        session.courier.gate.addresses_for(Some(session.id), |addresses| {
            addresses.opened(address, &session.host);
            addresses.answered(address, &session.host, Blame::Address);
        });
        Live { session, address }
    }

    /// A message of the host was answered over it.
    pub(super) fn answered(&self) {
        let host = &self.session.host;
        let Session { courier, id, .. } = self.session;
        courier.gate.addresses_for(Some(*id), |addresses| addresses.answered(self.address, host, Blame::HostThere));
    }
}

impl Drop for Live<'_> {
    fn drop(&mut self) {
        self.session.courier.gate.addresses(|addresses| addresses.closed(self.address, &self.session.host));
    }
}
