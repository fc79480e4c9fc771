//! One Monitor out of the replicas': what the status of the SMTPRelay shows.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use mailsluice_crds::{
    monitor::{ClientKind, ClientRow, HostRow, HostState, Link, QueueTotals, RelayProblem, Snapshot},
    schedule::LinkState,
};

/// Connections shown for one host.
const CONNECTIONS: usize = 10;

/// Suspended addresses shown for one host.
const ADDRESSES: usize = 8;

/// The replicas' Monitors as one.
#[derive(Debug, Clone, PartialEq)]
pub struct Merged {
    /// The versions of the replicas' program; more than one while an upgrade is under way.
    pub version: String,
    /// Whether connections are allowed; closed where the replicas differ, as they do for a moment after a change.
    pub link: Link,
    /// The totals. Messages and octets are sums; hosts are counted once, and where a replica shows only its worst ones,
    /// they are as many as are known of.
    pub queue: QueueTotals,
    /// What hinders replicas as a whole, the worst first, each once.
    pub problems: Vec<RelayProblem>,
    /// The rows, each host once, the worst first.
    pub rows: Vec<HostRow>,
    /// The clients' rows, each client once, those refused most recently first.
    pub clients: Vec<ClientRow>,
    /// How many clients are known of: at least these, and as many as one replica has.
    pub clients_known: u32,
}

/// Merges them; `None` of none.
#[must_use]
pub fn merge(snapshots: &[Arc<Snapshot>]) -> Option<Merged> {
    let link = snapshots.iter().map(|snapshot| &snapshot.link).min_by_key(|link| {
        // Closed before open; then one that is sure to change before one that never does, so that the choice is stable.
        (link.state != LinkState::Closed, link.changes_at.is_none(), link.changes_at)
    })?;
    let versions: BTreeSet<&str> = snapshots.iter().map(|snapshot| snapshot.version.as_str()).collect();
    let (rows, clients) = (rows(snapshots), clients(snapshots));
    let of_replica =
        |snapshot: &Arc<Snapshot>| count(snapshot.clients.len()).saturating_add(snapshot.clients_not_shown);
    let clients_known = snapshots.iter().map(of_replica).max().unwrap_or(0).max(count(clients.len()));
    Some(Merged {
        version: versions.into_iter().collect::<Vec<_>>().join(", "),
        link: link.clone(),
        queue: totals(snapshots, &rows),
        problems: problems(snapshots),
        rows,
        clients,
        clients_known,
    })
}

/// Whether the host's mail waits for a time or for a person.
#[must_use]
pub fn is_suspended(row: &HostRow) -> bool {
    matches!(row.state, HostState::Suspended | HostState::Held)
}

fn totals(snapshots: &[Arc<Snapshot>], rows: &[HostRow]) -> QueueTotals {
    let queues = || snapshots.iter().map(|snapshot| &snapshot.queue);
    let shown = count(rows.len());
    let suspended = count(rows.iter().filter(|row| is_suspended(row)).count());
    QueueTotals {
        messages: queues().fold(0, |sum, queue| sum.saturating_add(queue.messages)),
        bytes: queues().fold(0, |sum, queue| sum.saturating_add(queue.bytes)),
        oldest: queues().filter_map(|queue| queue.oldest).min(),
        // The same host waits on several replicas, so their counts must not be added up.
        hosts: queues().map(|queue| queue.hosts).max().unwrap_or(0).max(shown),
        suspended_hosts: queues().map(|queue| queue.suspended_hosts).max().unwrap_or(0).max(suspended),
        stranded: Vec::new(),
    }
}

fn problems(snapshots: &[Arc<Snapshot>]) -> Vec<RelayProblem> {
    let mut worst: BTreeMap<_, &RelayProblem> = BTreeMap::new();
    for problem in snapshots.iter().flat_map(|snapshot| &snapshot.problems) {
        let known = worst.entry(problem.reason).or_insert(problem);
        if (problem.since, &problem.message) < (known.since, &known.message) {
            *known = problem;
        }
    }
    worst.into_values().cloned().collect()
}

fn rows(snapshots: &[Arc<Snapshot>]) -> Vec<HostRow> {
    let mut by_host: BTreeMap<&str, HostRow> = BTreeMap::new();
    for row in snapshots.iter().flat_map(|snapshot| &snapshot.monitor) {
        match by_host.get_mut(row.host.as_str()) {
            Some(merged) => add(merged, row),
            None => {
                by_host.insert(&row.host, row.clone());
            }
        }
    }
    let mut rows: Vec<_> = by_host.into_values().collect();
    for row in &mut rows {
        row.addresses.truncate(ADDRESSES);
        row.connections.sort_by(|a, b| (a.since, &a.peer).cmp(&(b.since, &b.peer)));
        row.connections.truncate(CONNECTIONS);
    }
    rows.sort_by(|a, b| order(a).cmp(&order(b)));
    rows
}

/// Suspended ones first, then by the oldest message; the name decides what is left open, so that rows never change places
/// without a reason.
fn order(row: &HostRow) -> (Reverse<bool>, bool, Option<Timestamp>, &str) {
    (Reverse(is_suspended(row)), row.oldest.is_none(), row.oldest, &row.host)
}

/// Adds another replica's row of the same host.
fn add(merged: &mut HostRow, row: &HostRow) {
    if tells_more(row, merged) {
        merged.state = row.state;
        merged.suspended_till = row.suspended_till;
        merged.reason = row.reason;
        merged.problem.clone_from(&row.problem);
    }
    merged.messages = merged.messages.saturating_add(row.messages);
    merged.oldest = [merged.oldest, row.oldest].into_iter().flatten().min();
    merged.failing_since = [merged.failing_since, row.failing_since].into_iter().flatten().min();
    if row.last_error.as_ref().map(|error| error.at) > merged.last_error.as_ref().map(|error| error.at) {
        merged.last_error.clone_from(&row.last_error);
    }
    for address in &row.addresses {
        match merged.addresses.iter_mut().find(|known| known.address == address.address) {
            // Replicas find out for themselves; mail moves again over the one that waits least.
            Some(known) if address.suspended_till < known.suspended_till => known.clone_from(address),
            Some(_) => {}
            None => merged.addresses.push(address.clone()),
        }
    }
    merged.connections.extend(row.connections.iter().cloned());
}

/// Each client once: what replicas counted is added up, and the newest of what they refused is shown.
fn clients(snapshots: &[Arc<Snapshot>]) -> Vec<ClientRow> {
    let mut by_client: BTreeMap<(ClientKind, &str), ClientRow> = BTreeMap::new();
    for row in snapshots.iter().flat_map(|snapshot| &snapshot.clients) {
        match by_client.get_mut(&(row.kind, row.client.as_str())) {
            Some(merged) => add_client(merged, row),
            None => {
                by_client.insert((row.kind, &row.client), row.clone());
            }
        }
    }
    let mut rows: Vec<_> = by_client.into_values().collect();
    rows.sort_by(|a, b| a.order().cmp(&b.order()));
    rows
}

fn add_client(merged: &mut ClientRow, row: &ClientRow) {
    merged.listed |= row.listed;
    merged.accepted = merged.accepted.saturating_add(row.accepted);
    merged.refused = merged.refused.saturating_add(row.refused);
    merged.last_seen = merged.last_seen.max(row.last_seen);
    merged.last_accepted = merged.last_accepted.max(row.last_accepted);
    if row.last_refusal.as_ref().map(|refusal| refusal.at) > merged.last_refusal.as_ref().map(|refusal| refusal.at) {
        merged.last_refusal.clone_from(&row.last_refusal);
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// A worse state tells more; of two that are suspended, the one that ends first, for that is when mail moves again.
fn tells_more(row: &HostRow, than: &HostRow) -> bool {
    match row.state.cmp(&than.state) {
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => match (row.suspended_till, than.suspended_till) {
            (Some(till), Some(other)) => till < other,
            (Some(_), None) => true,
            (None, None) => row.reason.is_some() && than.reason.is_none(),
            (None, Some(_)) => false,
        },
    }
}
