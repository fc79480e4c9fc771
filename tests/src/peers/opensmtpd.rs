//! OpenSMTPD, unpacked from Debian's package into a root of its own.

use std::net::SocketAddr;

use super::{Missing, Peer, Running, cell::Cell, root::Root};
use crate::{
    letter::REFUSED_DOMAIN,
    process::{self, Process},
};

/// OpenSMTPD.
#[derive(Debug)]
pub struct OpenSmtpd;

#[derive(Debug)]
struct Daemon {
    address: SocketAddr,
    _process: Process,
    _root: Root,
}

impl Peer for OpenSmtpd {
    fn name(&self) -> &'static str {
        "opensmtpd"
    }

    fn offers(&self, cell: Cell) -> bool {
        cell != Cell::Utf8
    }

    fn adds(&self) -> &'static [&'static str] {
        &[]
    }

    fn start(&self, next_hop: SocketAddr) -> Result<Box<dyn Running>, Missing> {
        const DAEMON: u32 = 201;
        const QUEUE: u32 = 202;
        let root = Root::new("opensmtpd", &[("opensmtpd", DAEMON), ("opensmtpq", QUEUE)])?;
        root.folder("var/lib/opensmtpd/empty", 0, 0o755);
        root.folder("var/spool/smtpd", 0, 0o711);
        let address = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
        root.write(
            "etc/smtpd.conf",
            &format!(
                "listen on {} port {} hostname opensmtpd.test\nsmtp max-message-size 50M\nmta limit session-transaction-delay 0\n\
                 action \"relay\" relay host smtp://{next_hop}\nmatch from any for domain \"{REFUSED_DOMAIN}\" reject\n\
                 match from any for any action \"relay\"\n",
                address.ip(),
                address.port(),
            ),
        );
        root.write("etc/mailname", "opensmtpd.test\n");
        let process = root.start(&["/usr/sbin/smtpd", "-d", "-f", "/etc/smtpd.conf"]);
        process::await_port(address);
        Ok(Box::new(Daemon { address, _process: process, _root: root }))
    }
}

impl Running for Daemon {
    fn address(&self) -> SocketAddr {
        self.address
    }
}
