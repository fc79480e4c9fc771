//! A host with the TLS of OpenSSL, where mail goes: a program in Python that writes down what it sees.

use std::{
    fs::{self, File},
    net::SocketAddr,
    process::{Command, Stdio},
};

use mailsluice_crds::relay::Smarthost;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    certificate::Certificate,
    process::{self, Process},
};

/// A host that runs.
#[derive(Debug)]
pub struct TlsHost {
    folder: TempDir,
    _process: Process,
    /// Where it takes mail.
    pub address: SocketAddr,
}

/// What it saw.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase")]
pub enum Seen {
    /// A client connected.
    Connection,
    /// A handshake was done.
    Tls {
        /// Such as `TLSv1.3`.
        version: String,
        /// Whether an earlier session was resumed.
        resumed: bool,
        /// The common name of the client's certificate.
        client: Option<String>,
    },
    /// A command came.
    Command {
        /// As it came.
        line: String,
        /// Whether it came under TLS.
        secure: bool,
    },
    /// A message came.
    Message {
        /// Its text.
        text: String,
        /// Whether it came under TLS.
        secure: bool,
    },
    /// The connection broke.
    Broken {
        /// What OpenSSL or the system said.
        text: String,
    },
}

/// A port with OpenSSL's own test server, under TLS at once, which speaks no SMTP: for handshakes that fail.
#[derive(Debug)]
pub struct TlsPort {
    _folder: TempDir,
    _process: Process,
    /// Where it listens.
    pub address: SocketAddr,
}

impl TlsPort {
    /// Starts `openssl s_server` with this certificate and these options.
    #[must_use]
    pub fn start(certificate: &Certificate, options: &[&str]) -> TlsPort {
        let folder = TempDir::new().expect("a temporary folder");
        let chain = certificate.put(folder.path(), "own");
        let address = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
        let mut command = Command::new("openssl");
        command.args(["s_server", "-quiet", "-accept", &address.to_string(), "-cert"]).arg(chain).arg("-key");
        command.arg(folder.path().join("own/tls.key")).args(options);
        let process = Process::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
        process::await_port(address);
        TlsPort { _folder: folder, _process: process, address }
    }
}

impl TlsHost {
    /// Starts one with this certificate; `wanted` is what else `tls_host.py` understands, over a host that offers STARTTLS.
    #[must_use]
    pub fn start(certificate: &Certificate, wanted: &Value) -> TlsHost {
        let folder = TempDir::new().expect("a temporary folder");
        let chain = certificate.put(folder.path(), "own");
        let address = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
        let key = folder.path().join("own/tls.key");
        let mut all = json!({"port": address.port(), "mode": "StartTls", "chain": chain, "key": key});
        for (name, value) in wanted.as_object().into_iter().flatten() {
            all[name] = value.clone();
        }
        let log = File::create(folder.path().join("seen")).expect("a log of the host");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tls_host.py");
        let process = Process::start(
            Command::new("python3").args([script, &all.to_string()]).stdout(log).stderr(Stdio::inherit()),
        );
        process::await_port(address);
        TlsHost { folder, _process: process, address }
    }

    /// The host as a route names it, by a name that the DNS of the test knows.
    #[must_use]
    pub fn named(&self, name: &str) -> Smarthost {
        Smarthost::new(name, self.address.port())
    }

    /// What it saw so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        let text = fs::read_to_string(self.folder.path().join("seen")).expect("the log of the host");
        // A line that is still being written is none yet.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }

    /// Messages that it took, and whether each came under TLS.
    #[must_use]
    pub fn messages(&self) -> Vec<bool> {
        let secure = |seen| match seen {
            Seen::Message { secure, .. } => Some(secure),
            _ => None,
        };
        self.seen().into_iter().filter_map(secure).collect()
    }

    /// Its handshakes: the version, and whether a session was resumed.
    #[must_use]
    pub fn handshakes(&self) -> Vec<(String, bool)> {
        let done = |seen| match seen {
            Seen::Tls { version, resumed, .. } => Some((version, resumed)),
            _ => None,
        };
        self.seen().into_iter().filter_map(done).collect()
    }
}
