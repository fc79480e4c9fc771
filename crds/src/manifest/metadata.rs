//! What the API server demands of any object beside its spec: the part of the schema that no definition may contain.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::Rule;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

/// Adds `apiVersion`, `kind` and `metadata` to the schema of a resource, and takes its status out of it: whoever writes one
/// into a manifest writes in vain, with and without an API server.
pub(super) fn complete(schema: &mut Value) -> serde_json::Result<()> {
    let metadata = metadata()?;
    let Some(properties) = schema.pointer_mut("/properties").and_then(Value::as_object_mut) else { return Ok(()) };
    properties.insert("apiVersion".into(), json!({"type": "string"}));
    properties.insert("kind".into(), json!({"type": "string"}));
    properties.insert("metadata".into(), metadata);
    properties.insert("status".into(), json!({"x-kubernetes-preserve-unknown-fields": true}));
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.insert(0, "metadata".into());
    }
    Ok(())
}

fn metadata() -> serde_json::Result<Value> {
    let settings = SchemaSettings::openapi3().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = serde_json::to_value(settings.into_generator().into_root_schema_for::<ObjectMeta>())?;
    let of = |format: &str, value: &str| format!("!format.{format}().validate({value}).hasValue()");
    // Not format.dns1123Subdomain(), which here bounds each label too.
    let label = "[a-z0-9]([a-z0-9-]*[a-z0-9])?";
    let name = format!("self.matches('^{label}([.]{label})*$') && self.size() <= 253");
    let rule = |condition: String, message: &str| json!([Rule::new(condition).message(message)]);
    for (field, rules) in [
        ("name", rule(name, "write lower-case letters, digits, hyphens and dots, with a letter or digit at each end")),
        (
            "namespace",
            rule(
                of("dns1123Label", "self"),
                "write lower-case letters, digits and hyphens, with a letter or digit at each end",
            ),
        ),
        (
            "labels",
            rule(
                format!("self.all(key, {} && {})", of("qualifiedName", "key"), of("labelValue", "self[key]")),
                "write keys such as app or example.com/app, and values of at most 63 letters, digits, hyphens, underscores \
                 and dots",
            ),
        ),
        (
            "annotations",
            rule(
                format!("self.all(key, {})", of("qualifiedName", "key")),
                "write keys such as note or example.com/note",
            ),
        ),
    ] {
        if let Some(field) = schema.pointer_mut(&format!("/properties/{field}")).and_then(Value::as_object_mut) {
            field.insert("x-kubernetes-validations".into(), rules);
        }
    }
    // It holds fields of the object's own names.
    if let Some(managed) = schema.pointer_mut("/properties/managedFields/items") {
        *managed = json!({"x-kubernetes-preserve-unknown-fields": true});
    }
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("required".into(), json!(["name"]));
    }
    Ok(schema)
}
