//! SMTPAccess: a namespace asks for access to a relay.
//!
//! - [`resolve`]: what is granted, by what the relay's owner allows;
//! - [`pattern`]: which senders lie within those that are allowed.

#![allow(unreachable_pub, reason = "KubeSchema derives from a private copy of the struct")]

mod pattern;
mod resolve;

#[cfg(test)]
mod tests;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema, ResourceExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use resolve::{Labels, Place, Refusal, Verdict, resolve};

use crate::{
    crd::{rules, schema},
    relay::{Client, ServiceAccount},
};

/// A namespace without a name is this one, as for kubectl.
const DEFAULT_NAMESPACE: &str = "default";

/// The name that stands for all service accounts of a namespace.
pub const ALL: &str = "*";

/// What service accounts of a namespace ask of a relay: to send mail through it. The relay's owner says in its `access` who may ask.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "mailsluice.dev",
    version = "v1alpha1",
    kind = "SMTPAccess",
    plural = "smtpaccesses",
    singular = "smtpaccess",
    shortname = "access",
    category = "mailsluice",
    namespaced,
    status = "SMTPAccessStatus",
    derive = "PartialEq",
    validation = rules::access::all_stands_alone(),
    printcolumn(name = "Relay", type_ = "string", json_path = ".spec.relayRef.name"),
    printcolumn(name = "Accepted", type_ = "string", json_path = ".status.conditions[?(@.type==\"Accepted\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Accepted\")].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "RelayNamespace", type_ = "string", json_path = ".spec.relayRef.namespace", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Accepted\")].message",
        priority = 1
    ),
    doc = "What service accounts of a namespace ask of a relay: to send mail through it. The relay's owner says in its `access` who may ask."
)]
#[serde(rename_all = "camelCase")]
pub struct SMTPAccessSpec {
    /// The relay.
    pub relay_ref: RelayRef,
    /// The service accounts of this namespace that ask, by their names; `*` alone is all of them.
    #[schemars(schema_with = "schema::own_accounts")]
    pub service_accounts: Vec<String>,
    /// The senders that they are to use, in the envelope and in the header's From and Sender: an address, `@` and a domain, or `<>` for
    /// bounces. All of them have to lie within what the relay's `access` allows.
    #[schemars(schema_with = "schema::asked_senders")]
    pub senders: Vec<String>,
}

/// Names an SMTPRelay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RelayRef {
    /// The SMTPRelay's `metadata.name`.
    #[schemars(schema_with = "schema::relay_name")]
    pub name: String,
    /// Its namespace; this one, where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::namespace_name")]
    pub namespace: Option<String>,
}

/// What is so: written by the operator, and only when something changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SMTPAccessStatus {
    /// The generation of the specification that this is about: one behind `metadata.generation` is of before the last change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Accepted: whether the relay lets them in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

impl SMTPAccess {
    /// Where it is.
    #[must_use]
    pub fn place(&self) -> Place {
        Place::new(self.namespace(), &self.name_any())
    }

    /// The relay that it asks.
    #[must_use]
    pub fn relay(&self) -> Place {
        let reference = &self.spec.relay_ref;
        Place::new(reference.namespace.clone().or_else(|| self.namespace()), &reference.name)
    }

    /// The client that it is, where the relay grants it.
    fn client(&self) -> Client {
        let namespace = self.place().namespace;
        let account = |name: &String| ServiceAccount { namespace: namespace.clone(), name: name.clone() };
        Client {
            service_accounts: self.spec.service_accounts.iter().map(account).collect(),
            senders: self.spec.senders.clone(),
            ..Client::default()
        }
    }
}
