//! Kubernetes' own types in the definitions: their names and shapes, bounded, and with the words that they take.
//!
//! The API server publishes these types for objects that it validates itself; in a definition its schema has to say by itself
//! what is legal. Their descriptions are cut to the first sentence: all of them would make half of the definition.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// A text of theirs: no name, key or path that somebody writes is longer.
const LONGEST_TEXT: u64 = 512;
/// Entries of a list or map of theirs.
const MOST_ENTRIES: u64 = 64;

/// The schema of one of their types.
pub(super) fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = T::json_schema(generator);
    if let Some(object) = schema.as_object_mut() {
        fit(object, "");
    }
    schema
}

/// The schema of a list of one of their types.
pub(super) fn list<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({"type": "array", "maxItems": MOST_ENTRIES, "items": schema::<T>(generator)})
}

/// The same, in which no two entries have the same key.
pub(super) fn map<T: JsonSchema>(generator: &mut SchemaGenerator, key: &str) -> Schema {
    let mut list = list::<T>(generator);
    list.insert("x-kubernetes-list-type".into(), "map".into());
    list.insert("x-kubernetes-list-map-keys".into(), json!([key]));
    list
}

/// Leaves of an object's properties those alone.
pub(super) fn keep(object: &mut Schema, names: &[&str]) {
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        properties.retain(|name, _| names.contains(&name.as_str()));
    }
}

fn fit(schema: &mut Map<String, Value>, path: &str) {
    schema.remove("format");
    if let Some(Value::String(description)) = schema.get_mut("description") {
        description.truncate(first_sentence(description).len());
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("string") => match words(path) {
            Some(words) => drop(schema.insert("enum".into(), json!(words))),
            None => drop(schema.insert("maxLength".into(), LONGEST_TEXT.into())),
        },
        Some("integer") => {
            let (least, most) = bounds(path);
            schema.insert("minimum".into(), least.into());
            schema.insert("maximum".into(), most.into());
        }
        Some("array") => drop(schema.insert("maxItems".into(), MOST_ENTRIES.into())),
        Some("object") if schema.contains_key("additionalProperties") => {
            schema.insert("maxProperties".into(), MOST_ENTRIES.into());
        }
        _ => {}
    }
    for (name, inner) in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        if let Value::Object(inner) = inner {
            fit(inner, &format!("{path}.{name}"));
        }
    }
    for name in ["items", "additionalProperties"] {
        if let Some(Value::Object(inner)) = schema.get_mut(name) {
            fit(inner, path);
        }
    }
}

/// The words that a field takes, where it takes no others.
fn words(path: &str) -> Option<&'static [&'static str]> {
    let (parent, field) = path.rsplit_once('.')?;
    Some(match field {
        "operator" if parent.ends_with("matchFields") || path.contains(".nodeAffinity.") => {
            &["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
        }
        "operator" if parent.ends_with("matchExpressions") => &["In", "NotIn", "Exists", "DoesNotExist"],
        "operator" => &["Exists", "Equal"],
        "effect" => &["NoSchedule", "PreferNoSchedule", "NoExecute"],
        "whenUnsatisfiable" => &["DoNotSchedule", "ScheduleAnyway"],
        "nodeAffinityPolicy" | "nodeTaintsPolicy" => &["Honor", "Ignore"],
        "protocol" => &["TCP", "UDP", "SCTP"],
        _ => return None,
    })
}

/// The least and the most that a number can be.
fn bounds(path: &str) -> (i32, i32) {
    match path.rsplit('.').next().unwrap_or_default() {
        "weight" => (1, 100),
        "maxSkew" | "minDomains" => (1, i32::MAX),
        // Octal 0777.
        "mode" | "defaultMode" => (0, 511),
        "expirationSeconds" | "maxExpirationSeconds" => (600, i32::MAX),
        "endPort" | "containerPort" | "hostPort" => (1, 65_535),
        _ => (0, i32::MAX),
    }
}

fn first_sentence(text: &str) -> &str {
    let paragraph = text.split("\n\n").next().unwrap_or(text);
    let mut ends = paragraph.match_indices(". ").map(|(index, _)| index);
    let end = ends.find(|index| {
        let next = paragraph[index + 2..].trim_start().chars().next();
        next.is_none_or(char::is_uppercase)
    });
    end.map_or(paragraph, |end| &paragraph[..=end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_ends_after_its_first_sentence() {
        for (text, first) in [
            ("One. Two. Three.", "One."),
            ("Rules (e.g. co-locate this pod). More.", "Rules (e.g. co-locate this pod)."),
            ("One\n\nTwo. Three", "One"),
            ("One alone", "One alone"),
        ] {
            assert_eq!(first_sentence(text), first);
        }
    }
}
