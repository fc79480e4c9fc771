//! What an administrator does about mail.

use std::{collections::BTreeSet, io};

use futures::{StreamExt as _, stream};
use mailsluice_crds::{
    LogLevel,
    monitor::{HostRow, HostState},
};
use mailsluice_ctl::{
    Hold, Target,
    words::act::{Act, Acted, Done, STILL_WAITING, Verb},
};

use super::{Control, socket::Peer};
use crate::{
    clock,
    log::{Record, Tag},
    queue::{HostId, InHand},
    spool::MessageId,
};

/// Messages that are taken out at a time: their reports share syncs of the disk, and no more of them is in memory.
const AT_ONCE: usize = 100;

/// Why an action was not carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum ActError {
    /// The holds cannot be written. What was held before still is.
    #[error("nothing was changed: what is held cannot be written to disk: {0}")]
    Save(io::Error),
}

impl Control {
    /// Carries an action out, target by target, and writes a record of each.
    pub(super) async fn act(&self, act: &Act, peer: Peer) -> Result<Acted, ActError> {
        let _turn = self.turn.lock().await;
        let mut results = Vec::with_capacity(act.targets.len());
        for target in &act.targets {
            let done = match act.verb {
                Verb::Retry => self.retry(target),
                Verb::Hold => self.hold(target, act).await?,
                Verb::Release => self.release(target).await?,
                Verb::Reject | Verb::Drop => self.take_out(target, act).await,
            };
            self.tell(act, &done, peer);
            results.push(done);
        }
        Ok(Acted { now: clock::now(), verb: act.verb, results })
    }

    fn retry(&self, target: &Target) -> Done {
        let queue = &self.courier.queue;
        let hosts = queue.read(|queue| queue.hosts_of(target));
        // First the addresses, so that an attempt that begins at once finds them free.
        for name in queue.read(|queue| names(queue, &hosts)) {
            self.courier.gate.addresses(|addresses| addresses.try_again(&name));
        }
        let retried = queue.let_go(|queue| {
            let mut retried = queue.retry(target);
            let wakes = std::mem::take(&mut retried.wakes);
            (retried, wakes)
        });
        let (waiting, waiting_not_shown) = self.rows(&retried.waiting);
        Done {
            found: !hosts.is_empty(),
            messages: retried.due,
            sending: retried.sending,
            waiting,
            waiting_not_shown,
            ..nothing(target)
        }
    }

    async fn hold(&self, target: &Target, act: &Act) -> Result<Done, ActError> {
        let queue = &self.courier.queue;
        let (all, sending) = queue.read(|queue| queue.count(target));
        // What a start has not found yet may be there all the same.
        let unknown = matches!(target, Target::Message(_)) && all == 0 && queue.read(crate::queue::Queue::is_complete);
        if unknown {
            return Ok(nothing(target));
        }
        let hold = Hold { by: act.by.clone(), since: clock::now(), reason: act.reason.clone() };
        self.holding.change(|holds| holds.add(target.clone(), hold)).await.map_err(ActError::Save)?;
        Ok(Done { found: true, messages: all - sending, sending, ..nothing(target) })
    }

    async fn release(&self, target: &Target) -> Result<Done, ActError> {
        let queue = &self.courier.queue;
        let (before, of_host) = queue.read(|queue| {
            let of_host = match target {
                Target::Host(host) => queue.messages_of(host.as_str()),
                Target::All | Target::Message(_) => BTreeSet::new(),
            };
            (queue.held(target), of_host)
        });
        let changed = self.holding.change(|holds| holds.remove(target, &of_host)).await.map_err(ActError::Save)?;
        let (after, hosts) = queue.read(|queue| (queue.held(target), queue.hosts_of(target)));
        let waits =
            |id: &HostId| queue.read(|queue| queue.explain(*id)).is_some_and(|row| row.state >= HostState::Suspended);
        let (waiting, waiting_not_shown) = self.rows(&hosts.into_iter().filter(waits).collect::<Vec<_>>());
        Ok(Done {
            found: changed || after > 0,
            messages: before.saturating_sub(after),
            waiting,
            waiting_not_shown,
            ..nothing(target)
        })
    }

    /// Returns or removes what waits, but for what comes meanwhile and what a session has in hand.
    async fn take_out(&self, target: &Target, act: &Act) -> Done {
        let queue = &self.courier.queue;
        let mut done = nothing(target);
        let hosts = queue.read(|queue| queue.hosts_of(target));
        done.found = !hosts.is_empty();
        let (first, last) = match target {
            Target::Message(id) => {
                (id.get().checked_sub(1).map(MessageId::from_u64), Some(MessageId::from_u64(id.get())))
            }
            Target::All | Target::Host(_) => (None, queue.read(crate::queue::Queue::newest)),
        };
        let Some(last) = last else { return done };
        for host in hosts {
            let mut after = first;
            while !self.courier.stop.is_cancelled() {
                let taken = queue.change(|queue| queue.take_some(host, after, last, AT_ONCE));
                done.sending += taken.sending;
                let name = queue.read(|queue| queue.host_name(host).map(str::to_owned)).unwrap_or_default();
                let in_hand: Vec<InHand> = taken.works.into_iter().map(|work| queue.in_hand(work)).collect();
                let each = in_hand.into_iter().map(|in_hand| self.take_one_out(in_hand, &name, act));
                let out: Vec<bool> = stream::iter(each).buffer_unordered(AT_ONCE).collect().await;
                let gone = out.iter().filter(|gone| **gone).count() as u64;
                done.messages += gone;
                done.failed += out.len() as u64 - gone;
                let Some(more_after) = taken.more_after else { break };
                after = Some(more_after);
            }
            queue.change(|queue| queue.forget_if_done(host));
        }
        if let Err(error) = self.courier.spool.flush().await {
            self.courier
                .log
                .at(LogLevel::Failures, Tag::Spool)
                .say(format_args!("what was returned or removed may be there again after a restart: {error}"));
        }
        done
    }

    async fn take_one_out(&self, in_hand: InHand, host: &str, act: &Act) -> bool {
        if act.verb == Verb::Reject {
            return self.courier.reject(in_hand, act.reason.as_ref()).await;
        }
        self.courier.remove(in_hand, host, &act.by);
        true
    }

    /// The first rows of these hosts, and how many are left out.
    fn rows(&self, hosts: &[HostId]) -> (Vec<HostRow>, u64) {
        let shown =
            hosts.iter().take(STILL_WAITING).filter_map(|id| self.courier.queue.read(|queue| queue.explain(*id)));
        let rows = shown.map(|summary| self.monitor.row(summary, clock::now())).collect();
        (rows, hosts.len().saturating_sub(STILL_WAITING) as u64)
    }

    /// Who did what to how much, and why.
    fn tell(&self, act: &Act, done: &Done, peer: Peer) {
        let log = &self.courier.log;
        let record: Record<'_> = match &done.target {
            Target::Host(host) => log.at_host(LogLevel::Major, Tag::Queue, host.as_str()),
            Target::Message(id) => log.at(LogLevel::Major, Tag::Queue).field("message", id),
            Target::All => log.at(LogLevel::Major, Tag::Queue),
        };
        let record = record.field("action", act.verb.word()).field("by", &act.by);
        peer.note(record)
            .maybe("reason", act.reason.as_ref())
            .number("messages", done.messages)
            .number("sending", done.sending)
            .number("failed", done.failed)
            .say(format_args!("an administrator's {} of {}", act.verb.word(), done.target));
    }
}

fn names(queue: &crate::queue::Queue, hosts: &[HostId]) -> Vec<String> {
    hosts.iter().filter_map(|id| queue.host_name(*id).map(str::to_owned)).collect()
}

fn nothing(target: &Target) -> Done {
    Done {
        target: target.clone(),
        found: false,
        messages: 0,
        sending: 0,
        failed: 0,
        waiting: Vec::new(),
        waiting_not_shown: 0,
    }
}
