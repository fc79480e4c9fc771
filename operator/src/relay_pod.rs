//! A relay's pod as the cache keeps it: the struct for a whole pod takes some kilobytes, nearly all of it for fields that are not there.

use std::{borrow::Cow, net::IpAddr};

use k8s_openapi::api::core::v1::Pod;
use kube::{Resource, ResourceExt as _, runtime::reflector::Lookup};

use crate::names;

/// Of a pod what a status is drawn from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayPod {
    name: Box<str>,
    namespace: Option<Box<str>>,
    relay: Option<Box<str>>,
    told: Option<Box<str>>,
    /// Where its Monitor is, while its containers run.
    pub address: Option<IpAddr>,
    /// Whether it passed its readiness probe, and stays.
    pub ready: bool,
    /// Whether its containers have ended for good.
    pub ended: bool,
    /// Whether it is being deleted.
    pub leaving: bool,
}

impl RelayPod {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is that relay's.
    #[must_use]
    pub fn is_of(&self, namespace: &str, relay: &str) -> bool {
        self.relay.as_deref() == Some(relay) && self.namespace.as_deref() == Some(namespace)
    }

    /// The relay that it is labelled with.
    #[must_use]
    pub fn relay(&self) -> Option<&str> {
        self.relay.as_deref()
    }

    /// The hash of the configuration that it was told of.
    #[must_use]
    pub fn told(&self) -> Option<&str> {
        self.told.as_deref()
    }
}

impl From<Pod> for RelayPod {
    fn from(pod: Pod) -> Self {
        let status = pod.status.as_ref();
        let phase = status.and_then(|status| status.phase.as_deref());
        let address = status.and_then(|status| status.pod_ip.as_ref()?.parse().ok());
        let leaving = pod.metadata.deletion_timestamp.is_some();
        let mut conditions = status.into_iter().flat_map(|status| status.conditions.iter().flatten());
        RelayPod {
            name: pod.name_any().into(),
            namespace: pod.metadata.namespace.as_deref().map(Box::from),
            relay: pod.labels().get(names::INSTANCE_LABEL).map(|relay| relay.as_str().into()),
            told: pod.annotations().get(names::CONFIG_ANNOTATION).map(|hash| hash.as_str().into()),
            address: address.filter(|_| phase == Some("Running")),
            ready: !leaving && conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True"),
            ended: matches!(phase, Some("Succeeded" | "Failed")),
            leaving,
        }
    }
}

impl Lookup for RelayPod {
    type DynamicType = ();

    fn kind((): &()) -> Cow<'_, str> {
        <Pod as Resource>::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        <Pod as Resource>::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        <Pod as Resource>::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        <Pod as Resource>::plural(&())
    }

    fn name(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.name))
    }

    fn namespace(&self) -> Option<Cow<'_, str>> {
        self.namespace.as_deref().map(Cow::Borrowed)
    }

    // Nothing looks for these, and every key in the cache would have them.
    fn resource_version(&self) -> Option<Cow<'_, str>> {
        None
    }

    fn uid(&self) -> Option<Cow<'_, str>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_is_ready_while_it_stays_and_has_an_address_while_it_runs() {
        let pod = |phase: &str, ready: &str, deleted: Option<&str>| {
            let pod: Pod = serde_json::from_value(json!({
                "metadata": {
                    "name": "outbound-0", "namespace": "shop", "deletionTimestamp": deleted,
                    "labels": {names::INSTANCE_LABEL: "outbound"}, "annotations": {names::CONFIG_ANNOTATION: "h"},
                },
                "status": {"phase": phase, "podIP": "192.0.2.1", "conditions": [
                    {"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": ready},
                ]},
            }))
            .unwrap();
            RelayPod::from(pod)
        };
        let now = Some("2026-01-05T09:00:00Z");
        for (phase, ready, deleted, address, is_ready, ended, leaving) in [
            ("Pending", "False", None, None, false, false, false),
            ("Running", "False", None, Some("192.0.2.1"), false, false, false),
            ("Running", "True", None, Some("192.0.2.1"), true, false, false),
            ("Running", "True", now, Some("192.0.2.1"), false, false, true),
            ("Succeeded", "False", None, None, false, true, false),
            ("Failed", "False", None, None, false, true, false),
        ] {
            let pod = pod(phase, ready, deleted);
            let address = address.map(|address| address.parse().unwrap());
            let seen = (pod.address, pod.ready, pod.ended, pod.leaving);
            assert_eq!(seen, (address, is_ready, ended, leaving), "{phase}, ready {ready}, deleted {deleted:?}");
        }
        let pod = pod("Running", "True", None);
        assert_eq!((pod.name(), pod.relay(), pod.told()), ("outbound-0", Some("outbound"), Some("h")));
        assert!(pod.is_of("shop", "outbound") && !pod.is_of("shop", "other") && !pod.is_of("mill", "outbound"));
    }
}
