//! What is known outside the relay: what was sent and answered, what arrived, and when the power went.

use std::{
    collections::BTreeMap,
    ops::AddAssign,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};

use crate::{
    clock,
    spool::{
        DamageSummary,
        tests::simdisk::{Faults, Rng, SimDisk},
    },
};

/// How a loss is told.
pub(super) const LOST: &str = "answered 250 and lost";

/// A mark is durable so long after the answer that it tells of: a second, and what disk and network take.
const MARK_TIME: SignedDuration = SignedDuration::from_millis(1_200);

/// What the seeds saw.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// Messages answered 250.
    pub(super) answered: u64,
    /// Copies that arrived.
    pub(super) arrived: u64,
    /// Copies beyond the first, each of a message whose mark was not durable.
    pub(super) repeated: u64,
    /// Refusals by a host that led to a bounce.
    pub(super) bounced: u64,
    /// Messages answered 250 whose text had a file.
    pub(super) large: u64,
    /// Power cuts.
    pub(super) cuts: u64,
    /// Power cuts in the middle of a write or a sync.
    pub(super) cut_at_work: u64,
    /// Messages that a start found.
    pub(super) recovered: u64,
    /// Of all that happened, in its order.
    pub(super) trace: u64,
}

impl AddAssign for Seen {
    fn add_assign(&mut self, other: Seen) {
        self.answered += other.answered;
        self.arrived += other.arrived;
        self.repeated += other.repeated;
        self.bounced += other.bounced;
        self.large += other.large;
        self.cuts += other.cuts;
        self.cut_at_work += other.cut_at_work;
        self.recovered += other.recovered;
        self.trace ^= other.trace;
    }
}

/// A message that a client sent.
#[derive(Debug)]
struct Sent {
    /// Each is of this message alone.
    recipients: Vec<String>,
    text: Vec<u8>,
    answered: bool,
}

/// A moment in which a host took or refused something, and that of its answer, if it gave one.
#[derive(Debug, Clone, Copy)]
struct Event {
    at: Timestamp,
    answered: Option<Timestamp>,
}

#[derive(Debug)]
struct State {
    rng: Rng,
    seen: Seen,
    now: Timestamp,
    sent: Vec<Sent>,
    arrivals: BTreeMap<String, Vec<Event>>,
    refusals: BTreeMap<String, Vec<Event>>,
    bounces: BTreeMap<String, u64>,
    cuts: Vec<Timestamp>,
    /// All hosts are well, but for the one that wants no mail.
    calm: bool,
    wrong: Option<String>,
}

/// The world. Clones are the same one.
#[derive(Debug, Clone)]
pub(super) struct World(Arc<Mutex<State>>);

impl World {
    pub(super) fn new(seed: u64) -> World {
        World(Arc::new(Mutex::new(State {
            rng: Rng(seed),
            seen: Seen::default(),
            now: Timestamp::from_second(1_800_000_000).unwrap(),
            sent: Vec::new(),
            arrivals: BTreeMap::new(),
            refusals: BTreeMap::new(),
            bounces: BTreeMap::new(),
            cuts: Vec::new(),
            calm: false,
            wrong: None,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A generator for one task, so that what one does decides nothing for the others.
    pub(super) fn rng(&self) -> Rng {
        Rng(self.state().rng.next())
    }

    pub(super) fn disk(&self, faults: &Faults) -> SimDisk {
        let disk = SimDisk::new(self.state().rng.next());
        disk.faults(|of_disk| *of_disk = faults.clone());
        disk
    }

    /// When the next life begins.
    pub(super) fn start(&self) -> Timestamp {
        self.state().now
    }

    pub(super) fn set_calm(&self) {
        self.state().calm = true;
    }

    pub(super) fn is_calm(&self) -> bool {
        self.state().calm
    }

    pub(super) fn seen(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.state().seen);
    }

    /// A new message: its number, its recipients and its text.
    pub(super) fn compose(&self, rng: &mut Rng) -> (usize, Vec<String>, Vec<u8>) {
        let mut state = self.state();
        let number = state.sent.len();
        let domains = ["good.test", "busy.test", "flaky.test", "bad.test", "slow.test"];
        let recipients: Vec<String> =
            (0..1 + rng.below(3)).map(|n| format!("r{n}.m{number}@{}", domains[rng.below(domains.len())])).collect();
        let size = if rng.one_in(8) { 5_000 + rng.below(25_000) } else { rng.below(1_500) };
        let mut text = format!("Subject: m{number}\r\n\r\n").into_bytes();
        while text.len() < size {
            text.extend_from_slice(format!("{:016x}\r\n", rng.next()).as_bytes());
        }
        state.sent.push(Sent { recipients: recipients.clone(), text: text.clone(), answered: false });
        (number, recipients, text)
    }

    /// The client has read 250 for it.
    pub(super) fn answered(&self, number: usize) {
        let mut state = self.state();
        state.note("answered", number as u64);
        state.seen.answered += 1;
        let sent = &mut state.sent[number];
        sent.answered = true;
        let large = sent.text.len() > 4_096;
        state.seen.large += u64::from(large);
    }

    /// A host has all of a message. Returns which of its events are to be told of the answer.
    pub(super) fn arrived(&self, recipients: &[String], text: &[u8]) {
        let mut state = self.state();
        for recipient in recipients {
            state.note(recipient, text.len() as u64);
            state.seen.arrived += 1;
            match of(recipient) {
                Some(number) if state.sent.get(number).is_some_and(|sent| text.ends_with(&sent.text)) => {
                    let event = Event { at: clock::now(), answered: None };
                    state.arrivals.entry(recipient.clone()).or_default().push(event);
                }
                _ if recipient.ends_with("@back.test") => {
                    for failed in final_recipients(text) {
                        *state.bounces.entry(failed).or_default() += 1;
                    }
                }
                _ => state.wrong(format!("the message for {recipient} is not what was sent")),
            }
        }
    }

    /// The host answers 250 for what arrived last.
    pub(super) fn acknowledged(&self, recipients: &[String]) {
        let mut state = self.state();
        for recipient in recipients {
            let last = state.arrivals.get_mut(recipient).and_then(|events| events.last_mut());
            last.into_iter().for_each(|event| event.answered = Some(clock::now()));
        }
    }

    /// A host wants no mail for the recipient, ever.
    pub(super) fn refused(&self, recipient: &str) {
        let mut state = self.state();
        state.note(recipient, 550);
        state.seen.bounced += 1;
        let event = Event { at: clock::now(), answered: Some(clock::now()) };
        state.refusals.entry(recipient.to_owned()).or_default().push(event);
    }

    /// The relay has found damage on a disk that has none.
    pub(super) fn alarmed(&self, damage: Option<DamageSummary>) {
        damage.into_iter().for_each(|damage| self.state().wrong(format!("false alarm: {}", damage.first)));
    }

    /// Something is not as it should be.
    pub(super) fn wrong(&self, what: String) {
        self.state().wrong(what);
    }

    /// A life is over.
    pub(super) fn ended(&self, cut: bool) {
        let mut state = self.state();
        state.now = clock::now() + SignedDuration::from_secs(1);
        if cut {
            let at = clock::now();
            let number = state.cuts.len() as u64;
            state.note("cut", number);
            state.cuts.push(at);
            state.seen.cuts += 1;
        }
    }

    /// Whether everything that was promised was kept.
    pub(super) fn verdict(&self) -> Result<Seen, String> {
        let mut state = self.state();
        let lost: Vec<&String> = state
            .sent
            .iter()
            .filter(|sent| sent.answered)
            .flat_map(|sent| &sent.recipients)
            .filter(|recipient| !state.arrivals.contains_key(*recipient) && !state.bounces.contains_key(*recipient))
            .collect();
        if !lost.is_empty() {
            return Err(format!("{LOST}: {lost:?}"));
        }
        if let Some(wrong) = state.wrong.take() {
            return Err(wrong);
        }
        let mut repeated = 0;
        for (recipient, events) in state.arrivals.iter().chain(&state.refusals) {
            for event in events.split_last().map(|(_, earlier)| earlier).unwrap_or_default() {
                let until = event.answered.map(|at| at + MARK_TIME);
                // Without an answer nobody but the host knew.
                let excused = until.is_none_or(|until| state.cuts.iter().any(|cut| (event.at..=until).contains(cut)));
                if !excused {
                    return Err(format!("{recipient} came again though its mark was durable: {events:?}"));
                }
                repeated += 1;
            }
        }
        state.seen.repeated = repeated;
        Ok(state.seen.clone())
    }
}

impl State {
    /// Something is not as it should be; what was first is told.
    fn wrong(&mut self, what: String) {
        self.wrong.get_or_insert(what);
    }

    /// Mixes what happened, and when, into the trace (FNV-1a).
    fn note(&mut self, what: &str, number: u64) {
        let micros = clock::now().as_microsecond().to_le_bytes();
        for octet in what.bytes().chain(micros).chain(number.to_le_bytes()) {
            self.seen.trace = (self.seen.trace ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// The number of the message that a recipient is of.
fn of(recipient: &str) -> Option<usize> {
    recipient.split_once(".m")?.1.split_once('@')?.0.parse().ok()
}

fn final_recipients(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    text.lines().filter_map(|line| line.strip_prefix("Final-Recipient: rfc822; ").map(str::to_owned)).collect()
}
