//! Exim, unpacked from Debian's package into a root of its own.

use std::net::SocketAddr;

use super::{
    Missing, Peer, Running,
    link::{Keys, PASSWORD, Place, USER},
    root::Root,
};
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

    fn start(&self, place: &Place<'_>) -> Result<Box<dyn Running>, Missing> {
        const USER_ID: u32 = 201;
        let root = Root::new("exim", &[("Debian-exim", USER_ID)])?;
        root.folder("var/spool/exim4", USER_ID, 0o750);
        root.folder("var/log/exim4", USER_ID, 0o750);
        let address = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
        let Place { next_hop, inward, outward, keys } = *place;
        for (name, file) in [("ca.crt", keys.authority()), ("tls.crt", keys.chain()), ("tls.key", keys.key())] {
            root.write(&format!("etc/{name}"), &Keys::text(&file));
        }
        let tls = if inward.is_secure() {
            "tls_advertise_hosts = *\ntls_certificate = /etc/tls.crt\ntls_privatekey = /etc/tls.key"
        } else {
            "tls_advertise_hosts ="
        };
        let mut demands = String::new();
        demands.push_str(if inward.is_secure() { "  deny !encrypted = *\n" } else { "" });
        demands.push_str(if inward.has_login() { "  deny !authenticated = *\n" } else { "" });
        let mut client = String::new();
        if outward.is_secure() {
            client
                .push_str("  hosts_require_tls = *\n  tls_verify_certificates = /etc/ca.crt\n  tls_verify_hosts = *\n");
        }
        client.push_str(if outward.has_login() { "  hosts_require_auth = *\n" } else { "" });
        root.write(
            "etc/exim.conf",
            &format!(
                "primary_hostname = exim.test\nlocal_interfaces = {}\ndaemon_smtp_ports = {}\nspool_directory = /var/spool/exim4\n\
                 log_file_path = /var/log/exim4/%slog\nexim_user = Debian-exim\nexim_group = Debian-exim\n\
                 message_size_limit = 50M\nhost_lookup =\nrfc1413_hosts =\nsmtputf8_advertise_hosts = *\nkeep_environment =\n\
                 smtp_accept_queue_per_connection = 0\n{tls}\nacl_smtp_rcpt = recipient\nacl_smtp_data = accept\n\
                 begin acl\nrecipient:\n{demands}  deny domains = {REFUSED_DOMAIN}\n  accept\n\
                 begin routers\nnext:\n  driver = manualroute\n  route_list = * {}\n  transport = next\n  self = send\n\
                 begin transports\nnext:\n  driver = smtp\n  port = {}\n  allow_localhost\n  hosts_try_fastopen =\n{client}\
                 begin authenticators\nplain:\n  driver = plaintext\n  public_name = PLAIN\n  server_prompts = :\n\
                 \x20 server_condition = ${{if and{{{{eq{{$auth2}}{{{USER}}}}}{{eq{{$auth3}}{{{PASSWORD}}}}}}}}}\n\
                 \x20 server_set_id = $auth2\n  client_send = ^{USER}^{PASSWORD}\n\
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
