//! Plays what a cluster does about a StatefulSet: its one pod, which runs and is ready at once, and its status.

use std::{collections::HashSet, net::IpAddr};

use futures::{StreamExt as _, TryStreamExt as _, future};
use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod};
use kube::{
    Api, Client, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
    runtime::{WatchStreamExt as _, watcher},
};
use serde_json::json;

use crate::{monitors, objects};

/// Pods that are made at a time.
const AT_ONCE: usize = 4;

/// Plays until the process ends.
pub(super) async fn play(client: Client) {
    let sets: Api<StatefulSet> = Api::default_namespaced(client.clone());
    let mut made = HashSet::new();
    let new = watcher(sets, watcher::Config::default())
        .default_backoff()
        .applied_objects()
        .try_filter(move |set| future::ready(made.insert(set.name_any())));
    new.for_each_concurrent(AT_ONCE, |set| {
        let client = client.clone();
        async move {
            if let Ok(set) = set {
                run(&client, &set).await.expect("a pod");
            }
        }
    })
    .await;
}

async fn run(client: &Client, set: &StatefulSet) -> kube::Result<()> {
    let relay = set.name_any();
    let Some(address) = objects::number(&relay).map(monitors::address) else { return Ok(()) };
    let name = format!("{relay}-0");
    let pod = serde_json::from_value(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": set.spec.as_ref().and_then(|spec| spec.template.metadata.clone()?.labels)},
        "spec": {"containers": [{"name": "relay", "image": "relay"}]},
    }));
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    pods.create(&PostParams::default(), &pod.map_err(kube::Error::SerdeError)?).await?;
    let address = IpAddr::V4(address);
    let running = json!({"status": {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [{"type": "Ready", "status": "True"}],
    }});
    pods.patch_status(&name, &PatchParams::default(), &Patch::Merge(running)).await?;
    let complete = json!({"status": {
        "observedGeneration": set.metadata.generation,
        "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1, "availableReplicas": 1, "currentReplicas": 1,
    }});
    let sets: Api<StatefulSet> = Api::default_namespaced(client.clone());
    sets.patch_status(&relay, &PatchParams::default(), &Patch::Merge(complete)).await?;
    Ok(())
}
