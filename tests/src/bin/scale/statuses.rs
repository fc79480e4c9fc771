//! The relays' statuses, as somebody sees them who watches the API server; and how old what they say is.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use kube::{
    Api, Client, ResourceExt as _,
    runtime::{WatchStreamExt as _, watcher},
};
use mailsluice_crds::{SMTPRelay, SMTPRelayStatus};
use tokio::time;

use crate::objects;

/// What was seen.
#[derive(Clone, Default)]
pub(super) struct Statuses(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    /// Relays that are ready, and whose Monitor was read.
    ready: HashSet<String>,
    /// Changes that no status has yet, by their relays' numbers: how many messages there are since then, and when that was.
    sent: HashMap<usize, Vec<(u64, Instant)>>,
    staleness: Vec<Duration>,
}

impl Statuses {
    /// Watches until the process ends.
    pub(super) fn watch(client: Client) -> Statuses {
        let statuses = Statuses::default();
        let seen = statuses.clone();
        tokio::spawn(async move {
            let relays: Api<SMTPRelay> = Api::default_namespaced(client);
            let events = watcher(relays, watcher::Config::default()).default_backoff().applied_objects();
            events
                .for_each(|relay| {
                    if let Ok(relay) = relay {
                        seen.look(&relay);
                    }
                    std::future::ready(())
                })
                .await;
        });
        statuses
    }

    fn look(&self, relay: &SMTPRelay) {
        let Some(status) = &relay.status else { return };
        let mut seen = self.0.lock().expect("nobody panicked");
        if is_ready(status, relay.metadata.generation) {
            seen.ready.insert(relay.name_any());
        }
        let Some(number) = objects::number(&relay.name_any()) else { return };
        let messages = status.queue.as_ref().map_or(0, |queue| queue.messages);
        let Some(sent) = seen.sent.get_mut(&number) else { return };
        let shown = sent.iter().take_while(|(count, _)| *count <= messages).count();
        let ages: Vec<Duration> = sent.drain(..shown).map(|(_, at)| at.elapsed()).collect();
        seen.staleness.extend(ages);
    }

    /// Waits until that many relays are ready.
    pub(super) async fn await_ready(&self, relays: usize, limit: Duration) {
        self.until(limit, "relays that are ready", |seen| seen.ready.len() >= relays).await;
    }

    /// Forgets what was sent and seen before.
    pub(super) fn begin(&self) {
        let mut seen = self.0.lock().expect("nobody panicked");
        seen.sent.clear();
        seen.staleness.clear();
    }

    /// Notes that a relay has that many messages from now on.
    pub(super) fn sent(&self, relay: usize, messages: u64) {
        self.0.lock().expect("nobody panicked").sent.entry(relay).or_default().push((messages, Instant::now()));
    }

    /// Waits until statuses have all that was sent.
    pub(super) async fn await_seen(&self, limit: Duration) {
        self.until(limit, "statuses that say what was sent", |seen| seen.sent.values().all(Vec::is_empty)).await;
    }

    /// Prints how long changes took.
    pub(super) fn print_staleness(&self, what: &str) {
        let mut ages = self.0.lock().expect("nobody panicked").staleness.clone();
        ages.sort();
        let at = |share: usize| ages[(ages.len() * share / 100).min(ages.len() - 1)].as_secs_f64();
        println!("  {what}, of {}: p50 {:.3} s, p99 {:.3} s, worst {:.3} s", ages.len(), at(50), at(99), at(100));
    }

    async fn until(&self, limit: Duration, what: &str, done: impl Fn(&Seen) -> bool) {
        let begun = Instant::now();
        while !done(&self.0.lock().expect("nobody panicked")) {
            assert!(begun.elapsed() < limit, "{what}: not so after {} s", limit.as_secs());
            time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn is_ready(status: &SMTPRelayStatus, generation: Option<i64>) -> bool {
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
    ready.is_some_and(|ready| ready.status == "True" && ready.observed_generation == generation)
        && status.queue.is_some()
}
