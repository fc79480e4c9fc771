//! What it costs to look at the token of a service account: when it is shown first, and when it has been found good before.
//!
//! `cargo bench -p mailsluice-relay --bench tokens`. Tokens are signed as kubeadm sets clusters up: RS256 with 2,048 bits.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a benchmark prints, and ends where it cannot go on")]

use std::{
    fs,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use mailsluice_relay::access::{KEYS_FILE, TokenKeys};
use serde_json::json;

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
const AUDIENCE: &str = "mailsluice";
const TOKENS: usize = 2_000;
const ROUNDS: usize = 50;

fn main() {
    let key = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join(KEYS_FILE);
    fs::write(&file, published(&key)).expect("write the keys");
    let keys = TokenKeys::load(&file, AUDIENCE).expect("the keys");
    let tokens: Vec<String> = (0..TOKENS).map(|number| token(&key, number)).collect();
    let show = |token: &String| {
        let begun = Instant::now();
        let verified = keys.verify(token.as_bytes());
        let took = begun.elapsed();
        assert!(verified.is_ok(), "{verified:?}");
        took.as_secs_f64() * 1e6
    };
    println!("{TOKENS} tokens of {} octets, one thread", tokens.first().map_or(0, String::len));
    tell("shown first (goal 100 µs)", tokens.iter().map(show).collect());
    tell("shown again (goal 1 µs)", (0..ROUNDS).flat_map(|_| tokens.iter().map(show)).collect());
}

fn tell(what: &str, mut took: Vec<f64>) {
    took.sort_by(f64::total_cmp);
    let at = |percent: usize| took.get((took.len() - 1) * percent / 100).copied().unwrap_or_default();
    println!("{what}: p50 {:.2} µs, p99 {:.2} µs", at(50), at(99));
}

/// A token as the API server makes it for a pod's volume.
fn token(key: &RsaKeyPair, number: usize) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a moment after 1970").as_secs();
    let claims = json!({
        "aud": [AUDIENCE], "exp": now + 3607, "iat": now, "nbf": now, "iss": ISSUER,
        "jti": format!("7f9f3d5a-3c1b-4a60-9d53-{number:012}"),
        "kubernetes.io": {
            "namespace": "shop",
            "node": {"name": "node-1", "uid": "2f6f1d0c-55a0-4d1f-8b1e-5f5f8f5f0a11"},
            "pod": {"name": "checkout-7d9c5b8f6d-x2x7k", "uid": "5d5a1c1e-0b7e-4a39-9f0e-9b8f1d1f2a22"},
            "serviceaccount": {"name": "checkout", "uid": "0f2b7e9a-2d44-4a0c-9d0b-3c4f5a6b7c33"},
        },
        "sub": "system:serviceaccount:shop:checkout",
    });
    let encode = |value: serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(json!({"alg": "RS256", "kid": "one"})), encode(claims));
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).expect("a signature");
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

/// The key, as the operator hands it over.
fn published(key: &RsaKeyPair) -> String {
    let part = |octets: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(octets);
    let public = key.public_key();
    let jwk = json!({
        "kty": "RSA", "use": "sig", "alg": "RS256", "kid": "one",
        "n": part(public.modulus().big_endian_without_leading_zero()),
        "e": part(public.exponent().big_endian_without_leading_zero()),
    });
    json!({"issuer": ISSUER, "jwks": {"keys": [jwk]}}).to_string()
}
