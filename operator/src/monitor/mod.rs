//! The SMTP Monitor of a relay: each pod's, collected as a stream, merged and bounded.
//!
//! One task per pod reads its stream and keeps the latest snapshot. A reconcile says which pods to follow, and takes what
//! is known of them; a change of what is known asks for a reconcile.

pub mod bound;
mod merge;
mod response;
mod stream;
mod view;

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::channel::mpsc::UnboundedSender;
use kube::runtime::reflector::ObjectRef;
use mailsluice_crds::SMTPRelay;
use prometheus::IntGauge;
use tokio::{task::JoinHandle, time};
use tracing::{debug, info};

use crate::{credential::Token, metrics::Metrics, names};

pub use merge::{Merged, is_suspended, merge};
pub use view::{Picture, Seen, Unreadable, View};

/// The wait before the first new attempt; it doubles with each that fails.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait: a pod that comes back is seen within it.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A relay's pod whose Monitor is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The pod's name.
    pub pod: String,
    /// Its address.
    pub address: IpAddr,
    /// Whether it passed its readiness probe: then its Monitor must be readable.
    pub ready: bool,
}

/// The Monitors of all relays.
pub struct Monitors {
    relays: Mutex<HashMap<ObjectRef<SMTPRelay>, HashMap<String, Followed>>>,
    changed: UnboundedSender<ObjectRef<SMTPRelay>>,
    metrics: Arc<Metrics>,
}

/// A pod, and while it is followed what reads its Monitor.
struct Followed {
    target: Target,
    token: Token,
    view: Arc<Mutex<View>>,
    reading: Option<Reading>,
}

/// A task that reads a pod's Monitor until this is dropped, and counts as such.
struct Reading {
    task: JoinHandle<()>,
    count: IntGauge,
}

impl Reading {
    fn begin(task: impl Future<Output = ()> + Send + 'static, count: &IntGauge) -> Reading {
        count.inc();
        Reading { task: tokio::spawn(task), count: count.clone() }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.task.abort();
        self.count.dec();
    }
}

impl Monitors {
    /// Monitors of no relay yet; the relays whose Monitor changed are sent to `changed`.
    #[must_use]
    pub fn new(changed: UnboundedSender<ObjectRef<SMTPRelay>>, metrics: Arc<Metrics>) -> Self {
        Monitors { relays: Mutex::default(), changed, metrics }
    }

    /// Follows these pods of the relay, and no others. What was known of a pod that is gone is kept for a while, since it
    /// is most often back soon, with the same mail.
    pub fn follow(&self, relay: &ObjectRef<SMTPRelay>, token: &Token, targets: &[Target], now: Instant) {
        let mut relays = self.lock();
        let pods = relays.entry(relay.clone()).or_default();
        for target in targets {
            let known = pods.get_mut(&target.pod);
            match known {
                Some(known) if known.reading.is_some() && known.is_of(target, token) => known.target = target.clone(),
                known => {
                    let view = known.map(|known| known.view.clone()).unwrap_or_default();
                    lock(&view).begin();
                    let task = self.read(relay, target, token, &view);
                    let reading = Some(Reading::begin(task, &self.metrics.pods_followed));
                    let followed = Followed { target: target.clone(), token: token.clone(), view, reading };
                    pods.insert(target.pod.clone(), followed);
                }
            }
        }
        let wanted: HashSet<&str> = targets.iter().map(|target| target.pod.as_str()).collect();
        for (pod, followed) in pods.iter_mut().filter(|(pod, _)| !wanted.contains(pod.as_str())) {
            if followed.reading.take().is_some() {
                debug!(%relay, pod, "no longer followed");
                lock(&followed.view).lost(now);
            }
        }
        pods.retain(|_, followed| followed.reading.is_some() || lock(&followed.view).snapshot(now).is_some());
    }

    /// What is known of the relay's Monitor now, and when that changes by itself.
    #[must_use]
    pub fn picture(&self, relay: &ObjectRef<SMTPRelay>, now: Instant) -> (Picture, Vec<Unreadable>, Option<Duration>) {
        let relays = self.lock();
        let mut pods: Vec<_> = relays.get(relay).into_iter().flatten().collect();
        pods.sort_by_key(|(pod, _)| pod.as_str());
        let views: Vec<_> = pods
            .into_iter()
            .map(|(pod, followed)| {
                (pod.as_str(), followed.reading.is_some() && followed.target.ready, lock(&followed.view).clone())
            })
            .collect();
        view::picture(&views, now)
    }

    /// What is known of each of the relay's pods, as far as their coming and going is concerned.
    #[must_use]
    pub fn seen(&self, relay: &ObjectRef<SMTPRelay>, now: Instant) -> Vec<Seen> {
        let relays = self.lock();
        let pods = relays.get(relay).into_iter().flatten();
        pods.filter_map(|(pod, followed)| lock(&followed.view).seen(pod, now)).collect()
    }

    /// Stops following relays that are not there any more.
    pub fn retain(&self, exists: impl Fn(&ObjectRef<SMTPRelay>) -> bool) {
        self.lock().retain(|relay, _| exists(relay));
    }

    fn read(
        &self,
        relay: &ObjectRef<SMTPRelay>,
        target: &Target,
        token: &Token,
        view: &Arc<Mutex<View>>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (relay, token, view) = (relay.clone(), token.clone(), view.clone());
        let (pod, address) = (target.pod.clone(), SocketAddr::new(target.address, names::MONITOR_PORT));
        let (changed, metrics) = (self.changed.clone(), self.metrics.clone());
        async move {
            let mut wait = FIRST_WAIT;
            loop {
                let mut read = false;
                let error = stream::read(address, &token, &relay.name, |snapshot| {
                    if !read {
                        info!(%relay, pod, "the pod's Monitor is being read");
                    }
                    read = true;
                    metrics.snapshots.inc();
                    if lock(&view).received(snapshot) {
                        let _ = changed.unbounded_send(relay.clone());
                    }
                })
                .await;
                metrics.stream_failures.inc();
                if lock(&view).failed(error.to_string(), Instant::now()) {
                    info!(%relay, pod, %error, "the pod's Monitor cannot be read");
                    let _ = changed.unbounded_send(relay.clone());
                }
                wait = if read { FIRST_WAIT } else { LONGEST_WAIT.min(wait * 2) };
                // Apart from each other, so that a thousand pods behind one broken switch do not come back at once.
                time::sleep(wait.mul_f64(rand::random_range(0.75..1.25))).await;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectRef<SMTPRelay>, HashMap<String, Followed>>> {
        lock(&self.relays)
    }
}

impl Followed {
    fn is_of(&self, target: &Target, token: &Token) -> bool {
        self.target.address == target.address && self.token == *token
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
