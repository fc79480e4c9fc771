//! Haraka, from its npm package, with the plugin in tests/peers/haraka and its own queue.

use std::{
    fs,
    net::SocketAddr,
    process::{Command, Stdio},
};

use serde_json::json;
use tempfile::TempDir;

use super::{
    Missing, Peer, Running, Side, built,
    cell::Cell,
    link::{Keys, PASSWORD, Place, USER},
};
use crate::{
    letter::REFUSED_DOMAIN,
    process::{self, Process},
};

/// Haraka.
#[derive(Debug)]
pub struct Haraka;

#[derive(Debug)]
struct Daemon {
    address: SocketAddr,
    _process: Process,
    _folder: TempDir,
}

impl Peer for Haraka {
    fn name(&self) -> &'static str {
        "haraka"
    }

    fn lacks(&self, cell: Cell, side: Side) -> Option<&'static str> {
        match (cell, side) {
            (Cell::Utf8, _) => {
                Some("it passes a recipient in UTF-8 on without SMTPUTF8, unless the sender is in UTF-8 too")
            }
            (Cell::Recipients, Side::Before) => Some("it refuses such an address itself, before it asks the relay"),
            _ => None,
        }
    }

    fn adds(&self) -> &'static [&'static str] {
        // How the relay has logged in.
        &["Authentication-Results"]
    }

    fn start(&self, place: &Place<'_>) -> Result<Box<dyn Running>, Missing> {
        let package = built("haraka/node_modules/Haraka/bin/haraka")?;
        let plugin = built("haraka/mailsluice.js")?;
        let folder = TempDir::new().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        for name in ["config", "plugins", "queue"] {
            fs::create_dir(path(name)).expect("a folder for Haraka");
        }
        fs::copy(plugin, path("plugins/mailsluice.js")).expect("copy the plugin");
        let address = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
        let next = json!({
            "priority": 0, "exchange": place.next_hop.ip().to_string(), "port": place.next_hop.port(),
            "auth_user": place.outward.has_login().then_some(USER),
            "auth_pass": place.outward.has_login().then_some(PASSWORD),
        });
        let settings = json!({
            "refused": REFUSED_DOMAIN, "secure": place.inward.is_secure(), "login": place.inward.has_login(), "next": next,
        });
        let mut plugins = Vec::new();
        plugins.extend(place.inward.is_secure().then_some("tls"));
        plugins.extend(place.inward.has_login().then_some("auth/flat_file"));
        plugins.push("mailsluice");
        let force = if place.outward.is_secure() { "force_tls_hosts[]=127.0.0.1\n" } else { "" };
        for (name, text) in [
            ("me", "haraka.test\n".to_owned()),
            ("smtp.ini", format!("listen={address}\n")),
            ("log.ini", "level=notice\n".into()),
            ("plugins", format!("{}\n", plugins.join("\n"))),
            ("mailsluice.json", settings.to_string()),
            // It folds longer lines, and its own default for a message is 25 MiB.
            (
                "connection.ini",
                "[main]\nsmtputf8=true\n[haproxy]\nhosts[]=\n[headers]\nmax_lines=1000\nmax_received=100\n\
                 [max]\nbytes=52428800\nmime_parts=1000\nline_length=512\ndata_line_length=1100\n\
                 [message]\nhelo=hello\nclose=bye\n[uuid]\n"
                    .into(),
            ),
            (
                "outbound.ini",
                format!(
                    "local_mx_ok=true\nreceived_header=disabled\nenable_tls={}\ntemp_fail_intervals=1s*60\n",
                    place.outward.is_secure()
                ),
            ),
            ("tls.ini", format!("[main]\n[outbound]\nrejectUnauthorized=true\n{force}")),
            ("tls_cert.pem", Keys::text(&place.keys.chain())),
            ("tls_key.pem", Keys::text(&place.keys.key())),
            ("auth_flat_file.ini", format!("[core]\nmethods=PLAIN,LOGIN\n[users]\n{USER}={PASSWORD}\n")),
        ] {
            fs::write(path("config").join(name), text).expect("write Haraka's configuration");
        }
        let log = fs::File::create(path("log")).expect("a log");
        let process = Process::start(
            Command::new("node")
                .arg(package)
                .arg("-c")
                .arg(folder.path())
                // Trusted besides those that Node brings with it.
                .env("NODE_EXTRA_CA_CERTS", place.keys.authority())
                .stdin(Stdio::null())
                .stdout(log)
                .stderr(Stdio::null()),
        );
        process::await_port(address);
        Ok(Box::new(Daemon { address, _process: process, _folder: folder }))
    }
}

impl Running for Daemon {
    fn address(&self) -> SocketAddr {
        self.address
    }
}
