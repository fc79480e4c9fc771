//! The SMTP Monitor: one row for each host that mail waits for, one for each client that hands mail in, and the totals around them.
//!
//! A relay serves it whole at `/monitor` and as a stream of changes at `/monitor/stream`; the operator merges the
//! replicas' and writes a bounded part of it into SMTPRelay's status. Every time in it is absolute, so that it changes
//! only when something happens.

pub mod client;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::client::{ClientKind, ClientRow, ClientStage, Refusal};
pub use crate::catalogue::reason::{ProblemReason, Reason};
use crate::{catalogue::Code, log_level::LogLevel, schedule::LinkState};

/// What one relay process reports: the JSON of `/monitor` and of each line of `/monitor/stream`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// The relay's name: its SMTPRelay's `metadata.name`.
    pub relay: String,
    /// The version of the relay's program.
    pub version: String,
    /// The level the relay logs at now.
    pub log_level: LogLevel,
    /// Whether connections are allowed now, and by which TCP Schedule.
    pub link: Link,
    /// Totals over all hosts.
    pub queue: QueueTotals,
    /// What hinders the relay as a whole, the worst first; empty when all is well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<RelayProblem>,
    /// One row for each host that mail waits for, the worst first: suspended ones first, then by their oldest message.
    pub monitor: Vec<HostRow>,
    /// How many hosts are left out of `monitor`; 0 where it is whole.
    pub hosts_not_shown: u32,
    /// The clients that handed mail in or tried to, those refused most recently first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<ClientRow>,
    /// How many clients are left out of `clients`.
    #[serde(default)]
    pub clients_not_shown: u32,
    /// How it hands its mail to its siblings, where it is scaled away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handover: Option<Handover>,
    /// The version of the [shares](crate::shares::Shares) that it keeps to, and uses no more than, where limits are divided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shares: Option<u64>,
}

/// How a relay that is scaled away hands its mail to its siblings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Handover {
    /// How far it is.
    pub state: HandoverState,
    /// A sentence with the facts; at most 256 characters.
    pub message: String,
}

/// How far a relay is that is scaled away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HandoverState {
    /// Its mail is on its way to its siblings.
    UnderWay,
    /// It has none any more.
    Done,
    /// What is left in its queue no sibling takes: it stays on the claim.
    Stranded,
}

/// Something that hinders a relay as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RelayProblem {
    /// Stable and in CamelCase, fit for a condition's reason.
    pub reason: ProblemReason,
    /// A sentence with the facts and what to do.
    pub message: String,
    /// Since when it has been so.
    pub since: Timestamp,
}

/// Whether connections are allowed now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// Open or Closed. A relay without a TCP Schedule has a link that is always open.
    pub state: LinkState,
    /// The TCP Schedule that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// When the state changes next; absent when it never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::crd::schema::time")]
    pub changes_at: Option<Timestamp>,
}

/// Totals over all hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueTotals {
    /// Messages that are not yet delivered or bounced, each counted once however many hosts it goes to.
    pub messages: u64,
    /// Their octets.
    pub bytes: u64,
    /// When the oldest of them was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::crd::schema::time")]
    pub oldest: Option<Timestamp>,
    /// Hosts that mail waits for.
    pub hosts: u32,
    /// Those of them that are suspended.
    pub suspended_hosts: u32,
    /// Mail that pods which are scaled away left on their claims, not counted above: it goes out when a scale-up brings its pod back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["claim"]))]
    pub stranded: Vec<StrandedMail>,
}

/// Mail on the claim of a pod that is scaled away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StrandedMail {
    /// The PersistentVolumeClaim.
    #[schemars(length(max = 253))]
    pub claim: String,
    /// Messages on it.
    pub messages: u64,
}

/// One host's row in the Monitor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostRow {
    /// The recipient domain, or the smarthost's name where a route names one.
    #[schemars(length(max = 255))]
    pub host: String,
    /// What is done about its mail now.
    pub state: HostState,
    /// Messages that wait for it or are being sent to it.
    pub messages: u64,
    /// When the oldest of them was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::crd::schema::time")]
    pub oldest: Option<Timestamp>,
    /// No connection is tried before this moment; it changes only when an attempt or the schedule changes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::crd::schema::time")]
    pub suspended_till: Option<Timestamp>,
    /// Why the mail waits: stable, in CamelCase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Why the mail waits, as a sentence with the facts; at most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub problem: Option<String>,
    /// Since when its attempts have failed, none of them successful: when the first failure of the present run was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::crd::schema::time")]
    pub failing_since: Option<Timestamp>,
    /// What went wrong at the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
    /// Those of its addresses that are suspended while others are left, or that led to its suspension, at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub addresses: Vec<AddressRow>,
    /// The outgoing connections to it, at most 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub connections: Vec<Connection>,
}

/// An address of a host that is left alone for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddressRow {
    /// The address and port.
    #[schemars(length(max = 64))]
    pub address: String,
    /// No connection to it is tried before this moment.
    #[schemars(schema_with = "crate::crd::schema::time")]
    pub suspended_till: Timestamp,
    /// Why: stable, in CamelCase.
    pub reason: Reason,
    /// The code of the error that it gave: `ECONNREFUSED`, or `421 4.7.0`.
    #[schemars(with = "String", length(max = 32))]
    pub code: Code,
}

/// What is done about a host's mail now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum HostState {
    /// A connection is open or being opened.
    Sending,
    /// It may be sent now and waits for its turn.
    Ready,
    /// It waits until its Suspended Till.
    Suspended,
    /// It waits without a time at which that ends by itself.
    Held,
}

/// What went wrong at the last attempt to reach a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastError {
    /// The error's own name: an errno's (`ECONNREFUSED`), a DNS answer (`NXDOMAIN`), a fault of TLS (`CERT_EXPIRED`) or its alert
    /// (`TLS_ALERT 40`), or an SMTP reply's code (`451 4.7.1`). `mailsluice-relay explain` says what each means.
    #[schemars(with = "String", length(max = 32))]
    pub code: Code,
    /// The error's own number where it has one: the errno, the TLS alert's, or the SMTP reply's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<i32>,
    /// Where in the attempt it happened.
    pub stage: Stage,
    /// The address and port that were tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub peer: Option<String>,
    /// When it happened.
    #[schemars(schema_with = "crate::crd::schema::time")]
    pub at: Timestamp,
    /// What the system or the host said; at most 256 characters.
    #[schemars(length(max = 256))]
    pub text: String,
}

impl LastError {
    /// An error with the number of its code.
    #[must_use]
    pub fn new(code: Code, stage: Stage, peer: Option<String>, at: Timestamp, text: String) -> LastError {
        LastError { number: code.number(), code, stage, peer, at, text }
    }

    /// What happened where: `ECONNREFUSED at Connect with 192.0.2.1:25`.
    #[must_use]
    pub fn place(&self) -> String {
        let with = self.peer.as_ref().map(|peer| format!(" with {peer}")).unwrap_or_default();
        format!("{} at {:?}{with}", self.code, self.stage)
    }
}

/// An outgoing connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// The address and port of the other side; the host's name while they are looked up.
    #[schemars(length(max = 64))]
    pub peer: String,
    /// What the connection is doing.
    pub stage: Stage,
    /// Since when it has been doing that.
    #[schemars(schema_with = "crate::crd::schema::time")]
    pub since: Timestamp,
    /// The last reply that came over it; at most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_reply: Option<String>,
    /// What has gone over it. It changes with every write, so it is at `/monitor` alone: no line of the stream has it, and no status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub octets: Option<Octets>,
}

/// Octets that have gone over a connection, as SMTP has them: without those of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Octets {
    /// Those that the relay sent.
    pub sent: u64,
    /// Those that came in.
    pub received: u64,
}

/// Where an attempt to deliver mail is, or failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Stage {
    /// Looking up where the mail goes.
    Dns,
    /// Opening the TCP connection.
    Connect,
    /// Waiting for the greeting.
    Banner,
    /// EHLO or HELO.
    Ehlo,
    /// STARTTLS, and the handshake.
    StartTls,
    /// AUTH: the relay logs in.
    Auth,
    /// MAIL FROM.
    MailFrom,
    /// RCPT TO.
    RcptTo,
    /// DATA, until the host asks for the text.
    Data,
    /// Sending the text.
    Body,
    /// The text is sent; waiting for the host to answer for it.
    Reply,
    /// Open, with nothing to send.
    Idle,
    /// QUIT.
    Quit,
}
