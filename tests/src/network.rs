//! A network of a test's own, with nothing in it but loopback: where port 25 is free and nobody else listens.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    namespace,
    process::{self, Process},
    relay::PATIENCE,
    wait,
};

/// An address in the network that is this machine's and yet not loopback.
pub const OUTER_ADDRESS: &str = "198.51.100.1";

/// Runs the rest of a test in a network of its own: see [`namespace::alone`].
pub fn alone(name: &str, body: impl FnOnce()) {
    let setup = format!("ip link set lo up && ip address add {OUTER_ADDRESS}/32 dev lo");
    namespace::alone(name, &["--net"], &setup, body);
}

/// Another machine, for a test in a network of its own: at the other end of a cable, whose end here is the interface `net1`.
#[derive(Debug)]
pub struct Neighbour {
    /// Keeps its network.
    keeper: Process,
}

impl Neighbour {
    /// Lays the cable: the addresses here and there, each with the length of its network's prefix.
    #[must_use]
    pub fn behind(here: &[&str], there: &[&str]) -> Neighbour {
        let keeper = Process::start(Command::new("unshare").args(["--net", "sleep", "infinity"]));
        let neighbour = Neighbour { keeper };
        let network = |path: &Path| fs::read_link(path).expect("a network namespace");
        wait::until_some(PATIENCE, "the other machine has its network", || {
            (network(&neighbour.network()) != network(Path::new("/proc/self/ns/net"))).then_some(())
        });
        let id = neighbour.keeper.id().to_string();
        process::run(ip().args(["link", "add", "net1", "type", "veth", "peer", "name", "net1", "netns", &id]));
        plug(here, ip);
        plug(there, || neighbour.command(Path::new("ip")));
        neighbour
    }

    /// A program that runs there.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.network().display())).arg(program);
        command
    }

    fn network(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/net", self.keeper.id()))
    }
}

fn ip() -> Command {
    Command::new("ip")
}

/// Gives one end of the cable its addresses.
fn plug(addresses: &[&str], ip: impl Fn() -> Command) {
    for address in addresses {
        let mut command = ip();
        command.args(["address", "add", address, "dev", "net1"]);
        // Usable at once: nobody else can have it.
        process::run(if address.contains(':') { command.arg("nodad") } else { &mut command });
    }
    process::run(ip().args(["link", "set", "net1", "up"]));
}
