//! The PodDisruptionBudget: how many pods a drain may take at a time.

use k8s_openapi::{
    api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{Plan, metadata};
use crate::names;

pub(super) fn build(plan: &Plan) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: metadata(plan, plan.name.clone()),
        spec: Some(PodDisruptionBudgetSpec {
            // Not "at least one": that would keep a node with a relay of one replica from ever being drained.
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(names::pod_selector(&plan.name)),
            // A pod that is broken protects nobody's mail by staying.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".into()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    }
}
