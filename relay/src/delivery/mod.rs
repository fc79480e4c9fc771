//! Delivery: takes due mail, asks `tcp` for a session, drives the `smtp` client, turns replies into outcomes.
//!
//! - [`dispatch`]: the loop that lets hosts have their turn;
//! - [`approach`]: the way to a host; [`policy`]: what domains themselves ask of TLS, and how that is counted; [`secure`]: a connection on
//!   its way to a session, TLS and all; [`login`]: what a smarthost is shown, and whether it lets the relay in;
//! - [`dry_run`]: the same way without mail, for an administrator; [`steps`]: what it has come through;
//! - [`session`]: one session with one host, for as many messages as it has;
//! - [`live`]: how many there are over an address;
//! - [`require_tls`]: messages whose senders require TLS all the way; [`tls_optional`]: those that are to go even without;
//! - [`transfer`]: a message's envelope and text on their way through the client;
//! - [`sign`]: a message's text, with the signatures of its author's domain;
//! - [`settle`]: what became of a message, on disk, in the queue and in the log;
//! - [`outcome`]: what replies mean for each recipient (pure);
//! - [`fault`]: what an error means for the host, and how the Monitor shows it (pure);
//! - [`bounce`]: mail that is given up goes back to its sender;
//! - [`administer`]: mail that an administrator takes out;
//! - [`expire`]: mail whose time is over; [`warn`]: senders are told that mail is late; [`clock_set`]: the clock that both go by is set;
//! - [`reroute`]: mail that waits when the routes change;
//! - [`unreadable`]: mail that the spool cannot give back.

mod administer;
mod approach;
mod bounce;
mod clock_set;
pub mod dispatch;
pub mod dry_run;
mod expire;
mod fault;
mod live;
mod login;
mod outcome;
mod policy;
mod require_tls;
pub mod reroute;
mod secure;
mod session;
mod settle;
mod sign;
mod steps;
mod tls_optional;
mod transfer;
mod unreadable;
mod warn;

use std::{net::IpAddr, sync::Arc};

use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock::Watch,
    config::Config,
    dkim::Keys,
    log::Log,
    logins::Logins,
    metrics::Metrics,
    mta_sts::Policies,
    queue::SharedQueue,
    route::Resolver,
    smtp::client,
    spool::Spool,
    tcp::{Gate, Table},
    tls::Outgoing,
    tls_report::TlsReports,
};

/// What delivery works with.
pub struct Courier {
    /// The mail that waits.
    pub queue: Arc<SharedQueue>,
    /// Where the mail itself is.
    pub spool: Spool,
    /// The one way out.
    pub gate: Arc<Gate>,
    /// The outgoing connections, for the Monitor.
    pub table: Table,
    /// Where mail goes.
    pub resolver: Resolver,
    /// The configuration in force.
    pub config: watch::Receiver<Arc<Config>>,
    /// The address on which the relay itself listens.
    pub bind: IpAddr,
    /// TLS with hosts.
    pub tls: Outgoing,
    /// What the relay logs in with at smarthosts.
    pub logins: Logins,
    /// The MTA-STS policies of domains.
    pub policies: Policies,
    /// How sessions went, for TLS reports.
    pub reports: Arc<TlsReports>,
    /// The keys that sign mail.
    pub keys: Arc<Keys>,
    /// The clock that tells how old mail is.
    pub watch: Watch,
    /// How long a host may take for each step.
    pub timeouts: client::Timeouts,
    /// Where records go.
    pub log: Log,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Outgoing sessions, so that a stop can wait for them.
    pub sessions: TaskTracker,
    /// Set when the relay stops: no message is begun after it.
    pub stop: CancellationToken,
}
