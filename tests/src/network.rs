//! A network of a test's own, with nothing in it but loopback: where port 25 is free and nobody else listens.

use crate::namespace;

/// An address in the network that is this machine's and yet not loopback.
pub const OUTER_ADDRESS: &str = "198.51.100.1";

/// Runs the rest of a test in a network of its own: see [`namespace::alone`].
pub fn alone(name: &str, body: impl FnOnce()) {
    let setup = format!("ip link set lo up && ip address add {OUTER_ADDRESS}/32 dev lo");
    namespace::alone(name, &["--net"], &setup, body);
}
