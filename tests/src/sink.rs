//! Where mail arrives: the relay's own sink, which keeps every message and its envelope.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use jiff::Timestamp;
use serde::Deserialize;
use tempfile::TempDir;

use crate::{
    mail,
    network::Neighbour,
    process::{self, Process},
    relay::program,
    wait,
};

/// A message that arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// Its envelope.
    pub envelope: Envelope,
    /// Its octets as they came.
    pub octets: Vec<u8>,
}

/// The envelope of a message that arrived.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// When the sink had it whole.
    pub received_at: Timestamp,
    /// Who sent it.
    pub client: SocketAddr,
    /// The name that it gave itself.
    pub helo: String,
    /// The reverse-path; empty for a bounce.
    pub sender: String,
    /// The recipients, in their order.
    pub recipients: Vec<String>,
    /// Whether BODY=8BITMIME was declared.
    pub eight_bit: bool,
}

impl Received {
    /// The message as its first client sent it.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        mail::without_trace(&self.octets)
    }

    /// The id that the relay gave it, as its trace line says.
    #[must_use]
    pub fn id(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.octets);
        let (_, rest) = text.split_once("\r\n\tby ")?.1.split_once(" id ")?;
        Some(rest.chars().take_while(char::is_ascii_alphanumeric).collect())
    }

    /// Its subject, by which tests tell messages apart.
    #[must_use]
    pub fn subject(&self) -> String {
        mail::header(&self.octets, "Subject").unwrap_or_default()
    }
}

/// A sink that runs.
#[derive(Debug)]
pub struct Sink {
    process: Process,
    folder: TempDir,
    /// Where it takes mail.
    pub address: SocketAddr,
}

impl Sink {
    /// Starts one on a free port.
    #[must_use]
    pub fn start() -> Sink {
        Sink::start_at(SocketAddr::from(([127, 0, 0, 1], process::free_port())))
    }

    /// Starts one at this address.
    #[must_use]
    pub fn start_at(address: SocketAddr) -> Sink {
        Sink::start_by(Command::new(program()), address)
    }

    /// Starts one at this address of another machine.
    #[must_use]
    pub fn start_on(neighbour: &Neighbour, address: SocketAddr) -> Sink {
        Sink::start_by(neighbour.command(program()), address)
    }

    fn start_by(mut program: Command, address: SocketAddr) -> Sink {
        let folder = TempDir::new().expect("a temporary folder");
        let process = Process::start(
            program
                .arg("sink")
                .arg(address.to_string())
                .args(["--quiet", "--save"])
                .arg(folder.path())
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        );
        process::await_port(address);
        Sink { process, folder, address }
    }

    /// `kill -9`: connections to it are refused from now on.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// How many messages have arrived.
    #[must_use]
    pub fn count(&self) -> usize {
        count(self.folder.path())
    }

    /// The messages that have arrived, in the order in which they were whole.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        read(self.folder.path())
    }

    /// The messages that have arrived after the first `known`.
    #[must_use]
    pub fn received_after(&self, known: usize) -> Vec<Received> {
        read_after(self.folder.path(), known)
    }

    /// Waits for so many messages.
    #[must_use]
    pub fn await_messages(&self, count: usize, limit: Duration) -> Vec<Received> {
        wait::until_some(limit, &format!("{count} messages arrive"), || (self.count() >= count).then_some(()));
        self.received()
    }

    /// Waits for so many messages, and gives them in the order of their subjects: a relay delivers side by side what it has taken in one
    /// after the other, and the order in which that arrives says nothing.
    #[must_use]
    pub fn await_by_subject(&self, count: usize, limit: Duration) -> Vec<Received> {
        let mut messages = self.await_messages(count, limit);
        messages.sort_by_key(Received::subject);
        messages
    }
}

/// How many messages a sink's folder has; it opens none of them.
#[must_use]
pub fn count(folder: &Path) -> usize {
    names(folder).len()
}

/// The messages in a folder in which a sink keeps them.
#[must_use]
pub fn read(folder: &Path) -> Vec<Received> {
    names(folder).iter().filter_map(|name| read_one(name)).collect()
}

/// The messages with the numbers after `known`, up to the first that is not whole yet. Lists no folder, which may hold very many.
fn read_after(folder: &Path, known: usize) -> Vec<Received> {
    (known + 1..).map_while(|number| read_one(&folder.join(format!("{number}.json")))).collect()
}

fn read_one(envelope: &Path) -> Option<Received> {
    let read = |path: &Path| fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    envelope.exists().then(|| Received {
        envelope: serde_json::from_slice(&read(envelope)).expect("an envelope in JSON"),
        octets: read(&envelope.with_extension("eml")),
    })
}

/// The envelopes, which have their names when the message is whole, by their number.
fn names(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut names: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|kind| kind == "json")).collect();
    names.sort_by_key(|path| path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok()));
    names
}
