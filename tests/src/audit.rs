//! Who asked for what: the API server's audit log.

use std::{fs, path::Path};

use jiff::Timestamp;
use serde::Deserialize;

use crate::cluster;

/// One request.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// get, list, watch, create, update, patch, delete.
    pub verb: String,
    /// Who.
    pub user: User,
    /// What it was about; nothing, where it was no object.
    pub object_ref: Option<Object>,
    /// When it was answered.
    pub stage_timestamp: Timestamp,
}

impl Request {
    /// Whether it may change something.
    #[must_use]
    pub fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }

    /// Whether it took, renewed or let go a Lease.
    #[must_use]
    pub fn is_of_lease(&self) -> bool {
        self.object_ref.as_ref().is_some_and(|object| object.resource == "leases")
    }
}

/// Who asked.
#[derive(Debug, Clone, Deserialize)]
pub struct User {
    /// Its name, as authenticated.
    pub username: String,
}

/// What was asked for.
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

/// The writes of one user of the cluster's since a moment: its log has no more.
#[must_use]
pub fn writes(user: &str, since: Timestamp) -> Vec<Request> {
    requests(&cluster::run().join("log/audit.json"), user, since)
}

/// What that log has of one user since a moment.
#[must_use]
pub fn requests(log: &Path, user: &str, since: Timestamp) -> Vec<Request> {
    let text = fs::read_to_string(log).unwrap_or_else(|error| panic!("{}: {error}", log.display()));
    // The last line may be half written.
    let requests = text.lines().filter_map(|line| serde_json::from_str::<Request>(line).ok());
    requests.filter(|request| request.user.username == user && request.stage_timestamp >= since).collect()
}
