//! Processes that a test starts: each ends with the value that stands for it.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Output},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{wait, workspace};

/// A process that is killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
}

impl Process {
    /// Starts it.
    pub fn start(command: &mut Command) -> Process {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().unwrap_or_else(|error| panic!("start {name}: {error}"));
        Process { child, name }
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its standard output, where that is piped and not taken yet.
    pub fn output(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Its standard input, where that is piped and not taken yet.
    pub fn input(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal)
            .unwrap_or_else(|error| panic!("signal {}: {error}", self.name));
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.child.wait().expect("wait for a killed process");
    }

    /// Its status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("look at a process")
    }

    /// SIGTERM; how long it took to end, and its status.
    pub fn terminate(&mut self, limit: Duration) -> (Duration, ExitStatus) {
        let start = Instant::now();
        self.signal(Signal::TERM);
        let what = format!("{} ends after SIGTERM", self.name);
        let status = wait::until_some(limit, &what, || self.ended());
        (start.elapsed(), status)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program of the package's: what the variable names, or built now, for release where this is.
#[must_use]
pub fn program(package: &str, name: &str, variable: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable) {
        return path.into();
    }
    // A debug build shares with the tests what both depend on; one that is measured is made as it is for users.
    let how: &[&str] =
        if cfg!(debug_assertions) { &["--workspace", "--all-features"] } else { &["--release", "-p", package] };
    let printed = run(Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--bin", name, "--message-format=json-render-diagnostics"])
        .args(how)
        .current_dir(workspace()));
    // What cargo prints last about a binary names it.
    let artifacts = printed.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut programs = artifacts.filter_map(|artifact| artifact["executable"].as_str().map(PathBuf::from));
    programs.next_back().expect("cargo names the program")
}

/// Runs a command to its end; its output, or a panic that shows what it said.
pub fn run(command: &mut Command) -> String {
    let output = output(command);
    assert!(
        output.status.success(),
        "{command:?} ended with {}:\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    String::from_utf8(output.stdout).expect("a command's output is UTF-8")
}

/// Runs a command to its end, whatever that is.
pub fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("start {command:?}: {error}"))
}

/// A loopback port that nobody listens on now, and that this process gives to nobody else.
///
/// It is below those that the system gives to connections and to listeners of any port (`ip_local_port_range`), so that none of
/// these takes it before its server does.
#[must_use]
pub fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 22_000;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Tests that run beside this process begin elsewhere.
    let start = std::process::id().wrapping_mul(7919);
    (0..COUNT)
        .map(|_| start.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % COUNT + FIRST)
        .filter_map(|port| u16::try_from(port).ok())
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

/// Waits until something listens there.
pub fn await_port(address: SocketAddr) {
    wait::until_some(Duration::from_secs(30), &format!("something listens on {address}"), || {
        TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()
    });
}
