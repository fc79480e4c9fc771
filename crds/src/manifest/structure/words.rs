//! What is wrong with the structure of a document, in words, and what to write instead.

use serde_json::Value;

use crate::{
    spelling,
    yaml::{Content, Node},
};

pub(super) fn wrong_type(wanted: &str, node: &Node) -> String {
    let belongs = match wanted {
        "object" => "fields with names",
        "array" => "a list",
        "string" => "a text",
        "integer" => "a whole number",
        "integer or string" => "a whole number or a text",
        _ => "true or false",
    };
    let (found, advice) = match &node.content {
        Content::List(_) => ("a list".to_owned(), None),
        Content::Map(_) => ("fields with names".to_owned(), None),
        Content::Scalar { value, written } => {
            let whole = written.parse::<i64>().is_ok();
            let advice = match (wanted, value) {
                ("string", Value::Number(_) | Value::Bool(_)) => Some(format!("write it in quotes: \"{written}\"")),
                ("integer", Value::String(_)) if whole => Some(format!("write it without quotes: {written}")),
                ("array", value) if !value.is_null() => Some(format!("write [{written}]")),
                _ => None,
            };
            let found = match value {
                Value::Null => "nothing".to_owned(),
                Value::Bool(_) => format!("the boolean {written}"),
                Value::Number(_) => format!("the number {written}"),
                _ => format!("the text {written:?}"),
            };
            (found, advice)
        }
    };
    let advice = advice.unwrap_or_else(|| format!("write {belongs}"));
    format!("{found} stands where {belongs} must: {advice}")
}

pub(super) fn unknown_field<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let advice = match spelling::nearest(name, known.clone()) {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => match known.collect::<Vec<_>>().as_slice() {
            [] => "nothing can be set here: write {}".to_owned(),
            known => format!("write one of {}", known.join(", ")),
        },
    };
    format!("unknown field {name:?}: {advice}")
}

pub(super) fn missing(name: &str, schema: Option<&Value>) -> String {
    let of = |key: &str| schema.and_then(|schema| schema.get(key));
    let advice = match (of("enum").and_then(Value::as_array), of("description").and_then(Value::as_str)) {
        (Some(choices), _) => format!("write one of {}", list(choices)),
        (None, Some(meaning)) => meaning.split_terminator([';', '\n']).next().unwrap_or_default().to_owned(),
        (None, None) => "write it".to_owned(),
    };
    format!("`{name}` is missing: {advice}")
}

pub(super) fn no_choice(text: &str, choices: &[Value]) -> String {
    let advice = match spelling::nearest(text, choices.iter().filter_map(Value::as_str)) {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => format!("write one of {}", list(choices)),
    };
    format!("{text:?} is not known: {advice}")
}

pub(super) fn twice(identity: &Value) -> String {
    let what = match identity {
        Value::Object(keys) => {
            keys.iter().map(|(key, value)| format!("the {key} {value}")).collect::<Vec<_>>().join(" and ")
        }
        other => other.to_string(),
    };
    format!("{what} stands in the list twice: take one out")
}

fn list(choices: &[Value]) -> String {
    choices.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}
