//! Disks that misbehave: a small one, and system calls of a running process that fail.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    namespace,
    process::{self, Process},
    relay::Relay,
};

/// Runs the rest of a test where it may mount, and look into its own processes: see [`namespace::alone`].
pub fn alone(name: &str, body: impl FnOnce()) {
    namespace::alone(name, &["--mount"], "true", body);
}

/// Makes `folder` a file system of its own of so many octets, in memory. It goes with the test's namespace at the latest.
pub fn mount_small(folder: &Path, octets: u64) {
    std::fs::create_dir(folder).expect("make a folder");
    let size = format!("size={octets}");
    process::run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder));
}

/// Gives it so many octets, whoever has it open.
pub fn enlarge(folder: &Path, octets: u64) {
    process::run(Command::new("mount").args(["-o", &format!("remount,size={octets}")]).arg(folder));
}

/// Takes it away, though a relay may have it open, so that the folder can be removed.
pub fn unmount(folder: &Path) {
    process::run(Command::new("umount").arg("--lazy").arg(folder));
}

/// System calls of a relay that fail as long as this lives. By strace, which reaches every system call, also those of a static
/// program.
#[derive(Debug)]
pub struct Failing(Process);

impl Failing {
    /// From here on these system calls fail with this error.
    #[must_use]
    pub fn start(relay: &Relay, calls: &str, error: &str) -> Failing {
        let process = Process::start(
            Command::new("strace")
                .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}")])
                .args(["-e", &format!("inject={calls}:error={error}"), "-p", &relay.id().to_string()])
                .stderr(Stdio::inherit()),
        );
        Failing(process)
    }

    /// They work again.
    pub fn stop(mut self) {
        let (_, status) = self.0.terminate(Duration::from_secs(20));
        println!("strace: {status}");
    }
}
