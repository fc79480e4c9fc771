//! The peers matrix: real mail servers before and behind the relay, and the programs that people send mail with.
//!
//! - [`cell`]: the columns: what is sent, and who refuses what;
//! - [`compare`]: what arrived, against what was sent;
//! - [`link`]: in clear, under STARTTLS, with AUTH, and the keys for that;
//! - [`root`]: a root folder of its own for a server that cannot be installed beside Postfix;
//! - a module for each server, behind [`Peer`] and [`Running`];
//! - [`row`]: the rows: one way through the relay each; [`way`]: what such a row runs on.
//!
//! What is not a program of the machine is made by `tests/peers/build`, in target/peers.

pub mod aiosmtpd;
pub mod cell;
pub mod compare;
pub mod exim;
pub mod haraka;
pub mod link;
pub mod maddy;
pub mod mailpit;
pub mod opensmtpd;
pub mod postfix;
pub mod root;
pub mod row;
pub mod way;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::{sink::Received, workspace};

/// Why a peer cannot be had here: its cells are skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing(pub String);

/// Which side of the relay a peer is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// It sends to the relay.
    Before,
    /// The relay sends to it.
    Behind,
}

/// A mail server that the relay works with.
pub trait Peer: Sync + std::panic::RefUnwindSafe {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Why it cannot do by its nature what a cell asks for on this side of the relay, if it cannot.
    fn lacks(&self, _cell: cell::Cell, _side: Side) -> Option<&'static str> {
        None
    }

    /// The header fields, besides Received, that it is known to put before a message.
    fn adds(&self) -> &'static [&'static str] {
        &[]
    }

    /// What its own Received field has and no other's.
    fn signature(&self) -> String {
        format!("by {}.test", self.name())
    }

    /// Whether it passes mail on; one that does not keeps it, and is a next hop only.
    fn passes_on(&self) -> bool {
        true
    }

    /// Starts it on a free port of loopback, with a folder of its own. It refuses recipients at
    /// [`REFUSED_DOMAIN`](crate::letter::REFUSED_DOMAIN), and sends everything else to its next hop.
    ///
    /// # Errors
    /// When it is not on this machine, with how to have it.
    fn start(&self, place: &link::Place<'_>) -> Result<Box<dyn Running>, Missing>;
}

/// A mail server that runs until it is dropped.
pub trait Running {
    /// Where it takes mail.
    fn address(&self) -> SocketAddr;

    /// The messages that it kept, where it passes none on.
    fn kept(&self) -> Vec<Received> {
        Vec::new()
    }
}

/// All of them.
#[must_use]
pub fn all() -> [&'static dyn Peer; 7] {
    [
        &postfix::PostfixPeer,
        &opensmtpd::OpenSmtpd,
        &exim::Exim,
        &haraka::Haraka,
        &maddy::Maddy,
        &mailpit::Mailpit,
        &aiosmtpd::Aiosmtpd,
    ]
}

/// A file that `tests/peers/build` makes.
fn built(name: &str) -> Result<PathBuf, Missing> {
    let file = workspace().join("target/peers").join(name);
    if file.exists() {
        Ok(file)
    } else {
        Err(Missing(format!("target/peers/{name} is missing: run tests/peers/build")))
    }
}

/// Whether `tests/peers/build` has unpacked this package.
#[must_use]
pub fn unpacked(package: &str) -> bool {
    built(package).is_ok()
}

/// A program that Debian's packages install.
fn installed(path: &str) -> Result<&Path, Missing> {
    let path = Path::new(path);
    if path.exists() {
        Ok(path)
    } else {
        Err(Missing(format!("{} is missing: run tests/install peers", path.display())))
    }
}

/// A server that takes root, which this user is not.
fn needs_root() -> Result<(), Missing> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(Missing("it takes root".into())) }
}
