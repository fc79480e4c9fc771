//! OpenSMTPD, unpacked from Debian's package into a root of its own.

use std::net::SocketAddr;

use super::{
    Missing, Peer, Running, Side,
    cell::Cell,
    link::{CRYPT, Keys, PASSWORD, Place, USER},
    root::Root,
};
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

    fn lacks(&self, cell: Cell, side: Side) -> Option<&'static str> {
        match (cell, side) {
            (Cell::Utf8, _) => Some("it does not know SMTPUTF8"),
            (Cell::StartTls, Side::Behind) => {
                Some("version 6.8 cannot use its own key with OpenSSL 3 (OpenSMTPD issue 1171)")
            }
            (Cell::Auth, Side::Behind) => {
                Some("it offers AUTH under TLS alone, and version 6.8 has no key with OpenSSL 3")
            }
            _ => None,
        }
    }

    fn start(&self, place: &Place<'_>) -> Result<Box<dyn Running>, Missing> {
        const DAEMON: u32 = 201;
        const QUEUE: u32 = 202;
        let root = Root::new("opensmtpd", &[("opensmtpd", DAEMON), ("opensmtpq", QUEUE)])?;
        root.folder("var/lib/opensmtpd/empty", 0, 0o755);
        root.folder("var/spool/smtpd", 0, 0o711);
        let address = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
        let Place { next_hop, inward, outward, keys } = *place;
        root.write("etc/tls.crt", &Keys::text(&keys.chain()));
        root.secret("etc/tls.key", &Keys::text(&keys.key()));
        // Where it looks for authorities.
        root.folder("etc/ssl/certs", 0, 0o755);
        root.write("etc/ssl/certs/ca-certificates.crt", &Keys::text(&keys.authority()));
        let secure = if inward.is_secure() { "tls-require pki peer" } else { "" };
        let auth = if inward.has_login() { "auth <users>" } else { "" };
        let (protocol, login) = match (outward.is_secure(), outward.has_login()) {
            (false, _) => ("smtp://", ""),
            (true, false) => ("smtp+tls://", ""),
            (true, true) => ("smtp+tls://hop@", "auth <logins>"),
        };
        root.write(
            "etc/smtpd.conf",
            &format!(
                "pki peer cert \"/etc/tls.crt\"\npki peer key \"/etc/tls.key\"\ntable users {{ {USER} = \"{CRYPT}\" }}\n\
                 table logins {{ hop = \"{USER}:{PASSWORD}\" }}\n\
                 listen on {} port {} hostname opensmtpd.test {secure} {auth}\n\
                 smtp max-message-size 50M\nmta limit session-transaction-delay 0\n\
                 action \"relay\" relay host {protocol}{next_hop} {login}\n\
                 match from any for domain \"{REFUSED_DOMAIN}\" reject\nmatch from any for any action \"relay\"\n",
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
