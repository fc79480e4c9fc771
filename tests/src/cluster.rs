//! The Kubernetes cluster of `tests/cluster`, which must be up, with Mailsluice installed by its chart.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;

use crate::{process, wait, workspace};

/// How long a pod may take to start, or an object to go, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The namespace and the name of the chart's release.
pub const RELEASE: &str = "mailsluice";

/// The service account of the operator, as the audit log names it.
pub const OPERATOR: &str = "system:serviceaccount:mailsluice:mailsluice";

/// The networks of its pods, one of each family.
pub const PODS: [&str; 2] = ["198.18.0.0/24", "fd00:198:18::/64"];

/// The folder of the cluster that runs.
#[must_use]
pub fn run() -> PathBuf {
    home().join("run")
}

/// The folder of what the cluster is made of.
#[must_use]
pub fn home() -> PathBuf {
    std::env::var_os("MAILSLUICE_CLUSTER").map_or_else(|| workspace().join("target/cluster"), PathBuf::from)
}

/// Runs kubectl; its output, or a panic with what it said.
pub fn kubectl(arguments: &[&str]) -> String {
    text(&try_kubectl(arguments, ""), "kubectl", arguments)
}

/// Runs kubectl with something on its standard input.
pub fn try_kubectl(arguments: &[&str], input: &str) -> Output {
    tool("kubectl", arguments, input)
}

/// Runs helm; its output, or a panic with what it said.
pub fn helm(arguments: &[&str]) -> String {
    text(&tool("helm", arguments, ""), "helm", arguments)
}

/// Applies manifests.
pub fn apply(manifests: &str) {
    let arguments = ["apply", "-f", "-"];
    text(&try_kubectl(&arguments, manifests), "kubectl", &arguments);
}

/// An object as JSON, if it exists.
#[must_use]
pub fn object(namespace: &str, kind: &str, name: &str) -> Option<Value> {
    let output = try_kubectl(&["get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found"], "");
    serde_json::from_slice(&output.stdout).ok()
}

/// The objects of a kind in a namespace.
#[must_use]
pub fn objects(namespace: &str, kind: &str) -> Vec<Value> {
    let list: Value = serde_json::from_str(&kubectl(&["get", kind, "-n", namespace, "-o", "json"])).expect("a list");
    list["items"].as_array().cloned().unwrap_or_default()
}

/// Installs the chart where it is not installed, and waits until the operator is ready.
pub fn install() {
    upgrade(&workspace(), "test", "");
}

/// Installs the chart with these values (`--set`), the others as they are by default, and waits until the operator is ready.
pub fn install_with(more: &str) {
    upgrade(&workspace(), "test", more);
}

/// Installs the chart of that checkout, or upgrades to it, with the images of that tag; waits until the operator is ready.
pub fn install_from(checkout: &Path, tag: &str) {
    upgrade(checkout, tag, "");
}

fn upgrade(checkout: &Path, tag: &str, more: &str) {
    await_up();
    let chart = checkout.join("charts/mailsluice");
    let chart = chart.to_str().expect("a path in UTF-8");
    let image = |part: &str| format!("{part}.image.repository=localhost/mailsluice-{part},{part}.image.tag={tag}");
    let values = format!("{},{}", image("relay"), image("operator"));
    helm(&[
        "upgrade",
        "--install",
        RELEASE,
        chart,
        "-n",
        RELEASE,
        "--create-namespace",
        "--set",
        &values,
        "--set",
        more,
        "--wait",
        "--timeout",
        "90s",
    ]);
}

/// Gives the relay's and the operator's image another tag beside `test`.
pub fn tag_images(tag: &str) {
    let images = workspace().join("tests/cluster/images");
    process::run(Command::new(images).args(["tag", tag, "mailsluice-relay", "mailsluice-operator"]));
}

/// Panics, with what to do, when no cluster is up.
pub fn await_up() {
    let up = run().join("kubectl").exists() && try_kubectl(&["get", "--raw", "/readyz"], "").status.success();
    assert!(up, "no cluster is up: tests/cluster/up starts one, and tests/run does all of it");
}

/// A namespace of a test's own, which enforces the `restricted` Pod Security Standard; it goes when this is dropped.
#[derive(Debug)]
pub struct Namespace(String);

impl Namespace {
    /// Makes it, afresh.
    #[must_use]
    pub fn new(name: &str) -> Namespace {
        kubectl(&["delete", "namespace", name, "--ignore-not-found", "--timeout=90s"]);
        apply(&format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}, labels: {{pod-security.kubernetes.io/enforce: restricted}}}}}}"
        ));
        Namespace(name.to_owned())
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Runs kubectl in it.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        kubectl(&[&["-n", self.name()], arguments].concat())
    }

    /// Applies manifests in it.
    pub fn apply(&self, manifests: &str) {
        let arguments = ["-n", self.name(), "apply", "-f", "-"];
        text(&try_kubectl(&arguments, manifests), "kubectl", &arguments);
    }

    /// An object in it.
    #[must_use]
    pub fn object(&self, kind: &str, name: &str) -> Option<Value> {
        object(self.name(), kind, name)
    }

    /// The value at a JSON pointer of an object in it, as text; empty where there is none.
    #[must_use]
    pub fn at(&self, kind: &str, name: &str, pointer: &str) -> String {
        let value = self.object(kind, name).and_then(|object| object.pointer(pointer).cloned());
        value.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).unwrap_or_default()
    }

    /// Waits until the value at a JSON pointer of an object in it is this.
    pub fn await_at(&self, kind: &str, name: &str, pointer: &str, wanted: &str) {
        let what = format!("{pointer} of {kind} {name}");
        wait::until_equal(PATIENCE, &what, wanted.to_owned(), || self.at(kind, name, pointer));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.explain();
        }
        // The next test need not wait for it.
        let _ = try_kubectl(&["delete", "namespace", self.name(), "--wait=false"], "");
    }
}

impl Namespace {
    /// What a failed test leaves behind, for who reads it.
    fn explain(&self) {
        for arguments in [
            ["get", "smtprelay,tcpschedule,smtpaccess,statefulset,pod,service,pvc", "-o", "wide"].as_slice(),
            &["describe", "smtprelay"],
            &["get", "events", "--sort-by=.lastTimestamp"],
            &["logs", "-l", "app.kubernetes.io/name=mailsluice-relay", "--tail=40", "--prefix"],
        ] {
            let output = try_kubectl(&[&["-n", self.name()], arguments].concat(), "");
            eprintln!("--- kubectl {arguments:?}\n{}", String::from_utf8_lossy(&output.stdout));
        }
        let selector = "app.kubernetes.io/name=mailsluice-operator";
        let output = try_kubectl(&["-n", RELEASE, "logs", "-l", selector, "--tail=40", "--prefix"], "");
        eprintln!("--- the operator's log\n{}", String::from_utf8_lossy(&output.stdout));
    }
}

/// The API server, stopped: it answers nobody until this is dropped.
#[derive(Debug)]
pub struct StoppedApiServer(());

impl StoppedApiServer {
    /// Stops it.
    #[must_use]
    pub fn stop() -> StoppedApiServer {
        signal("apiserver", Signal::STOP);
        StoppedApiServer(())
    }
}

impl Drop for StoppedApiServer {
    fn drop(&mut self) {
        signal("apiserver", Signal::CONT);
        wait::until_some(PATIENCE, "the API server answers again", || {
            try_kubectl(&["get", "--raw", "/readyz"], "").status.success().then_some(())
        });
    }
}

/// Kills the API server and starts it again, with the same arguments; waits until it answers.
pub fn restart_api_server() {
    restart_api_server_with(|_| {});
}

/// Kills the API server and starts it again, with its arguments as they are then; waits until it answers.
pub fn restart_api_server_with(change: impl FnOnce(&mut Vec<String>)) {
    restart_with("apiserver", change);
    wait::until_some(PATIENCE, "the API server answers again", || {
        try_kubectl(&["get", "--raw", "/readyz"], "").status.success().then_some(())
    });
}

/// Kills a part of the cluster and starts it again, with the same arguments.
pub fn restart(part: &str) {
    restart_with(part, |_| {});
}

fn restart_with(part: &str, change: impl FnOnce(&mut Vec<String>)) {
    let id = process_id(part);
    let command = fs::read(format!("/proc/{}/cmdline", id.as_raw_pid())).expect("its command line");
    let command = String::from_utf8(command).expect("a command line in UTF-8");
    let mut command: Vec<String> = command.split_terminator('\0').map(str::to_owned).collect();
    change(&mut command);
    signal(part, Signal::KILL);
    wait::until_some(PATIENCE, &format!("{part} is gone"), || test_kill_process(id).is_err().then_some(()));
    let log = || File::options().append(true).open(run().join(format!("log/{part}.log"))).expect("its log");
    let mut child = inside()
        .args(command)
        .stdin(Stdio::null())
        .stdout(log())
        .stderr(log())
        .process_group(0)
        .spawn()
        .unwrap_or_else(|error| panic!("start {part}: {error}"));
    fs::write(run().join(format!("{part}.pid")), child.id().to_string()).expect("write its process id");
    // So that it is gone when it is killed.
    thread::spawn(move || child.wait());
}

/// Begins a command in the cluster's network, from where pods can be reached; what it runs is its first argument.
#[must_use]
pub fn inside() -> Command {
    let namespace = std::env::var("MAILSLUICE_NETNS").unwrap_or_else(|_| "mailsluice".into());
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{namespace}"));
    command
}

fn signal(part: &str, signal: Signal) {
    kill_process(process_id(part), signal).unwrap_or_else(|error| panic!("signal {part}: {error}"));
}

fn process_id(part: &str) -> Pid {
    let file = run().join(format!("{part}.pid"));
    let id = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok()).and_then(Pid::from_raw);
    id.unwrap_or_else(|| panic!("{}: no process id", file.display()))
}

fn tool(name: &str, arguments: &[&str], input: &str) -> Output {
    let program: &Path = &run().join(name);
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}; is the cluster up?", program.display()));
    let mut stdin = child.stdin.take().expect("its standard input");
    // One that reads nothing may be gone already.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("wait for it")
}

fn text(output: &Output, name: &str, arguments: &[&str]) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {arguments:?}: {}\n{said}{error}", output.status);
    said
}
