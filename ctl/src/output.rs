//! Answers as a table for people, as JSON or as YAML.

use clap::ValueEnum;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::words::Answer;

/// How an answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    #[value(alias = "text")]
    Table,
    /// JSON, for programs.
    Json,
    /// YAML.
    Yaml,
}

impl Output {
    /// The value as JSON or YAML; none where it is to be a table.
    #[must_use]
    pub fn structured(self, value: &Value) -> Option<String> {
        match self {
            Output::Table => None,
            Output::Json => Some(format!("{value:#}\n")),
            Output::Yaml => Some(mailsluice_crds::yaml::emit(value)),
        }
    }
}

/// What a relay said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Said<A> {
    /// The pod, where answers of several are shown together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// What it said.
    pub answer: A,
}

/// An answer ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The text, with a line feed at its end.
    pub text: String,
    /// Whether what was asked for was found and done; an exit status.
    pub success: bool,
}

/// A relay said what this version does not understand.
#[derive(Debug, thiserror::Error)]
#[error("{}the answer is not understood, the relay may be of another version: {source}", .pod.as_ref().map(|pod| format!("{pod}: ")).unwrap_or_default())]
pub struct NotUnderstood {
    /// The pod, where there are several.
    pub pod: Option<String>,
    /// What is wrong with it.
    pub source: serde_json::Error,
}

/// Shows answers of one kind. Of one relay without a pod's name, JSON and YAML are its answer as it is; otherwise a list of
/// answers, each with its pod.
pub(crate) fn show<A: Answer + DeserializeOwned>(
    said: Vec<Said<Value>>,
    output: Output,
) -> Result<Shown, NotUnderstood> {
    let value = match said.as_slice() {
        [Said { pod: None, answer }] => answer.clone(),
        several => serde_json::to_value(several).unwrap_or_default(),
    };
    let understood = said.into_iter().map(|Said { pod, answer }| match serde_json::from_value(answer) {
        Ok(answer) => Ok(Said { pod, answer }),
        Err(source) => Err(NotUnderstood { pod, source }),
    });
    let said: Vec<Said<A>> = understood.collect::<Result<_, _>>()?;
    let text = output.structured(&value).unwrap_or_else(|| A::table(&said));
    Ok(Shown { text, success: A::is_success(&said) })
}
