//! What is said of a message on its way out: the keys that sign it, and the address that it leaves from.

use std::net::{Ipv4Addr, Ipv6Addr};

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::{rules, schema};

/// DKIM signatures for the mail of one domain (RFC 6376).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dkim {
    /// The domain that signs: mail whose header From is in it, or below it in no domain that is listed itself.
    #[schemars(schema_with = "schema::signing_domain")]
    pub domain: String,
    /// The selectors, each of which adds a signature: the DNS has its public key at SELECTOR._domainkey.DOMAIN. Two of them
    /// sign by RSA and by Ed25519, or by an old key and a new one.
    #[schemars(schema_with = "schema::selectors")]
    pub selectors: Vec<String>,
    /// The Secret in the same namespace with the private key of each selector, in PEM, in `SELECTOR.key`. Without a cluster, a
    /// folder of that name beside the manifests. Mail for which there is no key waits.
    #[schemars(schema_with = "schema::secret_name")]
    pub secret_name: String,
}

/// Where the connections of a route come from, where the machine has more than one address. A family of addresses that has no
/// source here, while the other has, is not used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = rules::source_says_something())]
#[serde(rename_all = "camelCase")]
pub struct SourceAddress {
    /// The IPv4 address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::ipv4")]
    pub ipv4: Option<Ipv4Addr>,
    /// The IPv6 address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::ipv6")]
    pub ipv6: Option<Ipv6Addr>,
    /// The network interface, such as a second one of the pod, by its name there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::interface")]
    pub interface: Option<String>,
}
