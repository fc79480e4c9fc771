//! The definitions, ready to admit objects: their schemas, and their CEL rules compiled.

use kube_cel::{CompiledSchema, ErrorKind, Validator, compile_schema};
use serde_json::Value;

use super::metadata;
use crate::crd;

/// Why there are no definitions to go by.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DefinitionError {
    /// The types have no form in JSON.
    #[error("the definition of {kind} cannot be generated: {source}")]
    Json {
        /// Whose.
        kind: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// It lacks its schema.
    #[error("the definition of {0} has no schema")]
    NoSchema(&'static str),
}

/// Those of all resources. Made anew for each reading: a relay at rest keeps none of it.
pub(crate) struct Definitions {
    pub(crate) relay: Definition,
    pub(crate) schedule: Definition,
    pub(crate) access: Definition,
}

impl Definitions {
    /// All of them.
    pub(crate) fn all(&self) -> [&Definition; 3] {
        [&self.relay, &self.schedule, &self.access]
    }

    pub(crate) fn new() -> Result<Self, DefinitionError> {
        Ok(Definitions {
            relay: Definition::new("SMTPRelay", crd::smtp_relay())?,
            schedule: Definition::new("TCPSchedule", crd::tcp_schedule())?,
            access: Definition::new("SMTPAccess", crd::smtp_access())?,
        })
    }
}

/// That of one resource.
pub(crate) struct Definition {
    pub(crate) kind: &'static str,
    /// Of the whole object, its metadata included.
    pub(crate) schema: Value,
    rules: CompiledSchema,
}

/// What a rule refuses.
#[derive(Debug)]
pub(crate) struct Violation {
    /// The field.
    pub(crate) path: String,
    /// What to write instead.
    pub(crate) problem: String,
    /// Whether the rule came to its end. One that did not could be misled by a field that has been refused already.
    pub(crate) decided: bool,
}

impl Definition {
    fn new(kind: &'static str, definition: serde_json::Result<Value>) -> Result<Self, DefinitionError> {
        let definition = definition.map_err(|source| DefinitionError::Json { kind, source })?;
        let mut schema = crd::schema_of(&definition).cloned().ok_or(DefinitionError::NoSchema(kind))?;
        metadata::complete(&mut schema).map_err(|source| DefinitionError::Json { kind, source })?;
        let rules = compile_schema(&schema);
        Ok(Definition { kind, schema, rules })
    }

    /// The object with the schema's defaults in it, as the API server stores it.
    pub(crate) fn with_defaults(&self, object: &Value) -> Value {
        kube_cel::apply_defaults(&self.schema, object)
    }

    /// What the rules refuse in an object, and in its change from an `old` one.
    pub(crate) fn violations(&self, object: &Value, old: Option<&Value>) -> Vec<Violation> {
        let found = Validator::new().validate_compiled(&self.rules, object, old).err();
        found
            .into_iter()
            .flatten()
            .map(|error| Violation {
                path: error.field_path.trim_start_matches('.').to_owned(),
                decided: error.kind == ErrorKind::ValidationFailure,
                problem: error.message,
            })
            .collect()
    }
}
