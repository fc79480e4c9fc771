//! The cluster's keys of service account tokens, which relays verify their clients' tokens by.
//!
//! They are read from the API server (`/.well-known/openid-configuration` names the issuer, `/openid/v1/jwks` has the keys, whatever
//! address the discovery gives for them) as long as there are relays, and handed over in the ConfigMap, so that a relay
//! needs no token of its own. A key that the cluster adds is known to relays within [`INTERVAL`]; Kubernetes publishes one before it
//! signs with it.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use futures::channel::mpsc::UnboundedSender;
use kube::{Client, runtime::reflector::ObjectRef};
use mailsluice_crds::SMTPRelay;
use serde_json::{Value, json};
use tokio::{sync::Notify, time};
use tracing::{info, warn};

use crate::watch::{self, Stores};

/// How often they are looked at.
const INTERVAL: Duration = Duration::from_secs(15);
/// The pause after a look that failed.
const RETRY: Duration = Duration::from_secs(5);

/// The cluster's keys, as far as they are known.
#[derive(Clone, Default)]
pub struct TokenKeys(Arc<Shared>);

#[derive(Default)]
struct Shared {
    text: RwLock<Option<String>>,
    wanted: Notify,
}

/// Why they cannot be read.
#[derive(Debug, thiserror::Error)]
enum KeysError {
    #[error("{0}")]
    Api(#[from] kube::Error),
    #[error("{0}")]
    Http(#[from] http::Error),
    #[error("the answer is no JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the answer names no issuer or holds no keys")]
    Incomplete,
}

impl TokenKeys {
    /// The file as relays read it; None while it is not known, and then it is asked for.
    #[must_use]
    pub fn get(&self) -> Option<String> {
        let text = self.0.text.read().unwrap_or_else(PoisonError::into_inner).clone();
        if text.is_none() {
            self.0.wanted.notify_one();
        }
        text
    }

    /// Keeps them fresh, and asks for a reconcile of the relays that need them when they change. Never ends by itself.
    pub async fn keep_fresh(self, client: Client, stores: Stores, queue: UnboundedSender<ObjectRef<SMTPRelay>>) {
        let mut pause = INTERVAL;
        loop {
            tokio::select! {
                () = time::sleep(pause) => {}
                () = self.0.wanted.notified() => {}
            }
            let needed = stores.relays.state();
            if needed.is_empty() {
                pause = INTERVAL;
                continue;
            }
            match read(&client).await {
                Ok(text) => {
                    pause = INTERVAL;
                    if self.put(text) {
                        info!("the cluster's keys of service account tokens are read");
                        for relay in needed {
                            // The receiver ends only with the operator.
                            let _ = queue.unbounded_send(watch::key(&*relay));
                        }
                    }
                }
                Err(error) => {
                    pause = RETRY;
                    warn!(%error, "the cluster's keys of service account tokens cannot be read");
                    // Whoever waits asks again with each reconcile; once is enough.
                    time::sleep(RETRY).await;
                }
            }
        }
    }

    /// Whether they have changed.
    fn put(&self, text: String) -> bool {
        let mut known = self.0.text.write().unwrap_or_else(PoisonError::into_inner);
        let changed = known.as_ref() != Some(&text);
        *known = Some(text);
        changed
    }
}

async fn read(client: &Client) -> Result<String, KeysError> {
    let get = async |path: &str| -> Result<Value, KeysError> {
        let request = http::Request::get(path).body(Vec::new())?;
        Ok(serde_json::from_str(&client.request_text(request).await?)?)
    };
    let discovery = get("/.well-known/openid-configuration").await?;
    file(&discovery, &get("/openid/v1/jwks").await?)
}

/// What relays read; the same keys give the same text.
fn file(discovery: &Value, jwks: &Value) -> Result<String, KeysError> {
    let issuer = discovery.get("issuer").and_then(Value::as_str).ok_or(KeysError::Incomplete)?;
    let keys = jwks.get("keys").filter(|keys| keys.as_array().is_some_and(|keys| !keys.is_empty()));
    let keys = keys.ok_or(KeysError::Incomplete)?;
    Ok(format!("{}\n", json!({"issuer": issuer, "jwks": {"keys": keys}})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relays_are_given_issuer_and_keys_and_nothing_else() {
        let discovery = json!({"issuer": "https://cluster.test", "jwks_uri": "https://10.0.0.1:6443/openid/v1/jwks"});
        let jwks = json!({"keys": [{"kty": "RSA", "kid": "a", "n": "AQ", "e": "AQAB"}], "more": 1});
        let text = file(&discovery, &jwks).unwrap();
        assert_eq!(
            text,
            "{\"issuer\":\"https://cluster.test\",\"jwks\":{\"keys\":[{\"e\":\"AQAB\",\"kid\":\"a\",\"kty\":\"RSA\",\"n\":\"AQ\"}]}}\n"
        );
        for (discovery, jwks) in [(json!({}), jwks), (discovery.clone(), json!({"keys": []})), (discovery, json!({}))] {
            assert!(matches!(file(&discovery, &jwks), Err(KeysError::Incomplete)), "{discovery} {jwks}");
        }
        let keys = TokenKeys::default();
        assert!(keys.put(text.clone()) && !keys.put(text.clone()));
        assert_eq!(keys.get(), Some(text));
    }
}
