//! Mailpit, a Go program of its own module: a next hop that keeps what it gets, and shows it over HTTP.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    net::SocketAddr,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use super::{
    Missing, Peer, Running, built,
    link::{CRYPT, Place, USER},
};
use crate::{
    http,
    letter::REFUSED_DOMAIN,
    mail,
    process::{self, Process},
    sink::{Envelope, Received},
};

/// Mailpit.
#[derive(Debug)]
pub struct Mailpit;

#[derive(Debug)]
struct Daemon {
    address: SocketAddr,
    http: SocketAddr,
    /// What it was asked for already, by its identifiers.
    seen: RefCell<BTreeMap<String, Received>>,
    _process: Process,
    _folder: TempDir,
}

impl Peer for Mailpit {
    fn name(&self) -> &'static str {
        "mailpit"
    }

    fn adds(&self) -> &'static [&'static str] {
        // The envelope's sender, and those of its recipients that the header does not name.
        &["Return-Path", "Bcc"]
    }

    fn signature(&self) -> String {
        // It has the machine's name.
        "(Mailpit) with".into()
    }

    fn passes_on(&self) -> bool {
        false
    }

    fn start(&self, place: &Place<'_>) -> Result<Box<dyn Running>, Missing> {
        let program = built("mailpit/program")?;
        let folder = TempDir::new().expect("a temporary folder");
        let address = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
        let http = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
        let mut command = Command::new(program);
        command
            .args(["--smtp", &address.to_string(), "--listen", &http.to_string(), "--smtp-disable-rdns", "--quiet"])
            .args(["--disable-version-check", "--max-message-size", "50", "--max", "0"])
            // Its expressions cannot say what does not match.
            .args(["--smtp-allowed-recipients", &format!("@({})$", wanted_domains())])
            .arg("--database")
            .arg(folder.path().join("mail.db"));
        if place.inward.is_secure() {
            command.arg("--smtp-require-starttls").arg("--smtp-tls-cert").arg(place.keys.chain());
            command.arg("--smtp-tls-key").arg(place.keys.key());
        }
        if place.inward.has_login() {
            let users = folder.path().join("users");
            std::fs::write(&users, format!("{USER}:{CRYPT}\n")).expect("write its users");
            command.arg("--smtp-auth-file").arg(users);
        }
        let process = Process::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
        process::await_port(address);
        process::await_port(http);
        Ok(Box::new(Daemon { address, http, seen: RefCell::default(), _process: process, _folder: folder }))
    }
}

/// The domains of letters and of their senders, without the one whose recipients are refused.
fn wanted_domains() -> String {
    let domains = ["one.test", "example.org"];
    debug_assert!(!domains.contains(&REFUSED_DOMAIN));
    domains.join("|").replace('.', "\\.")
}

impl Daemon {
    fn page(&self, path: &str) -> Vec<u8> {
        let (status, body) = http::get_octets(self.http, path).expect("Mailpit answers");
        assert_eq!(status, 200, "Mailpit: {path}");
        body
    }

    fn message(&self, id: &str) -> Received {
        let octets = self.page(&format!("/api/v1/message/{id}/raw"));
        let addresses = |name| mail::header(&octets, name).unwrap_or_default().replace(['<', '>'], "");
        let recipients = addresses("Bcc").split(',').map(|recipient| recipient.trim().to_owned()).collect();
        let sender = addresses("Return-Path");
        let envelope = Envelope {
            received_at: jiff::Timestamp::now(),
            // It does not keep these.
            client: SocketAddr::from(([127, 0, 0, 1], 0)),
            eight_bit: false,
            helo: String::new(),
            sender,
            recipients,
        };
        Received { envelope, octets }
    }
}

impl Running for Daemon {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn kept(&self) -> Vec<Received> {
        let page: serde_json::Value =
            serde_json::from_slice(&self.page("/api/v1/messages?limit=1000")).expect("Mailpit answers in JSON");
        let messages = page["messages"].as_array().cloned().unwrap_or_default();
        let mut seen = self.seen.borrow_mut();
        for id in messages.iter().filter_map(|message| message["ID"].as_str()) {
            seen.entry(id.to_owned()).or_insert_with(|| self.message(id));
        }
        seen.values().cloned().collect()
    }
}
