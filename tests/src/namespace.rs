//! Parts of the machine that a test has to itself: a network, mounts.

use std::{env, process::Command};

use crate::process;

/// Set where the test runs in its own namespaces already.
const INSIDE: &str = "MAILSLUICE_TEST_NAMESPACE";

/// Runs the rest of a test in namespaces of its own, of these `kinds` (options of `unshare`), after `setup`, a shell's command:
/// the test's program is started again there, for that test alone.
///
/// `name` is the test's full name, `module::function`.
pub fn alone(name: &str, kinds: &[&str], setup: &str, body: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        body();
        return;
    }
    let program = env::current_exe().expect("this test's program");
    let mut command = Command::new("unshare");
    // With a user namespace it takes no root; where there is root, it takes no user namespace.
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(kinds).args(["sh", "-c", &format!("{setup} && exec \"$0\" \"$@\"")]);
    command.arg(program).args(["--exact", name, "--nocapture"]);
    let path = env::var("PATH").unwrap_or_default();
    let output = process::output(command.env(INSIDE, "1").env("PATH", format!("{path}:/usr/sbin:/sbin")));
    let said = String::from_utf8_lossy(&output.stdout);
    print!("{said}");
    assert!(output.status.success(), "in its own {kinds:?}:\n{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "no test is named {name}");
}
