//! The ConfigMap: the manifests that the relay's pods run.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Resource;
use mailsluice_crds::{
    SMTPAccess, SMTPRelay, SMTPRelaySpec, TCPSchedule, TCPScheduleSpec, client_pods,
    relay::{Allowance, AllowedNamespaces, NamespacesFrom},
    shares,
};
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

/// The relay's manifest, its TCP Schedule's and those of what it grants, as YAML documents (in YAML's JSON form); the same input gives the same text.
///
/// # Errors
/// When a specification has no JSON form, which no specification from the API server is without.
pub fn manifests<'a>(
    namespace: &str,
    (name, relay): (&str, &SMTPRelaySpec),
    schedule: Option<(&str, &TCPScheduleSpec)>,
    granted: impl IntoIterator<Item = &'a SMTPAccess>,
) -> serde_json::Result<String> {
    // How many replicas there are, on what claims, in what pods and behind what Service and policy, is the cluster's to carry out: to a relay it is
    // no change of configuration.
    let SMTPRelaySpec { replicas, storage, pod_template, service, network_policy, .. } = SMTPRelaySpec::default();
    let mut own = SMTPRelaySpec { replicas, storage, pod_template, service, network_policy, ..relay.clone() };
    let granted: Vec<&SMTPAccess> = granted.into_iter().collect();
    // A relay knows no labels of namespaces: which of them may ask has been decided, and it sees those that may.
    own.access = own.access.filter(|_| !granted.is_empty()).map(|allowance| Allowance {
        namespaces: AllowedNamespaces { from: NamespacesFrom::All, selector: None },
        ..allowance
    });
    let mut documents = vec![document::<SMTPRelay, _>(Metadata { name, namespace }, &own)?];
    if let Some((name, spec)) = schedule {
        documents.push(document::<TCPSchedule, _>(Metadata { name, namespace }, spec)?);
    }
    for access in granted {
        let place = access.place();
        let metadata = Metadata { name: &place.name, namespace: &place.namespace };
        documents.push(document::<SMTPAccess, _>(metadata, &access.spec)?);
    }
    Ok(documents.join("---\n"))
}

fn document<K: Resource<DynamicType = ()>, S: Serialize>(
    metadata: Metadata<'_>,
    spec: &S,
) -> serde_json::Result<String> {
    let (api_version, kind) = (K::api_version(&()).into_owned(), K::kind(&()).into_owned());
    let mut text = serde_json::to_string_pretty(&Manifest { api_version, kind, metadata, spec })?;
    text.push('\n');
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
    if let Some(pods) = &plan.client_pods {
        data.insert(client_pods::FILE.to_owned(), pods.clone());
    }
    ConfigMap { metadata: metadata(plan, names::config_map(&plan.name)), data: Some(data), ..ConfigMap::default() }
}
