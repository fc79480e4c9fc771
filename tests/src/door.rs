//! The ways into a relay, so that a test can go through all of them: in clear, by STARTTLS, and under TLS from the start.

use std::path::Path;

use mailsluice_crds::relay::{ListenerTls, TlsMode};
use tempfile::TempDir;

use crate::{certificate::Certificate, dialogue::Dialogue, manifest::Manifest, relay::Relay};

const SECRET: &str = "door-tls";

/// A way into a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// In clear.
    Plain,
    /// Under TLS after STARTTLS.
    StartTls,
    /// Under TLS from the start.
    Implicit,
}

impl Way {
    /// All of them.
    pub const ALL: [Way; 3] = [Way::Plain, Way::StartTls, Way::Implicit];
}

/// A relay with one way in.
#[derive(Debug)]
pub struct Door {
    /// The relay.
    pub relay: Relay,
    /// The way.
    pub way: Way,
    certificate: Certificate,
}

impl Door {
    /// Starts a relay with this way in.
    #[must_use]
    pub fn start(way: Way, manifest: &Manifest) -> Door {
        Door::start_with(way, manifest, |_| {})
    }

    /// The same, with Secrets and other files that `prepare` puts beside the manifests before the relay starts.
    #[must_use]
    pub fn start_with(way: Way, manifest: &Manifest, prepare: impl FnOnce(&Path)) -> Door {
        let mode = match way {
            Way::Plain => None,
            Way::StartTls => Some(TlsMode::StartTls),
            Way::Implicit => Some(TlsMode::Implicit),
        };
        let tls = mode.map(|mode| ListenerTls { secret_name: SECRET.into(), mode });
        let manifest = Manifest { tls, ..manifest.clone() };
        let folder = TempDir::new().expect("a temporary folder");
        let certificate = Certificate::of("mail.test");
        let _ = certificate.put(folder.path(), SECRET);
        prepare(folder.path());
        let file = folder.path().join("relay.yaml");
        Door { relay: Relay::start_on(folder, &file, &manifest, &[]), way, certificate }
    }

    /// A session that goes in, and has said EHLO.
    #[must_use]
    pub fn open(&self) -> Dialogue {
        let mut dialogue = match self.way {
            Way::Plain => return Dialogue::open(self.relay.smtp),
            Way::StartTls => {
                let mut dialogue = Dialogue::open(self.relay.smtp);
                dialogue.expect("STARTTLS", "220 ");
                dialogue.secure(&self.certificate);
                dialogue
            }
            Way::Implicit => {
                let mut dialogue = Dialogue::connect(self.relay.smtp).expect("connect");
                dialogue.secure(&self.certificate);
                assert!(dialogue.reply().starts_with("220 "));
                dialogue
            }
        };
        dialogue.expect("EHLO client.test", "250");
        dialogue
    }
}
