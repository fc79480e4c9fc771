//! A status that the API server refused since the installed definition of SMTPRelays is older than this operator, without what that
//! does not know: a status with less is worth more than none.

use kube::core::Status;
use serde_json::Value;

/// Of a value that is none of those which the definition names.
const UNKNOWN_VALUE: &str = "FieldValueNotSupported";
/// Of a field that is not there and has to be, as when its value was taken out.
const MISSING: &str = "FieldValueRequired";
/// Of a field that the definition does not have; applying says so in its message alone.
const UNKNOWN_FIELD: &str = ": field not declared in schema";

/// Takes out of the object what the refusal says is not known; says whether there was anything.
pub fn take_out(object: &mut Value, refusal: &Status) -> bool {
    let causes = refusal.details.iter().flat_map(|details| &details.causes);
    let named = causes.filter_map(|cause| {
        let mut path = steps(&cause.field)?;
        match cause.reason.as_str() {
            UNKNOWN_VALUE => Some(path),
            // What it is part of makes no sense without it.
            MISSING => path.pop().map(|_| path),
            _ => None,
        }
    });
    // A line for each, or all in one where it is a single one.
    let undeclared = refusal.message.lines().filter_map(|line| {
        let line = line.trim().strip_suffix(UNKNOWN_FIELD)?;
        steps(line.rsplit_once(": ").map_or(line, |(_, path)| path))
    });
    let paths: Vec<Vec<Step>> = named.chain(undeclared).filter(|path| is_optional(path)).collect();
    // The last ones first, since those of a list move up.
    paths.iter().rev().filter_map(|path| remove(object, path)).count() > 0
}

/// Whether it is a part of the status, and not all of it.
fn is_optional(path: &[Step]) -> bool {
    path.len() > 1 && path.first() == Some(&Step::Field("status"))
}

/// A step from a value to one in it.
#[derive(Debug, PartialEq)]
enum Step<'a> {
    Field(&'a str),
    Index(usize),
    /// The entry of a list that has this field with this text.
    Entry(&'a str, &'a str),
}

/// The steps of a path such as `status.monitor[1].addresses[0].reason`, or `.status.monitor[host="a.test"].reason`.
fn steps(mut path: &str) -> Option<Vec<Step<'_>>> {
    let mut steps = Vec::new();
    while !path.is_empty() {
        let (step, rest) = match path.strip_prefix('[') {
            Some(selector) => match selector.split_once("=\"") {
                Some((field, value)) if !field.contains(']') => {
                    let (value, rest) = value.split_once("\"]")?;
                    (Step::Entry(field, value), rest)
                }
                _ => {
                    let (index, rest) = selector.split_once(']')?;
                    (Step::Index(index.parse().ok()?), rest)
                }
            },
            None => {
                let field = path.strip_prefix('.').unwrap_or(path);
                let (field, rest) = field.split_at(field.find(['.', '[']).unwrap_or(field.len()));
                (Step::Field(field), rest)
            }
        };
        steps.push(step);
        path = rest;
    }
    Some(steps)
}

fn remove(value: &mut Value, path: &[Step<'_>]) -> Option<Value> {
    let (step, rest) = path.split_first()?;
    match value {
        Value::Object(fields) => {
            let Step::Field(field) = step else { return None };
            if rest.is_empty() { fields.remove(*field) } else { remove(fields.get_mut(*field)?, rest) }
        }
        Value::Array(entries) => {
            let index = match step {
                Step::Field(_) => return None,
                Step::Index(index) => *index,
                Step::Entry(field, value) => entries.iter().position(|entry| entry[*field] == *value)?,
            };
            let entry = entries.get_mut(index)?;
            if rest.is_empty() { Some(entries.remove(index)) } else { remove(entry, rest) }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// As the API server says it of values.
    fn invalid(causes: &[(&str, &str)]) -> Status {
        let causes: Vec<Value> =
            causes.iter().map(|(reason, field)| json!({"reason": reason, "message": "", "field": field})).collect();
        serde_json::from_value(json!({"status": "Failure", "code": 422, "details": {"causes": causes}})).unwrap()
    }

    /// As it says it of fields.
    fn undeclared(errors: &str) -> Status {
        let about = "failed to create typed patch object (/outbound; mailsluice.dev/v1alpha1, Kind=SMTPRelay): ";
        serde_json::from_value(json!({"status": "Failure", "message": format!("{about}{errors}"), "code": 500}))
            .unwrap()
    }

    #[test]
    fn what_the_definition_does_not_know_is_taken_out_and_nothing_else() {
        let object = json!({
            "metadata": {"name": "outbound"},
            "status": {
                "novel": 1,
                "conditions": [{"type": "Ready"}],
                "monitor": [
                    {"host": "a.test", "reason": "Novel", "novel": 1},
                    {"host": "b.test", "addresses": [{"address": "1", "reason": "Held"}, {"address": "2"}, {"address": "3"}]},
                ],
            },
        });
        let unknown = |field| (UNKNOWN_VALUE, field);
        let row = "status.monitor[1].addresses";
        for (name, refusal, taken) in [
            ("a value", invalid(&[unknown("status.monitor[0].reason")]), vec!["/status/monitor/0/reason"]),
            (
                "a value in a list, and what only follows from it",
                invalid(&[unknown(&format!("{row}[0].reason")), ("FieldValueInvalid", "<nil>")]),
                vec!["/status/monitor/1/addresses/0/reason"],
            ),
            (
                "what makes no sense without a value",
                invalid(&[(MISSING, &format!("{row}[1].reason")), (MISSING, &format!("{row}[2].reason"))]),
                vec!["/status/monitor/1/addresses/2", "/status/monitor/1/addresses/1"],
            ),
            (
                "fields",
                undeclared(
                    "errors:\n  .status.monitor[host=\"a.test\"].novel: field not declared in schema\n  \
                     .status.novel: field not declared in schema",
                ),
                vec!["/status/novel", "/status/monitor/0/novel"],
            ),
            (
                "a field",
                undeclared(".status.monitor[host=\"a.test\"].novel: field not declared in schema"),
                vec!["/status/monitor/0/novel"],
            ),
            ("too long", invalid(&[("FieldValueTooLong", "status.monitor[0].host")]), vec![]),
            ("what is no status", invalid(&[unknown("metadata.name"), (MISSING, "status.replicas")]), vec![]),
            ("what is not there", invalid(&[unknown("status.monitor[7].reason"), unknown("status.a.b[")]), vec![]),
        ] {
            let mut expected = object.clone();
            for pointer in &taken {
                let (parent, last) = pointer.rsplit_once('/').unwrap();
                match expected.pointer_mut(parent).unwrap() {
                    Value::Array(entries) => drop(entries.remove(last.parse().unwrap())),
                    fields => drop(fields.as_object_mut().unwrap().remove(last)),
                }
            }
            let mut fitted = object.clone();
            assert_eq!(take_out(&mut fitted, &refusal), !taken.is_empty(), "{name}");
            assert_eq!(fitted, expected, "{name}");
        }
    }
}
