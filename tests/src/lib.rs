//! Whole-system tests of Mailsluice: the harness that they are written with.
//!
//! - [`relay`]: the real relay, started on free ports, killed, restarted; its Monitor, metrics and log records;
//! - [`replay`]: Suspended Tills, replayed from log records alone;
//! - [`ctl`]: the words of an administrator, typed at it;
//! - [`clock`]: a clock that is wrong, for one of them;
//! - [`manifest`]: the SMTPRelay and TCPSchedule that it is given;
//! - [`family`]: several relays that are the pods of one;
//! - [`sidecar`]: the real sidecar, beside an application that a test plays;
//! - [`sink`]: where mail arrives, and what it then looks like;
//! - [`scripted`]: a host that answers as a test tells it to;
//! - [`dialogue`]: a client that sends exactly these octets; [`door`]: the ways in, in clear and under TLS; [`load`]: many clients at once, each answer noted;
//! - [`clients`]: the programs that people send mail with, from swaks to lettre;
//! - [`browser`]: a real browser, which is shown the Monitor page;
//! - [`token`]: a cluster that signs tokens of service accounts;
//! - [`certificate`]: certificates, and the Secrets that hold them;
//! - [`dns`]: a DNS server with a zone of test records; [`network`]: a network of a test's own, where port 25 is free;
//! - [`disk`]: disks that misbehave; [`namespace`]: what a test has to itself;
//! - [`operator`]: the real operator, beside an API server alone;
//! - [`chart`]: the chart, rendered without a cluster;
//! - [`plugin`]: `kubectl mailsluice`, and the people who run it; [`terminal`]: where they look at it;
//! - [`postfix`]: a private Postfix to measure against;
//! - [`faults`]: ways in which mail gets stuck, and what is seen of each;
//! - [`letter`]: what a client is given to send; [`peers`]: the matrix of mail servers and clients that it goes through.
//!
//! Everything here panics when it cannot go on: that is how a test fails, with the fact that is wrong.

pub mod api;
pub mod audit;
pub mod authority;
pub mod browser;
pub mod certificate;
pub mod chart;
pub mod clients;
pub mod clock;
pub mod cluster;
pub mod ctl;
pub mod definitions;
pub mod dialogue;
pub mod disk;
pub mod dns;
pub mod door;
pub mod dry_run;
pub mod family;
pub mod faults;
pub mod http;
pub mod letter;
pub mod load;
pub mod mail;
pub mod manifest;
pub mod namespace;
pub mod network;
pub mod operator;
pub mod peers;
pub mod plugin;
pub mod pod;
pub mod postfix;
pub mod process;
pub mod quota;
pub mod record;
pub mod relay;
pub mod replay;
pub mod rotation;
pub mod scripted;
pub mod secure;
pub mod sidecar;
pub mod sink;
pub mod terminal;
pub mod tls_host;
pub mod token;
pub mod wait;

use std::path::{Path, PathBuf};

/// The folder of the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the workspace").to_owned()
}

/// A number from the environment, or a default: how often or how long a test does what it does.
#[must_use]
pub fn setting(name: &str, default: u32) -> u32 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")),
        Err(_) => default,
    }
}
