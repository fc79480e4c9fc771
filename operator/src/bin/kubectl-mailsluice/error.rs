//! What stops the plugin, each with what to do about it.

use std::{fmt, io};

use mailsluice_crds::catalogue::NotFound;

use crate::access::Right;

/// The chart's role for those who use the plugin.
pub(crate) const ROLE: &str = "mailsluice-operate";

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PluginError {
    /// There is no kubeconfig, or it cannot be used.
    #[error(
        "the way to the cluster: {0}\nName a kubeconfig with --kubeconfig, and one of its contexts with --context."
    )]
    Config(String),
    /// The cluster does not know SMTPRelays.
    #[error("the cluster has no SMTPRelays: Mailsluice is not installed in it, or --context names another cluster")]
    NotInstalled,
    /// There is no relay in the namespace.
    #[error("there is no SMTPRelay in namespace {0}: name another with -n; `kubectl get smtprelay -A` lists all")]
    NoRelay(String),
    /// The relay that was named is not there.
    #[error("there is no SMTPRelay {name} in namespace {namespace}{}", listed(others))]
    NoSuchRelay {
        /// What was asked for.
        name: String,
        /// Where.
        namespace: String,
        /// Those that are there.
        others: Vec<String>,
    },
    /// There are several.
    #[error("namespace {namespace} has {} SMTPRelays: name one of them with -r: {}", names.len(), names.join(", "))]
    WhichRelay {
        /// Where.
        namespace: String,
        /// Those that are there.
        names: Vec<String>,
    },
    /// RBAC says no.
    #[error(
        "you may not {right} in namespace {namespace}. Who may grant it can bind the ClusterRole {ROLE} to you there:\n  \
         kubectl create rolebinding mailsluice-operators --clusterrole={ROLE} --user=YOU -n {namespace}"
    )]
    Forbidden {
        /// What is missing.
        right: Right,
        /// Where.
        namespace: String,
    },
    /// The relay has no pod that runs.
    #[error(
        "no pod of SMTPRelay {relay} runs{}\n`kubectl describe smtprelay {relay} -n {namespace}` says why.",
        phases(pods)
    )]
    NoPodRuns {
        /// The relay.
        relay: String,
        /// Where.
        namespace: String,
        /// Its pods, with what they are instead.
        pods: Vec<(String, String)>,
    },
    /// The API server cannot be asked, or did not answer as it should.
    #[error("the API server, asked to {right}: {said}")]
    Api {
        /// What was asked.
        right: Right,
        /// What came of it.
        said: String,
    },
    /// No pod carried it out.
    #[error("{}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Pods {
        /// What each said instead.
        faults: Vec<PodError>,
    },
    /// An answer is none, since the relay's version is another one.
    #[error("{0}; this is version {version}", version = env!("CARGO_PKG_VERSION"))]
    Answer(String),
    /// A code that the catalogue does not have.
    #[error(transparent)]
    Unexplained(NotFound),
    /// A manifest into which no sidecar can be brought.
    #[error("{file}: {said}")]
    Manifest {
        /// The file.
        file: String,
        /// What is wrong, and where.
        said: String,
    },
    /// A file or the terminal.
    #[error("{what}: {source}")]
    Io {
        /// What was written or read.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// The archive cannot be sent.
    #[error("the mail to {host}: {said}")]
    Mail {
        /// The mail server.
        host: String,
        /// What it said.
        said: String,
    },
}

impl PluginError {
    /// Something went wrong with a file or the terminal.
    pub(crate) fn io(what: impl fmt::Display) -> impl FnOnce(io::Error) -> PluginError {
        move |source| PluginError::Io { what: what.to_string(), source }
    }
}

/// What a pod said instead of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PodError {
    /// The pod.
    pub(crate) pod: String,
    /// What it, or the way to it, said.
    pub(crate) said: String,
}

impl fmt::Display for PodError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pod {}: {}", self.pod, self.said)
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        return "; `kubectl get smtprelay -A` lists all".into();
    }
    format!("; it has {}", names.join(", "))
}

fn phases(pods: &[(String, String)]) -> String {
    if pods.is_empty() {
        return ": it has none.".into();
    }
    let pods: Vec<_> = pods.iter().map(|(name, phase)| format!("{name} is {phase}")).collect();
    format!(": {}.", pods.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_says_what_to_do() {
        let text = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let right = Right { verb: "get", resource: "pods/exec", group: "" };
        for (error, says) in [
            (PluginError::NoRelay("shop".into()), vec!["namespace shop", "-n", "kubectl get smtprelay -A"]),
            (
                PluginError::NoSuchRelay { name: "x".into(), namespace: "shop".into(), others: text(&["a", "b"]) },
                vec!["no SMTPRelay x", "it has a, b"],
            ),
            (
                PluginError::WhichRelay { namespace: "shop".into(), names: text(&["a", "b"]) },
                vec!["2 SMTPRelays", "-r", "a, b"],
            ),
            (
                PluginError::Forbidden { right, namespace: "shop".into() },
                vec!["may not get pods/exec in namespace shop", "--clusterrole=mailsluice-operate", "-n shop"],
            ),
            (
                PluginError::NoPodRuns {
                    relay: "out".into(),
                    namespace: "shop".into(),
                    pods: vec![("out-0".into(), "Pending".into())],
                },
                vec!["out-0 is Pending", "kubectl describe smtprelay out -n shop"],
            ),
        ] {
            let text = error.to_string();
            for part in says {
                assert!(text.contains(part), "{part:?} is not in {text:?}");
            }
        }
    }
}
