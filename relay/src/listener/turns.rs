//! Turns: which sessions are served first when there are more than the machine can serve at once.
//!
//! The runtime serves sessions in the order in which their clients' octets come, and the disk all messages that wait for it together.
//! A client with twenty sessions is then served twenty times as often as one with a single session, and each step of that one waits
//! for all the others. So a message takes a turn at MAIL and gives it back when it is on the disk; there are a few turns for each core,
//! and where they are all taken, the next one is for the client whose last turn is the longest ago, however many sessions each has.
//!
//! - While all mail comes from one client, there are no turns: nobody could be served in its place.
//! - A turn is lost when its client says nothing, or the disk takes longer, for [`PATIENCE`], and after [`LONGEST`] in any case: who
//!   is slow does not use the machine, and nobody waits for it. So turns bound what is served at once, and not what is under
//!   way over slow networks or to a slow disk.
//!
//! Seen by a clock in each session: with turns that end before the disk, a single session beside two hundred waits in the runtime's
//! line and for a commit, and hardly for anything else. Turns for single steps change nothing: a step is over before another can ask
//! for a turn. `docs/performance.md` has the rates: an equal share on a machine of one's own, less where others use its processors.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};

/// How long a turn waits for what its client says next, or for the disk: a round trip within a cluster, or a sync.
const PATIENCE: Duration = Duration::from_millis(2);

/// How long a turn lasts at most.
const LONGEST: Duration = Duration::from_millis(50);

/// Turns for each core: enough that no core waits for a client's next command, few enough that a step waits for few others.
const TURNS_PER_CORE: usize = 4;

/// How long after a message of another client turns are taken.
const CONTENDED: Duration = Duration::from_secs(1);

/// Clients whose last turns are remembered. Of those that are forgotten, none has had one for a while.
const REMEMBERED: usize = 4_096;

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
    /// The clients that wait, by the number of their last turn: that whose last one is the longest ago comes first.
    line: BTreeSet<(u64, IpAddr)>,
    /// The number of each client's last turn, 0 where it had none.
    served: HashMap<IpAddr, u64>,
    /// Turns given so far.
    given: u64,
    /// The client of the last message, and the moment of the last one that was of another client than the one before it.
    last: Option<IpAddr>,
    mixed: Option<Instant>,
}

impl State {
    /// The next one that waits.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let (_, client) = self.line.pop_first()?;
        let number = self.note(client);
        let queue = self.waiting.get_mut(&client)?;
        let next = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&client);
        } else {
            self.line.insert((number, client));
        }
        next
    }

    /// Notes that the client gets a turn; its number.
    fn note(&mut self, client: IpAddr) -> u64 {
        if self.served.len() >= REMEMBERED {
            let (given, waiting) = (self.given, &self.waiting);
            self.served
                .retain(|client, number| given - *number < REMEMBERED as u64 / 2 || waiting.contains_key(client));
        }
        self.given += 1;
        self.served.insert(client, self.given);
        self.given
    }

    /// Puts one more session of the client into the line.
    fn join(&mut self, client: IpAddr) -> oneshot::Receiver<Turn> {
        let (sender, receiver) = oneshot::channel();
        let queue = self.waiting.entry(client).or_default();
        if queue.is_empty() {
            self.line.insert((self.served.get(&client).copied().unwrap_or_default(), client));
        }
        queue.push_back(sender);
        receiver
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
                state.note(client);
                return Some(Turn { turns: Some(Arc::clone(self)), end: now + LONGEST });
            }
            state.join(client)
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
    async fn the_client_whose_last_turn_is_the_longest_ago_is_next_however_many_sessions_each_has() {
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
        // The third had no turn yet, and the second had its last one before the first.
        assert_eq!(*order.lock().unwrap(), [3, 2, 1, 2, 1, 1, 1]);
        drop(held);
        let state = turns.lock();
        assert!(state.taken == 0 && state.waiting.is_empty() && state.line.is_empty(), "{state:?}");
    }

    #[test]
    fn clients_that_had_no_turn_for_long_are_forgotten() {
        let mut state = State::default();
        for number in 0..10_000_u32 {
            state.note(IpAddr::from(number.to_be_bytes()));
        }
        assert!((2_000..=REMEMBERED).contains(&state.served.len()), "{}", state.served.len());
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
