//! The border towards clients: who may speak for them, and how much each may take.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::MOST_CONNECTIONS;
use crate::{
    crd::{rules, schema},
    quantity::ByteSize,
};

/// Hosts that speak for clients: load balancers and filters, whose word about a client's address is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = rules::trusts_few())]
#[serde(rename_all = "camelCase")]
pub struct Trusted {
    /// The networks of those hosts, in CIDR notation. Nobody else's word is taken.
    #[schemars(schema_with = "schema::networks")]
    pub networks: Vec<String>,
}

/// What is done about a bare LF in a message's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BareNewlines {
    /// The message is refused and the session ended, since two servers could disagree about where such a message ends.
    #[default]
    Refuse,
    /// In DATA it becomes a CRLF, for an old program that cannot do better. It never ends a message.
    Normalize,
}

/// What one client may take, each for one replica. A client is an address, or an IPv6 /64.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientLimits {
    /// Connections open at a time. Half of `limits.clientConnections`, where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MOST_CONNECTIONS))]
    pub connections: Option<u32>,
    /// What is counted by the minute.
    #[serde(flatten)]
    pub rates: Rates,
}

/// What is counted by the minute: any number, where one is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Rates {
    /// Connections begun in a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub connections_per_minute: Option<u32>,
    /// Messages begun in a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub messages_per_minute: Option<u32>,
    /// Recipients named in a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub recipients_per_minute: Option<u32>,
    /// Octets of messages taken in a minute. A message that is under way is finished, and what it takes beyond the limit
    /// counts towards the minutes that follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::byte_size")]
    pub bytes_per_minute: Option<ByteSize>,
}

impl ClientLimits {
    /// These, and what they leave open from `others`.
    #[must_use]
    pub fn or(&self, others: &ClientLimits) -> ClientLimits {
        let (ours, theirs) = (&self.rates, &others.rates);
        ClientLimits {
            connections: self.connections.or(others.connections),
            rates: Rates {
                connections_per_minute: ours.connections_per_minute.or(theirs.connections_per_minute),
                messages_per_minute: ours.messages_per_minute.or(theirs.messages_per_minute),
                recipients_per_minute: ours.recipients_per_minute.or(theirs.recipients_per_minute),
                bytes_per_minute: ours.bytes_per_minute.or(theirs.bytes_per_minute),
            },
        }
    }
}
