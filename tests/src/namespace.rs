//! Parts of the machine that a test has to itself: a network, mounts.

use std::{env, ffi::OsStr, process::Command};

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
    let output = process::output(again(kinds, setup).args(["--exact", name, "--nocapture"]));
    let said = String::from_utf8_lossy(&output.stdout);
    print!("{said}");
    assert!(output.status.success(), "in its own {kinds:?}:\n{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "no test is named {name}");
}

/// Goes on in namespaces of its own, of these `kinds`, after `setup`, a shell's command: this program is started again there with
/// the same arguments, and ends with it.
pub fn enter(kinds: &[&str], setup: &str) {
    if env::var_os(INSIDE).is_some() {
        return;
    }
    let mut command = again(kinds, setup);
    let status = command.args(env::args_os().skip(1)).status();
    let status = status.unwrap_or_else(|error| panic!("start {command:?}: {error}"));
    std::process::exit(status.code().unwrap_or(1));
}

/// This program in namespaces of its own, without arguments yet.
fn again(kinds: &[&str], setup: &str) -> Command {
    let program = env::current_exe().expect("this program");
    let mut command = Command::new("unshare");
    // With a user namespace it takes no root; where there is root, it takes no user namespace.
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(kinds).args(["sh", "-c", &format!("{setup} && exec \"$0\" \"$@\"")]).arg(program);
    let mut path = env::var_os("PATH").unwrap_or_default();
    path.push(OsStr::new(":/usr/sbin:/sbin"));
    command.env(INSIDE, "1").env("PATH", path);
    command
}
