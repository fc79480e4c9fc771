//! aiosmtpd, from Debian's package: a next hop that keeps what it gets.

use std::{
    net::SocketAddr,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use super::{Missing, Peer, Running, cell::Cell, installed};
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

    fn offers(&self, _: Cell) -> bool {
        true
    }

    fn adds(&self) -> &'static [&'static str] {
        &[]
    }

    fn passes_on(&self) -> bool {
        false
    }

    fn start(&self, _: SocketAddr) -> Result<Box<dyn Running>, Missing> {
        installed("/usr/lib/python3/dist-packages/aiosmtpd")?;
        let folder = TempDir::new().expect("a temporary folder");
        let address = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
        let process = Process::start(
            Command::new("/usr/bin/python3")
                .arg(workspace().join("tests/peers/aiosmtpd_keep.py"))
                .args([&address.ip().to_string(), &address.port().to_string(), REFUSED_DOMAIN])
                .arg(folder.path())
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        );
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
