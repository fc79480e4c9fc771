//! Sessions that are open over an address.

use std::net::SocketAddr;

use super::approach::Approach;
use crate::tcp::Blame;

/// A session over an address that has said EHLO, counted for as long as it lasts.
pub(super) struct Live<'a> {
    approach: &'a Approach,
    address: SocketAddr,
}

impl<'a> Live<'a> {
    pub(super) fn new(approach: &'a Approach, address: SocketAddr) -> Self {
        let Approach { courier, host, id, .. } = approach;
        courier.gate.addresses_for(Some(*id), |addresses| {
            addresses.opened(address, host);
            addresses.answered(address, host, Blame::Address);
        });
        Live { approach, address }
    }

    /// A message of the host was answered over it.
    pub(super) fn answered(&self) {
        let Approach { courier, host, id, .. } = self.approach;
        courier.gate.addresses_for(Some(*id), |addresses| addresses.answered(self.address, host, Blame::HostThere));
    }
}

impl Drop for Live<'_> {
    fn drop(&mut self) {
        let Approach { courier, host, .. } = self.approach;
        courier.gate.addresses(|addresses| addresses.closed(self.address, host));
    }
}
