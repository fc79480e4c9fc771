//! The SMTP Monitor: one row for each host that mail waits for, and the totals around it.
//!
//! A relay serves it whole at `/monitor` and as a stream of changes at `/monitor/stream`; the operator merges the
//! replicas' and writes a bounded part of it into SMTPRelay's status. Every time in it is absolute, so that it changes
//! only when something happens.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{log_level::LogLevel, schedule::LinkState};

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

/// Why a relay as a whole does not do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ProblemReason {
    /// The spool cannot be written or synced: no mail is accepted.
    SpoolFailing,
    /// The spool's disk is full: no mail is accepted until there is room.
    QueueFull,
    /// The `scheduleRef` names a TCP Schedule that the relay was not given: all mail is held.
    ScheduleNotFound,
    /// Records of the spool are damaged and were set aside: their mail may be lost, all other mail is delivered.
    SpoolDamaged,
    /// The last change of the configuration was refused; the one before it is in force.
    ConfigurationInvalid,
    /// A Secret is missing, or holds nothing that can be used: what needs it does not work.
    SecretInvalid,
    /// The keys of the cluster's service accounts are missing or cannot be read: their tokens let nobody in.
    TokenKeysInvalid,
}

impl ProblemReason {
    /// All of them, the worst first.
    pub const ALL: [ProblemReason; 7] = [
        ProblemReason::SpoolFailing,
        ProblemReason::QueueFull,
        ProblemReason::ScheduleNotFound,
        ProblemReason::SpoolDamaged,
        ProblemReason::ConfigurationInvalid,
        ProblemReason::SecretInvalid,
        ProblemReason::TokenKeysInvalid,
    ];

    /// Its name, in a condition's reason and in a metric's label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            ProblemReason::SpoolFailing => "SpoolFailing",
            ProblemReason::QueueFull => "QueueFull",
            ProblemReason::ScheduleNotFound => "ScheduleNotFound",
            ProblemReason::SpoolDamaged => "SpoolDamaged",
            ProblemReason::ConfigurationInvalid => "ConfigurationInvalid",
            ProblemReason::SecretInvalid => "SecretInvalid",
            ProblemReason::TokenKeysInvalid => "TokenKeysInvalid",
        }
    }
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
    #[schemars(length(max = 32))]
    pub code: String,
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

/// Why mail for a host waits. Few, stable, the same in the status, the log and the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Reason {
    /// The TCP Schedule allows no connections now.
    TcpScheduleClosed,
    /// The TCP Schedule allows a session every so often, and the next one is not due yet.
    TcpSchedulePause,
    /// The relay's `scheduleRef` names a TCP Schedule that does not exist.
    ScheduleNotFound,
    /// The host's addresses could not be looked up.
    DnsFailed,
    /// No connection could be made, or it broke.
    ConnectionFailed,
    /// TLS is asked for and could not be had: none is offered, the handshake failed, or the certificate is not to be trusted.
    TlsFailed,
    /// The smarthost did not let the relay log in: the credentials are missing, it refused them, or they could not be shown to it.
    AuthFailed,
    /// The host answered a command with a temporary refusal, or broke the protocol.
    HostRefused,
    /// Single messages were put off by the host; the host itself is not suspended.
    MessagesDeferred,
    /// `messagesPerHostPerMinute` is reached.
    RateLimited,
    /// Nothing waits but messages that their senders want held till a moment (FUTURERELEASE, RFC 4865).
    HeldBySender,
}

impl Reason {
    /// The reason as the status, the log and the metrics spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Reason::TcpScheduleClosed => "TcpScheduleClosed",
            Reason::TcpSchedulePause => "TcpSchedulePause",
            Reason::ScheduleNotFound => "ScheduleNotFound",
            Reason::DnsFailed => "DnsFailed",
            Reason::ConnectionFailed => "ConnectionFailed",
            Reason::TlsFailed => "TlsFailed",
            Reason::AuthFailed => "AuthFailed",
            Reason::HostRefused => "HostRefused",
            Reason::MessagesDeferred => "MessagesDeferred",
            Reason::RateLimited => "RateLimited",
            Reason::HeldBySender => "HeldBySender",
        }
    }
}

/// What went wrong at the last attempt to reach a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastError {
    /// The error's own name: an errno's (`ECONNREFUSED`), a DNS answer (`NXDOMAIN`), a fault of TLS (`CERT_EXPIRED`), or an SMTP
    /// reply's code (`451 4.7.1`).
    #[schemars(length(max = 32))]
    pub code: String,
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

/// An outgoing connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// The address and port of the other side.
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
