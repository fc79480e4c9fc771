//! Mailsluice's custom resources and what they mean.
//!
//! - [`relay`]: SMTPRelay, what a relay is asked to do;
//! - [`access`]: SMTPAccess, what a namespace asks of a relay, and what is granted;
//! - [`schedule`]: TCPSchedule, when connections are allowed, and the pure functions that answer it;
//! - [`monitor`]: the SMTP Monitor, what a relay reports and SMTPRelay's status shows;
//! - [`catalogue`]: every reason and code that it shows, what it means, and what to do;
//! - [`log_level`]: the six Log Levels;
//! - [`crd`]: the definitions for the API server, with the rules of admission;
//! - [`manifest`]: manifests read without an API server, by the same rules;
//! - [`shares`]: how limits are divided among a relay's pods; [`client_pods`]: the pods that may show it a token;
//! - [`quantity`]: the sizes and times that manifests are written in; [`yaml`]: how values are written.
//!
//! Nothing here does I/O or reads the clock: the operator and the relay share it and pass the moment in.

pub mod access;
#[cfg(any(test, feature = "cases"))]
pub mod cases;
pub mod catalogue;
pub mod client_pods;
pub mod crd;
pub mod log_level;
pub mod manifest;
pub mod monitor;
pub mod quantity;
pub mod relay;
pub mod schedule;
pub mod shares;
mod spelling;
pub mod yaml;

pub use access::{SMTPAccess, SMTPAccessSpec, SMTPAccessStatus};
pub use log_level::LogLevel;
pub use relay::{SMTPRelay, SMTPRelaySpec, SMTPRelayStatus};
pub use schedule::{TCPSchedule, TCPScheduleSpec, TCPScheduleStatus};

/// The API group of the custom resources.
pub const GROUP: &str = "mailsluice.dev";
/// Their version.
pub const VERSION: &str = "v1alpha1";
