//! Who may relay: by network, by name and password, as a service account, or by certificate.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::border::{BareNewlines, ClientLimits};
use crate::{
    access::ALL,
    crd::{rules, schema},
};

/// Clients that may relay. An entry fits a client that comes from one of its networks, where it lists any, and that is one of
/// its users, service accounts or holders of certificates, where it lists any of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = rules::somebody(), validation = rules::no_open_relay(), validation = rules::terms_are_by_network())]
#[serde(rename_all = "camelCase")]
pub struct Client {
    /// The networks, in CIDR notation, from which they connect; any, where it is absent and something else says who they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::networks")]
    pub networks: Vec<String>,
    /// Users, who show a password (RFC 4954).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<Users>,
    /// Service accounts of the cluster, which show a token that was made for the audience `mailsluice`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = schema::MOST_ENTRIES))]
    pub service_accounts: Vec<ServiceAccount>,
    /// Holders of certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates: Option<ClientCertificates>,
    /// The senders they may use, in the envelope and in the header's From and Sender: an address, `@` and a domain, or `<>` for
    /// bounces, which have none. Any, where it is absent or empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::senders")]
    pub senders: Vec<String>,
    /// What is done about a bare LF in the text of their messages. The first entry whose networks hold a client decides.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub bare_newlines: BareNewlines,
    /// What each of them may take, in the place of `limits.perClient`. The first entry whose networks hold a client decides.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub limits: ClientLimits,
}

/// Users, who show a password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Users {
    /// The Secret in the same namespace with the users in its key `users`, one `name:hash` a line, as `mailsluice-relay
    /// hash-password` and `htpasswd -B` write it. Without a cluster, a folder of that name beside the manifests.
    #[schemars(schema_with = "schema::secret_name")]
    pub secret_name: String,
}

/// A service account of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAccount {
    /// Its namespace.
    #[schemars(schema_with = "schema::account_part")]
    pub namespace: String,
    /// Its name; `*` is all of the namespace.
    #[schemars(schema_with = "schema::account_name")]
    pub name: String,
}

impl ServiceAccount {
    /// Whether it is, or holds, the one of that name in that namespace.
    #[must_use]
    pub fn holds(&self, namespace: &str, name: &str) -> bool {
        self.namespace == namespace && (self.name == ALL || self.name == name)
    }
}

/// Holders of certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientCertificates {
    /// The Secret in the same namespace with the certificates of the authorities that signed theirs, in its key `ca.crt`. Without a
    /// cluster, a folder of that name beside the manifests.
    #[schemars(schema_with = "schema::secret_name")]
    pub secret_name: String,
    /// The names that their certificates may bear as subject alternative names: a DNS name, a URI such as spiffe://example.org/shop,
    /// or a mail address. Any, where it is absent or empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::certificate_names")]
    pub names: Vec<String>,
}

impl Client {
    /// The Secrets that the entry refers to.
    pub(super) fn secret_names(&self) -> impl Iterator<Item = &str> {
        let users = self.users.as_ref().map(|users| users.secret_name.as_str());
        users.into_iter().chain(self.certificates.as_ref().map(|certificates| certificates.secret_name.as_str()))
    }
}
