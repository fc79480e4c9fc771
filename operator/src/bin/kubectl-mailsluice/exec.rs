//! Runs a command in a pod's relay container, through the API server: so RBAC on `pods/exec` decides who may.

use std::time::Duration;

use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::Status};
use kube::{Api, api::AttachParams};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    time,
};

use crate::{
    access::{Cluster, Right, code, said},
    error::{PluginError, PodError},
    relay::CONTAINER,
};

/// What running a command in a pod takes: a websocket is opened by GET, and from Kubernetes 1.35 on `create` is asked for too.
pub(crate) const EXEC: Right = Right { verb: "get and create", resource: "pods/exec", group: "" };

/// Octets of an answer that are on their way at once.
const BUFFER: usize = 64 << 10;

/// Why a pod gave no answer.
#[derive(Debug)]
pub(crate) enum ExecError {
    /// RBAC says no.
    Refused(PluginError),
    /// This pod's fault.
    Pod(PodError),
}

/// What a command wrote, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Standard output.
    pub(crate) output: Vec<u8>,
    /// Standard error.
    pub(crate) error: String,
    /// Why it failed, if it did, as the kubelet says it.
    pub(crate) failed: Option<String>,
}

impl Ended {
    /// Why there is no answer, in the command's own words where it has some.
    pub(crate) fn fault(&self) -> String {
        let said = self.error.trim();
        match said.strip_prefix("mailsluice-relay: ").unwrap_or(said) {
            "" => self.failed.clone().unwrap_or_else(|| "no answer".into()),
            said => said.to_owned(),
        }
    }
}

/// Runs the command in the pod.
///
/// # Errors
/// When it may not be run, cannot be, or has not ended in `limit`.
pub(crate) async fn run(cluster: &Cluster, pod: &str, command: &[String], limit: Duration) -> Result<Ended, ExecError> {
    let fault = |said: String| ExecError::Pod(PodError { pod: pod.to_owned(), said });
    match time::timeout(limit, attached(cluster, pod, command)).await {
        Ok(Ok(ended)) => Ok(ended),
        Ok(Err(error)) => match code(&error) {
            Some(401 | 403) => Err(ExecError::Refused(cluster.explain(EXEC, &error))),
            _ => Err(fault(said(&error))),
        },
        Err(_) => Err(fault(format!("no answer in {} s", limit.as_secs()))),
    }
}

async fn attached(cluster: &Cluster, pod: &str, command: &[String]) -> kube::Result<Ended> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let parameters =
        AttachParams::default().container(CONTAINER).stdin(false).stdout(true).stderr(true).max_stdout_buf_size(BUFFER);
    let mut process = pods.exec(pod, command, &parameters).await?;
    let (output, error, status) = (process.stdout(), process.stderr(), process.take_status());
    let (output, error) = tokio::join!(all(output), all(error));
    let status = match status {
        Some(status) => status.await,
        None => None,
    };
    Ok(Ended { output, error: String::from_utf8_lossy(&error).into_owned(), failed: failure(status.as_ref()) })
}

async fn all(stream: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut octets = Vec::new();
    if let Some(mut stream) = stream {
        // One that breaks off shows as an answer that is none.
        let _ = stream.read_to_end(&mut octets).await;
    }
    octets
}

/// Why the command failed, if it did.
fn failure(status: Option<&Status>) -> Option<String> {
    let Some(status) = status else { return Some("the connection broke off".into()) };
    if status.status.as_deref() == Some("Success") {
        return None;
    }
    Some(status.message.clone().unwrap_or_else(|| "the command failed".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_has_succeeded_when_the_kubelet_says_so() {
        let status = |status: &str, message: Option<&str>| Status {
            status: Some(status.into()),
            message: message.map(Into::into),
            ..Status::default()
        };
        for (said, wanted) in [
            (Some(status("Success", None)), None),
            (Some(status("Failure", Some("exit code 1"))), Some("exit code 1")),
            (Some(status("Failure", None)), Some("the command failed")),
            (None, Some("the connection broke off")),
        ] {
            assert_eq!(failure(said.as_ref()).as_deref(), wanted);
        }
    }

    #[test]
    fn a_fault_is_told_in_the_commands_own_words() {
        for (error, failed, wanted) in [
            ("mailsluice-relay: no relay listens\n", Some("exit code 1"), "no relay listens"),
            ("", Some("exit code 1"), "exit code 1"),
            ("", None, "no answer"),
        ] {
            let ended = Ended { output: Vec::new(), error: error.into(), failed: failed.map(Into::into) };
            assert_eq!(ended.fault(), wanted);
        }
    }
}
