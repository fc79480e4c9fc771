//! Who wrote what: the API server's audit log.

use std::fs;

use jiff::Timestamp;
use serde::Deserialize;

use crate::cluster;

/// One write.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Write {
    /// create, update, patch, delete.
    pub verb: String,
    /// Who.
    pub user: User,
    /// What it was about.
    pub object_ref: Option<Object>,
    /// When it was answered.
    pub stage_timestamp: Timestamp,
}

impl Write {
    /// Whether it took, renewed or let go a Lease.
    #[must_use]
    pub fn is_of_lease(&self) -> bool {
        self.object_ref.as_ref().is_some_and(|object| object.resource == "leases")
    }
}

/// Who wrote.
#[derive(Debug, Clone, Deserialize)]
pub struct User {
    /// Its name, as authenticated.
    pub username: String,
}

/// What was written.
#[derive(Debug, Clone, Deserialize)]
pub struct Object {
    /// The plural of its kind.
    pub resource: String,
    /// `status` and the like.
    pub subresource: Option<String>,
    /// Its namespace.
    pub namespace: Option<String>,
    /// Its name.
    pub name: Option<String>,
}

/// The writes of one user since a moment.
#[must_use]
pub fn writes(user: &str, since: Timestamp) -> Vec<Write> {
    let file = cluster::run().join("log/audit.json");
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    // The last line may be half written.
    let writes = text.lines().filter_map(|line| serde_json::from_str::<Write>(line).ok());
    writes.filter(|write| write.user.username == user && write.stage_timestamp >= since).collect()
}
