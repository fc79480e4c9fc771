//! The pods of the service accounts that a relay lets in, by which it knows a token whose pod is gone, or that another pod shows.
//!
//! The operator publishes them to the relay's pods, for each account as of a moment. What it has not published is not known, and nothing
//! is refused for it: a pod that has started since, an account in a namespace that it does not watch, a token that is no pod's.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use serde::{Deserialize, Serialize};

use crate::access::ALL;

/// The file with the published pods, beside a relay's manifests, and its key in their ConfigMap.
pub const FILE: &str = "client-pods.json";

/// So many pods are published to a relay at the most: a ConfigMap holds 1 MiB.
pub const MOST: usize = 5_000;

/// How much the clocks of who signs tokens and who lists pods may differ, in seconds.
pub const LEEWAY: u64 = 10;

/// The pods of accounts, by `NAMESPACE/NAME` of the account; `NAMESPACE/*` are those of all of its accounts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientPods(pub BTreeMap<String, AccountPods>);

/// The pods of an account, as of a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountPods {
    /// That moment, in seconds since 1970.
    pub as_of: u64,
    /// The addresses of each pod that may run, by its uid; none, where they are not the pod's own.
    pub pods: BTreeMap<String, BTreeSet<IpAddr>>,
}

/// The pod that a token was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenPod {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// When the token was signed, in seconds since 1970.
    pub issued: u64,
}

/// Why a token is refused that is good in itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misuse {
    /// Its pod runs no more.
    #[error("its pod {0} is gone")]
    Gone(String),
    /// Somebody else shows it.
    #[error(
        "it is the token of pod {pod}, whose address {address} is not; where something between the two has that address, list it in networks of the entry in clients"
    )]
    Elsewhere {
        /// Its pod.
        pod: String,
        /// Where it comes from.
        address: IpAddr,
    },
}

/// The name of an account there.
#[must_use]
pub fn account(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}

impl ClientPods {
    /// Whether what is known speaks against a token of that account and pod. `from`: where it comes from; None, where no address speaks
    /// against it.
    ///
    /// # Errors
    /// What does.
    pub fn check(&self, account: &str, pod: &TokenPod, from: Option<IpAddr>) -> Result<(), Misuse> {
        let all = account.split_once('/').map(|(namespace, _)| self::account(namespace, ALL)).unwrap_or_default();
        let Some(known) = self.0.get(account).or_else(|| self.0.get(&all)) else { return Ok(()) };
        match (known.pods.get(&pod.uid), from) {
            // A token is made while its pod is there: one that was made before all pods were listed, and whose pod is not among them, is left over.
            (None, _) if pod.issued + LEEWAY < known.as_of => Err(Misuse::Gone(pod.name.clone())),
            (Some(own), Some(address)) if !own.is_empty() && !own.contains(&address.to_canonical()) => {
                Err(Misuse::Elsewhere { pod: pod.name.clone(), address: address.to_canonical() })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_its_pods_as_long_as_that_lives_and_no_others() {
        let text = r#"{
            "shop/checkout": {"asOf": 1000, "pods": {"a": ["192.0.2.1", "2001:db8::1"], "host": []}},
            "mail/*": {"asOf": 1000, "pods": {}}
        }"#;
        let known: ClientPods = serde_json::from_str(text).unwrap();
        let gone = Err(Misuse::Gone("checkout-0".into()));
        let there: IpAddr = "192.0.2.2".parse().unwrap();
        let elsewhere = Err(Misuse::Elsewhere { pod: "checkout-0".into(), address: there });
        for (what, account, uid, issued, from, expected) in [
            ("its own", "shop/checkout", "a", 900, Some("192.0.2.1"), Ok(())),
            ("its own, newer than the list", "shop/checkout", "a", 2000, Some("192.0.2.1"), Ok(())),
            ("its own, by IPv6", "shop/checkout", "a", 900, Some("2001:db8::1"), Ok(())),
            ("its own, into a socket of IPv6", "shop/checkout", "a", 900, Some("::ffff:192.0.2.1"), Ok(())),
            ("from another pod", "shop/checkout", "a", 900, Some("192.0.2.2"), elsewhere),
            ("from where networks say", "shop/checkout", "a", 900, None, Ok(())),
            ("on its node's network", "shop/checkout", "host", 900, Some("192.0.2.2"), Ok(())),
            ("left over", "shop/checkout", "b", 900, Some("192.0.2.1"), gone.clone()),
            ("left over, from where networks say", "shop/checkout", "b", 900, None, gone),
            ("of a pod that is new", "shop/checkout", "b", 1001, Some("192.0.2.1"), Ok(())),
            ("of a pod that may be new", "shop/checkout", "b", 995, Some("192.0.2.1"), Ok(())),
            ("left over, of one of all accounts", "mail/any", "b", 900, None, Err(Misuse::Gone("checkout-0".into()))),
            ("of an account that is not listed", "shop/returns", "b", 900, Some("192.0.2.1"), Ok(())),
        ] {
            let pod = TokenPod { name: "checkout-0".into(), uid: uid.into(), issued };
            let from = from.map(|address: &str| address.parse().unwrap());
            assert_eq!(known.check(account, &pod, from), expected, "{what}");
        }
    }
}
