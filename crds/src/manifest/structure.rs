//! A document held against the structure that the schema gives: types, bounds, names of fields.

mod words;

use serde_json::{Map, Value};

use super::refusal::Finding;
use crate::yaml::{Content, Field, Node, plain};

/// A document that was held against a schema.
pub(super) struct Checked {
    /// What of it the schema knows, without nulls.
    pub(super) object: Value,
    pub(super) findings: Vec<Finding>,
    /// Whether a text or a list is larger than the rules may be asked about.
    pub(super) oversized: bool,
}

/// Holds a document against a schema.
pub(super) fn check(node: &Node, schema: &Value) -> Checked {
    let mut check = Check { findings: Vec::new(), oversized: false };
    let object = check.value(node, schema, "");
    Checked { object, findings: check.findings, oversized: check.oversized }
}

/// The line of the field at that path, or of what is nearest around it where it was filled in by a default.
pub(super) fn line_of(node: &Node, path: &str) -> usize {
    let (mut here, mut line, mut rest) = (node, node.line, path);
    while !rest.is_empty() {
        let step = match &here.content {
            Content::List(entries) => rest
                .strip_prefix('[')
                .and_then(|rest| rest.split_once(']'))
                .and_then(|(index, rest)| Some((entries.get(index.parse::<usize>().ok()?)?, None, rest))),
            // A name can hold dots itself, so the longest that fits is the one.
            Content::Map(fields) => {
                let rest = rest.strip_prefix('.').unwrap_or(rest);
                let fits = |field: &&Field| {
                    rest.strip_prefix(field.name.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
                };
                let field = fields.iter().filter(fits).max_by_key(|field| field.name.len());
                field.and_then(|field| Some((&field.value, Some(field.line), rest.get(field.name.len()..)?)))
            }
            Content::Scalar { .. } => None,
        };
        let Some((inner, name_line, left)) = step else { break };
        (here, line, rest) = (inner, name_line.unwrap_or(inner.line), left);
    }
    line
}

struct Check {
    findings: Vec<Finding>,
    oversized: bool,
}

impl Check {
    fn refuse(&mut self, line: usize, path: &str, problem: String) {
        self.findings.push(Finding { line, path: path.to_owned(), problem });
    }

    fn value(&mut self, node: &Node, schema: &Value, path: &str) -> Value {
        let wanted = schema.get("type").and_then(Value::as_str).unwrap_or_default();
        match (wanted, &node.content) {
            ("object", Content::Map(fields)) => self.map(node, fields, schema, path),
            ("array", Content::List(entries)) => self.list(node, entries, schema, path),
            ("string", Content::Scalar { value: Value::String(text), .. }) => {
                self.text(node, text, schema, path);
                Value::from(text.as_str())
            }
            ("integer", Content::Scalar { value, .. }) if value.is_i64() || value.is_u64() => {
                self.number(node, value, schema, path);
                value.clone()
            }
            ("boolean", Content::Scalar { value: Value::Bool(value), .. }) => Value::Bool(*value),
            ("", Content::Scalar { value, .. }) if either(schema) && (value.is_string() || value.is_i64()) => {
                value.clone()
            }
            ("", _) if either(schema) => {
                self.refuse(node.line, path, words::wrong_type("integer or string", node));
                plain(node)
            }
            // The schema leaves it open.
            ("", _) => plain(node),
            _ => {
                self.refuse(node.line, path, words::wrong_type(wanted, node));
                plain(node)
            }
        }
    }

    fn map(&mut self, node: &Node, fields: &[Field], schema: &Value, path: &str) -> Value {
        if let Some(most) =
            schema.get("maxProperties").and_then(Value::as_u64).filter(|most| fields.len() as u64 > *most)
        {
            self.oversized = true;
            self.refuse(node.line, path, format!("{} entries are too many: write at most {most}", fields.len()));
        }
        let known = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties");
        let mut object = Map::new();
        for (index, field) in fields.iter().enumerate() {
            let inner = if path.is_empty() { field.name.clone() } else { format!("{path}.{}", field.name) };
            if fields.iter().take(index).any(|before| before.name == field.name) {
                self.refuse(field.line, &inner, "the field is written twice: take one out".into());
            }
            // A null stands for a field that is absent.
            if field.value.is_null() {
                continue;
            }
            match known.and_then(|known| known.get(&field.name)).or(others) {
                Some(schema) => {
                    let value = self.value(&field.value, schema, &inner);
                    object.insert(field.name.clone(), value);
                }
                None => {
                    let names = known.into_iter().flat_map(Map::keys).map(String::as_str);
                    self.refuse(field.line, &inner, words::unknown_field(&field.name, names));
                }
            }
        }
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        for name in required.filter(|name| !object.contains_key(*name)) {
            self.refuse(node.line, path, words::missing(name, known.and_then(|known| known.get(name))));
        }
        Value::Object(object)
    }

    fn list(&mut self, node: &Node, entries: &[Node], schema: &Value, path: &str) -> Value {
        let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
        if bound("minItems").is_some_and(|least| (entries.len() as u64) < least) {
            self.refuse(node.line, path, "the list is empty: write one entry at least".into());
        }
        if let Some(most) = bound("maxItems").filter(|most| entries.len() as u64 > *most) {
            self.oversized = true;
            self.refuse(node.line, path, format!("{} entries are too many: write at most {most}", entries.len()));
            return Value::Array(Vec::new());
        }
        let inner = schema.get("items").unwrap_or(&Value::Null);
        let values: Vec<Value> = entries
            .iter()
            .enumerate()
            .map(|(index, entry)| self.value(entry, inner, &format!("{path}[{index}]")))
            .collect();
        let identities: Vec<Value> = values.iter().map(|value| identity(value, schema)).collect();
        for (index, (identity, entry)) in identities.iter().zip(entries).enumerate() {
            if !identity.is_null() && identities.iter().take(index).any(|before| before == identity) {
                self.refuse(entry.line, &format!("{path}[{index}]"), words::twice(identity));
            }
        }
        Value::Array(values)
    }

    fn text(&mut self, node: &Node, text: &str, schema: &Value, path: &str) {
        if let Some(most) = schema.get("maxLength").and_then(Value::as_u64)
            && text.chars().count() as u64 > most
        {
            self.oversized = true;
            self.refuse(node.line, path, format!("the text is too long: write at most {most} characters"));
        }
        if let Some(choices) = schema.get("enum").and_then(Value::as_array)
            && !choices.iter().any(|choice| choice == text)
        {
            self.refuse(node.line, path, words::no_choice(text, choices));
        }
    }

    fn number(&mut self, node: &Node, number: &Value, schema: &Value, path: &str) {
        // Compared as the API server compares them: as floats, which hold every bound of the schema exactly.
        let bound = |name: &str| schema.get(name).and_then(|bound| Some((bound.as_f64()?, bound)));
        let value = number.as_f64().unwrap_or(f64::NAN);
        if let Some((_, least)) = bound("minimum").filter(|(least, _)| value < *least) {
            self.refuse(node.line, path, format!("{number} is too small: write {least} or more"));
        }
        if let Some((_, most)) = bound("maximum").filter(|(most, _)| value > *most) {
            self.refuse(node.line, path, format!("{number} is too large: write {most} or less"));
        }
    }
}

/// Whether a value may be a whole number or a text.
fn either(schema: &Value) -> bool {
    schema.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true))
}

/// What may not be the same in two entries of a list: the entry, its keys, or (null) nothing.
fn identity(entry: &Value, schema: &Value) -> Value {
    match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => entry.clone(),
        Some("map") => {
            let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array).into_iter().flatten();
            let keys = keys.filter_map(Value::as_str).map(|key| Some((key.to_owned(), entry.get(key)?.clone())));
            keys.collect::<Option<Map<_, _>>>().map_or(Value::Null, Value::Object)
        }
        _ => Value::Null,
    }
}
