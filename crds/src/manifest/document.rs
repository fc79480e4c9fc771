//! One document: from YAML to a resource, or to everything that is wrong with it.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    admission::{Definition, Definitions},
    refusal::Finding,
    structure,
};
use crate::{
    GROUP, SMTPAccess, SMTPRelay, TCPSchedule, VERSION, schedule, spelling,
    yaml::{Content, Node},
};

/// What a document declares.
pub(super) enum Resource {
    Relay(Box<SMTPRelay>),
    Schedule(Box<TCPSchedule>),
    Access(Box<SMTPAccess>),
}

/// Reads a document.
pub(super) fn read(node: &Node, definitions: &Definitions) -> Result<Resource, Vec<Finding>> {
    let definition = header(node, definitions).map_err(|finding| vec![finding])?;
    let (object, findings) = check(node, definition);
    if !findings.is_empty() {
        return Err(findings);
    }
    if definition.kind == definitions.relay.kind {
        typed(node, object).map(|relay| Resource::Relay(Box::new(relay)))
    } else if definition.kind == definitions.access.kind {
        typed(node, object).map(|access| Resource::Access(Box::new(access)))
    } else {
        typed(node, object).map(|schedule| Resource::Schedule(Box::new(schedule)))
    }
}

/// Finds out by `apiVersion` and `kind` what the document is to be.
fn header<'a>(node: &Node, definitions: &'a Definitions) -> Result<&'a Definition, Finding> {
    let finding = |line, path: &str, problem| Finding { line, path: path.to_owned(), problem };
    if !matches!(node.content, Content::Map(_)) {
        let problem = "this is no manifest: write a map with apiVersion, kind, metadata and spec".into();
        return Err(finding(node.line, "", problem));
    }
    let known = definitions.all();
    let expected = format!("{GROUP}/{VERSION}");
    let text = |name: &str| {
        let field = node.field(name);
        (field.map_or(node.line, |field| field.line), field.and_then(|field| field.value.text()).unwrap_or_default())
    };
    let (version_line, api_version) = text("apiVersion");
    let (kind_line, kind) = text("kind");
    if api_version != expected && !api_version.starts_with(&format!("{GROUP}/")) && !api_version.is_empty() {
        let problem = format!(
            "{} of {api_version} is none of Mailsluice's resources: only SMTPRelay, TCPSchedule and SMTPAccess of {expected} are \
             read here, each in a document of its own",
            if kind.is_empty() { "something" } else { kind }
        );
        return Err(finding(version_line, "apiVersion", problem));
    }
    if api_version != expected {
        return Err(finding(version_line, "apiVersion", format!("write apiVersion: {expected}")));
    }
    known.into_iter().find(|definition| definition.kind == kind).ok_or_else(|| {
        let meant = spelling::nearest(kind, known.iter().map(|definition| definition.kind)).map_or_else(
            || "write SMTPRelay, TCPSchedule or SMTPAccess".to_owned(),
            |meant| format!("did you mean {meant:?}?"),
        );
        finding(kind_line, "kind", format!("{GROUP} has no kind {kind:?}: {meant}"))
    })
}

/// The object as the API server would store it, and what is wrong with it.
fn check(node: &Node, definition: &Definition) -> (Value, Vec<Finding>) {
    let structure::Checked { mut object, mut findings, oversized } = structure::check(node, &definition.schema);
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    // Rules can take long over what has no bounds; the API server leaves them out then, too.
    if !oversized {
        let sound = findings.is_empty();
        let violations = definition.violations(&object, None).into_iter().filter(|found| found.decided || sound);
        findings.extend(violations.map(|found| Finding {
            line: structure::line_of(node, &found.path),
            path: found.path,
            problem: found.problem,
        }));
    }
    findings.extend(unknown_zone(node, &object, &findings));
    findings.sort_by_key(|finding| finding.line);
    (definition.with_defaults(&object), findings)
}

/// CEL can say how a zone's name is formed; whether there is such a zone, only the database can.
fn unknown_zone(node: &Node, object: &Value, findings: &[Finding]) -> Option<Finding> {
    const PATH: &str = "spec.timeZone";
    let name = object.pointer("/spec/timeZone").and_then(Value::as_str)?;
    if findings.iter().any(|finding| finding.path == PATH) {
        return None;
    }
    let error = schedule::zone(name).err()?;
    Some(Finding { line: structure::line_of(node, PATH), path: PATH.to_owned(), problem: error.to_string() })
}

/// The schema admits nothing that the types do not: a test holds it to that, and a doubt is a refusal.
fn typed<T: DeserializeOwned>(node: &Node, object: Value) -> Result<T, Vec<Finding>> {
    serde_json::from_value(object)
        .map_err(|error| vec![Finding { line: node.line, path: String::new(), problem: error.to_string() }])
}
