//! A cluster as far as tokens of its service accounts go: its keys, and what it signs with them.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// The issuer of its tokens.
pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// A cluster with one key.
#[derive(Debug)]
pub struct Issuer {
    id: String,
    key: EcdsaKeyPair,
}

impl Issuer {
    /// One with a new key of this name.
    #[must_use]
    pub fn new(id: &str) -> Issuer {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("make a key");
        Issuer { id: id.to_owned(), key }
    }

    /// The file in which a relay is given its keys.
    #[must_use]
    pub fn keys_file(&self) -> String {
        let point = self.key.public_key().as_ref();
        let part = |range: std::ops::Range<usize>| BASE64_URL_SAFE_NO_PAD.encode(&point[range]);
        let key = json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id, "x": part(1..33), "y": part(33..65),
        });
        json!({"issuer": ISSUER, "jwks": {"keys": [key]}}).to_string()
    }

    /// A token of the service account, as the kubelet projects it into a pod, for this audience and so many seconds from now.
    #[must_use]
    pub fn token(&self, namespace: &str, account: &str, audience: &str, seconds: i64) -> String {
        let now = jiff::Timestamp::now().as_second();
        self.sign(&json!({
            "aud": [audience], "exp": now + seconds, "iat": now.min(now + seconds - 1), "iss": ISSUER,
            "kubernetes.io": {
                "namespace": namespace,
                "pod": {"name": "checkout-0", "uid": "5d5a1c1e"},
                "serviceaccount": {"name": account, "uid": "0f2b7e9a"},
            },
            "sub": format!("system:serviceaccount:{namespace}:{account}"),
        }))
    }

    fn sign(&self, claims: &Value) -> String {
        let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&json!({"alg": "ES256", "kid": self.id})), encode(claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).expect("sign");
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}
