//! What is said of a message on its way out: the address that it leaves from.

use std::net::{Ipv4Addr, Ipv6Addr};

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::crd::{rules, schema};

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
