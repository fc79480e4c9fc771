//! How the relay's limits are divided now.

use std::time::Instant;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{Api, ResourceExt as _, api::ListParams};
use mailsluice_crds::shares::{self, Division, Shares};

use super::{Context, ReconcileError, dereference::Found};
use crate::{
    names, scale,
    shares::{Divided, Present},
};

/// Says what is to be published.
pub(super) async fn divide(context: &Context, found: &Found) -> Result<Divided, ReconcileError> {
    let cached = published(found, found.config_map.as_deref());
    let divided = decide(context, found, cached, found.pods.iter().map(|pod| pod.name().to_owned()));
    if divided.shares == cached {
        return Ok(divided);
    }
    // A cache that lags behind may lack a pod that has a part, or show a division that is over: the API server itself is asked before a change.
    let config_maps: Api<ConfigMap> = Api::namespaced(context.client.clone(), found.namespace());
    let config_map =
        config_maps.get_opt(&names::config_map(found.name())).await.map_err(ReconcileError::Dereference)?;
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), found.namespace());
    let selector = ListParams::default().labels(&names::pod_selector_text(found.name()));
    let pods = pods.list(&selector).await.map_err(ReconcileError::Dereference)?;
    let config_map = config_map.filter(|object| super::apply::is_controlled_by(&object.metadata, found.uid()));
    let present = published(found, config_map.as_ref());
    Ok(decide(context, found, present, pods.items.iter().map(|pod| pod.name_any())))
}

fn decide(context: &Context, found: &Found, published: Shares, pods: impl Iterator<Item = String>) -> Divided {
    let now = Instant::now();
    let seen = context.monitors.seen(&found.key, now);
    let pods = pods.filter_map(|pod| {
        // What a pod keeps to it never goes back from, so that it need not be heard of just now.
        let keeps = seen.iter().find(|seen| seen.pod == pod).and_then(|seen| seen.shares);
        Some(Present { number: names::pod_number(found.name(), &pod)?, keeps })
    });
    let pods: Vec<Present> = pods.collect();
    context.divisions.decide(&found.key, &found.relay.spec, published, &pods, version(), now)
}

/// What the pods have been told; for pods that have not been told anything, the division that they come to.
fn published(found: &Found, config_map: Option<&ConfigMap>) -> Shares {
    let text = config_map.and_then(|config_map| config_map.data.as_ref()?.get(shares::FILE));
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(|| {
        let present = found.stateful_set.as_deref().and_then(scale::present);
        Shares::first(Division { among: present.unwrap_or(found.relay.spec.replicas), turn: 0 }, version())
    })
}

/// Grows even where what was published is lost.
fn version() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default()
}
