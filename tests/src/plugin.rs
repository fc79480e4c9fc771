//! `kubectl mailsluice`, as people run it on the cluster, and the people themselves.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::{
    cluster::{self, Namespace},
    process,
    terminal::Terminal,
};

/// Somebody with an account in the cluster.
#[derive(Debug)]
pub struct Person {
    kubeconfig: PathBuf,
    /// The name by which the cluster knows them.
    pub name: String,
}

impl Person {
    /// Makes an account with a cluster role in the namespace.
    #[must_use]
    pub fn with_role(namespace: &Namespace, account: &str, role: &str) -> Person {
        namespace.apply(&format!(
            "
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {account}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: {account}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {role}}}
subjects: [{{kind: ServiceAccount, name: {account}, namespace: {namespace}}}]
",
            namespace = namespace.name(),
        ));
        let token = namespace.kubectl(&["create", "token", account]);
        let admin: Value =
            serde_json::from_str(&cluster::kubectl(&["config", "view", "--raw", "-o", "json"])).expect("a kubeconfig");
        let kubeconfig = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": admin["clusters"],
            "users": [{"name": account, "user": {"token": token.trim()}}],
            "contexts": [{"name": account, "context": {
                "cluster": admin["clusters"][0]["name"], "user": account, "namespace": namespace.name(),
            }}],
            "current-context": account,
        });
        let file = cluster::run().join(format!("{}-{account}.kubeconfig", namespace.name()));
        fs::write(&file, kubeconfig.to_string()).expect("write the kubeconfig");
        Person { kubeconfig: file, name: format!("system:serviceaccount:{}:{account}", namespace.name()) }
    }

    /// Runs the plugin.
    #[must_use]
    pub fn tries(&self, arguments: &[&str]) -> Output {
        let kubeconfig = format!("--kubeconfig={}", self.kubeconfig.display());
        Command::new(cluster::run().join("kubectl"))
            .arg("mailsluice")
            .args(arguments)
            .arg(kubeconfig)
            .env("PATH", path())
            .output()
            .expect("run kubectl")
    }

    /// Looks at the live Monitor in a terminal for so long, then presses a key that ends it; what the terminal was sent.
    #[must_use]
    pub fn watches(&self, time: Duration, key: &str) -> String {
        let (kubectl, kubeconfig) = (cluster::run().join("kubectl"), self.kubeconfig.display());
        let typed =
            format!("stty rows 40 cols 160; exec {} mailsluice monitor --kubeconfig={kubeconfig}", kubectl.display());
        let mut child = Command::new("script")
            .args(["-qec", &typed, "/dev/null"])
            .env("PATH", path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("run script");
        thread::sleep(time);
        let ended = child.try_wait().expect("look at it");
        assert!(ended.is_none(), "the Monitor ended by itself: {ended:?}");
        let mut keyboard = child.stdin.take().expect("its standard input");
        keyboard.write_all(key.as_bytes()).expect("press a key");
        let output = child.wait_with_output().expect("wait for it");
        assert!(output.status.success(), "the Monitor failed: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs the plugin in a terminal.
    #[must_use]
    pub fn terminal(&self, arguments: &[&str], size: (u16, u16)) -> Terminal {
        let (kubectl, kubeconfig) = (cluster::run().join("kubectl"), self.kubeconfig.display());
        let (path, typed) = (path(), arguments.join(" "));
        Terminal::start(
            &format!("PATH={path} exec {} mailsluice {typed} --kubeconfig={kubeconfig}", kubectl.display()),
            size,
        )
    }

    /// Runs the plugin; what it wrote, or a panic with what it said.
    pub fn does(&self, arguments: &[&str]) -> String {
        let output = self.tries(arguments);
        let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "kubectl mailsluice {arguments:?}: {}\n{said}{error}", output.status);
        println!("$ kubectl mailsluice {}\n{said}{error}", arguments.join(" "));
        said.into_owned()
    }

    /// Runs the plugin, which must refuse; what it says.
    #[must_use]
    pub fn is_refused(&self, arguments: &[&str]) -> String {
        let output = self.tries(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "kubectl mailsluice {arguments:?} was carried out: {error}");
        println!("$ kubectl mailsluice {}\n{error}", arguments.join(" "));
        error
    }
}

/// What the plugin makes of manifests with sidecars of this image, or what it says instead.
///
/// # Errors
/// With what it says.
pub fn inject(manifests: &str, image: &str) -> Result<String, String> {
    let mut child = Command::new(program())
        .args(["inject", "--image", image, "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run the plugin");
    let mut input = child.stdin.take().expect("its standard input");
    input.write_all(manifests.as_bytes()).expect("write manifests");
    drop(input);
    let output = child.wait_with_output().expect("wait for it");
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// A PATH on which kubectl finds the plugin.
fn path() -> String {
    let folder = program().parent().expect("a program is in a folder");
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default())
}

/// The plugin's program: `MAILSLUICE_KUBECTL`, or built now.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let built = || process::program("mailsluice-operator", "kubectl-mailsluice", "MAILSLUICE_KUBECTL");
    PROGRAM.get_or_init(|| std::path::absolute(built()).expect("a path"))
}
