//! The Mailsluice SMTP relay.
//!
//! The way of a message: [`listener`] → [`smtp`] server → [`access`] → [`spool`] (synced) → 250 → [`queue`] →
//! [`delivery`] → [`route`] → [`tcp`] (is the schedule open?) → [`smtp`] client → outcome → [`spool`] mark → gone, or
//! [`queue`] with a Suspended Till, or [`report`].
//!
//! At its door, [`border`] and [`proxy_protocol`] tell who a client is, and [`limiter`] how much it may take; [`clients`] keeps what was
//! taken of each and what was refused.
//!
//! Around it: [`config`] says what to do, [`monitor`] shows what is so, [`log`], [`metrics`], [`http`] and its page let it be seen,
//! [`tls`] keeps connections from other eyes by what [`secrets`] hold and by what domains ask for ([`mta_sts`]), [`tls_report`]
//! counts how that went, [`logins`] are what smarthosts are shown, [`dkim`] signs, and [`run`] puts it all together. [`sink`] is the other
//! end for a first try and for benchmarks; [`spool_tool`] reads a spool that no relay has open, and [`explain`] says what a code
//! means; [`control`] is how an administrator asks and tells a relay that runs; [`clock`] and [`socket`] are
//! where the wall's time and connections come from.
//!
//! A relay that is scaled away hands its mail to its siblings ([`handover`]), and of limits that hold for all of them each has its
//! [`portion`].
//!
//! [`sidecar`] is another program, `mailsluice-sidecar`: it takes an application's mail on loopback and brings it to a relay.

pub mod access;
pub mod border;
pub mod clients;
pub mod clock;
pub mod config;
pub mod control;
pub mod delivery;
pub mod dkim;
pub mod errors;
pub mod explain;
pub mod handover;
pub mod header;
pub mod hello;
pub mod http;
pub mod ids;
pub mod intake;
pub mod limiter;
pub mod listener;
pub mod log;
pub mod logins;
pub mod metrics;
pub mod monitor;
pub mod mta_sts;
mod output;
mod page;
pub mod portion;
pub mod proxy_protocol;
pub mod queue;
mod registering;
pub mod report;
pub mod route;
pub mod run;
pub mod secrets;
pub mod sidecar;
pub mod sink;
pub mod smtp;
pub mod socket;
pub mod spool;
pub mod spool_tool;
pub mod tcp;
pub mod tls;
pub mod tls_report;
