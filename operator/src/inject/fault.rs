//! What is wrong with a pod that asks for a sidecar, as its Events and the relay's status tell it.

use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use mailsluice_crds::{SMTPRelaySpec, relay::Client};

use super::{LABEL, Refusal, Wanted, has_sidecar, wanted};

pub use mailsluice_crds::access::Place;

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It asks for what it cannot have.
    #[error("no sidecar is injected: {0}")]
    Refused(#[from] Refusal),
    /// It lacks its sidecar.
    #[error(
        "the pod has no sidecar: when it was made, nobody injected one; make it anew, or have its manifest injected by kubectl mailsluice inject"
    )]
    SidecarMissing,
    /// There is no such relay.
    #[error("there is no SMTPRelay {0}: its mail goes nowhere; correct the label {LABEL}, or the annotation {namespace}", namespace = wanted::NAMESPACE)]
    RelayNotFound(Place),
    /// The relay does not take mail there.
    #[error("SMTPRelay {relay} has no listener with tls on port {port}; correct the annotation {annotation}", annotation = wanted::PORT)]
    ListenerMissing {
        /// The relay.
        relay: Place,
        /// The port.
        port: u16,
    },
    /// The relay does not let the pod in.
    #[error(
        "SMTPRelay {relay} has no entry in clients for the pod's service account {account}, and has granted no SMTPAccess for it: the relay's owner decides who may send"
    )]
    NotAllowed {
        /// The relay.
        relay: Place,
        /// The service account.
        account: Place,
    },
}

/// What is known of a relay.
#[derive(Debug, Clone, Copy)]
pub enum Sight<'a> {
    /// It is there; with what it grants among its `clients`.
    There(&'a SMTPRelaySpec),
    /// There is none.
    Absent,
    /// It is where the operator does not look.
    Unseen,
}

impl Fault {
    /// The reason as Events spell it.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Fault::Refused(_) => "SidecarRefused",
            Fault::SidecarMissing => "SidecarMissing",
            Fault::RelayNotFound(_) => "RelayNotFound",
            Fault::ListenerMissing { .. } => "ListenerMissing",
            Fault::NotAllowed { .. } => "ClientNotAllowed",
        }
    }
}

/// The relay that a pod asks for, whether it can have a sidecar or not.
#[must_use]
pub fn relay_of(metadata: &ObjectMeta) -> Option<Place> {
    let name = metadata.labels.as_ref()?.get(LABEL)?.clone();
    let said = metadata.annotations.as_ref().and_then(|annotations| annotations.get(wanted::NAMESPACE));
    Some(Place { namespace: said.or(metadata.namespace.as_ref())?.clone(), name })
}

/// Whether a pod lives, and goes on to.
#[must_use]
pub fn is_alive(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    pod.metadata.deletion_timestamp.is_none() && !matches!(phase, Some("Succeeded" | "Failed"))
}

/// Whether a pod that asks for one has its sidecar.
#[must_use]
pub fn is_injected(pod: &Pod) -> bool {
    pod.spec.as_ref().is_some_and(has_sidecar)
}

/// What is wrong with a pod that asks for a sidecar.
pub fn find<'a>(pod: &Pod, sight: impl FnOnce(&Place) -> Sight<'a>) -> Vec<Fault> {
    let Some(relay) = relay_of(&pod.metadata) else { return Vec::new() };
    let wanted = match Wanted::of(&pod.metadata) {
        Ok(Some(wanted)) => wanted,
        Ok(None) => return Vec::new(),
        Err(refusal) => return vec![refusal.into()],
    };
    let mut faults = Vec::new();
    if !is_injected(pod) {
        let refused = pod.spec.as_ref().and_then(|spec| wanted::admits(spec).err());
        faults.push(refused.map_or(Fault::SidecarMissing, Fault::Refused));
    }
    match sight(&relay) {
        Sight::Unseen => {}
        Sight::Absent => faults.push(Fault::RelayNotFound(relay)),
        Sight::There(spec) => {
            let port = wanted.port;
            if !spec.listeners.iter().any(|listener| listener.port == port && listener.tls.is_some()) {
                faults.push(Fault::ListenerMissing { relay: relay.clone(), port });
            }
            if !may_use(spec, pod) {
                faults.push(Fault::NotAllowed { relay, account: account(pod) });
            }
        }
    }
    faults
}

/// Whether the relay may let the pod in: by its service account, or by where it comes from, which only the relay knows.
#[must_use]
pub fn may_use(relay: &SMTPRelaySpec, pod: &Pod) -> bool {
    let own = account(pod);
    let fits = |client: &Client| {
        let by_network = client.users.is_none() && client.certificates.is_none() && client.service_accounts.is_empty();
        by_network || client.service_accounts.iter().any(|one| one.holds(&own.namespace, &own.name))
    };
    relay.clients.iter().any(fits)
}

fn account(pod: &Pod) -> Place {
    let named = pod.spec.as_ref().and_then(|spec| spec.service_account_name.clone());
    Place {
        namespace: pod.metadata.namespace.clone().unwrap_or_default(),
        name: named.filter(|name| !name.is_empty()).unwrap_or_else(|| "default".into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn relay(clients: Value) -> SMTPRelaySpec {
        serde_json::from_value(json!({
            "listeners": [{"name": "smtp", "port": 25}, {"name": "submission", "port": 587, "tls": {"secretName": "tls"}}],
            "clients": clients,
        }))
        .unwrap()
    }

    fn pod(annotations: &Value, spec: &Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {
                "name": "checkout-0",
                "namespace": "shop",
                "labels": {"mailsluice.dev/inject": "outbound"},
                "annotations": annotations,
            },
            "spec": spec,
        }))
        .unwrap()
    }

    #[test]
    fn what_is_wrong_with_a_pod_is_told_all_of_it() {
        let own =
            json!({"serviceAccountName": "checkout", "initContainers": [{"name": "mailsluice"}], "containers": []});
        let bare = json!({"serviceAccountName": "checkout", "containers": []});
        let lets_in = relay(json!([{"serviceAccounts": [{"namespace": "shop", "name": "checkout"}]}]));
        let all = relay(json!([{"serviceAccounts": [{"namespace": "shop", "name": "*"}]}]));
        let by_network = relay(json!([{"networks": ["198.18.0.0/24"]}]));
        let others = relay(json!([
            {"serviceAccounts": [{"namespace": "mail", "name": "checkout"}, {"namespace": "shop", "name": "default"}]},
            {"users": {"secretName": "users"}},
        ]));
        for (name, annotations, spec, sight, reasons) in [
            ("well", json!({}), &own, Sight::There(&lets_in), vec![]),
            ("all of its namespace", json!({}), &own, Sight::There(&all), vec![]),
            ("perhaps by its network", json!({}), &own, Sight::There(&by_network), vec![]),
            ("a stranger", json!({}), &own, Sight::There(&others), vec!["ClientNotAllowed"]),
            ("without a sidecar", json!({}), &bare, Sight::There(&lets_in), vec!["SidecarMissing"]),
            ("nowhere to go", json!({}), &own, Sight::Absent, vec!["RelayNotFound"]),
            ("both", json!({}), &bare, Sight::Absent, vec!["SidecarMissing", "RelayNotFound"]),
            ("a relay that nobody looks at", json!({}), &own, Sight::Unseen, vec![]),
            (
                "a port in clear",
                json!({"mailsluice.dev/relay-port": "25"}),
                &own,
                Sight::There(&lets_in),
                vec!["ListenerMissing"],
            ),
            (
                "nonsense",
                json!({"mailsluice.dev/relay-port": "smtp"}),
                &bare,
                Sight::There(&lets_in),
                vec!["SidecarRefused"],
            ),
            (
                "on its node's network",
                json!({}),
                &json!({"serviceAccountName": "checkout", "hostNetwork": true, "containers": []}),
                Sight::There(&lets_in),
                vec!["SidecarRefused"],
            ),
        ] {
            let faults = find(&pod(&annotations, spec), |_| sight);
            assert_eq!(faults.iter().map(Fault::reason).collect::<Vec<_>>(), reasons, "{name}: {faults:?}");
        }
    }

    #[test]
    fn a_relay_is_looked_for_where_the_pod_says_it_is() {
        for (annotations, place) in
            [(json!({}), "shop/outbound"), (json!({"mailsluice.dev/relay-namespace": "mail"}), "mail/outbound")]
        {
            let faults = find(&pod(&annotations, &json!({"initContainers": [{"name": "mailsluice"}]})), |relay| {
                assert_eq!(relay.to_string(), place);
                Sight::Absent
            });
            assert!(faults[0].to_string().contains(&format!("no SMTPRelay {place}: ")), "{faults:?}");
        }
    }
}
