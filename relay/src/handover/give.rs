//! The side that leaves: what its spool holds goes to the siblings, and what none of them takes stays.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::future;
use mailsluice_crds::{
    LogLevel,
    monitor::{Handover, HandoverState},
};
use mailsluice_ctl::{Target, hold::HoldOn};
use tokio::{
    sync::{mpsc, watch},
    task, time,
};

use super::{
    Answer, Kinship,
    post::{self, Outgoing, PostError},
    wire,
};
use crate::{
    clock,
    config::Config,
    intake,
    log::{Log, Tag},
    metrics::Metrics,
    monitor::Monitor,
    queue::{Holds, SharedQueue},
    spool::{Mark, MessageId, Outcome, Recovered, Recovery, RecoveryReport, Spool, SpoolError, Waiting},
};

/// Octets of texts after which a batch is full.
const BATCH: u64 = 2 << 20;
/// Messages that are read ahead of the siblings, for each of them.
const AHEAD: usize = 2 * wire::MESSAGES;
/// The time is over when no sibling has taken a message for so long.
const PATIENCE: Duration = Duration::from_secs(60);
/// The wait after a sibling has not taken a batch.
const PAUSE: Duration = Duration::from_millis(500);
/// Where it is not known whether a sibling has a batch, the same one is asked so often before another is: it may be started again meanwhile.
const INSIST: u32 = 40;

/// What a relay that leaves works with.
pub struct Giver {
    /// Host and port of each sibling.
    pub siblings: Vec<String>,
    /// What it shows them.
    pub kinship: Arc<Kinship>,
    /// What it gives away.
    pub spool: Spool,
    /// Where what stays is shown.
    pub queue: Arc<SharedQueue>,
    /// What tells under which host.
    pub config: watch::Receiver<Arc<Config>>,
    /// Where it is seen how far it is.
    pub monitor: Arc<Monitor>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where records go.
    pub log: Log,
}

/// How it goes.
struct Progress {
    taken_at: Instant,
    given: u64,
    /// Why the last batch that was not taken was not.
    trouble: Option<String>,
    /// What was held at the beginning: a message that is read and not yet given is not in the queue, and so its hold is not.
    held: Holds,
}

impl Giver {
    /// Gives all that the spool holds to the siblings. Ends when nothing is left that any of them takes; what was read but is not
    /// given is in the queue then, as it is on the claim.
    pub async fn give(self: Arc<Self>, recovery: Recovery) {
        let start = Instant::now();
        self.monitor.set_handover(Handover { state: HandoverState::UnderWay, message: self.intent() });
        let held = self.queue.read(|queue| queue.holds().clone());
        let progress = Mutex::new(Progress { taken_at: start, given: 0, trouble: None, held });
        let (lanes, queues): (Vec<_>, Vec<_>) = self.siblings.iter().map(|_| mpsc::channel(AHEAD)).unzip();
        let reading = task::spawn_blocking({
            let giver = self.clone();
            move || giver.read(recovery, &lanes)
        });
        future::join_all(queues.into_iter().enumerate().map(|(lane, found)| self.serve_lane(lane, found, &progress)))
            .await;
        let read = reading.await.unwrap_or(Err(SpoolError::Closed));
        // What is marked must be on the disk before anybody takes the pod away.
        let read = match self.spool.flush().await {
            Ok(()) => read,
            Err(error) => Err(error),
        };
        let progress = progress.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.finish(read, &progress, start.elapsed());
    }

    fn intent(&self) -> String {
        match self.siblings.len() {
            0 => "this pod is scaled away, and no sibling stays".into(),
            1 => "this pod is scaled away, and hands its mail to its sibling".into(),
            count => format!("this pod is scaled away, and hands its mail to its {count} siblings"),
        }
    }

    /// Reads the spool: each message goes to its sibling, or to the queue where that takes no more. Waits for the disk.
    fn read(&self, recovery: Recovery, lanes: &[mpsc::Sender<Recovered>]) -> Result<RecoveryReport, SpoolError> {
        let report = recovery.run(&mut |found| {
            let left = match lane_of(found.envelope.id, lanes.len()).and_then(|lane| lanes.get(lane)) {
                Some(lane) => lane.blocking_send(found).err().map(|unsent| unsent.0),
                None => Some(found),
            };
            if let Some(left) = left {
                self.keep(&left);
            }
        });
        self.queue.change(crate::queue::Queue::recovery_ended);
        self.metrics.spool_recovering.set(0);
        report
    }

    /// It stays on the claim, and is shown in the queue.
    fn keep(&self, left: &Recovered) {
        self.queue.insert(intake::recovered(&self.config.borrow().routes, left), clock::now());
    }

    /// Gives a sibling what is meant for it, batch by batch, so that the order stays.
    async fn serve_lane(&self, lane: usize, mut found: mpsc::Receiver<Recovered>, progress: &Mutex<Progress>) {
        loop {
            let mut batch = Vec::new();
            let mut octets = 0;
            while batch.len() < wire::MESSAGES && octets < BATCH {
                // Waits for the first one alone: a batch that could be sent does not wait for the disk.
                let next = if batch.is_empty() { found.recv().await } else { found.try_recv().ok() };
                let Some(next) = next else { break };
                octets += next.envelope.size;
                batch.push(next);
            }
            if batch.is_empty() {
                break;
            }
            if self.give_batch(lane, batch, progress).await == Verdict::GivenUp {
                found.close();
                while let Some(left) = found.recv().await {
                    self.keep(&left);
                }
                return;
            }
        }
        if let Some(sibling) = self.siblings.get(lane) {
            // That was all: it puts what came into order. Where it does not hear of it, its next start does.
            let _ = post::post(sibling, &self.kinship, &[], Vec::new()).await;
        }
    }

    /// Gives a batch to its sibling, or to another one that takes it. What cannot be read stays.
    async fn give_batch(&self, lane: usize, mut batch: Vec<Recovered>, progress: &Mutex<Progress>) -> Verdict {
        // Whether the sibling may have some of it; then it is asked again, for it knows what it has.
        let (mut sibling, mut unsure, mut asked) = (lane, false, 0);
        loop {
            let outgoing = self.outgoing(&mut batch).await;
            let Some(address) = self.siblings.get(sibling).filter(|_| !outgoing.is_empty()) else {
                return Verdict::Over;
            };
            let holds = self.holds(&batch, progress);
            let trouble = match post::post(address, &self.kinship, &holds, outgoing).await {
                Ok(answer) => match self.let_go(&mut batch, answer, progress) {
                    Some(trouble) => trouble,
                    None => return Verdict::Over,
                },
                Err(PostError::Unreadable) => return self.give_singly(sibling, batch, progress).await,
                Err(PostError::Unknown(trouble)) => {
                    unsure = true;
                    trouble
                }
                Err(error) => error.to_string(),
            };
            self.log
                .at(LogLevel::Problems, Tag::Spool)
                .say(format_args!("a sibling does not take the mail: {trouble}"));
            if is_out_of_patience(progress, trouble) {
                batch.iter().for_each(|left| self.keep(left));
                return Verdict::GivenUp;
            }
            asked += 1;
            if !unsure || asked >= INSIST {
                (sibling, unsure, asked) = ((sibling + 1) % self.siblings.len(), false, 0);
            }
            time::sleep(PAUSE).await;
        }
    }

    /// What is held of a batch: all mail or hosts now, and those of its messages that are held singly.
    fn holds(&self, batch: &[Recovered], progress: &Mutex<Progress>) -> Vec<HoldOn> {
        let wide = self.queue.read(|queue| queue.holds().wide());
        let now = lock(progress);
        let single = batch.iter().filter_map(|found| {
            let hold = now.held.of_message(found.envelope.id)?.clone();
            Some(HoldOn { target: Target::Message(mailsluice_ctl::MessageId::from_u64(found.envelope.id.get())), hold })
        });
        wide.into_iter().chain(single).collect()
    }

    /// Gives messages one by one, since one of them cannot be read to its end: that one stays.
    async fn give_singly(&self, lane: usize, batch: Vec<Recovered>, progress: &Mutex<Progress>) -> Verdict {
        let alone = batch.len() == 1;
        let mut verdict = Verdict::Over;
        for message in batch {
            if alone || verdict == Verdict::GivenUp {
                self.keep(&message);
            } else {
                verdict = Box::pin(self.give_batch(lane, vec![message], progress)).await;
            }
        }
        verdict
    }

    /// What is sent of a batch; what cannot be read is taken out of it, and stays.
    async fn outgoing(&self, batch: &mut Vec<Recovered>) -> Vec<Outgoing> {
        let mut outgoing = Vec::with_capacity(batch.len());
        let mut readable = Vec::with_capacity(batch.len());
        for found in batch.drain(..) {
            match self.spool.body(found.location).await {
                Ok(text) => {
                    outgoing.push((wire::head(&Waiting::of(&found)), text));
                    readable.push(found);
                }
                Err(error) => {
                    let record = self.log.at(LogLevel::Failures, Tag::Spool).field("message", found.envelope.id);
                    record.say(format_args!("a message cannot be read, and stays: {error}"));
                    self.keep(&found);
                }
            }
        }
        *batch = readable;
        outgoing
    }

    /// Lets go what is safe at the sibling; says why the rest is not.
    fn let_go(&self, batch: &mut Vec<Recovered>, answer: Answer, progress: &Mutex<Progress>) -> Option<String> {
        let taken: HashSet<MessageId> = answer.taken.iter().filter_map(|id| id.parse().ok()).collect();
        let before = batch.len();
        batch.retain(|found| {
            let id = found.envelope.id;
            let is_taken = taken.contains(&id);
            if is_taken {
                let outcomes = found.pending.iter().map(|pending| (pending.recipient, Outcome::Removed)).collect();
                self.spool.mark(Mark { id, location: found.location, outcomes });
                self.metrics.handed_over.inc();
                self.log.at(LogLevel::Major, Tag::Spool).field("message", id).say("handed over to a sibling");
            }
            !is_taken
        });
        let mut now = lock(progress);
        if batch.len() < before {
            now.taken_at = Instant::now();
            now.given += (before - batch.len()) as u64;
        }
        (!batch.is_empty()).then(|| answer.refused.unwrap_or_else(|| "it gives no reason".into()))
    }

    fn finish(&self, read: Result<RecoveryReport, SpoolError>, progress: &Progress, took: Duration) {
        let left = self.queue.read(|queue| queue.totals().messages);
        let (state, message) = match &read {
            Err(error) => (HandoverState::Stranded, format!("the spool cannot be read: {error}")),
            Ok(_) if left == 0 => (HandoverState::Done, "all its mail is with its siblings".to_owned()),
            Ok(_) => {
                let why = match &progress.trouble {
                    _ if self.siblings.is_empty() => "no sibling stays".to_owned(),
                    Some(trouble) => trouble.clone(),
                    None => "they cannot be read".to_owned(),
                };
                (HandoverState::Stranded, format!("{left} messages stay on the claim: {why}"))
            }
        };
        self.log
            .at(LogLevel::Major, Tag::Spool)
            .number("messages", progress.given)
            .number("left", left)
            .number("milliseconds", u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
            .say(format_args!("the hand-over is over: {message}"));
        self.monitor.set_handover(Handover { state, message: crate::errors::shortened(&message, 256) });
    }
}

/// How a batch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// What of it can be given is given.
    Over,
    /// No sibling has taken anything for long: it stays, and all that follows.
    GivenUp,
}

/// Notes trouble, and says whether it has lasted too long.
fn is_out_of_patience(progress: &Mutex<Progress>, trouble: String) -> bool {
    let mut now = lock(progress);
    now.trouble = Some(trouble);
    now.taken_at.elapsed() >= PATIENCE
}

/// The sibling that a message is meant for: the same one at each attempt, after a restart too, so that it knows the message again.
fn lane_of(id: MessageId, lanes: usize) -> Option<usize> {
    // Fibonacci hashing: ids are times, and times come in steps.
    let spread = id.get().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    usize::try_from(spread).ok()?.checked_rem(lanes)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_spread_over_the_siblings_and_each_has_its_own() {
        assert_eq!(lane_of(MessageId::from_u64(7), 0), None);
        for step in [1, 2, 1_000, 1_000_000] {
            let mut counts = [0_u32; 3];
            for n in 0..3_000 {
                let id = MessageId::from_u64(1_790_000_000_000_000 + n * step);
                let lane = lane_of(id, 3).unwrap();
                assert_eq!(lane_of(id, 3), Some(lane));
                counts[lane] += 1;
            }
            assert!(counts.iter().all(|count| (700..1_300).contains(count)), "steps of {step}: {counts:?}");
        }
    }
}
