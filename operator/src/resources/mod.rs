//! The objects that a relay is made of: one pure builder each.

mod config_map;
mod headless_service;
mod network_policy;
mod pod_disruption_budget;
mod pod_template;
mod service;
mod service_account;
mod stateful_set;

#[cfg(test)]
mod tests;

use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        core::v1::{ConfigMap, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use mailsluice_crds::SMTPRelaySpec;

use crate::names;

pub use config_map::manifests;
pub use stateful_set::Claim;

/// All that the objects are built from.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The relay's namespace.
    pub namespace: String,
    /// The relay's name.
    pub name: String,
    /// The relay as the objects' owner.
    pub owner: OwnerReference,
    /// What it is asked to do.
    pub spec: SMTPRelaySpec,
    /// How many pods there are to be now: more than it asks for, while some of them hand their mail over.
    pub replicas: u32,
    /// The image of the relay's pods.
    pub image: String,
    /// The manifests that its pods run.
    pub manifests: String,
    /// How its limits are divided among its pods, as they read it.
    pub shares: String,
    /// The hash that its pods know the operator's credential by.
    pub credential: String,
    /// The cluster's keys of service account tokens, as far as they are known.
    pub token_keys: Option<String>,
    /// The pods of the service accounts that it lets in.
    pub client_pods: Option<String>,
    /// The claim of each pod.
    pub claim: Claim,
}

/// The objects of a relay, as they should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Resources {
    /// The pods' identity, without a right to anything.
    pub service_account: ServiceAccount,
    /// The resolved manifests.
    pub config_map: ConfigMap,
    /// The pods' names.
    pub headless_service: Service,
    /// Where clients hand in mail.
    pub service: Service,
    /// The pods.
    pub stateful_set: StatefulSet,
    /// How many pods a drain may take at a time.
    pub pod_disruption_budget: PodDisruptionBudget,
    /// Who reaches the pods, and what they reach, where it is asked for.
    pub network_policy: Option<NetworkPolicy>,
}

/// Builds all of them.
#[must_use]
pub fn build(plan: &Plan) -> Resources {
    Resources {
        service_account: service_account::build(plan),
        config_map: config_map::build(plan),
        headless_service: headless_service::build(plan),
        service: service::build(plan),
        stateful_set: stateful_set::build(plan),
        pod_disruption_budget: pod_disruption_budget::build(plan),
        network_policy: network_policy::build(plan),
    }
}

impl Resources {
    /// The hash of what is mounted into the pods.
    #[must_use]
    pub fn config_hash(&self) -> String {
        // Keys and values are set apart by octets that neither contains.
        let parts: Vec<&str> =
            self.config_map.data.iter().flatten().flat_map(|(key, value)| [key.as_str(), value.as_str()]).collect();
        names::sha256_hex(parts.join("\0").as_bytes())
    }
}

fn metadata(plan: &Plan, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(plan.namespace.clone()),
        labels: Some(names::labels(&plan.name)),
        owner_references: Some(vec![plan.owner.clone()]),
        ..ObjectMeta::default()
    }
}
