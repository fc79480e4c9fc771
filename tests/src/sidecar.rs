//! The real sidecar, as a process of its own beside an application that a test plays.

use std::{
    fs::{self, File, OpenOptions},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    sync::OnceLock,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    http,
    process::{self, Process},
    record::{self, Record},
    relay::PATIENCE,
    wait,
};

/// A sidecar that runs. Its token and its log are in a temporary folder.
#[derive(Debug)]
pub struct Sidecar {
    folder: TempDir,
    process: Process,
    /// Where it takes mail, by IPv4.
    pub smtp: SocketAddr,
    /// Where it takes mail, by IPv6.
    pub smtp6: SocketAddr,
    /// Where it shows itself.
    pub http: SocketAddr,
}

impl Sidecar {
    /// Starts one for this gateway, whose certificate an authority in this file vouches for as `mail.test`, and waits until it
    /// takes commands.
    #[must_use]
    pub fn start(gateway: &str, authorities: &Path, token: &str, more: &[&str]) -> Sidecar {
        Sidecar::start_build(program(), gateway, authorities, token, more)
    }

    /// The same of another build of the program.
    #[must_use]
    pub fn start_build(build: &Path, gateway: &str, authorities: &Path, token: &str, more: &[&str]) -> Sidecar {
        let folder = TempDir::new().expect("a temporary folder");
        put_token(folder.path(), token);
        let port = process::free_port();
        let (smtp, smtp6) =
            (SocketAddr::from(([127, 0, 0, 1], port)), SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port)));
        let http = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
        let log = folder.path().join("log");
        let open =
            |path: &Path| -> File { OpenOptions::new().create(true).append(true).open(path).expect("open a log") };
        let process = Process::start(
            Command::new(build)
                .args(["run", "--gateway", gateway, "--tls-name", "mail.test"])
                .args(if more.contains(&"--log-level") { &[][..] } else { &["--log-level", "AllInfo"] })
                .arg("--authorities")
                .arg(authorities)
                .arg("--token")
                .arg(folder.path().join("token"))
                .args(["--listen", &format!("{smtp},{smtp6}"), "--http", &http.to_string()])
                .args(more)
                .stdout(open(&log))
                .stderr(open(&log.with_extension("err"))),
        );
        let mut sidecar = Sidecar { folder, process, smtp, smtp6, http };
        let end = Instant::now() + PATIENCE;
        while !http::get(http, "/readyz", None).is_ok_and(|answer| answer.status == 200) {
            let ended = sidecar.process.ended();
            let log = sidecar.log_text();
            assert!(ended.is_none() && Instant::now() < end, "the sidecar is not ready ({ended:?}):\n{log}");
            std::thread::sleep(Duration::from_millis(10));
        }
        sidecar
    }

    /// Puts another token in the place of the one before, as a kubelet does.
    pub fn renew(&self, token: &str) {
        put_token(self.folder.path(), token);
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGTERM; how long it took to end, and its status.
    pub fn terminate(&mut self) -> (Duration, ExitStatus) {
        self.process.terminate(Duration::from_secs(40))
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The value of a metric, with its labels as Prometheus writes them.
    #[must_use]
    pub fn metric(&self, name: &str) -> f64 {
        let text = http::get(self.http, "/metrics", None).expect("the metrics").body;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no metric {name} in:\n{text}"))
    }

    /// Waits until a metric has this value.
    pub fn await_metric(&self, name: &str, value: f64) {
        wait::until_equal(PATIENCE, name, value, || self.metric(name));
    }

    /// Its log records so far.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        record::read(&self.log())
    }

    /// All that it wrote, standard error too.
    #[must_use]
    pub fn log_text(&self) -> String {
        let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
        format!("{}{}", read(self.log()), read(self.log().with_extension("err")))
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

/// The sidecar's program: `MAILSLUICE_SIDECAR`, or built now, for release where this is.
#[must_use]
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| process::program("mailsluice-relay", "mailsluice-sidecar", "MAILSLUICE_SIDECAR"))
}

fn put_token(folder: &Path, token: &str) {
    let new = folder.join("token.new");
    fs::write(&new, token).expect("write a token");
    fs::rename(&new, folder.join("token")).expect("put a token in place");
}
