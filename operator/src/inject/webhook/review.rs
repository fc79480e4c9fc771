//! What the API server asks about a pod that is being created, and the answer (`admission.k8s.io/v1`).

use base64::{Engine as _, prelude::BASE64_STANDARD};
use k8s_openapi::api::core::v1::Pod;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::inject;

#[derive(Deserialize)]
struct Review {
    request: Request,
}

#[derive(Deserialize)]
struct Request {
    uid: String,
    object: Pod,
}

/// The answer: it lets every pod pass, with a patch where a sidecar comes into it, and with a word where one was asked for in vain.
///
/// # Errors
/// It is no question about a pod.
pub(super) fn answer(question: &[u8], image: &str) -> serde_json::Result<Value> {
    let Review { request: Request { uid, object } } = serde_json::from_slice(question)?;
    let mut response = json!({"uid": uid, "allowed": true});
    match inject::patch(&object.metadata, &object.spec.unwrap_or_default(), image) {
        Ok(Some(patch)) => {
            response["patchType"] = "JSONPatch".into();
            response["patch"] = BASE64_STANDARD.encode(serde_json::to_vec(&patch)?).into();
        }
        Ok(None) => {}
        Err(refusal) => response["warnings"] = json!([format!("no sidecar is injected: {refusal}")]),
    }
    Ok(json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(label: &str) -> Vec<u8> {
        let pod = json!({
            "metadata": {"labels": {"mailsluice.dev/inject": label}},
            "spec": {"containers": [{"name": "app"}]},
        });
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "u1", "object": pod}})
            .to_string()
            .into_bytes()
    }

    #[test]
    fn every_pod_passes_with_a_patch_or_a_word() {
        let injected = answer(&question("outbound"), "relay").unwrap();
        let patch = BASE64_STANDARD.decode(injected["response"]["patch"].as_str().unwrap()).unwrap();
        let patch: Value = serde_json::from_slice(&patch).unwrap();
        assert_eq!((&patch[0]["op"], &patch[0]["path"]), (&json!("add"), &json!("/spec/initContainers")));
        let refused = answer(&question("2out"), "relay").unwrap();
        assert!(refused["response"]["warnings"][0].as_str().unwrap().contains("is not the name of an SMTPRelay"));
        for answer in [injected, refused] {
            assert_eq!((&answer["response"]["uid"], &answer["response"]["allowed"]), (&json!("u1"), &json!(true)));
        }
        for nonsense in ["", "{}", "{\"request\": {\"uid\": \"u1\"}}"] {
            assert!(answer(nonsense.as_bytes(), "relay").is_err(), "{nonsense}");
        }
    }
}
