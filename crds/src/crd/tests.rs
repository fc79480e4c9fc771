//! What is promised of the generated definitions.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::{Value, json};

use super::{FOLDERS, REGENERATE, files, schema_of, smtp_access, smtp_relay, tcp_schedule};
use crate::{SMTPRelaySpec, TCPScheduleSpec};

fn spec_schemas() -> [Value; 3] {
    [smtp_relay(), tcp_schedule(), smtp_access()]
        .map(|definition| schema_of(&definition.unwrap()).unwrap().pointer("/properties/spec").unwrap().clone())
}

/// Calls back for every schema within one, with its path.
fn walk(schema: &Value, path: &str, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, schema);
    for (name, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        walk(inner, &format!("{path}.{name}"), visit);
    }
    for name in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get(name) {
            walk(inner, &format!("{path}[]"), visit);
        }
    }
}

#[test]
fn the_committed_definitions_are_those_that_the_types_generate() {
    let [own, chart] = FOLDERS.map(|folder| Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
    for (name, text) in files().unwrap() {
        // The chart's copy may be away, as in a crate that was taken out of its workspace; it may not be old.
        for (file, has_to_be) in [(own.join(name), true), (chart.join(name), false)] {
            let Ok(committed) = fs::read_to_string(&file) else {
                assert!(!has_to_be, "{} is missing: run `{REGENERATE}` and commit what it writes", file.display());
                continue;
            };
            let differs = "differs from the Rust types";
            assert!(committed == text, "{} {differs}: run `{REGENERATE}` and commit what it writes", file.display());
        }
    }
}

#[test]
fn an_empty_spec_means_the_same_to_the_api_server_and_to_rust() {
    let [relay, schedule, _] = spec_schemas();
    let relay = kube_cel::apply_defaults(&relay, &json!({}));
    let schedule = kube_cel::apply_defaults(&schedule, &json!({}));
    assert_eq!(relay, serde_json::to_value(SMTPRelaySpec::default()).unwrap());
    assert_eq!(serde_json::from_value::<SMTPRelaySpec>(json!({})).unwrap(), SMTPRelaySpec::default());
    let from_nothing: TCPScheduleSpec = serde_json::from_value(json!({})).unwrap();
    assert_eq!(schedule, serde_json::to_value(&from_nothing).unwrap());
}

#[test]
fn defaults_inside_lists_and_halves_of_structures_mean_the_same_to_both() {
    let [relay, schedule, _] = spec_schemas();
    let given = json!({
        "log": {}, "limits": {"connections": 3}, "retry": {"first": "1m"}, "storage": {},
        "routes": [{"domains": ["a.example"], "smarthost": {"host": "b.example"}}],
    });
    let typed: SMTPRelaySpec = serde_json::from_value(given.clone()).unwrap();
    assert_eq!(kube_cel::apply_defaults(&relay, &given), serde_json::to_value(typed).unwrap());
    let given = json!({"windows": [{"link": "Open"}], "exceptions": [{"dates": ["2026-12-25"], "link": "Closed"}]});
    let typed: TCPScheduleSpec = serde_json::from_value(given.clone()).unwrap();
    assert_eq!(kube_cel::apply_defaults(&schedule, &given), serde_json::to_value(typed).unwrap());
}

#[test]
fn kubectl_explain_has_a_text_for_every_field() {
    for definition in [smtp_relay().unwrap(), tcp_schedule().unwrap(), smtp_access().unwrap()] {
        let root = schema_of(&definition).unwrap();
        walk(root, "", &mut |path, schema| {
            let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
            let of_kubernetes = path.contains(".conditions[]") || path.starts_with(".metadata") || path.is_empty();
            assert!(of_kubernetes || path.ends_with("[]") || !text.is_empty(), "{path} has no description");
            assert!(!text.contains("[`"), "{path} is described by a link that only rustdoc follows: {text}");
        });
    }
}

#[test]
fn every_text_and_list_of_a_spec_is_bounded_and_says_nothing_that_the_loader_does_not_obey() {
    let obeyed = BTreeSet::from([
        "additionalProperties",
        "default",
        "description",
        "enum",
        "items",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minimum",
        "properties",
        "required",
        "type",
        "x-kubernetes-int-or-string",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type",
        "x-kubernetes-validations",
    ]);
    for schema in spec_schemas() {
        walk(&schema, "spec", &mut |path, schema| {
            let words: BTreeSet<&str> = schema.as_object().unwrap().keys().map(String::as_str).collect();
            assert!(words.is_subset(&obeyed), "{path}: {:?}", words.difference(&obeyed));
            match schema.get("type").and_then(Value::as_str) {
                Some("string") => assert!(words.contains("maxLength") || words.contains("enum"), "{path} has no end"),
                Some("array") => assert!(words.contains("maxItems"), "{path} has no end"),
                Some("integer") => assert!(words.contains("minimum") && words.contains("maximum"), "{path} has no end"),
                Some("object") => {
                    let has_end = !words.contains("additionalProperties") || words.contains("maxProperties");
                    assert!(has_end, "{path} has no end");
                }
                Some("boolean") => {}
                None if words.contains("x-kubernetes-int-or-string") => {}
                other => panic!("{path} is of type {other:?}"),
            }
        });
    }
}

#[test]
fn every_rule_says_what_to_write_instead() {
    for definition in [smtp_relay().unwrap(), tcp_schedule().unwrap(), smtp_access().unwrap()] {
        walk(schema_of(&definition).unwrap(), "", &mut |path, schema| {
            for rule in schema.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
                let message = rule.get("message").or(rule.get("messageExpression")).and_then(Value::as_str);
                let message = message.unwrap_or_else(|| panic!("{path}: {rule} has no message"));
                let advises = ["write", "leave", "make", "give", "take", "put", "list"];
                assert!(advises.iter().any(|verb| message.contains(verb)), "{path}: {message:?} advises nothing");
                assert!(!message.contains('\n'), "{path}: the API server takes no message of several lines");
            }
        });
    }
}

#[test]
fn a_status_has_no_defaults_and_its_bounds_are_those_of_the_monitor() {
    let definition = smtp_relay().unwrap();
    let status = schema_of(&definition).unwrap().pointer("/properties/status").unwrap();
    walk(status, "status", &mut |path, schema| assert_eq!(schema.get("default"), None, "{path}"));
    let monitor = status.pointer("/properties/monitor").unwrap();
    assert_eq!(
        [&monitor["maxItems"], &monitor["x-kubernetes-list-type"], &monitor["x-kubernetes-list-map-keys"]],
        [&json!(32), &json!("map"), &json!(["host"])]
    );
    for text in ["problem", "host"] {
        assert!(monitor["items"]["properties"][text]["maxLength"].is_u64(), "{text}");
    }
    let clients = status.pointer("/properties/clients").unwrap();
    assert_eq!(
        [&clients["maxItems"], &clients["x-kubernetes-list-type"], &clients["x-kubernetes-list-map-keys"]],
        [&json!(16), &json!("map"), &json!(["kind", "client"])]
    );
    let row = &clients["items"]["properties"];
    let refusal = &row["lastRefusal"]["properties"];
    for text in [&row["client"], &refusal["text"], &refusal["why"], &refusal["sender"], &refusal["recipient"]] {
        assert!(text["maxLength"].is_u64(), "{clients}");
    }
}

#[test]
fn kubectl_shows_the_columns_that_are_promised() {
    let columns = |definition: &Value| -> Vec<(String, bool)> {
        let columns = definition.pointer("/spec/versions/0/additionalPrinterColumns").unwrap().as_array().unwrap();
        columns
            .iter()
            .map(|column| (column["name"].as_str().unwrap().to_uppercase(), column.get("priority").is_some()))
            .collect()
    };
    let always = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), false)).collect::<Vec<_>>();
    let mut relay = always(&["READY", "LINK", "QUEUED", "SUSPENDED", "OLDEST", "PROBLEM", "AGE"]);
    relay.extend(["SCHEDULE", "LOG", "VERSION"].map(|name| (name.to_owned(), true)));
    assert_eq!(columns(&smtp_relay().unwrap()), relay);
    assert_eq!(columns(&tcp_schedule().unwrap()), always(&["LINK", "CHANGES", "TIMEZONE", "RELAYS", "AGE"]));
    let mut access = always(&["RELAY", "ACCEPTED", "REASON", "AGE"]);
    access.extend(["RELAYNAMESPACE", "MESSAGE"].map(|name| (name.to_owned(), true)));
    assert_eq!(columns(&smtp_access().unwrap()), access);
}
