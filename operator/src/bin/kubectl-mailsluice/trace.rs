//! `kubectl mailsluice trace`: the whole life of a message, told from the logs of all pods.

use clap::Args;
use kube::ResourceExt as _;
use mailsluice_ctl::{
    MessageId, Output, Shown,
    trace::{Outcome, Record, life, records},
};

use crate::{
    access::Cluster,
    error::{PluginError, PodError},
    log,
    relay::Found,
    words::report,
};

/// Which message.
#[derive(Debug, Clone, Args)]
pub(crate) struct Wanted {
    /// The message's id, as `queue` and the log have it.
    #[arg(value_name = "MESSAGE-ID")]
    message: MessageId,
}

/// Reads the logs, and tells what they say of the message.
pub(crate) async fn show(
    cluster: &Cluster,
    found: &Found,
    wanted: &Wanted,
    output: Output,
) -> Result<Shown, PluginError> {
    let mut all = Vec::new();
    let mut faults = Vec::new();
    for pod in &found.pods {
        for process in log::processes(pod) {
            match log::read(cluster, pod, process).await {
                Ok(log) => all.extend(of_pod(&pod.name_any(), &log)),
                Err(error @ PluginError::Forbidden { .. }) => return Err(error),
                Err(error) => faults.push(PodError { pod: pod.name_any(), said: error.to_string() }),
            }
        }
    }
    report(&faults);
    // A message may have gone from one pod to another.
    all.sort_by_key(|record| record.time);
    let life = life(wanted.message, all);
    let value = serde_json::to_value(&life).unwrap_or_default();
    let text = output.structured(&value).unwrap_or_else(|| life.to_string());
    Ok(Shown { text, success: life.outcome != Outcome::NotFound })
}

/// The records of a pod's log, each with the pod's name.
fn of_pod(pod: &str, log: &str) -> Vec<Record> {
    let named = records(log.lines()).map(|mut record| {
        record.pod = Some(pod.to_owned());
        record
    });
    named.collect()
}
