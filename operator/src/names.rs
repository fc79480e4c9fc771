//! What the operator calls things in a cluster: names, labels and annotations.

use std::{collections::BTreeMap, fmt::Write as _};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use sha2::{Digest as _, Sha256};

/// The field manager of everything that the operator applies, and the reporter of its Events.
pub const MANAGER: &str = "mailsluice-operator";

/// The label whose value is the SMTPRelay's name.
pub const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";

/// What every object of a relay is labelled with, so that the operator caches these objects and no others.
pub const SELECTOR: &str = "app.kubernetes.io/name=mailsluice-relay,app.kubernetes.io/managed-by=mailsluice-operator";

/// On a pod: the hash of the configuration it should have. A change makes the kubelet refresh the mount at once.
pub const CONFIG_ANNOTATION: &str = "mailsluice.dev/config";

/// On an owned object: the hash of what was applied last, which shows what is no longer wanted as well.
pub const APPLIED_ANNOTATION: &str = "mailsluice.dev/applied";

/// On an SMTPRelay: with the value `true`, the operator leaves its objects as they are.
pub const PAUSED_ANNOTATION: &str = "mailsluice.dev/paused";

/// The volume with a pod's spool, after which its claim is named.
pub const SPOOL_VOLUME: &str = "spool";

/// The port on which a relay serves health, metrics and its Monitor.
pub const MONITOR_PORT: u16 = 8025;

/// The ConfigMap's key of the manifests that the relay runs.
pub const MANIFESTS_KEY: &str = "relay.yaml";

/// The ConfigMap's key of the hash that the relay knows the operator's credential by.
pub const CREDENTIAL_KEY: &str = "monitor-credential";

/// The ConfigMap's key of the cluster's keys of service account tokens; the relay looks for it beside its manifests.
pub const TOKEN_KEYS_KEY: &str = "service-account-keys.json";

/// The ConfigMap's key of the number of pods that stay; the relay looks for it beside its manifests.
pub const REPLICAS_KEY: &str = "replicas";

/// The audience of the tokens by which a relay's pods know each other.
pub const SIBLINGS_AUDIENCE: &str = "mailsluice-siblings";

/// The labels of every object of that relay.
#[must_use]
pub fn labels(relay: &str) -> BTreeMap<String, String> {
    [("app.kubernetes.io/name", "mailsluice-relay"), (INSTANCE_LABEL, relay), ("app.kubernetes.io/managed-by", MANAGER)]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// The selector of that relay's pods, for the objects that select them.
#[must_use]
pub fn pod_selector(relay: &str) -> LabelSelector {
    LabelSelector { match_labels: Some(labels(relay)), match_expressions: None }
}

/// The selector of that relay's pods, as text for the scale subresource.
#[must_use]
pub fn pod_selector_text(relay: &str) -> String {
    labels(relay).iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// The name of the headless Service that governs the StatefulSet.
#[must_use]
pub fn pods_service(relay: &str) -> String {
    format!("{relay}-pods")
}

/// The name of the pod of that number.
#[must_use]
pub fn pod(relay: &str, number: u32) -> String {
    format!("{relay}-{number}")
}

/// The number of the pod of that name.
#[must_use]
pub fn pod_number(relay: &str, pod: &str) -> Option<u32> {
    pod.strip_prefix(relay)?.strip_prefix('-')?.parse().ok()
}

/// The name of that pod's claim, as the StatefulSet makes it.
#[must_use]
pub fn claim(relay: &str, number: u32) -> String {
    format!("{SPOOL_VOLUME}-{}", pod(relay, number))
}

/// The number of the pod whose claim has that name.
#[must_use]
pub fn claim_number(relay: &str, claim: &str) -> Option<u32> {
    pod_number(relay, claim.strip_prefix(SPOOL_VOLUME)?.strip_prefix('-')?)
}

/// Where a relay's pods reach each other, with `{n}` for a pod's number.
#[must_use]
pub fn siblings(relay: &str) -> String {
    format!("{relay}-{{n}}.{}:{MONITOR_PORT}", pods_service(relay))
}

/// The name of the ConfigMap with the resolved manifests.
#[must_use]
pub fn config_map(relay: &str) -> String {
    format!("{relay}-config")
}

/// The name of the pods' ServiceAccount.
#[must_use]
pub fn service_account(relay: &str) -> String {
    format!("{relay}-relay")
}

/// The lower-case hexadecimal SHA-256.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Octets in lower-case hexadecimal.
#[must_use]
pub fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::with_capacity(octets.len() * 2), |mut text, octet| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}
