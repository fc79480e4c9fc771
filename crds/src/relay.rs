//! SMTPRelay: a relay, declared.

#![allow(unreachable_pub, reason = "KubeSchema derives from a private copy of the struct")]

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{
    log_level::LogLevel,
    monitor::{HostRow, Link, QueueTotals},
    quantity::{ByteSize, Interval},
};

/// A relay: applications hand it their mail, and it lets the mail out when, where and how fast it is allowed to go.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "mailsluice.dev",
    version = "v1alpha1",
    kind = "SMTPRelay",
    plural = "smtprelays",
    singular = "smtprelay",
    shortname = "relay",
    category = "mailsluice",
    namespaced,
    status = "SMTPRelayStatus",
    derive = "PartialEq",
    doc = "A relay: applications hand it their mail, and it lets the mail out when, where and how fast it is allowed to go.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SMTPRelaySpec {
    /// How many relay pods run, each with a spool of its own. A relay without a cluster is always one.
    #[serde(default = "one")]
    pub replicas: u32,
    /// The TCPSchedule, in the same namespace, that says when connections may be opened; without one they always may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule_ref: Option<ScheduleRef>,
    /// What is logged, and how.
    #[serde(default)]
    pub log: Log,
    /// The ports on which mail is taken.
    #[serde(default = "default_listeners")]
    pub listeners: Vec<Listener>,
    /// Who may relay. Nobody may who is not listed.
    #[serde(default)]
    pub clients: Vec<Client>,
    /// Where mail goes: the first route that matches a recipient's domain decides.
    #[serde(default = "default_routes")]
    pub routes: Vec<Route>,
    /// Limits, inward and outward.
    #[serde(default)]
    pub limits: Limits,
    /// When an attempt that failed is repeated, and when the relay gives up.
    #[serde(default)]
    pub retry: Retry,
    /// The claim on which each replica keeps its spool.
    #[serde(default)]
    pub storage: Storage,
}

/// Names a TCPSchedule in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScheduleRef {
    /// The TCPSchedule's `metadata.name`.
    pub name: String,
}

/// What is logged, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Log {
    /// The Log Level of the relay.
    #[serde(default)]
    pub level: LogLevel,
    /// How a record is written.
    #[serde(default)]
    pub format: LogFormat,
    /// Levels of single hosts, for a time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostLog>,
}

/// How a log record is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// One line for people.
    Text,
}

/// The Log Level of one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostLog {
    /// The host as the Monitor names it.
    pub host: String,
    /// Its level.
    pub level: LogLevel,
    /// When it falls back to the relay's level; never, where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_time")]
    pub until: Option<Timestamp>,
}

/// A port on which mail is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Listener {
    /// Its name, as a Service's port is named.
    pub name: String,
    /// Its TCP port.
    pub port: u16,
}

/// Clients that may relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Client {
    /// The networks, in CIDR notation, from which they connect.
    pub networks: Vec<String>,
    /// The envelope senders they may use: an address, or `@` and a domain. Any, where it is absent or empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub senders: Vec<String>,
}

/// Where mail for some domains goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Route {
    /// Recipient domains: a name, `*.` and a name for everything below it, or `*` for all.
    pub domains: Vec<String>,
    /// All of it goes to this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smarthost: Option<Smarthost>,
    /// It goes to each domain's own mail exchangers, as the DNS names them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mx: Option<Mx>,
}

/// A host that takes mail for any domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Smarthost {
    /// Its name, or its address.
    pub host: String,
    /// Its TCP port.
    #[serde(default = "smtp_port")]
    pub port: u16,
}

/// Delivery by MX records (RFC 5321 section 5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mx {}

/// Limits, inward and outward, each for one replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// Outgoing connections open at a time.
    pub connections: u32,
    /// Outgoing connections open at a time to one host.
    pub connections_per_host: u32,
    /// Messages sent to one host in a minute; any number, where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages_per_host_per_minute: Option<u32>,
    /// The largest message taken.
    pub message_size: ByteSize,
    /// Clients' connections open at a time.
    pub client_connections: u32,
    /// Recipients of one message.
    pub recipients: u32,
}

/// When an attempt that failed is repeated, and when the relay gives up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Retry {
    /// The wait after the first failure; it doubles with each one that follows.
    pub first: Interval,
    /// The longest wait.
    pub longest: Interval,
    /// The age at which a message that could not be delivered is returned to its sender.
    pub expire_after: Interval,
}

/// The claim on which each replica keeps its spool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Storage {
    /// Its size.
    pub size: ByteSize,
    /// Its storage class; the cluster's default, where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class_name: Option<String>,
}

/// What an empty `spec` means: the same as the schema's defaults.
impl Default for SMTPRelaySpec {
    fn default() -> Self {
        SMTPRelaySpec {
            replicas: one(),
            schedule_ref: None,
            log: Log::default(),
            listeners: default_listeners(),
            clients: Vec::new(),
            routes: default_routes(),
            limits: Limits::default(),
            retry: Retry::default(),
            storage: Storage::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 200,
            connections_per_host: 10,
            messages_per_host_per_minute: None,
            message_size: ByteSize::from_bytes(50 << 20),
            client_connections: 500,
            recipients: 1_000,
        }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Retry {
            first: Interval::from_secs(5 * 60),
            longest: Interval::from_secs(4 * 3_600),
            expire_after: Interval::from_secs(5 * 86_400),
        }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Storage { size: ByteSize::from_bytes(10 << 30), storage_class_name: None }
    }
}

/// What is so: written by the operator, and only when something changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SMTPRelayStatus {
    /// Ready, Available, Progressing and Delivering.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Pods that exist.
    #[serde(default)]
    pub replicas: u32,
    /// Pods that are ready.
    #[serde(default)]
    pub ready_replicas: u32,
    /// `readyReplicas/replicas`, for the READY column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<String>,
    /// The label selector of the pods, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// The version of the relays' program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether connections are allowed now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Link>,
    /// Totals over all replicas and hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueTotals>,
    /// What hinders the mail most, in one line, for the PROBLEM column; absent when nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The SMTP Monitor's worst hosts: suspended ones first, then by their oldest message; at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["host"]))]
    pub monitor: Vec<HostRow>,
    /// How many hosts the Monitor has beyond those.
    #[serde(default)]
    pub hosts_not_shown: u32,
}

fn one() -> u32 {
    1
}

fn smtp_port() -> u16 {
    25
}

fn default_listeners() -> Vec<Listener> {
    vec![Listener { name: "smtp".into(), port: 25 }]
}

fn default_routes() -> Vec<Route> {
    vec![Route { domains: vec!["*".into()], smarthost: None, mx: Some(Mx {}) }]
}

/// The schema of a moment in RFC 3339.
pub(crate) fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time"})
}

/// The schema of a moment in RFC 3339 that may be absent.
pub(crate) fn optional_time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time", "nullable": true})
}
