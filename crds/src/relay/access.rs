//! Who may ask for access by a resource of its own: what the relay's owner allows.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::{rules, schema};

/// Lets namespaces ask for access by SMTPAccess: which of them, and for which senders.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Allowance {
    /// Which namespaces may ask.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub namespaces: AllowedNamespaces,
    /// The senders that they may ask for: an address, `@` and a domain, or `<>` for bounces. In the place of a domain's first label `*`
    /// stands for everything below the rest, and `{namespace}` for the name of the namespace that asks: `@{namespace}.example.org`.
    #[schemars(schema_with = "schema::sender_patterns")]
    pub senders: Vec<String>,
}

/// Which namespaces may ask.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = rules::access::selector_where_one_is_asked_for(), validation = rules::access::selector_selects())]
#[serde(rename_all = "camelCase")]
pub struct AllowedNamespaces {
    /// Same is the relay's own, Selector those with the labels that `selector` asks for, All every one.
    #[serde(default)]
    pub from: NamespacesFrom,
    /// The labels of the namespaces, for `from: Selector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::namespace_selector")]
    pub selector: Option<LabelSelector>,
}

/// How the namespaces are chosen that may ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NamespacesFrom {
    /// The relay's own.
    #[default]
    Same,
    /// Those with certain labels.
    Selector,
    /// Every one.
    All,
}
