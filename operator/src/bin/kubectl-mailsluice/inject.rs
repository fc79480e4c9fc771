//! `kubectl mailsluice inject`: writes manifests with the sidecar in the pods that ask for it.

use std::{
    fs,
    io::{self, Read as _},
    path::PathBuf,
};

use clap::Args;
use k8s_openapi::{api::core::v1::PodSpec, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use mailsluice_crds::yaml;
use mailsluice_operator::inject::{LABEL, patch};
use serde_json::Value;

use crate::error::PluginError;

/// The kinds that pods are made from, and where their template is.
const TEMPLATES: [(&str, &str); 9] = [
    ("Pod", ""),
    ("PodTemplate", "/template"),
    ("ReplicationController", "/spec/template"),
    ("ReplicaSet", "/spec/template"),
    ("Deployment", "/spec/template"),
    ("StatefulSet", "/spec/template"),
    ("DaemonSet", "/spec/template"),
    ("Job", "/spec/template"),
    ("CronJob", "/spec/jobTemplate/spec/template"),
];

/// What is injected where.
#[derive(Debug, Clone, Args)]
pub(crate) struct Wanted {
    /// The manifests; `-` is standard input.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// The image of the sidecar: mailsluice-relay, as the cluster's relays run it.
    #[arg(long, value_name = "IMAGE")]
    image: String,
}

/// The manifests with the sidecar; a word on standard error where nobody asks for it.
pub(crate) fn injected(wanted: &Wanted) -> Result<String, PluginError> {
    let name = wanted.file.display().to_string();
    let mut text = String::new();
    match name.as_str() {
        "-" => io::stdin().read_to_string(&mut text).map(|_| ()),
        _ => fs::read_to_string(&wanted.file).map(|read| text = read),
    }
    .map_err(PluginError::io(&name))?;
    if !text.contains(LABEL) {
        eprintln!(
            "{name}: no pod has the label {LABEL}: label those that send mail, in their template, with their relay's name"
        );
    }
    inject(&text, &wanted.image).map_err(|said| PluginError::Manifest { file: name, said })
}

/// What documents do not speak of the label stay as they are written.
fn inject(text: &str, image: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut line = 1;
    for document in documents(text) {
        if document.contains(LABEL) {
            let values = yaml::read(document)
                .map_err(|error| yaml::SyntaxError { line: error.line + line - 1, ..error }.to_string())?;
            for mut value in values {
                into(&mut value, image)?;
                out.push_str("---\n");
                out.push_str(&yaml::emit(&value));
            }
        } else {
            out.push_str(document);
        }
        line += document.matches('\n').count();
    }
    Ok(out)
}

/// The documents of a file, each with the line that it begins with. No other line of YAML begins with three hyphens.
fn documents(text: &str) -> Vec<&str> {
    let begins = |line: &str| line.strip_prefix("---").is_some_and(|rest| rest.trim_start() != rest || rest.is_empty());
    let mut documents = Vec::new();
    let (mut start, mut at) = (0, 0);
    for line in text.split_inclusive('\n') {
        if begins(line) && at > start {
            documents.extend(text.get(start..at));
            start = at;
        }
        at += line.len();
    }
    documents.extend(text.get(start..));
    documents
}

/// Brings the sidecar into an object, or into all of a list.
fn into(object: &mut Value, image: &str) -> Result<(), String> {
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    if kind.ends_with("List") {
        return object["items"].as_array_mut().into_iter().flatten().try_for_each(|item| into(item, image));
    }
    let called = format!("{kind} {}", object["metadata"]["name"].as_str().unwrap_or("without a name"));
    let place = TEMPLATES.iter().find(|(of, _)| *of == kind).and_then(|(_, place)| object.pointer_mut(place));
    let Some(template) = place.filter(|template| template.is_object()) else { return Ok(()) };
    let failed = |said: &dyn ToString| format!("{called}: {}", said.to_string());
    let part = |name| template.get(name).cloned().unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    let metadata: ObjectMeta = serde_json::from_value(part("metadata")).map_err(|error| failed(&error))?;
    let spec: PodSpec = serde_json::from_value(part("spec")).map_err(|error| failed(&error))?;
    match patch(&metadata, &spec, image).map_err(|refusal| failed(&refusal))? {
        Some(patch) => json_patch::patch(template, &patch).map_err(|error| failed(&error)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = "{metadata: {labels: {mailsluice.dev/inject: outbound}}, spec: {containers: [{name: app}]}}";

    fn containers(text: &str) -> Vec<Value> {
        let values = yaml::read(&inject(text, "relay").unwrap()).unwrap();
        values.into_iter().filter(|value| value.to_string().contains("\"--gateway=outbound.")).collect()
    }

    #[test]
    fn every_kind_that_makes_pods_is_injected() {
        let inner = POD.trim_start_matches('{').trim_end_matches('}');
        for (text, place) in [
            (format!("{{kind: Pod, {inner}}}}}"), "/spec"),
            (format!("{{kind: Deployment, spec: {{template: {POD}}}}}"), "/spec/template/spec"),
            (format!("{{kind: StatefulSet, spec: {{template: {POD}}}}}"), "/spec/template/spec"),
            (format!("{{kind: DaemonSet, spec: {{template: {POD}}}}}"), "/spec/template/spec"),
            (format!("{{kind: ReplicaSet, spec: {{template: {POD}}}}}"), "/spec/template/spec"),
            (format!("{{kind: Job, spec: {{template: {POD}}}}}"), "/spec/template/spec"),
            (
                format!("{{kind: CronJob, spec: {{jobTemplate: {{spec: {{template: {POD}}}}}}}}}"),
                "/spec/jobTemplate/spec/template/spec",
            ),
            (
                format!("{{kind: List, items: [{{kind: Job, spec: {{template: {POD}}}}}]}}"),
                "/items/0/spec/template/spec",
            ),
        ] {
            let found = containers(&text);
            let container = found.first().and_then(|value| value.pointer(&format!("{place}/initContainers/0/name")));
            assert_eq!(container.and_then(Value::as_str), Some("mailsluice"), "{text}: {found:?}");
            let once = inject(&text, "relay").unwrap();
            assert_eq!(inject(&once, "other").unwrap(), once, "{text}: a second time changes nothing");
        }
    }

    #[test]
    fn other_documents_stay_as_they_are_written() {
        let other = "# A comment.\nkind: Service\nspec: {type:   ClusterIP}\n--- # another\nkind: Custom\nvalue: !own x\ntext: |\n  ---\n  a\n";
        let pod = format!("---\nkind: Job\nspec: {{template: {POD}}}\n");
        let text = format!("{other}{pod}---\nkind: Secret\n");
        let injected = inject(&text, "relay").unwrap();
        assert!(injected.starts_with(&format!("{other}---\nkind: Job\n")), "{injected}");
        assert!(injected.ends_with("\n---\nkind: Secret\n"), "{injected}");
        assert_eq!(inject(other, "relay").unwrap(), other);
    }

    #[test]
    fn what_cannot_be_injected_is_told_with_its_place() {
        for (text, says) in [
            ("kind: Service\n---\n# mailsluice.dev/inject\na: [\n".to_owned(), "line 4: this is no YAML: "),
            (
                format!("kind: Job\nmetadata: {{name: once}}\nspec: {{template: {}}}", POD.replace("outbound", "Out")),
                "Job once: mailsluice.dev/inject: \"Out\" is not the name of an SMTPRelay",
            ),
            (
                format!("kind: Job\nspec: {{template: {}}}", POD.replace("[{name: app}]", "7")),
                "Job without a name: invalid type",
            ),
        ] {
            let error = inject(&text, "relay").unwrap_err();
            assert!(error.starts_with(says), "{error:?} begins with {says:?}");
        }
    }
}
