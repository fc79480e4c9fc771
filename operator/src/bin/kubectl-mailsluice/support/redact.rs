//! Takes out of a resource what may be secret. What is left says how things are set up, and no more.

use serde_json::{Map, Value};

use crate::relay::CONTAINER;

/// What stands in the place of a value that was taken out.
pub(crate) const HIDDEN: &str = "(hidden)";

/// Annotations whose values are known to be no secret: the operator's own, and what kubectl writes at a restart.
const KNOWN_ANNOTATIONS: [&str; 3] =
    ["mailsluice.dev/", "kubectl.kubernetes.io/restartedAt", "deployment.kubernetes.io/revision"];

/// A resource without what may be secret:
/// - values of annotations (one of which is a copy of all that was applied), but for those of the operator;
/// - the environment of containers, and headers of probes: only names and references are left;
/// - commands and arguments of containers that are not the relay's;
/// - attributes of volumes, which drivers take passwords in;
/// - `managedFields`, which say nothing here.
///
/// Names of Secrets stay; a Secret itself comes out empty.
pub(crate) fn redacted(mut resource: Value) -> Value {
    if resource.get("kind").is_some_and(|kind| kind == "Secret") {
        for field in ["data", "stringData"] {
            if let Some(data) = resource.get_mut(field) {
                *data = HIDDEN.into();
            }
        }
    }
    walk(&mut resource);
    resource
}

fn walk(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("managedFields");
            let own = fields.get("name").is_some_and(|name| name == CONTAINER);
            for (name, value) in fields.iter_mut() {
                match name.as_str() {
                    "annotations" => annotations(value),
                    "env" | "httpHeaders" => values_of(value),
                    "command" | "args" if !own => hide(value),
                    "volumeAttributes" | "options" | "attributes" if value.is_object() => each_hidden(value),
                    _ => walk(value),
                }
            }
        }
        Value::Array(entries) => entries.iter_mut().for_each(walk),
        _ => {}
    }
}

fn annotations(value: &mut Value) {
    for (name, value) in value.as_object_mut().into_iter().flatten() {
        if !KNOWN_ANNOTATIONS.iter().any(|known| name.starts_with(known)) {
            hide(value);
        }
    }
}

/// Of a list of names with values, the names; and references, which say where a value comes from.
fn values_of(list: &mut Value) {
    let named =
        |entry: &mut Value| entry.as_object_mut().and_then(|entry: &mut Map<_, _>| entry.get_mut("value")).map(hide);
    match list {
        Value::Array(entries) => entries.iter_mut().for_each(|entry| {
            named(entry);
        }),
        other => hide(other),
    }
}

fn each_hidden(value: &mut Value) {
    for (_, value) in value.as_object_mut().into_iter().flatten() {
        hide(value);
    }
}

fn hide(value: &mut Value) {
    *value = HIDDEN.into();
}

/// A line of a log with what looks like a credential taken out. The relay writes none; this is for what stands beside it, and
/// for a relay of another version.
pub(crate) fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // After a word such as `Bearer` the next one is the credential, whatever it looks like.
    let mut next_is_secret = false;
    for word in text.split_inclusive(|letter: char| letter.is_whitespace() || "\"',;{}<>".contains(letter)) {
        let bare = word.trim_end_matches(|letter: char| letter.is_whitespace() || "\"',;{}<>".contains(letter));
        let end = word.get(bare.len()..).unwrap_or("");
        if bare.is_empty() {
            out.push_str(word);
            continue;
        }
        let hidden = next_is_secret || is_token(bare) || has_key(bare);
        next_is_secret = !hidden && matches!(bare.to_ascii_lowercase().as_str(), "bearer" | "basic");
        out.push_str(if hidden { HIDDEN } else { bare });
        out.push_str(end);
    }
    out
}

/// A JSON web token: three parts in base64url, of which the first is an object.
fn is_token(word: &str) -> bool {
    let mut parts = word.split('.');
    let head = parts.next().is_some_and(|head| head.contains("eyJ"));
    head && parts.next().is_some_and(|claims| claims.starts_with("eyJ")) && parts.next().is_some()
}

/// `password=…` and the like.
fn has_key(word: &str) -> bool {
    let Some((key, value)) = word.split_once('=') else { return false };
    let key = key.to_ascii_lowercase();
    !value.is_empty()
        && ["password", "passwd", "secret", "token", "api_key", "apikey"].iter().any(|word| key.ends_with(word))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_that_may_be_secret_is_left_of_a_resource() {
        let pod = json!({
            "kind": "Pod",
            "metadata": {
                "name": "outbound-0",
                "annotations": {
                    "kubectl.kubernetes.io/last-applied-configuration": "{\"SEED-1\": 1}",
                    "vault.example/token": "SEED-2",
                    "mailsluice.dev/config": "0a1b",
                },
                "managedFields": [{"manager": "SEED-3"}],
            },
            "spec": {
                "containers": [
                    {"name": "relay", "args": ["run", "/etc/mailsluice/relay.yaml"], "env": [
                        {"name": "PASSWORD", "value": "SEED-4"},
                        {"name": "FROM", "valueFrom": {"secretKeyRef": {"name": "login", "key": "password"}}},
                    ]},
                    {"name": "other", "command": ["tool", "--password=SEED-5"], "args": ["SEED-6"],
                     "livenessProbe": {"httpGet": {"path": "/", "httpHeaders": [{"name": "Authorization", "value": "Bearer SEED-7"}]},
                                       "exec": {"command": ["SEED-8"]}}},
                ],
                "volumes": [
                    {"name": "secret-0", "secret": {"secretName": "login"}},
                    {"name": "disk", "csi": {"driver": "d", "volumeAttributes": {"key": "SEED-9"}}},
                ],
            },
        });
        let text = redacted(pod).to_string();
        assert!(!text.contains("SEED"), "{text}");
        for kept in [
            "/etc/mailsluice/relay.yaml",
            "0a1b",
            "PASSWORD",
            "secretKeyRef",
            "\"secretName\":\"login\"",
            "Authorization",
        ] {
            assert!(text.contains(kept), "{kept} is gone: {text}");
        }
        let secret =
            redacted(json!({"kind": "Secret", "metadata": {"name": "login"}, "data": {"password": "U0VFRA=="}}));
        assert!(!secret.to_string().contains("U0VFRA"), "{secret}");
    }

    #[test]
    fn what_looks_like_a_credential_is_taken_out_of_a_record() {
        for (text, shown) in [
            (r#"{"msg":"accepted","id":"00064A7B0C1D2E3F"}"#, r#"{"msg":"accepted","id":"00064A7B0C1D2E3F"}"#),
            ("authorization: Bearer abc.def now", "authorization: Bearer (hidden) now"),
            (r#"{"token":"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"}"#, r#"{"token":"(hidden)"}"#),
            ("--password=hunter2 --host=x", "(hidden) --host=x"),
            ("250 2.0.0 Ok: queued as 4F", "250 2.0.0 Ok: queued as 4F"),
        ] {
            assert_eq!(line(text), shown);
        }
    }
}
