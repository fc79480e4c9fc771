//! The queue as the running relay shares it: behind one lock, with a bell for the dispatcher, one for each host's idle
//! sessions, and a count of changes for the Monitor.
//!
//! The lock is held for map look-ups, and for putting a record together where a Suspended Till changes; never across an await or a
//! system call.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use jiff::Timestamp;
use tokio::sync::Notify;

use super::{Arrival, Facts, HostId, Part, Queue, Settled, Wake, Work};
use crate::{log::Log, spool::Timing};

/// The queue, shared.
pub struct SharedQueue {
    queue: Mutex<Queue>,
    log: Log,
    /// A host is in turn, or a wake-up may have become earlier.
    dispatcher: Notify,
    /// For the sessions of a host that wait for mail.
    bells: Mutex<HashMap<HostId, Bell>>,
    changes: AtomicU64,
    changed: Notify,
}

/// The queue, while nobody else has it.
struct Locked<'a> {
    queue: MutexGuard<'a, Queue>,
    log: &'a Log,
}

impl Locked<'_> {
    /// Changes it, and writes the record of each Suspended Till that this changed: while nobody else has it, so that the records are in
    /// the order of the changes. There are none, nearly always.
    fn told<T>(&mut self, facts: &Facts, change: impl FnOnce(&mut Queue) -> T) -> T {
        let result = change(&mut self.queue);
        for change in self.queue.take_changes() {
            change.record(facts, self.log);
        }
        result
    }
}

struct Bell {
    bell: Arc<Notify>,
    sessions: usize,
}

/// A session's hold on its host: while it lives, the host counts it.
pub struct SessionHold {
    queue: Arc<SharedQueue>,
    host: HostId,
    bell: Arc<Notify>,
}

/// A message in a session's hand. Dropped without [`InHand::settle`], it goes back to its place, untried.
pub struct InHand {
    queue: Arc<SharedQueue>,
    work: Option<Work>,
}

/// What a session gets when it asks for a message.
pub enum Next {
    /// This one.
    Message(InHand),
    /// None now; the session counts as idle until [`Idle`] is dropped.
    Idle(Idle),
    /// None any more: the host has more sessions than it may have.
    Over,
}

/// A session that waits for mail.
pub struct Idle {
    queue: Arc<SharedQueue>,
    host: HostId,
    bell: Arc<Notify>,
}

impl SharedQueue {
    /// Shares a queue, whose changes of Suspended Tills are told here.
    #[must_use]
    pub fn new(queue: Queue, log: Log) -> Arc<SharedQueue> {
        Arc::new(SharedQueue {
            queue: Mutex::new(queue),
            log,
            dispatcher: Notify::new(),
            bells: Mutex::default(),
            changes: AtomicU64::new(0),
            changed: Notify::new(),
        })
    }

    /// Reads the queue.
    pub fn read<T>(&self, look: impl FnOnce(&Queue) -> T) -> T {
        look(&lock(&self.queue))
    }

    /// Changes the queue, and wakes the dispatcher where that gave it something to do.
    pub fn change<T>(&self, change: impl FnOnce(&mut Queue) -> T) -> T {
        self.change_for(&Facts::default(), change)
    }

    /// As [`SharedQueue::change`], with what led to it, for the record of each Suspended Till that it changes.
    pub fn change_for<T>(&self, facts: &Facts, change: impl FnOnce(&mut Queue) -> T) -> T {
        let result = self.change_quietly(facts, change);
        self.note_change();
        result
    }

    /// Changes the queue so that mail may have become ready, and wakes whoever has to act on it.
    pub fn let_go<T>(&self, change: impl FnOnce(&mut Queue) -> (T, Vec<Wake>)) -> T {
        let (result, wakes) = self.change(change);
        for wake in wakes {
            self.act_on(wake);
        }
        result
    }

    /// As [`SharedQueue::change_for`], for what the Monitor does not show.
    fn change_quietly<T>(&self, facts: &Facts, change: impl FnOnce(&mut Queue) -> T) -> T {
        let mut queue = self.lock();
        let wake_before = queue.queue.next_wake();
        let result = queue.told(facts, change);
        // With neither a host in turn nor another wake-up it would look in vain: after each message, in a steady flow.
        let has_work = queue.queue.has_turns() || queue.queue.next_wake() != wake_before;
        drop(queue);
        if has_work {
            self.dispatcher.notify_one();
        }
        result
    }

    /// Changes the queue on behalf of the dispatcher itself, which then looks anyway.
    pub fn dispatch<T>(&self, change: impl FnOnce(&mut Queue) -> T) -> T {
        self.lock().told(&Facts::default(), change)
    }

    /// Takes in a message that is safe in the spool.
    pub fn insert(&self, arrival: Arrival, now: Timestamp) {
        let wakes = self.lock().told(&Facts::default(), |queue| queue.insert(arrival, now));
        for wake in wakes {
            self.act_on(wake);
        }
        self.note_change();
    }

    /// A session for `host` begins, as the dispatcher decided.
    #[must_use]
    pub fn hold(self: &Arc<Self>, host: HostId) -> SessionHold {
        self.lock().told(&Facts::default(), |queue| queue.session_opened(host));
        let mut bells = lock(&self.bells);
        let bell = bells.entry(host).or_insert_with(|| Bell { bell: Arc::default(), sessions: 0 });
        bell.sessions += 1;
        self.note_change();
        SessionHold { queue: self.clone(), host, bell: bell.bell.clone() }
    }

    /// Puts a message that was taken out of turn into a hand.
    #[must_use]
    pub fn in_hand(self: &Arc<Self>, work: Work) -> InHand {
        InHand { queue: self.clone(), work: Some(work) }
    }

    /// Waits until the dispatcher has something to look at.
    pub async fn rung(&self) {
        self.dispatcher.notified().await;
    }

    /// Waits until something changed that the Monitor shows.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Grows with every change.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    fn act_on(&self, wake: Wake) {
        match wake {
            Wake::Nobody => {}
            Wake::Dispatcher => self.dispatcher.notify_one(),
            Wake::Idle(host) => {
                if let Some(bell) = lock(&self.bells).get(&host) {
                    bell.bell.notify_one();
                }
            }
        }
    }

    fn lock(&self) -> Locked<'_> {
        Locked { queue: lock(&self.queue), log: &self.log }
    }

    fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_one();
    }
}

impl SessionHold {
    /// The host's next message, or the state of waiting for one: both under one lock, so that none falls between.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Next {
        let mut queue = self.queue.lock();
        if let Some(work) = queue.told(&Facts::default(), |queue| queue.take(self.host, now)) {
            return Next::Message(InHand { queue: self.queue.clone(), work: Some(work) });
        }
        if queue.queue.has_too_many_sessions(self.host) {
            return Next::Over;
        }
        queue.told(&Facts::default(), |queue| queue.set_idle(self.host, true));
        Next::Idle(Idle { queue: self.queue.clone(), host: self.host, bell: self.bell.clone() })
    }

    /// The host took a message.
    pub fn succeeded(&self) {
        // It may have become in turn for one more session.
        self.queue.change_quietly(&Facts::default(), |queue| queue.succeeded(self.host));
    }
}

impl Drop for SessionHold {
    fn drop(&mut self) {
        let mut bells = lock(&self.queue.bells);
        if let Some(bell) = bells.get_mut(&self.host) {
            bell.sessions -= 1;
            if bell.sessions == 0 {
                bells.remove(&self.host);
            }
        }
        drop(bells);
        let wake = self.queue.lock().told(&Facts::default(), |queue| queue.session_closed(self.host));
        self.queue.act_on(wake);
        self.queue.note_change();
    }
}

impl Idle {
    /// Waits until there may be a message.
    pub async fn rung(&self) {
        self.bell.notified().await;
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.queue.change_quietly(&Facts::default(), |queue| queue.set_idle(self.host, false));
    }
}

impl InHand {
    /// The message.
    #[must_use]
    pub fn work(&self) -> Option<&Work> {
        self.work.as_ref()
    }

    /// Says what became of it.
    pub fn settle(mut self, settled: Settled) {
        if let Some(work) = self.work.take() {
            self.queue.change(|queue| queue.settle(&work, settled));
        }
    }
}

impl InHand {
    /// Moves it to other hosts, because the routes have changed.
    pub fn reassign(mut self, parts: Vec<Part>, timing: &Timing, now: Timestamp) {
        if let Some(work) = self.work.take() {
            self.queue.change(|queue| queue.reassign(&work, parts, timing, now));
        }
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.queue.change(|queue| queue.settle(&work, Settled::Untried));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that is done under these locks panics half way; what they hold stays usable.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
