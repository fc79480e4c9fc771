//! Manifests read without an API server, and refused where the API server would refuse them.
//!
//! What is refused is defined once, in the generated definitions ([`crate::crd`]): types, bounds and defaults by their
//! schema, the rest by their CEL rules, evaluated here by the same text. Here and not there: a resource that is declared
//! twice, a field that is written twice, and a time zone that the database does not have, which CEL cannot look up.
//!
//! A document goes through [`document`]: header → [`structure`] → [`admission`] → time zone → Rust type. Every refusal is
//! reported, not only the first one.

mod admission;
mod document;
mod metadata;
mod refusal;
mod structure;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use kube::ResourceExt as _;

pub use refusal::Refusal;

use self::{admission::Definitions, document::Resource};
use crate::{SMTPAccess, SMTPRelay, TCPSchedule, yaml};

/// A file that has been read.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// How refusals call it.
    pub name: &'a str,
    /// What stands in it: YAML documents, or JSON.
    pub text: &'a str,
}

/// What the files declare, in their order, with the defaults filled in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resources {
    /// The SMTPRelays.
    pub relays: Vec<SMTPRelay>,
    /// The TCPSchedules.
    pub schedules: Vec<TCPSchedule>,
    /// The SMTPAccesses.
    pub accesses: Vec<SMTPAccess>,
}

/// Reads manifests of SMTPRelays, TCPSchedules and SMTPAccesses.
///
/// # Errors
/// With everything that the API server would refuse, in the order of the files.
pub fn load(sources: &[Source<'_>]) -> Result<Resources, Vec<Refusal>> {
    let definitions = Definitions::new().map_err(|error| {
        vec![Refusal { file: "the definitions".into(), line: 0, path: String::new(), problem: error.to_string() }]
    })?;
    load_by(&definitions, sources)
}

fn load_by(definitions: &Definitions, sources: &[Source<'_>]) -> Result<Resources, Vec<Refusal>> {
    let mut loaded = Loaded::default();
    for source in sources {
        let (documents, error) = yaml::parse(source.text);
        for node in &documents {
            match document::read(node, definitions) {
                Ok(resource) => loaded.add(resource, source.name, node.line),
                Err(findings) => {
                    loaded.refusals.extend(findings.into_iter().map(|finding| finding.into_refusal(source.name)));
                }
            }
        }
        if let Some(yaml::SyntaxError { line, problem }) = error {
            let problem = format!("this is no YAML: {problem}");
            loaded.refusals.push(Refusal { file: source.name.to_owned(), line, path: String::new(), problem });
        }
    }
    if loaded.refusals.is_empty() { Ok(loaded.resources) } else { Err(loaded.refusals) }
}

#[derive(Default)]
struct Loaded {
    resources: Resources,
    refusals: Vec<Refusal>,
    /// Where each resource was declared first.
    places: HashMap<(&'static str, Option<String>, String), String>,
}

impl Loaded {
    fn add(&mut self, resource: Resource, file: &str, line: usize) {
        let (kind, namespace, name) = match &resource {
            Resource::Relay(relay) => ("SMTPRelay", relay.namespace(), relay.name_any()),
            Resource::Schedule(schedule) => ("TCPSchedule", schedule.namespace(), schedule.name_any()),
            Resource::Access(access) => ("SMTPAccess", access.namespace(), access.name_any()),
        };
        if let Some(place) = self.places.get(&(kind, namespace.clone(), name.clone())) {
            self.refusals.push(Refusal {
                file: file.to_owned(),
                line,
                path: "metadata.name".into(),
                problem: format!("{kind} {name} is declared at {place} already: give it another name, or take one out"),
            });
            return;
        }
        self.places.insert((kind, namespace, name), format!("{file}:{line}"));
        match resource {
            Resource::Relay(relay) => self.resources.relays.push(*relay),
            Resource::Schedule(schedule) => self.resources.schedules.push(*schedule),
            Resource::Access(access) => self.resources.accesses.push(*access),
        }
    }
}
