//! The Monitor names hosts and addresses: off loopback it answers only to a credential.

use std::{fs, net::SocketAddr};

use mailsluice_crds::schedule::LinkState;
use mailsluice_tests::{
    dialogue::Dialogue,
    http, mail,
    manifest::Manifest,
    network::{self, OUTER_ADDRESS},
    process,
    relay::{PATIENCE, Relay},
    wait,
};
use tempfile::TempDir;

/// The SHA-256 of `secret`, and of `other`, in hexadecimal.
const SECRET: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
const OTHER: &str = "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa";

#[test]
fn off_loopback_the_monitor_wants_its_credential() {
    network::alone("monitor_needs_credential_off_loopback::off_loopback_the_monitor_wants_its_credential", || {
        let folder = TempDir::new().expect("a temporary folder");
        let file = folder.path().join("credential");
        let port = process::free_port();
        let anywhere = format!("0.0.0.0:{port}");
        let credential = file.to_str().expect("a path in UTF-8");
        let manifest = Manifest::to(([127, 0, 0, 1], 9).into()).scheduled(LinkState::Closed, Vec::new());
        let manifests = folder.path().join("relay.yaml");
        let smtp = process::free_port();
        fs::write(&manifests, manifest.text(smtp)).expect("write the manifests");
        let relay =
            start(folder, &manifests, &manifest, &["--http", &anywhere, "--monitor-credential", credential], port);
        Dialogue::open(([127, 0, 0, 1], smtp).into()).message("a@example.org", &["b@one.test"], &mail::text("held"));

        let outer: SocketAddr = format!("{OUTER_ADDRESS}:{port}").parse().expect("an address");
        let status = |path: &str, token: Option<&str>| http::get(outer, path, token).expect("an answer").status;
        for path in ["/healthz", "/readyz", "/metrics"] {
            assert_eq!(status(path, None), 200, "{path} is open to all");
        }
        // Without the file, with it, and with another in its place, read anew each time.
        assert_ne!(status("/monitor", Some("secret")), 200, "no credential yet");
        for (hash, token, other) in [(SECRET, "secret", "other"), (OTHER, "other", "secret")] {
            fs::write(&file, hash).expect("write the credential");
            for path in ["/", "/page/main.js", "/schedule", "/explain/EIO", "/monitor"] {
                assert_eq!(status(path, Some(token)), 200, "{path}");
            }
            for wrong in [None, Some(other), Some(""), Some(hash)] {
                for path in ["/monitor", "/monitor/stream", "/", "/page/main.js", "/schedule", "/explain/EIO"] {
                    assert_eq!(status(path, wrong), 401, "{path} with {wrong:?}");
                }
            }
        }
        wait::until_equal(PATIENCE, "messages in the Monitor on loopback", 1, || relay.monitor().queue.messages);
    });
}

fn start(folder: TempDir, file: &std::path::Path, manifest: &Manifest, arguments: &[&str], port: u16) -> Relay {
    Relay::start_at_http(folder, file, manifest, arguments, ([127, 0, 0, 1], port).into())
}
