//! The outgoing connections, as the Monitor shows them.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use mailsluice_crds::monitor::{Connection, Stage};

use crate::queue::HostId;

/// All outgoing connections, by host.
#[derive(Clone, Default)]
pub struct Table {
    hosts: Arc<Mutex<HashMap<HostId, Vec<Shared>>>>,
}

type Shared = Arc<Mutex<State>>;

struct State {
    peer: Option<SocketAddr>,
    stage: Stage,
    since: Timestamp,
    last_reply: Option<String>,
}

/// One connection's place in the table, until it is dropped.
pub struct Entry {
    table: Table,
    host: HostId,
    state: Shared,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while it is held leaves whole values behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Table {
    /// Adds a connection that begins with looking up where the mail goes.
    #[must_use]
    pub fn add(&self, host: HostId) -> Entry {
        let state =
            Arc::new(Mutex::new(State { peer: None, stage: Stage::Dns, since: Timestamp::now(), last_reply: None }));
        lock(&self.hosts).entry(host).or_default().push(state.clone());
        Entry { table: self.clone(), host, state }
    }

    /// A host's connections, at most `most`. One whose address is still being looked up has the host's `name` for it.
    #[must_use]
    pub fn of(&self, host: HostId, name: &str, most: usize) -> Vec<Connection> {
        let hosts = lock(&self.hosts);
        let states = hosts.get(&host).map(Vec::as_slice).unwrap_or_default();
        states
            .iter()
            .take(most)
            .map(|state| {
                let state = lock(state);
                let peer = state.peer.map_or_else(|| name.to_owned(), |peer| peer.to_string());
                Connection { peer, stage: state.stage, since: state.since, last_reply: state.last_reply.clone() }
            })
            .collect()
    }
}

impl Entry {
    /// Another address is being tried.
    pub fn connecting(&self, peer: SocketAddr) {
        let mut state = lock(&self.state);
        state.peer = Some(peer);
        state.stage = Stage::Connect;
        state.since = Timestamp::now();
        state.last_reply = None;
    }

    /// The connection is doing something else now.
    pub fn stage(&self, stage: Stage) {
        let mut state = lock(&self.state);
        if state.stage != stage {
            state.stage = stage;
            state.since = Timestamp::now();
        }
    }

    /// What the connection is doing now.
    #[must_use]
    pub fn now_at(&self) -> Stage {
        lock(&self.state).stage
    }

    /// A reply came.
    pub fn reply(&self, text: String) {
        lock(&self.state).last_reply = Some(text);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut hosts = lock(&self.table.hosts);
        if let Some(states) = hosts.get_mut(&self.host) {
            states.retain(|state| !Arc::ptr_eq(state, &self.state));
            if states.is_empty() {
                hosts.remove(&self.host);
            }
        }
    }
}
