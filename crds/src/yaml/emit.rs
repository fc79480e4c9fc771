//! Values as YAML: block style, in the order of the value's fields.

use serde_json::Value;

use super::scalar;

/// The YAML of a value, with a line feed at its end.
#[must_use]
pub fn emit(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(fields) if !fields.is_empty() => block(&mut out, value, 0),
        Value::Array(entries) if !entries.is_empty() => block(&mut out, value, 0),
        plain => {
            out.push_str(&inline(plain));
            out.push('\n');
        }
    }
    out
}

/// Writes a filled map or list whose first line is begun at `indent` already.
fn block(out: &mut String, value: &Value, indent: usize) {
    let lead = |first: &mut bool| if std::mem::take(first) { String::new() } else { " ".repeat(indent) };
    let mut first = true;
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                out.push_str(&lead(&mut first));
                out.push_str(&text(name));
                out.push(':');
                match value {
                    Value::Object(inner) if !inner.is_empty() => {
                        out.push('\n');
                        out.push_str(&" ".repeat(indent + 2));
                        block(out, value, indent + 2);
                    }
                    // A list may stand under its name without a further indent.
                    Value::Array(inner) if !inner.is_empty() => {
                        out.push('\n');
                        out.push_str(&" ".repeat(indent));
                        block(out, value, indent);
                    }
                    plain => {
                        out.push(' ');
                        out.push_str(&inline(plain));
                        out.push('\n');
                    }
                }
            }
        }
        Value::Array(entries) => {
            for entry in entries {
                out.push_str(&lead(&mut first));
                out.push_str("- ");
                match entry {
                    Value::Object(inner) if !inner.is_empty() => block(out, entry, indent + 2),
                    Value::Array(inner) if !inner.is_empty() => block(out, entry, indent + 2),
                    plain => {
                        out.push_str(&inline(plain));
                        out.push('\n');
                    }
                }
            }
        }
        plain => out.push_str(&inline(plain)),
    }
}

/// A scalar or an empty map or list: JSON is YAML.
fn inline(value: &Value) -> String {
    match value {
        Value::String(string) => text(string),
        other => other.to_string(),
    }
}

fn text(string: &str) -> String {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b" _-./,;()'`<>=+".contains(&byte);
    let plain = string.starts_with(|first: char| first.is_ascii_alphabetic())
        && !string.ends_with(' ')
        && string.bytes().all(safe)
        && scalar::resolve(string).is_string();
    if plain { string.to_owned() } else { Value::from(string).to_string() }
}
