//! What is known of a pod's Monitor at a moment, and of a relay's out of its pods'.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use mailsluice_crds::monitor::{Handover, HandoverState, Snapshot};

use super::{Merged, merge};

/// How long a snapshot stands after its pod was lost: as long as a pod that moves to another node takes to be back.
pub(super) const KEPT: Duration = Duration::from_secs(60);
/// How long a ready pod's Monitor may be away before that is worth telling.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// What is known of one pod's Monitor.
#[derive(Debug, Clone, Default)]
pub struct View {
    latest: Option<Arc<Snapshot>>,
    /// Since when the latest is not fresh any more.
    lost: Option<Instant>,
    /// Whether an attempt came to an end, so that "nothing known" means something.
    tried: bool,
    /// Since when it cannot be read, and why at first.
    failing: Option<(Instant, String)>,
}

/// What is known of a relay's Monitor.
#[derive(Debug, Clone, PartialEq)]
pub enum Picture {
    /// A pod is being asked for the first time: what was known before stands.
    Pending,
    /// There is no pod to ask, or none that answers.
    Nothing,
    /// This.
    Known(Box<Merged>),
}

/// A ready pod whose Monitor cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The pod.
    pub pod: String,
    /// Why.
    pub why: String,
}

/// What is known of a pod as far as its coming and going is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The pod.
    pub pod: String,
    /// Whether its Monitor is being read now.
    pub fresh: bool,
    /// How its hand-over goes, where it is scaled away and knows it.
    pub handover: Option<HandoverState>,
    /// The messages in its queue.
    pub messages: u64,
    /// The version of the shares that it keeps to.
    pub shares: Option<u64>,
}

impl View {
    /// The pod is going to be asked.
    pub(super) fn begin(&mut self) {
        self.tried = false;
        self.failing = None;
    }

    /// A snapshot came; says whether it changes anything.
    pub(super) fn received(&mut self, snapshot: Snapshot) -> bool {
        let news = self.latest.as_deref() != Some(&snapshot) || !self.tried || self.failing.is_some();
        self.latest = Some(Arc::new(snapshot));
        self.lost = None;
        self.tried = true;
        self.failing = None;
        news
    }

    /// An attempt failed; says whether that changes anything.
    pub(super) fn failed(&mut self, why: String, now: Instant) -> bool {
        let news = !self.tried || self.failing.is_none();
        self.tried = true;
        self.lost(now);
        // The first reason stands: a text that changes with each attempt would be written with each attempt.
        self.failing.get_or_insert((now, why));
        news
    }

    /// The pod is gone.
    pub(super) fn lost(&mut self, now: Instant) {
        self.lost.get_or_insert(now);
    }

    /// What is known of the pod of that name, as far as its coming and going is concerned.
    pub(super) fn seen(&self, pod: &str, now: Instant) -> Option<Seen> {
        let snapshot = self.snapshot(now)?;
        Some(Seen {
            pod: pod.to_owned(),
            fresh: self.lost.is_none() && self.tried,
            handover: snapshot.handover.as_ref().map(|handover| handover.state),
            messages: snapshot.queue.messages,
            shares: snapshot.shares,
        })
    }

    /// The latest snapshot, for as long as it stands.
    pub(super) fn snapshot(&self, now: Instant) -> Option<&Arc<Snapshot>> {
        let stands = self.lost.is_none_or(|lost| now.saturating_duration_since(lost) < KEPT);
        self.latest.as_ref().filter(|_| stands)
    }
}

/// The relay's Monitor out of its pods': each with its name and whether it ought to be readable. With it, the pods that
/// ought to be and are not, and when all this changes by itself.
#[must_use]
pub(super) fn picture(views: &[(&str, bool, View)], now: Instant) -> (Picture, Vec<Unreadable>, Option<Duration>) {
    let mut snapshots = Vec::new();
    let mut unreadable = Vec::new();
    let mut changes: Option<Duration> = None;
    let mut pending = false;
    let mut until = |since: Instant, limit: Duration| {
        let left = limit.checked_sub(now.saturating_duration_since(since)).filter(|left| !left.is_zero());
        if let Some(left) = left {
            changes = Some(changes.map_or(left, |changes| changes.min(left)));
        }
        left.is_some()
    };
    for (pod, readable, view) in views {
        if let Some(snapshot) = view.snapshot(now) {
            // What stays on a claim is counted apart.
            let stranded = |handover: &Handover| handover.state == HandoverState::Stranded;
            if !snapshot.handover.as_ref().is_some_and(stranded) {
                snapshots.push(snapshot.clone());
            }
            if let Some(lost) = view.lost {
                until(lost, KEPT);
            }
        } else {
            pending |= *readable && !view.tried;
        }
        if let Some((since, why)) = &view.failing
            && *readable
            && !until(*since, GRACE)
        {
            unreadable.push(Unreadable { pod: (*pod).to_owned(), why: why.clone() });
        }
    }
    let picture = match merge(&snapshots) {
        _ if pending => Picture::Pending,
        Some(merged) => Picture::Known(Box::new(merged)),
        None => Picture::Nothing,
    };
    (picture, unreadable, changes)
}
