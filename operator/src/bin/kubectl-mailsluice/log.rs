//! The log of a pod, as the API server has it: its relay's, and that of the process before a restart.

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt as _, api::LogParams};

use crate::{
    access::{Cluster, Right},
    error::PluginError,
    relay::CONTAINER,
};

/// Lines and octets that are read at most, the newest.
const LINES: i64 = 100_000;
const OCTETS: i64 = 64 << 20;

/// The process whose log it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Process {
    /// The one before the last restart.
    Before,
    /// The one that runs.
    Now,
}

/// The processes of which there can be a log, in their order.
pub(crate) fn processes(pod: &Pod) -> impl Iterator<Item = Process> + use<> {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let restarted = statuses.into_iter().any(|status| status.name == CONTAINER && status.restart_count > 0);
    [Process::Before, Process::Now].into_iter().filter(move |process| restarted || *process == Process::Now)
}

/// Reads a log.
///
/// # Errors
/// When it may not be read, or is not there.
pub(crate) async fn read(cluster: &Cluster, pod: &Pod, process: Process) -> Result<String, PluginError> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let parameters = LogParams {
        container: Some(CONTAINER.into()),
        tail_lines: Some(LINES),
        limit_bytes: Some(OCTETS),
        previous: process == Process::Before,
        ..LogParams::default()
    };
    let right = Right { verb: "get", resource: "pods/log", group: "" };
    cluster.ask(right, pods.logs(&pod.name_any(), &parameters)).await
}
