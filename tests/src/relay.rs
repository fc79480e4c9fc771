//! The real relay, as a process of its own.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File, OpenOptions},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    sync::OnceLock,
    time::{Duration, Instant},
};

use mailsluice_crds::monitor::{HostRow, Snapshot};
use tempfile::TempDir;

use crate::{
    clock::{self, Clock},
    http,
    manifest::Manifest,
    process::{self, Process},
    record::{self, Record},
    wait,
};

/// How long a start, a delivery or any other single step may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A relay that runs. What it keeps is in a temporary folder.
#[derive(Debug)]
pub struct Relay {
    folder: TempDir,
    process: Process,
    program: PathBuf,
    environment: Vec<(String, String)>,
    arguments: Vec<OsString>,
    /// Where it takes mail.
    pub smtp: SocketAddr,
    /// Where it shows itself.
    pub http: SocketAddr,
}

impl Relay {
    /// Starts one, and waits until it is ready.
    #[must_use]
    pub fn start(manifest: &Manifest) -> Relay {
        Relay::start_with(manifest, &[])
    }

    /// Starts one with further arguments, and waits until it is ready.
    #[must_use]
    pub fn start_with(manifest: &Manifest, arguments: &[&str]) -> Relay {
        let folder = TempDir::new().expect("a temporary folder");
        let file = folder.path().join("relay.yaml");
        Relay::start_on(folder, &file, manifest, arguments)
    }

    /// Starts one whose manifests are in `file`, somewhere in `folder`, and waits until it is ready.
    #[must_use]
    pub fn start_on(folder: TempDir, file: &Path, manifest: &Manifest, more: &[&str]) -> Relay {
        Relay::start_build(program(), folder, file, manifest, more)
    }

    /// As [`Relay::start_on`], of this program: another build than the one that is tested.
    #[must_use]
    pub fn start_build(program: &Path, folder: TempDir, file: &Path, manifest: &Manifest, more: &[&str]) -> Relay {
        let http = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
        let shown_at = http.to_string();
        let more = [&["--http", &shown_at], more].concat();
        Relay::begin((program, Vec::new()), folder, file, manifest, &more, http)
    }

    /// As [`Relay::start_with`], under another clock.
    #[must_use]
    pub fn start_under(clock: &Clock, manifest: &Manifest) -> Relay {
        let folder = TempDir::new().expect("a temporary folder");
        let file = folder.path().join("relay.yaml");
        let http = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
        let shown_at = http.to_string();
        Relay::start_under_at_http(clock, folder, &file, manifest, &["--http", &shown_at], http)
    }

    /// As [`Relay::start_at_http`], under another clock.
    #[must_use]
    pub fn start_under_at_http(
        clock: &Clock,
        folder: TempDir,
        file: &Path,
        manifest: &Manifest,
        more: &[&str],
        http: SocketAddr,
    ) -> Relay {
        Relay::begin((clock::program(), clock.environment()), folder, file, manifest, more, http)
    }

    /// Starts one whose arguments say where it shows itself; `http` is how that is reached from here.
    #[must_use]
    pub fn start_at_http(folder: TempDir, file: &Path, manifest: &Manifest, more: &[&str], http: SocketAddr) -> Relay {
        Relay::begin((program(), Vec::new()), folder, file, manifest, more, http)
    }

    /// Starts the program with what is set for it.
    fn begin(
        (program, environment): (&Path, Vec<(String, String)>),
        folder: TempDir,
        file: &Path,
        manifest: &Manifest,
        more: &[&str],
        http: SocketAddr,
    ) -> Relay {
        let smtp = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
        if !file.exists() {
            fs::write(file, manifest.text(smtp.port())).expect("write the manifests");
        }
        let spool = folder.path().join("spool");
        let mut arguments: Vec<OsString> = vec!["run".into(), file.into(), "--spool".into(), spool.into()];
        arguments.extend(more.iter().map(OsString::from));
        let process = launch(program, &environment, &arguments, &folder.path().join("log"));
        let mut relay = Relay { folder, process, program: program.into(), environment, arguments, smtp, http };
        relay.await_ready();
        relay
    }

    /// Waits until it takes mail.
    pub fn await_ready(&mut self) {
        let end = Instant::now() + PATIENCE;
        while !http::get(self.http, "/readyz", None).is_ok_and(|answer| answer.status == 200) {
            let ended = self.process.ended();
            assert!(
                ended.is_none() && Instant::now() < end,
                "the relay is not ready ({ended:?}):\n{}",
                self.log_text()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGTERM; how long it took to end, and its status.
    pub fn terminate(&mut self) -> (Duration, ExitStatus) {
        self.process.terminate(Duration::from_secs(40))
    }

    /// Starts it again on what it kept, after it has ended.
    pub fn restart(&mut self) {
        self.relaunch();
        self.await_ready();
    }

    /// Starts it again on what it kept, after it has ended, and does not wait for anything.
    pub fn relaunch(&mut self) {
        self.process = launch(&self.program, &self.environment, &self.arguments, &self.folder.path().join("log"));
    }

    /// Its process id, which says whether it is still the same process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Writes other manifests, as an editor does: a new file in the place of the old.
    pub fn rewrite(&self, manifest: &Manifest) {
        self.rewrite_text(&manifest.text(self.smtp.port()));
    }

    /// Writes any text where the manifests are.
    pub fn rewrite_text(&self, text: &str) {
        let file = self.folder.path().join("relay.yaml");
        let new = file.with_extension("new");
        fs::write(&new, text).expect("write the manifests");
        fs::rename(&new, &file).expect("put the manifests in place");
    }

    /// The folder that holds its manifests, its spool and its log.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its Monitor.
    #[must_use]
    pub fn monitor(&self) -> Snapshot {
        let answer = http::get(self.http, "/monitor", None).expect("the Monitor");
        assert_eq!(answer.status, 200, "the Monitor: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("the Monitor: {error}: {}", answer.body))
    }

    /// The row of a host in the Monitor, if it has one.
    #[must_use]
    pub fn row(&self, host: &str) -> Option<HostRow> {
        self.monitor().monitor.into_iter().find(|row| row.host == host)
    }

    /// Waits until no mail waits any more.
    pub fn await_empty(&self) {
        self.await_empty_for(PATIENCE);
    }

    /// Waits until no mail waits any more, for so long at most.
    pub fn await_empty_for(&self, limit: Duration) {
        // After a restart the queue is short of what is still being read.
        wait::until_equal(limit, "spools that are still read", 0.0, || self.metric("mailsluice_spool_recovering"));
        wait::until_equal(limit, "messages that wait", 0, || self.monitor().queue.messages);
    }

    /// A metric by its name, with its labels as Prometheus writes them; all of them in a map.
    #[must_use]
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        let text = http::get(self.http, "/metrics", None).expect("the metrics").body;
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        lines
            .map(|line| {
                let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("not a metric: {line}"));
                (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("not a number: {line}")))
            })
            .collect()
    }

    /// The value of one metric.
    #[must_use]
    pub fn metric(&self, name: &str) -> f64 {
        *self.metrics().get(name).unwrap_or_else(|| panic!("no metric {name}"))
    }

    /// Its log records so far.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        record::read(&self.folder.path().join("log"))
    }

    /// Waits for a record.
    pub fn await_record(&self, what: &str, wanted: impl Fn(&Record) -> bool) -> Record {
        wait::until_some(PATIENCE, &format!("a log record: {what}"), || self.records().into_iter().find(|r| wanted(r)))
    }

    /// Waits until a changed configuration is in force, `times` changes after the start.
    pub fn await_reloads(&self, times: usize) {
        wait::until_equal(PATIENCE, "changes of the configuration that are in force", times, || {
            let records = self.records();
            records.iter().filter(|record| record.msg == "the configuration has changed and is in force").count()
        });
    }

    /// Waits until its log has this; all of it then. The log is written beside the work, and may come after it.
    pub fn await_log(&self, part: &str) -> String {
        wait::until_some(PATIENCE, &format!("{part:?} in the log"), || {
            Some(self.log_text()).filter(|log| log.contains(part))
        })
    }

    /// All that it wrote, standard error too.
    #[must_use]
    pub fn log_text(&self) -> String {
        let read = |name| fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        format!("{}{}", read("log"), read("log.err"))
    }
}

fn launch(program: &Path, environment: &[(String, String)], arguments: &[OsString], log: &Path) -> Process {
    let open = |path: &Path| -> File { OpenOptions::new().create(true).append(true).open(path).expect("open a log") };
    let mut command = Command::new(program);
    command.envs(environment.iter().cloned()).args(arguments);
    Process::start(command.stdout(open(log)).stderr(open(&log.with_extension("err"))))
}

/// The relay's program: `MAILSLUICE_RELAY`, or built now, for release where this is.
#[must_use]
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| process::program("mailsluice-relay", "mailsluice-relay", "MAILSLUICE_RELAY"))
}
