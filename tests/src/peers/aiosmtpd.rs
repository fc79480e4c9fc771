//! aiosmtpd, from Debian's package: a next hop that keeps what it gets.

use std::{
    net::SocketAddr,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use super::{
    Missing, Peer, Running, installed,
    link::{PASSWORD, Place, USER},
};
use crate::{
    letter::REFUSED_DOMAIN,
    process::{self, Process},
    sink::{self, Received},
    workspace,
};

/// aiosmtpd, driven by tests/peers/aiosmtpd_keep.py.
#[derive(Debug)]
pub struct Aiosmtpd;

#[derive(Debug)]
struct Daemon {
    address: SocketAddr,
    _process: Process,
    folder: TempDir,
}

impl Peer for Aiosmtpd {
    fn name(&self) -> &'static str {
        "aiosmtpd"
    }

    fn passes_on(&self) -> bool {
        false
    }

    fn start(&self, place: &Place<'_>) -> Result<Box<dyn Running>, Missing> {
        installed("/usr/lib/python3/dist-packages/aiosmtpd")?;
        let folder = TempDir::new().expect("a temporary folder");
        let address = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
        let mut command = Command::new("/usr/bin/python3");
        command
            .arg(workspace().join("tests/peers/aiosmtpd_keep.py"))
            .args([&address.ip().to_string(), &address.port().to_string(), REFUSED_DOMAIN])
            .arg(folder.path());
        if place.inward.is_secure() {
            command.arg(place.keys.chain()).arg(place.keys.key());
        }
        if place.inward.has_login() {
            command.args([USER, PASSWORD]);
        }
        let process = Process::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
        process::await_port(address);
        Ok(Box::new(Daemon { address, _process: process, folder }))
    }
}

impl Running for Daemon {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn kept(&self) -> Vec<Received> {
        sink::read(self.folder.path())
    }
}
