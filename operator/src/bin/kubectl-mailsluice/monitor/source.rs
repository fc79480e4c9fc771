//! Asks the pods for their Monitors, and makes one picture of them.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use mailsluice_crds::monitor::Snapshot;
use mailsluice_ctl::{
    HostName, Line, Output, RelayWord, Said,
    words::{
        monitor::MonitorSaid,
        queue::{PAGE, QueueAsked},
    },
};
use mailsluice_operator::monitor::merge;
use serde_json::Value;
use tokio::{
    sync::watch,
    time::{self, MissedTickBehavior},
};

use super::{Messages, Picture};
use crate::{
    access::Cluster,
    error::{PluginError, PodError},
    event,
    relay::{self, Found},
    words::{self, Answers},
};

/// How often the pods are asked.
const PERIOD: Duration = Duration::from_secs(1);
/// A pod that has not said its Monitor by then is shown as silent.
const LIMIT: Duration = Duration::from_secs(10);

/// The picture of this moment.
pub(super) async fn once(cluster: &Cluster, found: &Found) -> Result<Picture, PluginError> {
    let who = event::user(cluster).await?;
    let answers = words::ask(cluster, found, &RelayWord::Monitor, &who, LIMIT).await?;
    Ok(picture(found, answers))
}

/// A picture each second, for as long as somebody looks. The host that is open comes with its messages.
pub(super) async fn each_second(
    cluster: Cluster,
    mut found: Found,
    mut open: watch::Receiver<Option<String>>,
    pictures: watch::Sender<Picture>,
) {
    let Ok(who) = event::user(&cluster).await else { return };
    let mut tick = time::interval(PERIOD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            // A host that was opened does not wait for the next second.
            changed = open.changed() => if changed.is_err() { return },
        }
        let opened = open.borrow_and_update().clone();
        // Pods come and go.
        match time::timeout(LIMIT, relay::with_pods(&cluster, found.relay.clone())).await {
            Ok(Ok(now)) => found = now,
            Ok(Err(error)) => silent(&pictures, &found, error.to_string()),
            Err(_) => silent(&pictures, &found, format!("the API server has not answered in {} s", LIMIT.as_secs())),
        }
        let (answers, messages) = tokio::join!(
            words::ask(&cluster, &found, &RelayWord::Monitor, &who, LIMIT),
            messages(&cluster, &found, opened.as_deref(), &who),
        );
        match answers {
            Ok(answers) => {
                pictures.send_replace(Picture { messages, ..picture(&found, answers) });
            }
            Err(PluginError::Pods { faults }) => unread(&pictures, &found, faults),
            Err(error) => silent(&pictures, &found, error.to_string()),
        }
    }
}

/// Nothing could be asked.
fn silent(pictures: &watch::Sender<Picture>, found: &Found, said: String) {
    let fault = |pod: &Pod| PodError { pod: pod.name_any(), said: said.clone() };
    unread(pictures, found, found.pods.iter().map(fault).collect());
}

/// What was seen last stays on the screen, with the reason why it is not fresh.
fn unread(pictures: &watch::Sender<Picture>, found: &Found, faults: Vec<PodError>) {
    pictures.send_modify(|picture| {
        picture.pods = found.pods.len();
        picture.unread = faults;
    });
}

/// The messages that wait for a host, as the words show them.
async fn messages(cluster: &Cluster, found: &Found, host: Option<&str>, who: &Line) -> Messages {
    let Some(host) = host.and_then(|host| host.parse::<HostName>().ok()) else { return Messages::default() };
    let word = RelayWord::Queue(QueueAsked { host: Some(host), most: PAGE, after: None });
    let text = match words::ask(cluster, found, &word, who, LIMIT).await {
        Ok(answers) => match word.show(answers.said, Output::Table) {
            Ok(shown) => shown.text,
            Err(error) => error.to_string(),
        },
        Err(error) => error.to_string(),
    };
    Messages { text: Some(text) }
}

/// One picture of what the pods said.
pub(crate) fn picture(found: &Found, Answers { said, mut faults }: Answers) -> Picture {
    let mut snapshots = Vec::new();
    for Said { pod, answer } in said {
        match snapshot(answer) {
            Ok(snapshot) => snapshots.push(Arc::new(snapshot)),
            Err(error) => faults.push(PodError { pod: pod.unwrap_or_default(), said: error.to_string() }),
        }
    }
    Picture {
        relay: found.name(),
        pods: found.pods.len(),
        merged: merge(&snapshots),
        unread: faults,
        messages: Messages::default(),
    }
}

fn snapshot(answer: Value) -> serde_json::Result<Snapshot> {
    serde_json::from_value::<MonitorSaid>(answer).map(|said| said.snapshot)
}
