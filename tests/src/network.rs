//! A network of a test's own, with nothing in it but loopback: where port 25 is free and nobody else listens.

use std::{env, process::Command};

use crate::process;

/// An address in the network that is this machine's and yet not loopback.
pub const OUTER_ADDRESS: &str = "198.51.100.1";

/// Set where the test runs in its own network already.
const INSIDE: &str = "MAILSLUICE_TEST_NETWORK";

/// Runs the rest of a test in a network of its own: the test's program is started again there, for that test alone.
///
/// `name` is the test's full name, `module::function`.
pub fn alone(name: &str, body: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        body();
        return;
    }
    let program = env::current_exe().expect("this test's program");
    let setup = format!("ip link set lo up && ip address add {OUTER_ADDRESS}/32 dev lo && exec \"$0\" \"$@\"");
    let mut command = Command::new("unshare");
    // With a user namespace it takes no root; where there is root, it takes no user namespace.
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["--net", "sh", "-c", &setup]).arg(program).args(["--exact", name, "--nocapture"]);
    let path = env::var("PATH").unwrap_or_default();
    let output = process::output(command.env(INSIDE, "1").env("PATH", format!("{path}:/usr/sbin:/sbin")));
    let said = String::from_utf8_lossy(&output.stdout);
    print!("{said}");
    assert!(output.status.success(), "in its own network:\n{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "no test is named {name}");
}
