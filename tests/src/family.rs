//! Pods of one relay, as processes: numbered, each with its own folder and token, and told how many of them stay.

use std::{
    fs, iter,
    net::TcpListener,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use mailsluice_crds::{
    monitor::{Handover, HandoverState, Snapshot},
    shares::{self, Shares},
};
use tempfile::TempDir;

use crate::{clock::Clock, http, manifest::Manifest, relay::Relay, token::Issuer, wait};

/// The audience of siblings' tokens.
pub const AUDIENCE: &str = "mailsluice-siblings";

/// Most pods that a family has.
const PODS: u16 = 3;

/// What the pods of a relay have in common.
#[derive(Debug)]
pub struct Family {
    cluster: Issuer,
    /// Their HTTP ports, but for the last digit, which is a pod's number.
    ports: u16,
}

impl Default for Family {
    fn default() -> Self {
        Family::new()
    }
}

impl Family {
    /// One without a pod.
    #[must_use]
    pub fn new() -> Family {
        // Below those that are given one by one.
        const FIRST: u16 = 400;
        const COUNT: u32 = 600;
        static GIVEN: AtomicU32 = AtomicU32::new(0);
        let free = |port: &u16| (0..PODS).all(|number| TcpListener::bind(("127.0.0.1", port * 10 + number)).is_ok());
        let next = || std::process::id().wrapping_mul(7919).wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let mut ports =
            iter::repeat_with(|| FIRST + u16::try_from(next()).expect("a small number")).take(COUNT as usize);
        let ports = ports.find(free).expect("free ports");
        Family { cluster: Issuer::new("one"), ports }
    }

    /// Starts the pod of this number, which stays.
    #[must_use]
    pub fn start(&self, number: u16, manifest: &Manifest) -> Relay {
        self.start_with(number, manifest, None, None)
    }

    /// Starts the pod of this number, which stays, under another clock.
    #[must_use]
    pub fn start_under(&self, clock: &Clock, number: u16, manifest: &Manifest) -> Relay {
        self.start_with(number, manifest, None, Some(clock))
    }

    /// Starts the pod of this number, which stays, with its limits divided so.
    #[must_use]
    pub fn start_divided(&self, number: u16, manifest: &Manifest, shares: &Shares) -> Relay {
        self.start_with(number, manifest, Some(shares), None)
    }

    fn start_with(&self, number: u16, manifest: &Manifest, shares: Option<&Shares>, clock: Option<&Clock>) -> Relay {
        let folder = TempDir::new().expect("a temporary folder");
        let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("write a file");
        put("service-account-keys.json", &self.cluster.keys_file());
        put("token", &self.cluster.token("shop", "outbound-relay", AUDIENCE, 3_600));
        put("replicas", "10\n");
        if let Some(shares) = shares {
            put(shares::FILE, &as_text(shares));
        }
        let http = ([127, 0, 0, 1], self.ports * 10 + number).into();
        let (shown, pod) = (format!("{http}"), format!("outbound-{number}"));
        let siblings = format!("127.0.0.1:{}{{n}}", self.ports);
        let token = folder.path().join("token").display().to_string();
        let more = ["--http", &shown, "--siblings", &siblings, "--sibling-token", &token, "--pod", &pod];
        let file = folder.path().join("relay.yaml");
        match clock {
            Some(clock) => Relay::start_under_at_http(clock, folder, &file, manifest, &more, http),
            None => Relay::start_at_http(folder, &file, manifest, &more, http),
        }
    }

    /// A token of this account for this audience.
    #[must_use]
    pub fn token(&self, account: &str, audience: &str) -> String {
        self.cluster.token("shop", account, audience, 3_600)
    }
}

/// Tells a pod how many of them stay.
pub fn tell(pod: &Relay, stay: u32) {
    publish(pod, "replicas", &format!("{stay}\n"));
}

/// Tells a pod how the limits are divided.
pub fn divide(pod: &Relay, shares: &Shares) {
    publish(pod, shares::FILE, &as_text(shares));
}

/// Changes a file beneath a pod whole, as the kubelet does.
fn publish(pod: &Relay, name: &str, text: &str) {
    let file = pod.folder().join(name);
    let new = file.with_extension("new");
    fs::write(&new, text).expect("write a file");
    fs::rename(&new, &file).expect("put it in place");
}

fn as_text(shares: &Shares) -> String {
    serde_json::to_string(shares).expect("JSON")
}

/// How a pod's hand-over goes, if it answers and is scaled away.
#[must_use]
pub fn handover(pod: &Relay) -> Option<Handover> {
    let answer = http::get(pod.http, "/monitor", None).ok()?;
    serde_json::from_str::<Snapshot>(&answer.body).ok()?.handover
}

/// Waits until a pod's hand-over is over, as it should be.
pub fn await_over(pod: &Relay, wanted: HandoverState, limit: Duration) -> String {
    let what = format!("the hand-over is {wanted:?}");
    wait::until_some(limit, &what, || handover(pod).filter(|now| now.state == wanted)).message
}
