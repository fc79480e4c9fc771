//! The real operator, as a process of its own beside an API server alone.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::PathBuf,
    process::{Command, ExitStatus},
    sync::OnceLock,
    time::Duration,
};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::{
    api::ApiServer,
    http,
    process::{self, Process},
    wait,
};

/// How long any single step may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// An operator that runs until it is dropped.
#[derive(Debug)]
pub struct Operator {
    process: Process,
    http: SocketAddr,
    folder: TempDir,
}

impl Operator {
    /// Starts one by this name, and waits until it is ready.
    #[must_use]
    pub fn start(server: &ApiServer, name: &str) -> Operator {
        Operator::start_with(server, name, &[])
    }

    /// Starts one with more arguments.
    #[must_use]
    pub fn start_with(server: &ApiServer, name: &str, more: &[&str]) -> Operator {
        static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
        let program = PROGRAM
            .get_or_init(|| process::program("mailsluice-operator", "mailsluice-operator", "MAILSLUICE_OPERATOR"));
        let folder = TempDir::new().expect("a temporary folder");
        let http = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
        let key = folder.path().join("key");
        fs::write(&key, [b'k'; 32]).expect("write a key");
        let log = || File::options().create(true).append(true).open(folder.path().join("log")).expect("open a log");
        let process = Process::start(
            Command::new(program)
                .args(["--relay-image", "relay", "--http", &http.to_string(), "--monitor-key-file"])
                .arg(&key)
                .args(more)
                .env("KUBECONFIG", server.operators_kubeconfig())
                .env("HOSTNAME", name)
                .stdout(log())
                .stderr(log()),
        );
        let operator = Operator { process, http, folder };
        wait::until_some(PATIENCE, &format!("{name} is ready"), || operator.is_ready().then_some(()));
        operator
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Where it shows itself.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Whether it says that it is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        http::get(self.http, "/readyz", None).is_ok_and(|answer| answer.status == 200)
    }

    /// Whether it leads, as it says.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.counted("mailsluice_operator_leader") == Some(1.0)
    }

    /// The sum of a metric's series; `None` while it has none, or does not answer.
    #[must_use]
    pub fn counted(&self, metric: &str) -> Option<f64> {
        let text = http::get(self.http, "/metrics", None).ok()?.body;
        let series =
            text.lines().filter(|line| line.strip_prefix(metric).is_some_and(|rest| rest.starts_with([' ', '{'])));
        series.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).reduce(|sum, value| sum + value)
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGTERM; how long it took to end, and its status.
    pub fn terminate(&mut self) -> (Duration, ExitStatus) {
        self.process.terminate(PATIENCE)
    }

    /// Stops it in the middle of whatever it does.
    pub fn freeze(&self) {
        self.process.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.process.signal(Signal::CONT);
    }

    /// All that it wrote.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}
