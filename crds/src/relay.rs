//! SMTPRelay: a relay, declared.

#![allow(unreachable_pub, reason = "KubeSchema derives from a private copy of the struct")]

mod access;
mod border;
mod client;
mod network_policy;
mod outgoing;
mod pods;
mod service;
mod tls;

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    crd::{rules, schema},
    log_level::LogLevel,
    monitor::{ClientRow, HostRow, Link, QueueTotals},
    quantity::{ByteSize, Interval},
};

pub use access::{Allowance, AllowedNamespaces, NamespacesFrom};
pub use border::{BareNewlines, ClientLimits, Rates, Trusted};
pub use client::{Client, ClientCertificates, ServiceAccount, Users};
pub use network_policy::NetworkPolicy;
pub use outgoing::{Dkim, SourceAddress};
pub use pods::{Container, PodMetadata, PodSpec, PodTemplate, Resources};
pub use service::{IpFamily, IpFamilyPolicy, Service, ServiceType, TrafficPolicy};
pub use tls::{ListenerTls, SecretRef, TlsMode, TlsPolicy};

/// The most connections that a limit can allow: beyond it a process runs out of file descriptors first.
const MOST_CONNECTIONS: u32 = 100_000;

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
    validation = rules::relay_name(),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.ready"),
    printcolumn(name = "Link", type_ = "string", json_path = ".status.link.state"),
    printcolumn(name = "Queued", type_ = "integer", json_path = ".status.queue.messages"),
    printcolumn(name = "Suspended", type_ = "integer", json_path = ".status.queue.suspendedHosts"),
    printcolumn(name = "Oldest", type_ = "date", json_path = ".status.queue.oldest"),
    printcolumn(name = "Problem", type_ = "string", json_path = ".status.problem"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Schedule", type_ = "string", json_path = ".spec.scheduleRef.name", priority = 1),
    printcolumn(name = "Log", type_ = "string", json_path = ".spec.log.level", priority = 1),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version", priority = 1),
    doc = "A relay: applications hand it their mail, and it lets the mail out when, where and how fast it is allowed to go.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    )
)]
#[x_kube(validation = rules::message_fits_into_the_spool())]
#[x_kube(validation = rules::tls_is_not_off_where_it_begins_at_once())]
#[x_kube(validation = rules::authorities_are_of_use())]
#[x_kube(validation = rules::credentials_are_not_shown_in_clear())]
#[x_kube(validation = rules::policies_are_of_domains())]
#[serde(rename_all = "camelCase")]
pub struct SMTPRelaySpec {
    /// How many relay pods run, each with a spool of its own. A relay without a cluster is always one. A pod that is scaled away hands its mail
    /// to those that stay; with 0 it waits on the claims.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 100))]
    pub replicas: u32,
    /// The TCPSchedule, in the same namespace, that says when connections may be opened; without one they always may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule_ref: Option<ScheduleRef>,
    /// What is logged, and how.
    #[serde(default)]
    pub log: Log,
    /// The ports on which mail is taken.
    #[serde(default = "default_listeners")]
    #[schemars(
        length(min = 1, max = schema::MOST_LISTENERS),
        extend(
            "x-kubernetes-list-type" = "map",
            "x-kubernetes-list-map-keys" = ["name"],
            "x-kubernetes-validations" = [rules::ports_differ()]
        )
    )]
    pub listeners: Vec<Listener>,
    /// Who may relay. Nobody may who is not listed.
    #[serde(default)]
    #[schemars(length(max = schema::MOST_ENTRIES))]
    pub clients: Vec<Client>,
    /// Who may ask for access by an SMTPAccess in a namespace of its own, and for which senders; nobody, where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Allowance>,
    /// Where mail goes: the first route that matches a recipient's domain decides.
    #[serde(default = "default_routes")]
    #[schemars(
        length(min = 1, max = schema::MOST_ROUTES),
        extend("x-kubernetes-validations" = rules::routes())
    )]
    pub routes: Vec<Route>,
    /// How the relay names itself: in HELO to other hosts, in its greeting to clients, in Received and in bounces. `{pod}` in it
    /// stands for the name of the pod, such as outbound-0: `{pod}.mail.example.org`. The pod's name alone, where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::hello")]
    pub hello: Option<String>,
    /// The domains whose mail is signed by DKIM on its way out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = schema::MOST_ENTRIES),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["domain"])
    )]
    pub dkim: Vec<Dkim>,
    /// What is asked of TLS on the way out, where the route does not say.
    #[serde(default)]
    pub tls: TlsPolicy,
    /// Limits, inward and outward.
    #[serde(default)]
    pub limits: Limits,
    /// When an attempt that failed is repeated, and when the relay gives up.
    #[serde(default)]
    pub retry: Retry,
    /// The claim on which each replica keeps its spool.
    #[serde(default)]
    pub storage: Storage,
    /// What is laid over the pods that the operator makes; without a cluster there are none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pod_template: PodTemplate,
    /// How its listeners are reached; without a cluster there is no Service.
    #[serde(default, skip_serializing_if = "is_default")]
    pub service: Service,
    /// A NetworkPolicy that follows what the relay is asked to do; none, where it is absent. `{}` is one without further peers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_policy: Option<NetworkPolicy>,
}

/// Names a TCPSchedule in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleRef {
    /// The TCPSchedule's `metadata.name`.
    #[schemars(schema_with = "schema::object_name")]
    pub name: String,
}

/// What is logged, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Log {
    /// The Log Level of the relay, each with all before it: CrashesOnly, Failures (what was given up), Major (what happened),
    /// Problems (what went wrong and is tried again), LowLevel (the conversation with hosts and clients), AllInfo.
    #[serde(default)]
    pub level: LogLevel,
    /// How a record is written: Json is an object a line, Text a line for people.
    #[serde(default)]
    pub format: LogFormat,
    /// Levels of single hosts, for a time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = schema::MOST_ENTRIES),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["host"])
    )]
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
#[serde(rename_all = "camelCase")]
pub struct HostLog {
    /// The host as the Monitor names it.
    #[schemars(schema_with = "schema::monitor_host")]
    pub host: String,
    /// Its level, one of the six of `log.level`.
    pub level: LogLevel,
    /// The moment at which it falls back to the relay's level; never, where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::moment")]
    pub until: Option<Timestamp>,
}

/// A port on which mail is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// Its name, as a Service's port is named.
    #[schemars(schema_with = "schema::listener_name")]
    pub name: String,
    /// Its TCP port.
    #[schemars(range(min = 1), extend("x-kubernetes-validations" = [rules::port_is_free()]))]
    pub port: u16,
    /// TLS on it; none, where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTls>,
    /// The load balancers that say by the PROXY protocol, version 1 or 2, who the client is. From them its header is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<Trusted>,
    /// The hosts that may say by XCLIENT, as Postfix has it, who the client is. It is offered to them alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xclient: Option<Trusted>,
    /// Whose mail comes in on it: Submission is for programs that write mail (RFC 6409), Relay for servers that pass it on. Where it
    /// is absent, ports 587 and 465 are for Submission, as IANA has them, and all others for Relay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

impl Listener {
    /// Whose mail comes in on it.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role.unwrap_or(match self.port {
            465 | 587 => Role::Submission,
            _ => Role::Relay,
        })
    }
}

/// Whose mail comes in on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Role {
    /// That of programs that write it: what they left out is added to the header, Bcc is taken out of it, every domain must be
    /// complete, and who may not send is told so at MAIL.
    Submission,
    /// That of servers, which pass it on as they got it.
    Relay,
}

/// Where mail for some domains goes: to a smarthost, or by MX records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = rules::one_way())]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// Recipient domains: a name, `*.` and a name for everything below it, or `*` for all.
    #[schemars(schema_with = "schema::domains")]
    pub domains: Vec<String>,
    /// All of it goes to this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smarthost: Option<Smarthost>,
    /// It goes to each domain's own mail exchangers, as the DNS names them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mx: Option<Mx>,
    /// The domain that envelope senders have on this route, in place of their own; the header stays. What other hosts return
    /// then comes back to that domain, to the same local part; the relay's own bounces still go to the sender itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::sender_domain")]
    pub sender_domain: Option<String>,
    /// Where its connections come from; what the system chooses, where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceAddress>,
    /// What is asked of TLS on this way; what `spec.tls` says, where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsPolicy>,
}

/// A host that takes mail for any domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Smarthost {
    /// Its name, or its address.
    #[schemars(schema_with = "schema::smarthost")]
    pub host: String,
    /// Its TCP port.
    #[serde(default = "smtp_port")]
    #[schemars(range(min = 1))]
    pub port: u16,
    /// When TLS begins on its port: Implicit is TLS from the first octet on, as on port 465.
    #[serde(default)]
    pub tls_mode: TlsMode,
    /// A Secret with the certificates of the authorities that vouch for it, in `ca.crt`, in place of those that vouch for public
    /// hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<SecretRef>,
    /// A Secret of type kubernetes.io/tls with the certificate that the relay shows to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<SecretRef>,
    /// A Secret with what the relay logs in with by AUTH: `username`, and `password` as in one of type kubernetes.io/basic-auth, or
    /// `token`, an OAuth access token that others keep fresh. It is shown to a host whose certificate is verified, even where
    /// `tls` asks for less, and in clear to this machine alone. Mail waits while the Secret is missing or the host refuses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<SecretRef>,
}

impl Smarthost {
    /// A host of which no more is known than where it is.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Smarthost {
        Smarthost {
            host: host.into(),
            port,
            tls_mode: TlsMode::default(),
            ca: None,
            client_certificate: None,
            credentials: None,
        }
    }
}

/// Delivery by MX records (RFC 5321 section 5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mx {
    /// Whether mail may go to private, loopback and other addresses that are not of the public Internet when the DNS names
    /// them: for domains of a network of one's own. Whoever owns a domain could otherwise have the relay call inside machines.
    #[serde(default, skip_serializing_if = "is_default")]
    pub private_addresses: PrivateAddresses,
}

/// What is done about a mail exchanger with an address that is not of the public Internet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PrivateAddresses {
    /// It is passed over, and mail for which nothing else is left goes back to its sender.
    #[default]
    Refuse,
    /// Mail goes there.
    Allow,
}

/// Limits, outward for the relay as a whole, inward each for one replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// Outgoing connections open at a time, of all replicas together: the operator divides them, here and below.
    #[schemars(range(min = 1, max = MOST_CONNECTIONS))]
    pub connections: u32,
    /// Outgoing connections open at a time to one host, of all replicas together.
    #[schemars(range(min = 1, max = MOST_CONNECTIONS))]
    pub connections_per_host: u32,
    /// Messages sent to one host in a minute by all replicas together; any number, where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub messages_per_host_per_minute: Option<u32>,
    /// The largest message taken.
    #[schemars(schema_with = "schema::message_size")]
    pub message_size: ByteSize,
    /// Clients' connections open at a time, at each replica.
    #[schemars(range(min = 1, max = MOST_CONNECTIONS))]
    pub client_connections: u32,
    /// Recipients of one message.
    #[schemars(range(min = 1, max = 100_000))]
    pub recipients: u32,
    /// What one client may take.
    #[serde(skip_serializing_if = "is_default")]
    pub per_client: ClientLimits,
    /// What all clients together may take, beside `clientConnections`.
    #[serde(skip_serializing_if = "is_default")]
    pub all_clients: Rates,
    /// How long a sender may have a message held before it is sent (FUTURERELEASE, RFC 4865); its age counts from then on.
    pub future_release: Interval,
}

/// When an attempt that failed is repeated, and when the relay gives up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = rules::waits_grow()))]
#[serde(rename_all = "camelCase", default)]
pub struct Retry {
    /// The wait after the first failure; it doubles with each one that follows.
    pub first: Interval,
    /// The longest wait.
    pub longest: Interval,
    /// The age at which the sender of a message that still waits is told so, once; never, where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warn_after: Option<Interval>,
    /// The age at which a message that could not be delivered is returned to its sender.
    pub expire_after: Interval,
}

/// The claim on which each replica keeps its spool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [rules::storage_grows(), rules::storage_class_stays()]))]
#[serde(rename_all = "camelCase", default)]
pub struct Storage {
    /// Its size. A larger one makes the claims grow, without a restart, where their storage class allows that; a smaller one is refused.
    pub size: ByteSize,
    /// Its storage class, for good; the cluster's default, where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::storage_class")]
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
            access: None,
            routes: default_routes(),
            hello: None,
            dkim: Vec::new(),
            tls: TlsPolicy::default(),
            limits: Limits::default(),
            retry: Retry::default(),
            storage: Storage::default(),
            pod_template: PodTemplate::default(),
            service: Service::default(),
            network_policy: None,
        }
    }
}

impl SMTPRelaySpec {
    /// The Secrets that the relay reads, each once and in order.
    #[must_use]
    pub fn secret_names(&self) -> BTreeSet<&str> {
        let listeners = self.listeners.iter().filter_map(|listener| Some(listener.tls.as_ref()?.secret_name.as_str()));
        let smarthosts = self.smarthosts().flat_map(|host| [&host.ca, &host.client_certificate, &host.credentials]);
        let smarthosts = smarthosts.flatten().map(|secret| secret.secret_name.as_str());
        let clients = self.clients.iter().flat_map(Client::secret_names);
        let dkim = self.dkim.iter().map(|dkim| dkim.secret_name.as_str());
        listeners.chain(clients).chain(smarthosts).chain(dkim).collect()
    }

    /// The hosts that routes lead to.
    pub fn smarthosts(&self) -> impl Iterator<Item = &Smarthost> + Clone {
        self.routes.iter().filter_map(|route| route.smarthost.as_ref())
    }

    /// Whether tokens of service accounts let clients in, so that the cluster's keys are needed.
    #[must_use]
    pub fn has_service_accounts(&self) -> bool {
        self.clients.iter().any(|client| !client.service_accounts.is_empty())
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
            per_client: ClientLimits::default(),
            all_clients: Rates::default(),
            future_release: Interval::from_secs(7 * 86_400),
        }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Retry {
            first: Interval::from_secs(5 * 60),
            longest: Interval::from_secs(4 * 3_600),
            warn_after: None,
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
    /// The generation of the specification that this is about: one behind `metadata.generation` is of before the last change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Available, Progressing and Delivering; and Injected, where pods ask for a sidecar.
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
    #[schemars(length(max = 256))]
    pub problem: Option<String>,
    /// The SMTP Monitor's worst hosts: suspended ones first, then by their oldest message; at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["host"]))]
    pub monitor: Vec<HostRow>,
    /// How many hosts the Monitor has beyond those.
    #[serde(default)]
    pub hosts_not_shown: u32,
    /// Clients that handed mail in or tried to, those refused most recently first; at most 16. A refusal is shown within seconds, a repeat
    /// of it within a minute; what else is counted here is as of the last write.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["kind", "client"]))]
    pub clients: Vec<ClientRow>,
    /// How many clients the Monitor has beyond those.
    #[serde(default, skip_serializing_if = "is_default")]
    pub clients_not_shown: u32,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn one() -> u32 {
    1
}

fn smtp_port() -> u16 {
    25
}

fn default_listeners() -> Vec<Listener> {
    vec![Listener { name: "smtp".into(), port: 25, tls: None, role: None, proxy_protocol: None, xclient: None }]
}

fn default_routes() -> Vec<Route> {
    vec![Route { domains: vec!["*".into()], mx: Some(Mx::default()), ..Route::default() }]
}
