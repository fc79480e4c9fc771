//! The rows.
//!
//! Their order is that of the page, and the place of a row among them is the last octet of its host's address.

mod network;
mod relay;
mod session;
mod tls;

use mailsluice_crds::{
    catalogue::reason::Scope,
    monitor::{Reason, Stage},
};

use super::row::{Row, Seen, Till, Waits};

/// All rows.
#[must_use]
pub fn rows() -> Vec<Row> {
    [relay::SCHEDULE, network::NETWORK, network::DNS, session::SESSION, tls::TLS, session::MESSAGE, relay::OWN].concat()
}

/// A host that waits for its next attempt after this error.
const fn waits(reason: Reason, code: &'static str, stage: Stage, scope: Scope) -> Waits {
    Waits { reason, error: Some((code, stage)), scope, till: Till::Retry, says: "" }
}

const fn seen(reason: Reason, code: &'static str, stage: Stage, scope: Scope) -> Seen {
    Seen::Waits(waits(reason, code, stage, scope))
}
