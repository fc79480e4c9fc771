//! Tokens of the cluster's service accounts (projected, for the audience `mailsluice`), verified without asking anybody.
//!
//! The cluster's keys and its issuer are in a file beside the manifests, which the operator keeps fresh:
//! `{"issuer": "https://…", "jwks": {"keys": […]}}`, as `/.well-known/openid-configuration` and `/openid/v1/jwks` of the API server
//! have them. So the relay needs no token of its own, and goes on when the API server is away.
//!
//! Decisions:
//! - A key says by its kind what it may have signed with: RSA for RS256, RS384 and RS512, P-256 for ES256, P-384 for ES384. `none`
//!   and HMAC are nothing that a cluster signs with.
//! - `exp`, `iss`, `aud` and `sub` have to be there; `nbf` holds where it is. Clocks may differ by [`LEEWAY`].
//! - The claim `kubernetes.io` has to name the same account as `sub`: a token of anything else is none of a service account.
//! - Of which pod it is is told too: whether that still runs, and is who shows it, is for [`super::pods`] to say.
//! - A token that was good is good until it ends, or until the keys change, without a second look at its signature.

use std::{
    collections::HashMap,
    fs, io,
    path::Path,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::digest;
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet},
};
use mailsluice_crds::client_pods::TokenPod;
use serde::Deserialize;

use super::Identity;

/// The file with the cluster's keys, beside the first manifest.
pub const KEYS_FILE: &str = "service-account-keys.json";

/// The audience that a client's token has to be made for.
pub(super) const AUDIENCE: &str = "mailsluice";

/// How much clocks may differ.
const LEEWAY: Duration = Duration::from_secs(10);

/// Tokens that are remembered to be good.
const REMEMBERED: usize = 10_000;

/// The cluster's keys, and the tokens that were found good by them.
pub struct TokenKeys {
    issuer: String,
    audience: &'static str,
    keys: Vec<Key>,
    good: Mutex<HashMap<[u8; 32], (Verified, u64)>>,
}

/// What a good token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Whose it is.
    pub identity: Identity,
    /// The pod that it was made for; none, where it was made for none.
    pub pod: Option<TokenPod>,
}

struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file cannot be read.
    #[error("{KEYS_FILE}: {0}")]
    Unreadable(#[from] io::Error),
    /// It is not what it should be.
    #[error("{KEYS_FILE}: {0}: write {{\"issuer\": …, \"jwks\": {{\"keys\": […]}}}}")]
    Malformed(#[from] serde_json::Error),
    /// None of the keys can be used.
    #[error("{KEYS_FILE}: no key of RSA, P-256 or P-384 in it")]
    NoKey,
}

/// Why a token is not good; for the log, where nothing of the token shows.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It is no token, not signed by the cluster, too old, or made for something else.
    #[error("{0}")]
    Invalid(#[from] jsonwebtoken::errors::Error),
    /// It is signed with a key that is not known.
    #[error("it is signed by a key that is not among the cluster's")]
    UnknownKey,
    /// It is not that of a service account.
    #[error("it is not a service account's")]
    NoServiceAccount,
}

#[derive(Deserialize)]
struct Published {
    issuer: String,
    jwks: JwkSet,
}

#[derive(Deserialize)]
struct Claims {
    exp: u64,
    #[serde(default)]
    iat: u64,
    sub: String,
    #[serde(rename = "kubernetes.io")]
    kubernetes: Option<Kubernetes>,
}

#[derive(Deserialize)]
struct Kubernetes {
    namespace: String,
    serviceaccount: Named,
    pod: Option<Bound>,
}

#[derive(Deserialize)]
struct Bound {
    name: String,
    uid: String,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

impl TokenKeys {
    /// Reads the file, for tokens that are made for this audience.
    ///
    /// # Errors
    /// See [`KeysError`].
    pub fn load(file: &Path, audience: &'static str) -> Result<TokenKeys, KeysError> {
        TokenKeys::read(&fs::read(file)?, audience)
    }

    fn read(octets: &[u8], audience: &'static str) -> Result<TokenKeys, KeysError> {
        let Published { issuer, jwks } = serde_json::from_slice(octets)?;
        let keys: Vec<Key> = jwks.keys.iter().filter_map(Key::of).collect();
        if keys.is_empty() {
            return Err(KeysError::NoKey);
        }
        Ok(TokenKeys { issuer, audience, keys, good: Mutex::default() })
    }

    /// What the token says.
    ///
    /// # Errors
    /// Why it is not good.
    pub fn verify(&self, token: &[u8]) -> Result<Verified, TokenError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mark: [u8; 32] = digest::digest(&digest::SHA256, token).as_ref().try_into().unwrap_or_default();
        if let Some((verified, end)) = self.good().get(&mark)
            && *end > now
        {
            return Ok(verified.clone());
        }
        let (verified, end) = self.verify_anew(token)?;
        let mut good = self.good();
        if good.len() >= REMEMBERED {
            good.retain(|_, (_, end)| *end > now);
            if good.len() >= REMEMBERED {
                good.clear();
            }
        }
        good.insert(mark, (verified.clone(), end));
        Ok(verified)
    }

    fn good(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], (Verified, u64)>> {
        self.good.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn verify_anew(&self, token: &[u8]) -> Result<(Verified, u64), TokenError> {
        let header = jsonwebtoken::decode_header(token)?;
        let fits = |key: &&Key| {
            key.algorithms.contains(&header.alg) && (header.kid.is_none() || key.id.is_none() || key.id == header.kid)
        };
        let mut last = TokenError::UnknownKey;
        for key in self.keys.iter().filter(fits) {
            let mut validation = Validation::new(header.alg);
            validation.algorithms = vec![header.alg];
            validation.leeway = LEEWAY.as_secs();
            validation.validate_nbf = true;
            validation.set_audience(&[self.audience]);
            validation.set_issuer(&[&self.issuer]);
            validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
            match jsonwebtoken::decode::<Claims>(token, &key.key, &validation) {
                Ok(token) => {
                    let end = token.claims.exp;
                    return Ok((token.claims.verified().ok_or(TokenError::NoServiceAccount)?, end));
                }
                Err(error) => last = error.into(),
            }
        }
        Err(last)
    }
}

impl Claims {
    fn verified(self) -> Option<Verified> {
        let Kubernetes { namespace, serviceaccount: Named { name }, pod } = self.kubernetes?;
        let identity = Identity::ServiceAccount { namespace, name };
        let pod = pod.map(|Bound { name, uid }| TokenPod { name, uid, issued: self.iat });
        (identity.to_string() == self.sub).then_some(Verified { identity, pod })
    }
}

impl Key {
    fn of(jwk: &Jwk) -> Option<Key> {
        let algorithms = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => vec![Algorithm::RS256, Algorithm::RS384, Algorithm::RS512],
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => vec![Algorithm::ES256],
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => vec![Algorithm::ES384],
            _ => return None,
        };
        Some(Key { id: jwk.common.key_id.clone(), algorithms, key: DecodingKey::from_jwk(jwk).ok()? })
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
    };
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    use jsonwebtoken::{EncodingKey, Header};
    use serde_json::{Value, json};

    use super::*;

    struct Cluster {
        signing: EncodingKey,
        jwk: Value,
    }

    impl Cluster {
        fn new(id: &str) -> Cluster {
            let document =
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref()).unwrap();
            let point = pair.public_key().as_ref();
            let part = |range: std::ops::Range<usize>| BASE64_URL_SAFE_NO_PAD.encode(&point[range]);
            let jwk = json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": id, "x": part(1..33), "y": part(33..65)});
            Cluster { signing: EncodingKey::from_ec_der(document.as_ref()), jwk }
        }

        fn token(&self, claims: &Value) -> Vec<u8> {
            let header =
                Header { kid: Some(self.jwk["kid"].as_str().unwrap().into()), ..Header::new(Algorithm::ES256) };
            jsonwebtoken::encode(&header, claims, &self.signing).unwrap().into_bytes()
        }
    }

    fn keys(clusters: &[&Cluster]) -> TokenKeys {
        let jwks: Vec<_> = clusters.iter().map(|cluster| cluster.jwk.clone()).collect();
        let file = json!({"issuer": "https://cluster.test", "jwks": {"keys": jwks}});
        TokenKeys::read(file.to_string().as_bytes(), AUDIENCE).unwrap()
    }

    fn claims(change: impl Fn(&mut Value)) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let mut claims = json!({
            "aud": ["mailsluice"], "exp": now + 3600, "iat": now, "nbf": now, "iss": "https://cluster.test",
            "sub": "system:serviceaccount:shop:checkout",
            "kubernetes.io": {"namespace": "shop", "pod": {"name": "p", "uid": "u"}, "serviceaccount": {"name": "checkout", "uid": "v"}},
        });
        change(&mut claims);
        claims
    }

    #[test]
    fn a_token_of_the_cluster_for_mailsluice_is_good_and_no_other() {
        let (cluster, other) = (Cluster::new("a"), Cluster::new("a"));
        let keys = keys(&[&cluster]);
        let identity = Identity::ServiceAccount { namespace: "shop".into(), name: "checkout".into() };
        let issued = claims(|_| {})["iat"].as_u64().unwrap();
        let expected = |verified: Verified| {
            let TokenPod { name, uid, issued: then } = verified.pod.unwrap();
            assert_eq!((verified.identity, name.as_str(), uid.as_str()), (identity.clone(), "p", "u"));
            assert!(then.abs_diff(issued) < 60, "{then}");
        };
        let good = cluster.token(&claims(|_| {}));
        for _ in 0..2 {
            expected(keys.verify(&good).unwrap());
        }
        expected(keys.verify(&cluster.token(&claims(|c| c["aud"] = json!("mailsluice")))).unwrap());
        let unbound = claims(|c| drop(c["kubernetes.io"].as_object_mut().unwrap().remove("pod")));
        assert_eq!(keys.verify(&cluster.token(&unbound)).unwrap().pod, None);
        let mut torn = good.clone();
        let at = torn.len() - 10;
        torn[at] = if torn[at] == b'A' { b'B' } else { b'A' };
        let unsigned = |algorithm: &str| {
            let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
            format!("{}.{}.", part(json!({"alg": algorithm, "typ": "JWT", "kid": "a"})), part(claims(|_| {})))
                .into_bytes()
        };
        let long_ago = |c: &mut Value| c["exp"] = json!(c["iat"].as_u64().unwrap() - 60);
        for (token, what) in [
            (torn, "a broken signature"),
            (other.token(&claims(|_| {})), "another cluster's"),
            (unsigned("none"), "no signature"),
            (unsigned("HS256"), "a signature by a key that is public"),
            (cluster.token(&claims(long_ago)), "expired"),
            (cluster.token(&claims(|c| c["nbf"] = json!(c["exp"].as_u64().unwrap()))), "not valid yet"),
            (cluster.token(&claims(|c| c["iss"] = json!("https://other.test"))), "another issuer"),
            (cluster.token(&claims(|c| c["aud"] = json!(["https://kubernetes.default.svc"]))), "another audience"),
            (cluster.token(&claims(|c| drop(c.as_object_mut().unwrap().remove("aud")))), "no audience"),
            (cluster.token(&claims(|c| drop(c.as_object_mut().unwrap().remove("exp")))), "no end"),
            (cluster.token(&claims(|c| drop(c.as_object_mut().unwrap().remove("iss")))), "no issuer"),
            (
                cluster.token(&claims(|c| drop(c.as_object_mut().unwrap().remove("kubernetes.io")))),
                "no service account",
            ),
            (cluster.token(&claims(|c| c["sub"] = json!("system:serviceaccount:shop:other"))), "two accounts"),
            (b"".to_vec(), "nothing"),
            (b"a.b.c".to_vec(), "no token"),
        ] {
            assert!(keys.verify(&token).is_err(), "{what}");
        }
    }

    #[test]
    fn keys_are_rotated_with_the_old_one_beside_the_new() {
        let (old, new) = (Cluster::new("old"), Cluster::new("new"));
        let token = claims(|_| {});
        let both = keys(&[&old, &new]);
        assert!(both.verify(&old.token(&token)).is_ok());
        assert!(both.verify(&new.token(&token)).is_ok());
        assert!(matches!(keys(&[&new]).verify(&old.token(&token)), Err(TokenError::UnknownKey)));
    }

    #[test]
    fn a_file_without_keys_is_refused_with_what_to_write() {
        for (text, fault) in [
            ("", "write {\"issuer\""),
            ("{\"keys\": []}", "write {\"issuer\""),
            ("{\"issuer\": \"x\", \"jwks\": {\"keys\": []}}", "no key of RSA"),
            (r#"{"issuer": "x", "jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}}"#, "no key of RSA"),
        ] {
            let error =
                TokenKeys::read(text.as_bytes(), AUDIENCE).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(fault), "{text}: {error}");
        }
    }
}
