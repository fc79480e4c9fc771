//! Postfix: the private one of [`crate::postfix`].

use std::net::SocketAddr;

use super::{Missing, Peer, Running, cell::Cell, installed, needs_root};
use crate::{letter::REFUSED_DOMAIN, postfix::Postfix};

/// Postfix, from Debian's package.
#[derive(Debug)]
pub struct PostfixPeer;

impl Peer for PostfixPeer {
    fn name(&self) -> &'static str {
        "postfix"
    }

    fn offers(&self, _: Cell) -> bool {
        true
    }

    fn adds(&self) -> &'static [&'static str] {
        &[]
    }

    fn start(&self, next_hop: SocketAddr) -> Result<Box<dyn Running>, Missing> {
        needs_root()?;
        installed("/usr/sbin/postfix")?;
        // Its own default for a message is 10 MB.
        let settings = format!(
            "message_size_limit = 52428800\n\
             smtpd_recipient_restrictions = check_recipient_access inline:{{{REFUSED_DOMAIN}=REJECT}}, permit_mynetworks, reject\n"
        );
        Ok(Box::new(Postfix::start_with(next_hop, &settings)))
    }
}

impl Running for Postfix {
    fn address(&self) -> SocketAddr {
        self.address
    }
}
