//! How a relay's listeners are reached: its Service, in Kubernetes' own names and shapes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::{rules, schema};

/// The Service of a relay's listeners. What is absent is the cluster's to choose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = rules::service::all()))]
#[serde(rename_all = "camelCase", default)]
pub struct Service {
    /// From where it is reached: from within the cluster (ClusterIP), at a port of every node as well (NodePort), or through a load
    /// balancer as well (LoadBalancer).
    #[serde(rename = "type")]
    pub kind: ServiceType,
    /// Annotations, which tell a cloud how to make the load balancer.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::annotations")]
    pub annotations: BTreeMap<String, String>,
    /// Who makes the load balancer; for good, as long as it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::load_balancer_class")]
    pub load_balancer_class: Option<String>,
    /// The networks that the load balancer lets in, in CIDR notation, where the cloud can do that; any, where it is absent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::source_ranges")]
    pub load_balancer_source_ranges: Vec<String>,
    /// Where connections from outside go: Local, to the pods of the node that they reach, or Cluster, to any pod, for which the node
    /// puts its own address in the place of the client's. Local where it is absent, since `clients` and the limits of each client go
    /// by addresses: with Cluster, whoever reaches a node is taken for that node. A load balancer passes over nodes without a pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<TrafficPolicy>,
    /// Where connections from within the cluster go: Cluster, to any pod, or Local, to the pods of the client's node alone. Cluster,
    /// where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internal_traffic_policy: Option<TrafficPolicy>,
    /// The families of its addresses, the first of them for good; the cluster's, where it is absent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::ip_families")]
    pub ip_families: Vec<IpFamily>,
    /// How many families it has addresses of. PreferDualStack, where it is absent: both, where the cluster has both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_family_policy: Option<IpFamilyPolicy>,
}

/// From where a Service is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// From within the cluster.
    #[default]
    ClusterIP,
    /// At a port of every node as well.
    NodePort,
    /// Through a load balancer as well.
    LoadBalancer,
}

/// Which pods a connection may go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TrafficPolicy {
    /// Any.
    Cluster,
    /// Those of the node where the connection is.
    Local,
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IpFamily {
    /// IPv4.
    IPv4,
    /// IPv6.
    IPv6,
}

/// How many families of addresses a Service has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IpFamilyPolicy {
    /// One.
    SingleStack,
    /// Both, where the cluster has both.
    PreferDualStack,
    /// Both, or none is made.
    RequireDualStack,
}

impl Service {
    /// Where connections from outside go; nowhere, where there are none.
    #[must_use]
    pub fn external_traffic_policy(&self) -> Option<TrafficPolicy> {
        match self.kind {
            ServiceType::ClusterIP => None,
            ServiceType::NodePort | ServiceType::LoadBalancer => {
                Some(self.external_traffic_policy.unwrap_or(TrafficPolicy::Local))
            }
        }
    }

    /// How many families of addresses it has.
    #[must_use]
    pub fn ip_family_policy(&self) -> IpFamilyPolicy {
        self.ip_family_policy.unwrap_or(IpFamilyPolicy::PreferDualStack)
    }
}

impl ServiceType {
    /// As Kubernetes spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ServiceType::ClusterIP => "ClusterIP",
            ServiceType::NodePort => "NodePort",
            ServiceType::LoadBalancer => "LoadBalancer",
        }
    }
}

impl TrafficPolicy {
    /// As Kubernetes spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            TrafficPolicy::Cluster => "Cluster",
            TrafficPolicy::Local => "Local",
        }
    }
}

impl IpFamily {
    /// As Kubernetes spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            IpFamily::IPv4 => "IPv4",
            IpFamily::IPv6 => "IPv6",
        }
    }
}

impl IpFamilyPolicy {
    /// As Kubernetes spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            IpFamilyPolicy::SingleStack => "SingleStack",
            IpFamilyPolicy::PreferDualStack => "PreferDualStack",
            IpFamilyPolicy::RequireDualStack => "RequireDualStack",
        }
    }
}
