//! The outgoing connections, as the Monitor shows them.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use jiff::Timestamp;
use mailsluice_crds::monitor::{Connection, Octets, Stage};

use crate::queue::HostId;

/// All outgoing connections, by host.
#[derive(Clone, Default)]
pub struct Table {
    hosts: Arc<Mutex<HashMap<HostId, Vec<Shared>>>>,
}

type Shared = Arc<Row>;

struct Row {
    state: Mutex<State>,
    /// Counted beside the state, so that whoever sends takes no lock for it.
    sent: AtomicU64,
    received: AtomicU64,
}

struct State {
    peer: Option<SocketAddr>,
    stage: Stage,
    since: Timestamp,
    last_reply: Option<String>,
}

/// One connection's place in the table, until it is dropped.
pub struct Entry {
    /// None for one that is in no table.
    place: Option<(Table, HostId)>,
    row: Shared,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while it is held leaves whole values behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Table {
    /// Adds a connection that begins with looking up where the mail goes.
    #[must_use]
    pub fn add(&self, host: HostId) -> Entry {
        let row = Row::new();
        lock(&self.hosts).entry(host).or_default().push(row.clone());
        Entry { place: Some((self.clone(), host)), row }
    }

    /// A host's connections, at most `most`. One whose address is still being looked up has the host's `name` for it.
    #[must_use]
    pub fn of(&self, host: HostId, name: &str, most: usize) -> Vec<Connection> {
        let hosts = lock(&self.hosts);
        let rows = hosts.get(&host).map(Vec::as_slice).unwrap_or_default();
        rows.iter()
            .take(most)
            .map(|row| {
                let (sent, received) = row.octets();
                let State { peer, stage, since, last_reply } = &*lock(&row.state);
                let peer = peer.map_or_else(|| name.to_owned(), |peer| peer.to_string());
                let octets = Some(Octets { sent, received });
                Connection { peer, stage: *stage, since: *since, last_reply: last_reply.clone(), octets }
            })
            .collect()
    }
}

impl Row {
    fn new() -> Shared {
        let state = State { peer: None, stage: Stage::Dns, since: Timestamp::now(), last_reply: None };
        Arc::new(Row { state: Mutex::new(state), sent: AtomicU64::default(), received: AtomicU64::default() })
    }

    fn octets(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.received.load(Ordering::Relaxed))
    }
}

impl Entry {
    /// A connection that no host's row shows: it is not its mail's.
    #[must_use]
    pub fn apart() -> Entry {
        Entry { place: None, row: Row::new() }
    }

    /// Another address is being tried.
    pub fn connecting(&self, peer: SocketAddr) {
        self.row.sent.store(0, Ordering::Relaxed);
        self.row.received.store(0, Ordering::Relaxed);
        let mut state = lock(&self.row.state);
        state.peer = Some(peer);
        state.stage = Stage::Connect;
        state.since = Timestamp::now();
        state.last_reply = None;
    }

    /// The connection is doing something else now.
    pub fn stage(&self, stage: Stage) {
        let mut state = lock(&self.row.state);
        if state.stage != stage {
            state.stage = stage;
            state.since = Timestamp::now();
        }
    }

    /// What the connection is doing now.
    #[must_use]
    pub fn now_at(&self) -> Stage {
        lock(&self.row.state).stage
    }

    /// A reply came.
    pub fn reply(&self, text: String) {
        lock(&self.row.state).last_reply = Some(text);
    }
}

impl Entry {
    /// So many octets went out.
    pub fn sent(&self, octets: usize) {
        self.row.sent.fetch_add(octets as u64, Ordering::Relaxed);
    }

    /// So many octets came in.
    pub fn received(&self, octets: usize) {
        self.row.received.fetch_add(octets as u64, Ordering::Relaxed);
    }

    /// The octets that went out over the connection, and those that came in.
    #[must_use]
    pub fn octets(&self) -> (u64, u64) {
        self.row.octets()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let Some((table, host)) = &self.place else { return };
        let mut hosts = lock(&table.hosts);
        if let Some(states) = hosts.get_mut(host) {
            states.retain(|row| !Arc::ptr_eq(row, &self.row));
            if states.is_empty() {
                hosts.remove(host);
            }
        }
    }
}
