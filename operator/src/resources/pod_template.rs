//! What an SMTPRelay says of its pods, laid over those that the operator makes.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Container, PodSpec, PodTemplateSpec, ResourceRequirements, TopologySpreadConstraint},
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};
use mailsluice_crds::relay::{self, PodTemplate};

use super::Plan;
use crate::names;

/// The pods of that relay, out of the operator's own specification of them.
pub(super) fn build(plan: &Plan, own: PodSpec) -> PodTemplateSpec {
    let PodTemplate { metadata, spec } = &plan.spec.pod_template;
    let mut labels = metadata.labels.clone();
    labels.extend(names::labels(&plan.name));
    let annotations = given(&metadata.annotations);
    let metadata = ObjectMeta { labels: Some(labels), annotations, ..ObjectMeta::default() };
    PodTemplateSpec { metadata: Some(metadata), spec: Some(overlaid(plan, own, spec)) }
}

fn overlaid(plan: &Plan, own: PodSpec, given: &relay::PodSpec) -> PodSpec {
    let mut pod = PodSpec {
        node_selector: self::given(&given.node_selector),
        affinity: given.affinity.clone(),
        tolerations: some(&given.tolerations),
        topology_spread_constraints: Some(spread(plan, given.topology_spread_constraints.as_deref())),
        priority_class_name: given.priority_class_name.clone(),
        image_pull_secrets: some(&given.image_pull_secrets),
        ..own
    };
    pod.volumes.get_or_insert_default().extend(given.volumes.iter().cloned());
    for given in &given.containers {
        if let Some(container) = pod.containers.iter_mut().find(|container| container.name == given.name) {
            lay_over(container, given);
        }
    }
    pod
}

fn lay_over(container: &mut Container, given: &relay::Container) {
    container.volume_mounts.get_or_insert_default().extend(given.volume_mounts.iter().cloned());
    if let Some(resources) = &given.resources {
        container.resources = Some(ResourceRequirements {
            requests: amounts(&resources.requests),
            limits: amounts(&resources.limits),
            ..ResourceRequirements::default()
        });
    }
}

fn amounts(given: &BTreeMap<String, IntOrString>) -> Option<BTreeMap<String, Quantity>> {
    let amount = |amount: &IntOrString| match amount {
        IntOrString::Int(whole) => Quantity(whole.to_string()),
        IntOrString::String(text) => Quantity(text.clone()),
    };
    (!given.is_empty()).then(|| given.iter().map(|(name, given)| (name.clone(), amount(given))).collect())
}

/// The constraints that are given, each about the relay's pods where it does not say about which; or those that keep the loss of a
/// zone or a node from taking more pods than it must. Where a pod sets any, the scheduler's own defaults do not count.
fn spread(plan: &Plan, given: Option<&[TopologySpreadConstraint]>) -> Vec<TopologySpreadConstraint> {
    let pods = names::pod_selector(&plan.name);
    match given {
        Some(given) => given
            .iter()
            .map(|given| TopologySpreadConstraint {
                label_selector: given.label_selector.clone().or_else(|| Some(pods.clone())),
                ..given.clone()
            })
            .collect(),
        None => ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
            .map(|key| TopologySpreadConstraint {
                max_skew: 1,
                topology_key: key.into(),
                when_unsatisfiable: "ScheduleAnyway".into(),
                label_selector: Some(pods.clone()),
                ..TopologySpreadConstraint::default()
            })
            .into(),
    }
}

fn given(texts: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    (!texts.is_empty()).then(|| texts.clone())
}

fn some<T: Clone>(list: &[T]) -> Option<Vec<T>> {
    (!list.is_empty()).then(|| list.to_vec())
}
