//! The ConfigMap: the manifests that the relay's pods run.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Resource as _;
use mailsluice_crds::{SMTPRelay, SMTPRelaySpec, TCPSchedule, TCPScheduleSpec, shares};
use serde::Serialize;

use super::{Plan, metadata};
use crate::names;

/// A manifest with nothing in it that the relay does not read, so that it changes only when the relay has to.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a, S> {
    api_version: String,
    kind: String,
    metadata: Metadata<'a>,
    spec: &'a S,
}

#[derive(Serialize)]
struct Metadata<'a> {
    name: &'a str,
    namespace: &'a str,
}

/// The relay's manifest and its TCP Schedule's, as YAML documents (in YAML's JSON form); the same input gives the same text.
///
/// # Errors
/// When a specification has no JSON form, which no specification from the API server is without.
pub fn manifests(
    namespace: &str,
    (name, relay): (&str, &SMTPRelaySpec),
    schedule: Option<(&str, &TCPScheduleSpec)>,
) -> serde_json::Result<String> {
    // How many replicas there are, on what claims, in what pods and behind what Service and policy, is the cluster's to carry out: to a relay it is
    // no change of configuration.
    let SMTPRelaySpec { replicas, storage, pod_template, service, network_policy, .. } = SMTPRelaySpec::default();
    let own = SMTPRelaySpec { replicas, storage, pod_template, service, network_policy, ..relay.clone() };
    let mut text = serde_json::to_string_pretty(&Manifest {
        api_version: SMTPRelay::api_version(&()).into_owned(),
        kind: SMTPRelay::kind(&()).into_owned(),
        metadata: Metadata { name, namespace },
        spec: &own,
    })?;
    text.push('\n');
    if let Some((name, spec)) = schedule {
        text.push_str("---\n");
        text.push_str(&serde_json::to_string_pretty(&Manifest {
            api_version: TCPSchedule::api_version(&()).into_owned(),
            kind: TCPSchedule::kind(&()).into_owned(),
            metadata: Metadata { name, namespace },
            spec,
        })?);
        text.push('\n');
    }
    Ok(text)
}

pub(super) fn build(plan: &Plan) -> ConfigMap {
    let mut data = BTreeMap::from([
        (names::MANIFESTS_KEY.to_owned(), plan.manifests.clone()),
        (names::CREDENTIAL_KEY.to_owned(), format!("{}\n", plan.credential)),
        (names::REPLICAS_KEY.to_owned(), format!("{}\n", plan.spec.replicas)),
        (shares::FILE.to_owned(), format!("{}\n", plan.shares)),
    ]);
    if let Some(keys) = &plan.token_keys {
        data.insert(names::TOKEN_KEYS_KEY.to_owned(), keys.clone());
    }
    ConfigMap { metadata: metadata(plan, names::config_map(&plan.name)), data: Some(data), ..ConfigMap::default() }
}
