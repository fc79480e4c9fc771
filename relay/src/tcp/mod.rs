//! The one way out: every outgoing session is asked for here, and only here is a connection opened.
//!
//! [`Gate::ask`] puts the question to the TCP Schedule and the connection limit; the answer is a [`Lease`] to open
//! connections, or a Suspended Till with its reason. What was asked, what the schedule answered and what came of it is
//! in the records with the marker `TCP(SMTP)`.
//!
//! - [`addresses`]: the addresses that are left alone for a while (pure);
//! - [`connect`]: a connection to the first of two addresses that answers;
//! - [`link`]: what the TCP Schedule says (pure); [`timetable`]: its week, for the Monitor (pure); [`table`]: the open connections, for the Monitor;
//! - [`visit`]: leave to connect for a dry run.

mod addresses;
mod connect;
mod link;
mod table;
mod timetable;
mod visit;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use mailsluice_crds::{
    LogLevel,
    monitor::{self, LastError, Reason},
    schedule::LinkState,
};
use tokio::sync::Notify;

pub use addresses::{AddressChange, Addresses, Blame, Held};
pub use connect::{ConnectError, Race, connect};
pub use link::Answer;
pub use table::{Entry, Table};
pub use timetable::Timetable;
pub use visit::Visit;

use crate::{
    clock,
    config::TcpSchedule,
    ids::SessionId,
    log::{Log, Record, TCP_SMTP, Tag},
    queue::{Facts, Suspension},
};
use link::Link;

/// How long nothing is sent anywhere after the system refused the relay itself a connection.
const PAUSE: SignedDuration = SignedDuration::from_secs(10);

/// How each record of a question begins.
const ASKED: &str = "SMTP asked for a TCP/IP session";

/// What a host gets when it asks for a session.
pub enum Permission {
    /// It may open one, for as long as it holds this.
    Granted(Lease),
    /// It waits; and what led to that.
    Suspended(Suspension, Box<Facts>),
    /// The relay has as many connections as it may; ask again when one has ended.
    NoConnectionLeft,
}

/// Where sessions are asked for.
pub struct Gate {
    state: Mutex<State>,
    addresses: Mutex<Addresses>,
    /// A session has ended, so that a connection may be left.
    ended: Notify,
    log: Log,
}

struct State {
    link: Link,
    /// Those of mail.
    connections: u32,
    /// Those of dry runs.
    visits: u32,
    limit: u32,
    /// Why nothing is sent at all, for a moment, and what the system said.
    paused: Option<(Suspension, LastError)>,
}

impl State {
    /// Connections that are open.
    fn open(&self) -> u32 {
        self.connections + self.visits
    }
}

/// Leave to open one connection to one host, until it is dropped.
pub struct Lease {
    gate: Arc<Gate>,
    of: Use,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Mail,
    Visit,
}

impl Gate {
    /// A gate that obeys `schedule` and lets at most `limit` sessions be open.
    #[must_use]
    pub fn new(schedule: TcpSchedule, limit: u32, log: Log) -> Arc<Gate> {
        let state = Mutex::new(State { link: Link::new(schedule), connections: 0, visits: 0, limit, paused: None });
        Arc::new(Gate { state, addresses: Mutex::default(), ended: Notify::new(), log })
    }

    /// Obeys another schedule and limit from here on.
    pub fn configure(&self, schedule: TcpSchedule, limit: u32) {
        let mut state = self.lock();
        state.link.set_schedule(schedule);
        state.limit = limit;
    }

    /// Lets at most so many sessions be open from here on; those beyond end after the message that they send.
    pub fn limit(&self, limit: u32) {
        self.lock().limit = limit;
    }

    /// Whether no more sessions are open than may be.
    #[must_use]
    pub fn is_within_limit(&self) -> bool {
        let state = self.lock();
        state.open() <= state.limit
    }

    /// Asks for a session with `host`, which will have this id if there is one. Every question is a record at AllInfo.
    #[must_use]
    pub fn ask(self: &Arc<Self>, host: &str, session: SessionId, now: Timestamp) -> Permission {
        let mut state = self.lock();
        let (connections, limit) = (state.open(), state.limit);
        let question = || {
            let record = self.log.at_question(Tag::Tcp, host).marker(TCP_SMTP).field("event", "Asked");
            record.field("session", session).number("connections", connections).number("limit", limit)
        };
        if connections >= limit {
            question()
                .say(format_args!("{ASKED}: as many are open as limits.connections allows; it waits for its turn"));
            return Permission::NoConnectionLeft;
        }
        if let Some((paused, error)) = &state.paused {
            if paused.till > Some(now) {
                let facts = Facts::failure(session, error);
                question().say(format_args!("{ASKED}: nothing is sent anywhere now"));
                return Permission::Suspended(paused.clone(), Box::new(facts));
            }
            state.paused = None;
        }
        let answer = state.link.ask(now);
        if matches!(answer, Answer::Open { .. }) {
            state.connections += 1;
            state.link.session_opened(now);
        }
        drop(state);
        let (schedule, rule, said) = match &answer {
            Answer::Open { schedule: None, .. } => (&None, &None, "there is no TCP Schedule to forbid it"),
            Answer::Open { schedule, rule } => (schedule, rule, "the TCP Schedule allows it"),
            Answer::Wait { schedule, rule, .. } => (schedule, rule, "the TCP Schedule does not allow it now"),
        };
        let record = question().maybe("schedule", schedule.as_ref()).maybe("rule", rule.as_ref());
        record.say(format_args!("{ASKED}: {said}"));
        match answer {
            Answer::Open { .. } => Permission::Granted(Lease { gate: self.clone(), of: Use::Mail }),
            Answer::Wait { schedule, rule, suspension } => {
                let facts = Facts { session: Some(session), schedule, rule, error: None };
                Permission::Suspended(suspension, Box::new(facts))
            }
        }
    }

    /// Looks at the suspended addresses, or changes them. Writes a record of each change.
    pub fn addresses<T>(&self, look: impl FnOnce(&mut Addresses) -> T) -> T {
        self.addresses_for(None, look)
    }

    /// The same, on behalf of a session.
    pub fn addresses_for<T>(&self, session: Option<SessionId>, look: impl FnOnce(&mut Addresses) -> T) -> T {
        // Nothing that is done under this lock panics half way. Records are written under it, in the order of the changes; there are none,
        // nearly always.
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let result = look(&mut addresses);
        for change in addresses.take_changes() {
            self.tell_address(session, &change);
        }
        result
    }

    fn tell_address(&self, session: Option<SessionId>, change: &AddressChange) {
        let record = |host: Option<&str>, event, address: &SocketAddr| {
            let record = match host {
                Some(host) => self.log.at_host(LogLevel::Problems, Tag::Tcp, host),
                None => self.log.at(LogLevel::Problems, Tag::Tcp),
            };
            record.marker(TCP_SMTP).field("event", event).maybe("session", session).field("address", address)
        };
        let held = |record: Record<'_>, held: &Held, what: &str| {
            record
                .field("reason", held.reason.name())
                .field("suspendedTill", held.till)
                .number("failures", held.failures)
                .field("code", &held.error.code)
                .field("stage", format_args!("{:?}", held.error.stage))
                .say(format_args!("{what}: {}", held.error.text));
        };
        match change {
            AddressChange::Suspended { address, host, blame, held: why } => {
                let (scope, what) = match blame {
                    Blame::Address => ("Address", "the address is suspended"),
                    Blame::HostThere => ("HostAtAddress", "the address is suspended for this host"),
                };
                held(record(Some(host), "AddressSuspended", address).field("scope", scope), why, what);
            }
            AddressChange::Met { address, host, held: why } => {
                held(record(Some(host), "AddressMet", address), why, "the host has come upon a suspended address");
            }
            AddressChange::Free { address, host: Some(host), why } => {
                let record = record(Some(host), "AddressReleased", address).field("scope", "HostAtAddress");
                record.say(format_args!("the address is not suspended for this host any more: {why}"));
            }
            AddressChange::Free { address, host: None, why } => {
                let record = record(None, "AddressReleased", address).field("scope", "Address");
                record.say(format_args!("the address is not suspended any more: {why}"));
            }
        }
    }

    /// Lets nothing out for a moment: the system refuses the relay itself what a connection needs.
    pub fn pause(&self, error: &LastError, now: Timestamp) -> Suspension {
        let till = now.checked_add(PAUSE).unwrap_or(Timestamp::MAX);
        let problem = format!(
            "{}: the relay itself cannot open connections, nothing is sent anywhere till {till:.0}: {}",
            error.place(),
            error.text
        );
        let till = Some(till);
        let suspension = Suspension { till, reason: Reason::ConnectionFailed, problem };
        self.lock().paused = Some((suspension.clone(), error.clone()));
        let record = self.log.at(LogLevel::Failures, Tag::Tcp).marker(TCP_SMTP).field("event", "Paused");
        record.error(error).maybe("suspendedTill", till).say(&suspension.problem);
        suspension
    }

    /// Forgets what it reckoned by a clock that has been set back since: it would last till that clock's time comes again.
    pub fn clock_was_set_back(&self, why: &'static str) {
        let mut state = self.lock();
        state.paused = None;
        state.link.forget_session();
        drop(state);
        self.addresses(|addresses| addresses.release_all(why));
    }

    /// Waits until a session has ended.
    pub async fn session_ended(&self) {
        self.ended.notified().await;
    }

    /// Sessions that are open.
    #[must_use]
    pub fn connections(&self) -> u32 {
        self.lock().open()
    }

    /// The limit of sessions, where as many are open.
    #[must_use]
    pub fn is_full(&self) -> Option<u32> {
        let state = self.lock();
        (state.open() >= state.limit).then_some(state.limit)
    }

    /// Whether connections are allowed at `now`, by which schedule, and till when.
    #[must_use]
    pub fn link(&self, now: Timestamp) -> monitor::Link {
        self.lock().link.describe(now)
    }

    /// What the TCP Schedule says at `now`, and its week.
    #[must_use]
    pub fn timetable(&self, now: Timestamp) -> Timetable {
        // A week of a long schedule takes a while to draw up: not under the lock that every session asks for.
        let link = self.lock().link.clone();
        link.timetable(now)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Whether another message may be sent: the link is still open, and there are no more sessions than may be.
    #[must_use]
    pub fn may_go_on(&self, now: Timestamp) -> bool {
        let mut state = self.gate.lock();
        state.open() <= state.limit && state.link.describe(now).state == LinkState::Open
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        match self.of {
            Use::Visit => state.visits = state.visits.saturating_sub(1),
            Use::Mail => {
                state.connections = state.connections.saturating_sub(1);
                if state.connections == 0 {
                    state.link.last_session_closed(clock::now());
                }
            }
        }
        drop(state);
        self.gate.ended.notify_one();
    }
}
