//! Exim, unpacked from Debian's package into a root of its own.

use std::net::SocketAddr;

use super::{Missing, Peer, Running, cell::Cell, root::Root};
use crate::{
    letter::REFUSED_DOMAIN,
    process::{self, Process},
};

/// Exim, as Debian's exim4-daemon-light builds it.
#[derive(Debug)]
pub struct Exim;

#[derive(Debug)]
struct Daemon {
    address: SocketAddr,
    _process: Process,
    _root: Root,
}

impl Peer for Exim {
    fn name(&self) -> &'static str {
        "exim"
    }

    fn offers(&self, _: Cell) -> bool {
        true
    }

    fn adds(&self) -> &'static [&'static str] {
        &[]
    }

    fn start(&self, next_hop: SocketAddr) -> Result<Box<dyn Running>, Missing> {
        const USER: u32 = 201;
        let root = Root::new("exim", &[("Debian-exim", USER)])?;
        root.folder("var/spool/exim4", USER, 0o750);
        root.folder("var/log/exim4", USER, 0o750);
        let address = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
        root.write(
            "etc/exim.conf",
            &format!(
                "primary_hostname = exim.test\nlocal_interfaces = {}\ndaemon_smtp_ports = {}\nspool_directory = /var/spool/exim4\n\
                 log_file_path = /var/log/exim4/%slog\nexim_user = Debian-exim\nexim_group = Debian-exim\n\
                 message_size_limit = 50M\nhost_lookup =\nrfc1413_hosts =\nsmtputf8_advertise_hosts = *\nkeep_environment =\n\
                 smtp_accept_queue_per_connection = 0\ntls_advertise_hosts =\nacl_smtp_rcpt = recipient\nacl_smtp_data = accept\n\
                 begin acl\nrecipient:\n  deny domains = {REFUSED_DOMAIN}\n  accept\n\
                 begin routers\nnext:\n  driver = manualroute\n  route_list = * {}\n  transport = next\n  self = send\n\
                 begin transports\nnext:\n  driver = smtp\n  port = {}\n  allow_localhost\n  hosts_try_fastopen =\n\
                 begin retry\n* * F,1h,1s\n",
                address.ip(),
                address.port(),
                next_hop.ip(),
                next_hop.port(),
            ),
        );
        let process = root.start(&["/usr/sbin/exim4", "-C", "/etc/exim.conf", "-bdf", "-q1s"]);
        process::await_port(address);
        Ok(Box::new(Daemon { address, _process: process, _root: root }))
    }
}

impl Running for Daemon {
    fn address(&self) -> SocketAddr {
        self.address
    }
}
