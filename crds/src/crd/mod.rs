//! The definitions of the custom resources, as the API server takes them: what the Rust types say, made to fit.
//!
//! - [`rules`]: what is refused beyond types and bounds, in CEL;
//! - [`schema`]: bounds of texts and lists, and where the rules stand;
//! - [`kubernetes`]: its own types, made to fit.

mod kubernetes;
pub(crate) mod rules;
pub(crate) mod schema;

#[cfg(test)]
mod tests;

use kube::CustomResourceExt;
use serde_json::{Map, Value, json};

use crate::{SMTPAccess, SMTPRelay, TCPSchedule};

/// How to write the YAML files anew after a change of the types.
pub const REGENERATE: &str = "cargo run -p mailsluice-crds --bin generate-crds";

/// Where the generated files stand, from the crate's folder.
pub const FOLDERS: [&str; 2] = [".", "../charts/mailsluice/files/crds"];

/// The definition of SMTPRelay, ready for `kubectl apply`.
///
/// # Errors
/// When the types have no form in JSON, which a test rules out.
pub fn smtp_relay() -> serde_json::Result<Value> {
    definition::<SMTPRelay>()
}

/// The definition of TCPSchedule, ready for `kubectl apply`.
///
/// # Errors
/// When the types have no form in JSON, which a test rules out.
pub fn tcp_schedule() -> serde_json::Result<Value> {
    definition::<TCPSchedule>()
}

/// The definition of SMTPAccess, ready for `kubectl apply`.
///
/// # Errors
/// When the types have no form in JSON, which a test rules out.
pub fn smtp_access() -> serde_json::Result<Value> {
    definition::<SMTPAccess>()
}

/// The generated files: their names, and their text.
///
/// # Errors
/// When the types have no form in JSON, which a test rules out.
pub fn files() -> serde_json::Result<[(&'static str, String); 3]> {
    let text = |definition: &Value| {
        format!("# Generated from the Rust types by `{REGENERATE}`.\n{}", crate::yaml::emit(definition))
    };
    Ok([
        ("smtpaccesses.yaml", text(&smtp_access()?)),
        ("smtprelays.yaml", text(&smtp_relay()?)),
        ("tcpschedules.yaml", text(&tcp_schedule()?)),
    ])
}

fn definition<K: CustomResourceExt>() -> serde_json::Result<Value> {
    let mut definition = serde_json::to_value(K::crd())?;
    if let Some(root) = definition.pointer_mut("/spec/versions/0/schema/openAPIV3Schema") {
        tidy(root);
        // The rules about names have to say where they look.
        if let Some(properties) = root.get_mut("properties").and_then(Value::as_object_mut) {
            let name = json!({"type": "string"});
            properties.insert("metadata".into(), json!({"type": "object", "properties": {"name": name}}));
        }
        if let Some(status) = root.pointer_mut("/properties/status") {
            without_defaults(status);
        }
        tell_defaults(root);
    }
    Ok(definition)
}

/// The schema of the resource, out of its definition.
pub(crate) fn schema_of(definition: &Value) -> Option<&Value> {
    definition.pointer("/spec/versions/0/schema/openAPIV3Schema")
}

/// Takes out of a schema what Rust means and Kubernetes does not.
///
/// - `nullable`: a null then stands for a field that is absent, as everywhere in Kubernetes, and the rules see none;
/// - widths of integers that OpenAPI has no name for: the API server warns of them, and the bounds say the same;
/// - `additionalProperties: false`, which a definition may not say: unknown fields are refused or pruned anyway.
fn tidy(schema: &mut Value) {
    each_schema(schema, &mut |schema| {
        schema.remove("nullable");
        if schema.get("default").is_some_and(Value::is_null) {
            schema.remove("default");
        }
        if schema.get("additionalProperties") == Some(&Value::Bool(false)) {
            schema.remove("additionalProperties");
        }
        if schema.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
            schema.remove("format");
        }
        for bound in ["minimum", "maximum"] {
            if let Some(whole) = schema.get(bound).and_then(Value::as_f64).filter(|value| value.fract() == 0.0) {
                #[expect(clippy::cast_possible_truncation, reason = "a whole number within any integer's bounds")]
                schema.insert(bound.into(), Value::from(whole as i64));
            }
        }
    });
}

/// `kubectl explain` shows a field's description and not its default, so the one tells the other.
fn tell_defaults(schema: &mut Value) {
    each_schema(schema, &mut |schema| {
        let told = match schema.get("default") {
            Some(Value::String(default)) => format!(" Default: {default}."),
            Some(default @ Value::Number(_)) => format!(" Default: {default}."),
            _ => return,
        };
        if let Some(Value::String(description)) = schema.get_mut("description") {
            description.push_str(&told);
        }
    });
}

/// The operator says all that is so: a default would only make what it wrote differ from what it reads.
fn without_defaults(schema: &mut Value) {
    each_schema(schema, &mut |schema| {
        schema.remove("default");
    });
}

fn each_schema(schema: &mut Value, visit: &mut impl FnMut(&mut Map<String, Value>)) {
    let Value::Object(schema) = schema else { return };
    visit(schema);
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for property in properties.values_mut() {
            each_schema(property, visit);
        }
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get_mut(inner) {
            each_schema(inner, visit);
        }
    }
}
