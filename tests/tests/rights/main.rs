//! What the operator may do beside what it did: its roles, and the audit log of all the scenarios that ran on the cluster before.

use std::collections::BTreeSet;

use jiff::Timestamp;
use mailsluice_tests::{
    audit::{self, Request},
    cluster::{self, OPERATOR, RELEASE, kubectl},
};
use serde_json::Value;

/// A verb on a resource of a group, or on a path that is no resource.
type Right = (String, String, String);

#[test]
fn the_operator_may_do_what_it_does_and_nothing_else() {
    cluster::await_up();
    let requests = audit::requests(&cluster::run().join("log/audit.json"), OPERATOR, Timestamp::MIN);
    let used: BTreeSet<Right> = requests.iter().filter(|request| !request.is_forbidden()).flat_map(rights).collect();
    let granted = granted();
    assert!(!granted.is_empty(), "no role is bound to {OPERATOR}");
    for (group, what, verb) in &granted {
        let is_used = used.contains(&(group.clone(), what.clone(), verb.clone()));
        println!("{}  {verb} {what} {group}", if is_used { "used  " } else { "UNUSED" });
    }
    let unused: Vec<&Right> = granted.difference(&used).collect();
    // What it may do now, it was forbidden while an uninstall took its roles before it stopped.
    let forbidden = requests.iter().filter(|request| request.is_forbidden()).flat_map(rights);
    let missing: BTreeSet<Right> = forbidden.filter(|right| !granted.contains(right)).collect();
    println!(
        "{} requests, {} rights, {} of them unused, {} missing",
        requests.len(),
        granted.len(),
        unused.len(),
        missing.len()
    );
    assert!(unused.is_empty() && missing.is_empty(), "unused: {unused:?}; missing: {missing:?}");
}

/// What a request takes.
fn rights(request: &Request) -> Vec<Right> {
    let (group, what) = match &request.object_ref {
        Some(object) => {
            let part = object.subresource.as_ref().map(|part| format!("/{part}")).unwrap_or_default();
            (object.api_group.clone().unwrap_or_default(), format!("{}{part}", object.resource))
        }
        None => (String::new(), request.request_uri.split('?').next().unwrap_or_default().to_owned()),
    };
    let right = |verb: &str| (group.clone(), what.clone(), verb.to_owned());
    // To apply what is not there takes the right to create it, too.
    let creates = request.verb == "patch" && request.response_status.as_ref().is_some_and(|status| status.code == 201);
    [Some(right(&request.verb)), creates.then(|| right("create"))].into_iter().flatten().collect()
}

/// What the operator's roles allow.
fn granted() -> BTreeSet<Right> {
    let bindings = list("clusterrolebinding,rolebinding");
    let own = bindings.iter().filter(|binding| {
        items(&binding["subjects"]).any(|subject| {
            subject["kind"] == "ServiceAccount" && subject["name"] == RELEASE && subject["namespace"] == RELEASE
        })
    });
    let roles = list("clusterrole,role");
    let bound = own.filter_map(|binding| {
        let (kind, name) = (&binding["roleRef"]["kind"], &binding["roleRef"]["name"]);
        let namespace = if kind == "Role" { &binding["metadata"]["namespace"] } else { &Value::Null };
        roles.iter().find(|role| {
            role["kind"] == *kind
                && role["metadata"]["name"] == *name
                && role["metadata"].get("namespace").unwrap_or(&Value::Null) == namespace
        })
    });
    bound.flat_map(|role| items(&role["rules"]).flat_map(of_rule).collect::<Vec<_>>()).collect()
}

fn of_rule(rule: &Value) -> Vec<Right> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let groups: Vec<String> = match items(&rule["apiGroups"]).map(text).collect::<Vec<_>>() {
        none if none.is_empty() => vec![String::new()],
        groups => groups,
    };
    let things: Vec<String> = items(&rule["resources"]).chain(items(&rule["nonResourceURLs"])).map(text).collect();
    let verbs: Vec<String> = items(&rule["verbs"]).map(text).collect();
    let things = groups.iter().flat_map(|group| things.iter().map(move |thing| (group, thing)));
    things
        .flat_map(|(group, thing)| verbs.iter().map(move |verb| (group.clone(), thing.clone(), verb.clone())))
        .collect()
}

fn list(kinds: &str) -> Vec<Value> {
    let list: Value = serde_json::from_str(&kubectl(&["get", kinds, "-A", "-o", "json"])).expect("a list");
    items(&list["items"]).cloned().collect()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
