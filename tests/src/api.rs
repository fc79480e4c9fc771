//! A Kubernetes API server alone, with its etcd: no root, no nodes, up in a few seconds.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::{Command, Output, Stdio},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    audit::{self, Request},
    cluster::home,
    process::{self, Process},
    wait,
};

/// How long a start may take on a busy machine.
const START: Duration = Duration::from_secs(60);

/// Random enough credentials for a server that only loopback reaches: the administrator's, and the operator's.
const TOKEN: &str = "mailsluice-tests";
const OPERATOR_TOKEN: &str = "mailsluice-operator";

/// The user that an operator is to the server, who may do anything too; every request of his is in the audit log.
pub const OPERATOR: &str = "operator";

/// An API server that runs until it is dropped.
#[derive(Debug)]
pub struct ApiServer {
    apiserver: Process,
    etcd: Process,
    address: SocketAddr,
    folder: TempDir,
}

impl ApiServer {
    /// Starts one, and waits until it is ready.
    #[must_use]
    pub fn start() -> ApiServer {
        let folder = TempDir::new().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let loopback = || SocketAddr::from(([127, 0, 0, 1], process::free_port()));
        let (address, client, peer) = (loopback(), format!("http://{}", loopback()), format!("http://{}", loopback()));
        let etcd = Process::start(
            Command::new(part("etcd"))
                .args(["--unsafe-no-fsync", "--log-level", "error", "--data-dir", &path("etcd")])
                .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
                .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
                .args(["--initial-cluster", &format!("default={peer}")])
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        );
        process::run(Command::new("openssl").args(["genrsa", "-out", &path("sa.key"), "2048"]));
        process::run(Command::new("openssl").args(["rsa", "-in", &path("sa.key"), "-pubout", "-out", &path("sa.pub")]));
        let users = format!("{TOKEN},admin,admin,system:masters\n{OPERATOR_TOKEN},{OPERATOR},{OPERATOR}\n");
        fs::write(path("tokens"), users).expect("write the tokens");
        let audit = json!({
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": [{"level": "Metadata", "users": [OPERATOR]}, {"level": "None"}],
        });
        fs::write(path("audit.yaml"), audit.to_string()).expect("write the audit policy");
        let apiserver = Process::start(
            Command::new(part("kube-apiserver"))
                .arg(format!("--etcd-servers={client}"))
                .arg("--bind-address=127.0.0.1")
                .arg(format!("--secure-port={}", address.port()))
                .arg(format!("--cert-dir={}", path("pki")))
                .arg(format!("--token-auth-file={}", path("tokens")))
                .arg(format!("--service-account-key-file={}", path("sa.pub")))
                .arg(format!("--service-account-signing-key-file={}", path("sa.key")))
                .args(["--service-account-issuer=https://kubernetes.default.svc", "--authorization-mode=RBAC"])
                .args(["--feature-gates=MutatingAdmissionPolicy=true"])
                .args(["--runtime-config=admissionregistration.k8s.io/v1beta1=true"])
                .args(["--service-cluster-ip-range=198.19.0.0/16", "--disable-admission-plugins=ServiceAccount"])
                .arg(format!("--audit-policy-file={}", path("audit.yaml")))
                .arg(format!("--audit-log-path={}", path("audit.json")))
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        );
        let server = ApiServer { apiserver, etcd, address, folder };
        wait::until_some(START, "the API server is ready", || {
            server.kubectl(&["get", "namespace", "default"], "").status.success().then_some(())
        });
        // No member of system:masters, whose requests go past the server's limits.
        let role = ["create", "clusterrolebinding", OPERATOR, "--clusterrole=cluster-admin", "--user", OPERATOR];
        let output = server.kubectl(&role, "");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        server
    }

    /// The process ids of the API server and of its etcd.
    #[must_use]
    pub fn ids(&self) -> (u32, u32) {
        (self.apiserver.id(), self.etcd.id())
    }

    /// Installs the custom resource definitions, and waits until they are served.
    pub fn install(&self, crds: &str) {
        let output = self.kubectl(&["apply", "--server-side", "-f", "-"], crds);
        assert!(output.status.success(), "the CRDs: {}", String::from_utf8_lossy(&output.stderr));
        let wait = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"];
        let output = self.kubectl(&wait, "");
        assert!(output.status.success(), "the CRDs: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// A kubeconfig of the administrator; without a context's namespace, which then is `default`.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.kubeconfig_of(TOKEN)
    }

    /// A kubeconfig of [`OPERATOR`].
    #[must_use]
    pub fn operators_kubeconfig(&self) -> PathBuf {
        self.kubeconfig_of(OPERATOR_TOKEN)
    }

    /// Every request of the operator that was answered since a moment.
    #[must_use]
    pub fn requests(&self, since: Timestamp) -> Vec<Request> {
        audit::requests(&self.folder.path().join("audit.json"), OPERATOR, since)
    }

    fn kubeconfig_of(&self, token: &str) -> PathBuf {
        let file = self.folder.path().join(format!("{token}.kubeconfig"));
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {
                "server": format!("https://{}", self.address), "insecure-skip-tls-verify": true,
            }}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        });
        fs::write(&file, config.to_string()).expect("write the kubeconfig");
        file
    }

    /// Applies manifests.
    pub fn apply(&self, manifests: &str) {
        let output = self.kubectl(&["apply", "-f", "-"], manifests);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Tells the server of a pod of that relay, in the namespace `default`, that runs, as a kubelet would.
    pub fn run_pod(&self, relay: &str, address: IpAddr) {
        let pod = format!("{relay}-0");
        self.apply(
            &json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": pod, "labels": {
                    "app.kubernetes.io/name": "mailsluice-relay",
                    "app.kubernetes.io/instance": relay,
                    "app.kubernetes.io/managed-by": "mailsluice-operator",
                }},
                "spec": {"containers": [{"name": "relay", "image": "relay"}]},
            })
            .to_string(),
        );
        let status = json!({"status": {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }});
        let output = self
            .kubectl(&["patch", "pod", &pod, "--subresource=status", "--type=merge", "-p", &status.to_string()], "");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// An object of the namespace `default` as JSON, if it exists.
    #[must_use]
    pub fn object(&self, kind: &str, name: &str) -> Option<Value> {
        let output = self.kubectl(&["get", kind, name, "-o", "json", "--ignore-not-found"], "");
        serde_json::from_slice(&output.stdout).ok()
    }

    /// Runs kubectl against it, with something on its standard input.
    #[must_use]
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> Output {
        use std::io::Write as _;
        let mut child = Command::new(part("kubectl"))
            .args(["--kubeconfig=/dev/null", "--insecure-skip-tls-verify", "--token", TOKEN])
            .args(["--server", &format!("https://{}", self.address)])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start kubectl");
        let mut stdin = child.stdin.take().expect("its standard input");
        // One that reads nothing may be gone already.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().expect("wait for kubectl")
    }
}

fn part(name: &str) -> PathBuf {
    let program = home().join("bin").join(name);
    assert!(program.exists(), "{} is missing: tests/cluster/build makes it", program.display());
    program
}
