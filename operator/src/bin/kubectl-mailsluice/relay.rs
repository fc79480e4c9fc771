//! The relay that a command is about, and its pods.

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt, api::ListParams};
use mailsluice_crds::{GROUP, SMTPRelay};
use mailsluice_operator::names;

use crate::{
    access::{Cluster, Right},
    error::PluginError,
};

/// The container of a relay's pod in which the relay runs.
pub(crate) const CONTAINER: &str = "relay";

/// A relay with its pods.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// The relay.
    pub(crate) relay: SMTPRelay,
    /// Its pods, by name.
    pub(crate) pods: Vec<Pod>,
}

impl Found {
    /// The relay's name.
    pub(crate) fn name(&self) -> String {
        self.relay.name_any()
    }

    /// The names of the pods whose relay runs, and, of the others, what they are instead.
    pub(crate) fn running(&self) -> (Vec<String>, Vec<(String, String)>) {
        let mut running = Vec::new();
        let mut others = Vec::new();
        for pod in &self.pods {
            match hindrance(pod) {
                None => running.push(pod.name_any()),
                Some(state) => others.push((pod.name_any(), state)),
            }
        }
        (running, others)
    }
}

/// Finds the relay of that name, or the only one that there is.
pub(crate) async fn find(cluster: &Cluster, name: Option<&str>) -> Result<SMTPRelay, PluginError> {
    let relays: Api<SMTPRelay> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let right = Right { verb: "list", resource: "smtprelays", group: GROUP };
    let list = cluster.ask(right, relays.list(&ListParams::default())).await?;
    choose(list.items, name, &cluster.namespace)
}

/// Finds its pods.
pub(crate) async fn with_pods(cluster: &Cluster, relay: SMTPRelay) -> Result<Found, PluginError> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let selector = names::pod_selector_text(&relay.name_any());
    let right = Right { verb: "list", resource: "pods", group: "" };
    let mut pods = cluster.ask(right, pods.list(&ListParams::default().labels(&selector))).await?.items;
    pods.sort_by_key(ResourceExt::name_any);
    Ok(Found { relay, pods })
}

fn choose(relays: Vec<SMTPRelay>, name: Option<&str>, namespace: &str) -> Result<SMTPRelay, PluginError> {
    let names: Vec<String> = relays.iter().map(ResourceExt::name_any).collect();
    let namespace = namespace.to_owned();
    let mut relays = relays.into_iter();
    match name {
        Some(name) => relays.find(|relay| relay.name_any() == name).ok_or_else(|| PluginError::NoSuchRelay {
            name: name.to_owned(),
            namespace,
            others: names,
        }),
        None => match (relays.next(), relays.next()) {
            (None, _) => Err(PluginError::NoRelay(namespace)),
            (Some(relay), None) => Ok(relay),
            (Some(_), Some(_)) => Err(PluginError::WhichRelay { namespace, names }),
        },
    }
}

/// Why nothing can be run in the relay's container now, if so.
fn hindrance(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref();
    let container =
        status.and_then(|status| status.container_statuses.iter().flatten().find(|one| one.name == CONTAINER));
    let state = container.and_then(|container| container.state.as_ref());
    if let Some(state) = state {
        if state.running.is_some() {
            return None;
        }
        let waiting = state.waiting.as_ref().and_then(|waiting| waiting.reason.clone());
        let ended = state.terminated.as_ref().and_then(|ended| ended.reason.clone());
        if let Some(reason) = waiting.or(ended) {
            return Some(reason);
        }
    }
    Some(status.and_then(|status| status.phase.clone()).unwrap_or_else(|| "Unknown".into()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn relay(name: &str) -> SMTPRelay {
        SMTPRelay::new(name, mailsluice_crds::SMTPRelaySpec::default())
    }

    #[test]
    fn a_relay_need_not_be_named_where_there_is_only_one() {
        for (there, asked, wanted) in [
            (vec!["a"], None, Ok("a")),
            (vec!["a", "b"], Some("b"), Ok("b")),
            (vec![], None, Err("there is no SMTPRelay in namespace shop")),
            (vec!["a", "b"], None, Err("has 2 SMTPRelays: name one of them with -r: a, b")),
            (vec!["a"], Some("c"), Err("no SMTPRelay c in namespace shop; it has a")),
        ] {
            let found = choose(there.iter().map(|name| relay(name)).collect(), asked, "shop");
            match (found, wanted) {
                (Ok(found), Ok(name)) => assert_eq!(found.name_any(), name),
                (Err(error), Err(says)) => assert!(error.to_string().contains(says), "{error}"),
                (found, wanted) => panic!("{there:?}, {asked:?}: {found:?}, not {wanted:?}"),
            }
        }
    }

    #[test]
    fn a_pod_is_asked_when_its_relay_runs() {
        let pod = |status: serde_json::Value| -> Pod {
            serde_json::from_value(json!({"metadata": {"name": "p"}, "status": status})).unwrap()
        };
        let container = |state: serde_json::Value| {
            json!({"phase": "Pending", "containerStatuses":
                [{"name": "relay", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}]})
        };
        for (status, wanted) in [
            (container(json!({"running": {}})), None),
            (container(json!({"waiting": {"reason": "ImagePullBackOff"}})), Some("ImagePullBackOff")),
            (container(json!({"terminated": {"reason": "OOMKilled", "exitCode": 137}})), Some("OOMKilled")),
            (json!({"phase": "Pending"}), Some("Pending")),
            (json!({}), Some("Unknown")),
        ] {
            assert_eq!(hindrance(&pod(status.clone())).as_deref(), wanted, "{status}");
        }
    }
}
