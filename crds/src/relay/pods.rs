//! What a platform team says of a relay's pods, in Kubernetes' own names and shapes.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Affinity, LocalObjectReference, Toleration, TopologySpreadConstraint, Volume, VolumeMount},
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::{rules, schema};

/// What is laid over the pods that the operator makes. A change of it rolls them, one at a time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PodTemplate {
    /// What the pods are marked with.
    #[serde(skip_serializing_if = "super::is_default")]
    pub metadata: PodMetadata,
    /// Where they run, what they may take, and what they have mounted.
    #[serde(skip_serializing_if = "super::is_default")]
    pub spec: PodSpec,
}

/// What pods are marked with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PodMetadata {
    /// Labels beside the operator's own, by which it selects them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::labels")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::annotations")]
    pub annotations: BTreeMap<String, String>,
}

/// The part of a pod's specification that is not the operator's. What is absent stays as the operator has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [rules::pods::mounts_have_their_volumes()]))]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// Labels of the nodes on which the pods may run.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::node_selector")]
    pub node_selector: BTreeMap<String, String>,
    /// Which nodes, and the company of which pods, they prefer or need.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::affinity")]
    pub affinity: Option<Affinity>,
    /// The taints that they tolerate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::tolerations")]
    pub tolerations: Vec<Toleration>,
    /// How they are spread, in the place of the operator's own constraints, which spread them over zones and over nodes where they can
    /// be; an empty list for no constraint. Where a `labelSelector` is absent, it is that of the relay's pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::topology_spread_constraints")]
    pub topology_spread_constraints: Option<Vec<TopologySpreadConstraint>>,
    /// The PriorityClass.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::priority_class")]
    pub priority_class_name: Option<String>,
    /// The Secrets, in the same namespace, for pulling the relay's image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::image_pull_secrets")]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Further volumes, of the kinds that the Pod Security Standard `restricted` allows and that hold files for a program.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::volumes")]
    pub volumes: Vec<Volume>,
    /// The pods' one container, by its name: `relay`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 1),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub containers: Vec<Container>,
}

/// What is laid over the relay's container. All else in it is the operator's: image, arguments, ports, probes, security.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = rules::pods::image_is_the_operators(),
    validation = rules::pods::arguments_are_the_operators(),
    validation = rules::pods::ports_are_the_listeners()
)]
#[schemars(transform = schema::with_what_is_the_operators)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// `relay`.
    #[schemars(schema_with = "schema::container_name")]
    pub name: String,
    /// What it asks for and may take, in the place of the operator's 50m of CPU and 64Mi of memory that are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Where further volumes are mounted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::volume_mounts")]
    pub volume_mounts: Vec<VolumeMount>,
}

/// What a container asks for and may take.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [rules::pods::requests_are_within_limits()]))]
#[serde(rename_all = "camelCase", default)]
pub struct Resources {
    /// What is set aside for it; its limits, where that is absent.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::resources")]
    pub requests: BTreeMap<String, IntOrString>,
    /// What it may take at most.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::resources")]
    pub limits: BTreeMap<String, IntOrString>,
}
