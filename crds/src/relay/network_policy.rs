//! Who reaches a relay's pods over the network, and what they reach: a NetworkPolicy that follows the SMTPRelay.

use k8s_openapi::api::networking::v1::{NetworkPolicyEgressRule, NetworkPolicyPeer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::schema;

/// A NetworkPolicy for the relay's pods. In it lets, to the listeners, whom `clients` lists, by their networks and the namespaces of
/// their service accounts, and whoever `proxyProtocol` and `xclient` trust; anybody, where users or certificates are asked for
/// without a network. Out it lets to the DNS, to port 25 for routes by MX, to the ports of smarthosts and, for MTA-STS, to port 443.
/// The operator and the relay's pods themselves reach the Monitor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkPolicy {
    /// Further peers that may reach the listeners, such as pods by their namespace: there are network plugins that know pods by their
    /// labels alone, and none of them by a network in `clients`. Whether they may relay is still for `clients` to say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::network_peers")]
    pub clients_from: Vec<NetworkPolicyPeer>,
    /// Those that may read the metrics, on the Monitor's port: your Prometheus.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::network_peers")]
    pub metrics_from: Vec<NetworkPolicyPeer>,
    /// Further rules for connections out: a smarthost that is a Service whose pods listen on another port, for one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::egress_rules")]
    pub egress: Vec<NetworkPolicyEgressRule>,
}
