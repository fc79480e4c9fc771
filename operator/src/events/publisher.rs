//! What tells the API server: makes Events, and counts in them what is told again.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::time;
use tracing::{info, warn};

use super::{
    Notice,
    series::{Key, Series, Verdict, Writing},
};
use crate::{metrics::Metrics, names};

/// How often it is looked whether series are to be written.
const LOOK: Duration = Duration::from_secs(1);

/// Tells the API server, as this operator.
pub struct Publisher {
    client: Client,
    /// The operator's pod.
    instance: String,
    metrics: Arc<Metrics>,
    series: Mutex<Series>,
}

impl Publisher {
    /// One that has told nothing yet.
    #[must_use]
    pub fn new(client: Client, instance: Option<String>, metrics: Arc<Metrics>) -> Publisher {
        Publisher {
            client,
            instance: instance.unwrap_or_else(|| names::MANAGER.into()),
            metrics,
            series: Mutex::default(),
        }
    }

    /// Publishes them. What cannot be published is logged and given up: the conditions say the same.
    pub async fn publish(&self, about: &ObjectReference, notices: Vec<Notice>) {
        let namespace = about.namespace.as_deref().unwrap_or("default");
        let name = about.name.as_deref().unwrap_or(names::MANAGER);
        for notice in notices {
            let Notice { condition, reason, note, .. } = &notice;
            info!(kind = about.kind, name, condition, reason, note, "transition");
            let (key, now) = (key(about, &notice), Timestamp::now());
            let verdict = self.lock().note(key.clone(), (namespace, name), (now, Instant::now()));
            match verdict {
                Verdict::Tell(event) => {
                    let event = self.event(about, notice, (namespace, event), now);
                    let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
                    match api.create(&PostParams::default(), &event).await {
                        Ok(_) => self.metrics.wrote("Event"),
                        Err(error) => {
                            self.lock().lost(&key);
                            warn!(name, %error, "an Event could not be published");
                        }
                    }
                }
                Verdict::Counted => {}
                Verdict::Withheld => self.metrics.events_withheld.inc(),
            }
        }
    }

    /// Writes how often what was told was told again, now and then, for as long as it is let.
    pub async fn keep_counting(&self) {
        loop {
            time::sleep(LOOK).await;
            self.count(false).await;
        }
    }

    /// Writes what is not written yet.
    pub async fn finish(&self) {
        self.count(true).await;
    }

    async fn count(&self, all: bool) {
        let due = self.lock().due(Instant::now(), all);
        for Writing { key, namespace, name, count, last_observed } in due {
            let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
            let series = json!({"series": {"count": count, "lastObservedTime": MicroTime(last_observed)}});
            match api.patch(&name, &PatchParams::default(), &Patch::Merge(&series)).await {
                Ok(_) => self.metrics.wrote("Event"),
                Err(error) => {
                    self.lock().lost(&key);
                    warn!(name, %error, "what is told again could not be counted");
                }
            }
        }
    }

    fn event(
        &self,
        about: &ObjectReference,
        notice: Notice,
        (namespace, name): (&str, String),
        now: Timestamp,
    ) -> Event {
        let Notice { warning, condition, reason, note, .. } = notice;
        Event {
            metadata: ObjectMeta { namespace: Some(namespace.into()), name: Some(name), ..ObjectMeta::default() },
            type_: Some(if warning { "Warning" } else { "Normal" }.into()),
            reason: Some(reason),
            note: Some(note),
            action: Some(condition),
            regarding: Some(about.clone()),
            event_time: Some(MicroTime(now)),
            reporting_controller: Some(names::MANAGER.into()),
            reporting_instance: Some(self.instance.clone()),
            ..Event::default()
        }
    }

    fn lock(&self) -> MutexGuard<'_, Series> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(about: &ObjectReference, notice: &Notice) -> Key {
    Key {
        object: about.uid.clone().unwrap_or_default(),
        warning: notice.warning,
        condition: notice.condition.clone(),
        reason: notice.reason.clone(),
        subject: notice.subject.clone(),
    }
}
