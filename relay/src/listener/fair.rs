//! Turns: which sessions are served first when there are more than the machine can serve at once.
//!
//! Sessions are served in the order in which their clients' octets come. A client with twenty sessions is then served twenty times
//! as often as one with a single session, and each step of that one waits for all the others. So a message takes a turn at MAIL
//! and gives it back before it waits for the disk; there are a few turns for each core, and where they are all taken, the
//! clients that wait get the next ones in a circle, however many sessions each has.
//!
//! - While all mail comes from one client, there are no turns: nobody could be served in its place.
//! - A turn is lost when its client says nothing for [`PATIENCE`], and after [`LONGEST`] in any case: who is slow does not use the
//!   machine, and nobody waits for it. So turns bound what is served at once, and not what is under way over slow networks.
//!
//! Measured by `greed` in tests, on two cores that others used too, so only roughly: beside ten clients of twenty sessions each, a
//! client of one session had 50 to 63 messages a second without turns, and 120 to 430 with them (2,300 to 2,800 when it was alone).
//! That is no equal share: `limits.perClient` protects better.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};

/// How long a turn waits for what its client says next: a round trip within a cluster.
const PATIENCE: Duration = Duration::from_millis(2);

/// How long a turn lasts at most.
const LONGEST: Duration = Duration::from_millis(50);

/// Turns for each core: enough that no core waits for a client's next command, few enough that a step waits for few others.
const TURNS_PER_CORE: usize = 4;

/// How long after a message of another client turns are taken.
const CONTENDED: Duration = Duration::from_secs(1);

/// Hands out turns.
#[derive(Debug)]
pub struct Turns {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: usize,
    /// Who waits, by client.
    waiting: HashMap<IpAddr, VecDeque<oneshot::Sender<Turn>>>,
    /// The clients that wait, in the order of their next turns.
    circle: VecDeque<IpAddr>,
    /// The client of the last message, and the moment of the last one that was of another client than the one before it.
    last: Option<IpAddr>,
    mixed: Option<Instant>,
}

impl State {
    /// The next one that waits.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let client = self.circle.pop_front()?;
        let queue = self.waiting.get_mut(&client)?;
        let next = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&client);
        } else {
            self.circle.push_back(client);
        }
        next
    }

    /// Whether more than one client sends mail these days.
    fn is_contended(&mut self, client: IpAddr, now: Instant) -> bool {
        if self.last.replace(client).is_some_and(|last| last != client) {
            self.mixed = Some(now);
        }
        self.mixed.is_some_and(|mixed| now.duration_since(mixed) < CONTENDED)
    }
}

/// A message's turn, given back when this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    /// None where it was never handed over.
    turns: Option<Arc<Turns>>,
    end: Instant,
}

impl Turn {
    /// How much longer it lasts while its client says nothing.
    pub(super) fn left(&self) -> Duration {
        PATIENCE.min(self.end.saturating_duration_since(Instant::now()))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.turns.take() {
            turns.give_back();
        }
    }
}

impl Default for Turns {
    fn default() -> Self {
        Turns::new(TURNS_PER_CORE * thread::available_parallelism().map_or(1, usize::from))
    }
}

impl Turns {
    fn new(most: usize) -> Turns {
        Turns { most, state: Mutex::default() }
    }

    /// Takes a turn for a message of `client`; waits for one where all are taken. None where none is needed.
    pub(super) async fn take(self: &Arc<Self>, client: IpAddr) -> Option<Turn> {
        let mine = {
            let now = Instant::now();
            let mut state = self.lock();
            if !state.is_contended(client, now) {
                return None;
            }
            if state.taken < self.most {
                state.taken += 1;
                return Some(Turn { turns: Some(Arc::clone(self)), end: now + LONGEST });
            }
            let (sender, mine) = oneshot::channel();
            let State { waiting, circle, .. } = &mut *state;
            let queue = waiting.entry(client).or_default();
            if queue.is_empty() {
                circle.push_back(client);
            }
            queue.push_back(sender);
            mine
        };
        mine.await.ok()
    }

    /// Gives a turn to the next one that waits.
    fn give_back(self: &Arc<Self>) {
        loop {
            let next = {
                let mut state = self.lock();
                let next = state.next();
                if next.is_none() {
                    state.taken = state.taken.saturating_sub(1);
                }
                next
            };
            let Some(next) = next else { return };
            match next.send(Turn { turns: Some(Arc::clone(self)), end: Instant::now() + LONGEST }) {
                Ok(()) => return,
                // It waits no more: to the one behind it.
                Err(mut turn) => turn.turns = None,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::task;

    use super::*;

    fn client(number: u8) -> IpAddr {
        [192, 0, 2, number].into()
    }

    #[tokio::test(start_paused = true)]
    async fn clients_get_turns_in_a_circle_however_many_sessions_each_has() {
        let turns = Arc::new(Turns::new(2));
        assert!(turns.take(client(1)).await.is_none(), "one client alone needs none");
        let mut held = vec![turns.take(client(2)).await.unwrap(), turns.take(client(1)).await.unwrap()];
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut sessions = Vec::new();
        for number in [1, 1, 1, 1, 2, 2, 3] {
            let (turns, order) = (Arc::clone(&turns), Arc::clone(&order));
            sessions.push(tokio::spawn(async move {
                let turn = turns.take(client(number)).await.unwrap();
                order.lock().unwrap().push(number);
                drop(turn);
            }));
            task::yield_now().await;
        }
        // One that gives up waiting takes no turn with it.
        let given_up = {
            let turns = Arc::clone(&turns);
            tokio::spawn(async move { turns.take(client(3)).await })
        };
        task::yield_now().await;
        given_up.abort();
        task::yield_now().await;
        drop(held.pop());
        for session in sessions {
            session.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), [1, 2, 3, 1, 2, 1, 1]);
        drop(held);
        let state = turns.lock();
        assert!(state.taken == 0 && state.waiting.is_empty() && state.circle.is_empty(), "{state:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_alone_again_needs_no_turns() {
        let turns = Arc::new(Turns::new(1));
        assert!(turns.take(client(1)).await.is_none());
        let turn = turns.take(client(2)).await.unwrap();
        assert_eq!(turn.left(), PATIENCE);
        tokio::time::advance(LONGEST).await;
        assert_eq!(turn.left(), Duration::ZERO);
        drop(turn);
        tokio::time::advance(CONTENDED).await;
        assert!(turns.take(client(2)).await.is_none());
    }
}
