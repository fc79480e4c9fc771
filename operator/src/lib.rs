//! The Mailsluice operator: reconciles SMTPRelays, TCPSchedules and SMTPAccesses, and writes the SMTP Monitor into their status.
//!
//! - [`watch`], [`packed`], [`relay_pod`]: what there is in the cluster, how it is kept, and the reconciles that its changes ask for;
//! - [`controller`]: the way of a relay through the operator, step by step;
//! - [`resources`]: one pure builder for each object that a relay is made of;
//! - [`monitor`]: collects the pods' Monitors, merges and bounds them;
//! - [`scale`]: how many pods there are while some hand their mail over;
//! - [`growth`]: how claims become larger;
//! - [`shares`]: how the limits of a relay are divided among its pods;
//! - [`status`]: conditions and all else that a status says, each a small pure function;
//! - [`schedule`]: a TCP Schedule's own status;
//! - [`access`]: an SMTPAccess's own status;
//! - [`events`]: one Event for each transition;
//! - [`inject`]: the sidecar in pods that ask for it;
//! - [`token_keys`], [`client_pods`]: what relays verify their clients' service account tokens by, and the pods that may show them;
//! - [`credential`], [`names`]: what relays know the operator by, and what things are called;
//! - [`metrics`], [`requests`], [`http`]: what is counted, and where it is served;
//! - [`board`]: what the page of all relays shows;
//! - [`lease`]: which one of several operators leads, and that nobody else writes;
//! - [`term`]: what runs as long as this one leads;
//! - [`run`](mod@run): starts and stops the process.

pub mod access;
pub mod board;
pub mod client_pods;
pub mod controller;
pub mod credential;
pub mod events;
pub mod growth;
pub mod http;
pub mod inject;
pub mod lease;
pub mod metrics;
pub mod monitor;
pub mod names;
pub mod packed;
mod page;
pub mod relay_pod;
pub mod requests;
pub mod resources;
pub mod run;
pub mod scale;
pub mod schedule;
pub mod shares;
pub mod status;
pub mod term;
pub mod token_keys;
pub mod watch;
