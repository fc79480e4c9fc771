//! Who asked for what: the API server's audit log.

use std::{collections::BTreeMap, fs, path::Path};

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
    /// The path that it went to.
    #[serde(rename = "requestURI")]
    pub request_uri: String,
    /// How it was answered, if it was.
    pub response_status: Option<Status>,
    /// When it was answered.
    pub stage_timestamp: Timestamp,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl Request {
    /// Whether it may change something.
    #[must_use]
    pub fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }

    /// Whether the user has no right to it.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        self.annotations.get("authorization.k8s.io/decision").is_some_and(|decision| decision == "forbid")
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

/// An answer.
#[derive(Debug, Clone, Deserialize)]
pub struct Status {
    /// Its HTTP status.
    #[serde(default)]
    pub code: u16,
}

/// What was asked for.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Object {
    /// Its API group; none, for the core's.
    pub api_group: Option<String>,
    /// The plural of its kind.
    pub resource: String,
    /// `status` and the like.
    pub subresource: Option<String>,
    /// Its namespace.
    pub namespace: Option<String>,
    /// Its name.
    pub name: Option<String>,
}

/// The writes of one user of the cluster's since a moment.
#[must_use]
pub fn writes(user: &str, since: Timestamp) -> Vec<Request> {
    let requests = requests(&cluster::run().join("log/audit.json"), user, since);
    requests.into_iter().filter(Request::is_write).collect()
}

/// What that log has of one user since a moment.
#[must_use]
pub fn requests(log: &Path, user: &str, since: Timestamp) -> Vec<Request> {
    let text = fs::read_to_string(log).unwrap_or_else(|error| panic!("{}: {error}", log.display()));
    // The last line may be half written.
    let requests = text.lines().filter_map(|line| serde_json::from_str::<Request>(line).ok());
    requests.filter(|request| request.user.username == user && request.stage_timestamp >= since).collect()
}
