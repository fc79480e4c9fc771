//! `kubectl mailsluice status`: what the resource says, and what each pod does; the resource alone where pods may not be asked.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;
use mailsluice_crds::{SMTPRelay, SMTPRelayStatus, monitor::Link, schedule::LinkState};
use mailsluice_ctl::{Output, RelayWord, Shown};
use mailsluice_operator::monitor::Merged;

use crate::{
    access::Cluster,
    error::PluginError,
    monitor::{self, Messages, Picture},
    options::NAME,
    relay,
    text::{clean, counted},
    words,
};

/// Asks for it, and shows it.
pub(crate) async fn show(cluster: &Cluster, relay: SMTPRelay, output: Output) -> Result<Shown, PluginError> {
    let (name, status) = (relay.name_any(), relay.status.clone().unwrap_or_default());
    let head = head(&name, &cluster.namespace, &status);
    let asked = async {
        let found = relay::with_pods(cluster, relay).await?;
        words::say(cluster, &found, &RelayWord::Status, output).await
    };
    match asked.await {
        Ok(Shown { text, success }) if output == Output::Table => {
            Ok(Shown { text: format!("{head}\n{text}"), success })
        }
        Ok(shown) => Ok(shown),
        Err(error) => {
            eprintln!("{NAME}: {error}\nWhat follows is what the SMTPRelay says of itself.");
            let value = serde_json::to_value(&status).unwrap_or_default();
            let text = output.structured(&value).unwrap_or_else(|| format!("{head}\n{}", of_resource(&name, status)));
            Ok(Shown { text, success: true })
        }
    }
}

/// The conditions: those that are as they should be by their names, the others with what they say.
fn head(name: &str, namespace: &str, status: &SMTPRelayStatus) -> String {
    let ready = format!("{} of {} ready", status.ready_replicas, counted(status.replicas.into(), "pod"));
    let mut text = format!("SMTPRelay {name} in namespace {namespace}: {ready}\n");
    let (well, other): (Vec<_>, Vec<_>) = status.conditions.iter().partition(|condition| is_well(condition));
    if !well.is_empty() {
        let names: Vec<&str> = well.iter().map(|condition| condition.type_.as_str()).collect();
        text.push_str(&format!("  {}\n", names.join(", ")));
    }
    for Condition { type_, status, reason, message, .. } in other {
        text.push_str(&format!("  {type_}={status}  {reason}: {}\n", clean(message)));
    }
    text
}

/// Whether a condition is as it should be. Progressing is False when nothing is left to be done.
pub(crate) fn is_well(condition: &Condition) -> bool {
    match condition.reason.as_str() {
        "Complete" | "Resumed" => true,
        "HostsSuspended" | "PausedByAnnotation" => false,
        _ => condition.status == "True",
    }
}

/// The Monitor as far as the resource has it.
pub(crate) fn merged(status: SMTPRelayStatus) -> Option<Merged> {
    let nothing = Link { state: LinkState::Open, schedule: None, changes_at: None };
    status.queue.map(|queue| Merged {
        version: status.version.unwrap_or_default(),
        link: status.link.unwrap_or(nothing),
        queue,
        problems: Vec::new(),
        rows: status.monitor,
        clients_known: u32::try_from(status.clients.len()).unwrap_or(u32::MAX).saturating_add(status.clients_not_shown),
        clients: status.clients,
    })
}

fn of_resource(name: &str, status: SMTPRelayStatus) -> String {
    let pods = usize::try_from(status.replicas).unwrap_or(usize::MAX);
    let merged = merged(status);
    let picture = Picture { relay: name.to_owned(), pods, merged, unread: Vec::new(), messages: Messages::default() };
    monitor::printed(&picture, Timestamp::now())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn conditions_that_are_well_are_named_and_the_others_explained() {
        let condition = |kind: &str, status: &str, reason: &str, message: &str| json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": "2026-11-24T07:00:00Z"});
        let status: SMTPRelayStatus = serde_json::from_value(json!({
            "replicas": 2, "readyReplicas": 1,
            "conditions": [
                condition("Ready", "False", "PodsNotReady", "1 of 2 pods are ready"),
                condition("Available", "True", "PodReady", ""),
                condition("Progressing", "False", "Complete", "everything is as it should be"),
                condition("Delivering", "True", "HostsSuspended", "mail for 1 of 2 hosts waits; \u{1b}x"),
                condition("Paused", "True", "PausedByAnnotation", "nothing is carried out"),
            ],
        }))
        .unwrap();
        assert_eq!(
            head("outbound", "shop", &status),
            "SMTPRelay outbound in namespace shop: 1 of 2 pods ready\n  Available, Progressing\n  \
             Ready=False  PodsNotReady: 1 of 2 pods are ready\n  \
             Delivering=True  HostsSuspended: mail for 1 of 2 hosts waits; \u{fffd}x\n  \
             Paused=True  PausedByAnnotation: nothing is carried out\n"
        );
    }
}
