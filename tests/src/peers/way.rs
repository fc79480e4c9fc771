//! What a row runs on: a relay, where its mail ends, and the peer on one side of it.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
};

use mailsluice_crds::{
    quantity::ByteSize,
    relay::{Client, ListenerTls, SecretRef, Smarthost, TlsMode, TlsPolicy, Users},
};
use tempfile::TempDir;

use super::{
    Missing, Peer, Running,
    link::{Keys, Link, PASSWORD, Place, USER},
    row::Row,
};
use crate::{
    certificate,
    clients::{Login, Server},
    manifest::Manifest,
    process,
    relay::{Relay, program},
    sink::{Received, Sink},
};

/// The Secret with the relay's certificate.
const RELAY_TLS: &str = "relay-tls";

/// The Secret with the authority that vouches for the next hop.
const HOP_CA: &str = "hop-ca";

/// The Secret with what the relay logs in with at the next hop.
const HOP_LOGIN: &str = "hop-login";

/// The Secret with the relay's users.
const RELAY_USERS: &str = "relay-users";

/// What a row runs on, for the cells of one [`Link`].
pub struct Way {
    /// The relay.
    pub relay: Relay,
    sink: Sink,
    peer: Option<(&'static dyn Peer, Box<dyn Running>)>,
    keys: Keys,
    link: Link,
}

impl Way {
    /// Starts it all.
    ///
    /// # Errors
    /// When the peer cannot be had here.
    pub fn start(row: Row, link: Link) -> Result<Way, Missing> {
        let keys = Keys::new();
        let sink = Sink::start();
        let (relay, peer) = match row {
            Row::Client(client) => {
                if let Some(why) = client.missing() {
                    return Err(Missing(why));
                }
                (relay(sink.address, link, Link::Clear, &keys), None)
            }
            Row::Before(peer) => {
                let relay = relay(sink.address, link, Link::Clear, &keys);
                let place = Place { next_hop: relay.smtp, inward: Link::Clear, outward: link, keys: &keys };
                (relay, Some((peer, peer.start(&place)?)))
            }
            Row::Behind(peer) => {
                let place = Place { next_hop: sink.address, inward: link, outward: Link::Clear, keys: &keys };
                let running = peer.start(&place)?;
                (relay(running.address(), Link::Clear, link, &keys), Some((peer, running)))
            }
        };
        Ok(Way { relay, sink, peer, keys, link })
    }

    /// Where a row's first server takes mail.
    #[must_use]
    pub fn entrance(&self, row: Row) -> SocketAddr {
        match (row, &self.peer) {
            (Row::Before(_), Some((_, running))) => running.address(),
            _ => self.relay.smtp,
        }
    }

    /// The relay as a client of it sees it, which trusts this authority.
    #[must_use]
    pub fn server<'a>(&self, authority: &'a Path) -> Server<'a> {
        Server {
            address: self.relay.smtp,
            authority: self.link.is_secure().then_some(authority),
            login: self.link.has_login().then_some(Login { user: USER, password: PASSWORD }),
        }
    }

    /// Has the relay trust the authority that vouches for the next hop, from here on.
    pub fn trust(&self) {
        certificate::put(self.relay.folder(), HOP_CA, "ca.crt", &self.keys.authority_text());
    }

    /// The keys on this way.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// What has arrived at its end.
    #[must_use]
    pub fn arrived(&self) -> Vec<Received> {
        match &self.peer {
            Some((peer, running)) if !peer.passes_on() => running.kept(),
            _ => self.sink.received(),
        }
    }
}

/// A relay to this host, spoken with and speaking so.
fn relay(host: SocketAddr, inward: Link, outward: Link, keys: &Keys) -> Relay {
    let mut manifest = Manifest::to(host);
    manifest.relay.limits.message_size = ByteSize::from_bytes(50 << 20);
    let folder = TempDir::new().expect("a temporary folder");
    if inward.is_secure() {
        manifest.tls = Some(ListenerTls { secret_name: RELAY_TLS.into(), mode: TlsMode::StartTls });
        let _ = keys.server().put(folder.path(), RELAY_TLS);
    }
    if inward.has_login() {
        let users = Some(Users { secret_name: RELAY_USERS.into() });
        manifest.relay.clients = vec![Client { users, ..Client::default() }];
        put_user(&folder.path().join(RELAY_USERS));
    }
    manifest.relay.tls = if outward.is_secure() { TlsPolicy::Verified } else { TlsPolicy::Off };
    if outward.is_secure() {
        manifest.relay.routes.iter_mut().filter_map(|route| route.smarthost.as_mut()).for_each(trust);
        // Under STARTTLS nothing but a stranger is trusted until `Way::trust`.
        let trusted = if outward == Link::StartTls { Keys::new().authority_text() } else { keys.authority_text() };
        certificate::put(folder.path(), HOP_CA, "ca.crt", &trusted);
    }
    if outward.has_login() {
        manifest.relay.routes.iter_mut().filter_map(|route| route.smarthost.as_mut()).for_each(log_in);
        for (key, text) in [("username", USER), ("password", PASSWORD)] {
            certificate::put(folder.path(), HOP_LOGIN, key, text);
        }
    }
    let file = folder.path().join("relay.yaml");
    Relay::start_on(folder, &file, &manifest, &[])
}

/// Makes the Secret with [`USER`], whose password SCRAM works with too.
fn put_user(secret: &Path) {
    fs::create_dir(secret).expect("make a Secret");
    let password = secret.join("password");
    fs::write(&password, format!("{PASSWORD}\n")).expect("write a password");
    let input = fs::File::open(&password).expect("read a password");
    let line = process::run(
        Command::new(program()).args(["hash-password", USER, "--kind", "scram"]).stdin(Stdio::from(input)),
    );
    fs::write(secret.join("users"), line).expect("write a Secret");
}

/// Lets the relay log in at a host with what is in [`HOP_LOGIN`].
fn log_in(host: &mut Smarthost) {
    host.credentials = Some(SecretRef { secret_name: HOP_LOGIN.into() });
}

/// Lets the authority in [`HOP_CA`] alone vouch for a host.
fn trust(host: &mut Smarthost) {
    host.ca = Some(SecretRef { secret_name: HOP_CA.into() });
}
