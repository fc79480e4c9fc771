//! The SMTP Monitor: the snapshot that the status, the page, the terminal and the metrics are all drawn from.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use mailsluice_crds::monitor::{Handover, HostRow, HostState, ProblemReason, Reason, RelayProblem, Snapshot};
use tokio::{sync::watch, time};

use crate::{
    clients::Clients,
    config::{Config, TcpSchedule},
    log::Log,
    metrics::Sample,
    portion::Allowed,
    queue::{HostSummary, SharedQueue},
    spool::{DamageSummary, Health, Room, Spool},
    tcp::{Gate, Table, Timetable},
};

/// Hosts in each line of the stream: enough for a merged status of 32 rows to be right, and bounded.
const STREAM_HOSTS: usize = 64;

/// Clients in each line of the stream: twice what a status has.
const STREAM_CLIENTS: usize = 32;

/// Connections shown for one host.
const CONNECTIONS_SHOWN: usize = 10;

/// The least time between two lines of the stream.
const STREAM_INTERVAL: Duration = Duration::from_millis(250);

/// How often what changes by itself (the link, the disk) is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Draws snapshots.
pub struct Monitor {
    version: &'static str,
    queue: Arc<SharedQueue>,
    gate: Arc<Gate>,
    table: Table,
    clients: Arc<Clients>,
    config: watch::Receiver<Arc<Config>>,
    spool: Spool,
    folder: PathBuf,
    log: Log,
    /// Problems of the relay as a whole, with the moment since when each has been there.
    problems: Mutex<Vec<RelayProblem>>,
    handover: Mutex<Option<Handover>>,
    /// This pod's part of the limits, and the version of the shares that it keeps to.
    portion: Mutex<(Allowed, Option<u64>)>,
    latest: watch::Sender<Arc<Snapshot>>,
}

/// What snapshots are drawn from.
pub struct Parts {
    /// The mail that waits.
    pub queue: Arc<SharedQueue>,
    /// The link.
    pub gate: Arc<Gate>,
    /// The outgoing connections.
    pub table: Table,
    /// The clients that hand mail in.
    pub clients: Arc<Clients>,
    /// The configuration in force.
    pub config: watch::Receiver<Arc<Config>>,
    /// The disk.
    pub spool: Spool,
    /// The spool's folder.
    pub folder: PathBuf,
    /// This pod's part of the limits.
    pub allowed: Allowed,
    /// The levels.
    pub log: Log,
}

impl Monitor {
    /// A Monitor over the running parts.
    #[must_use]
    pub fn new(parts: Parts, version: &'static str) -> Arc<Monitor> {
        let Parts { queue, gate, table, clients, config, spool, folder, allowed, log } = parts;
        let problems = Mutex::default();
        let empty = Snapshot {
            relay: String::new(),
            version: version.to_owned(),
            log_level: log.level(),
            link: gate.link(Timestamp::now()),
            queue: queue.read(crate::queue::Queue::totals),
            problems: Vec::new(),
            monitor: Vec::new(),
            hosts_not_shown: 0,
            clients: Vec::new(),
            clients_not_shown: 0,
            handover: None,
            shares: None,
        };
        let latest = watch::Sender::new(Arc::new(empty));
        Arc::new(Monitor {
            version,
            queue,
            gate,
            table,
            clients,
            config,
            spool,
            folder,
            log,
            problems,
            handover: Mutex::default(),
            portion: Mutex::new((allowed, None)),
            latest,
        })
    }

    /// Notes a problem of the relay as a whole, or that it is over.
    pub fn set_problem(&self, reason: ProblemReason, message: Option<String>) {
        set(&mut self.lock(), reason, message, Timestamp::now());
    }

    /// Notes how the hand-over goes of a relay that is scaled away.
    pub fn set_handover(&self, handover: Handover) {
        *lock(&self.handover) = Some(handover);
    }

    /// Notes this pod's part of the limits.
    pub fn set_allowed(&self, allowed: Allowed) {
        lock(&self.portion).0 = allowed;
    }

    /// Notes which version of the shares the pod keeps to.
    pub fn set_shares(&self, version: Option<u64>) {
        lock(&self.portion).1 = version;
    }

    /// The Monitor with at most `hosts` rows and the foremost clients, and without the octets of connections: they change all the time, and are no reason to say
    /// anything.
    #[must_use]
    pub fn snapshot(&self, hosts: usize) -> Snapshot {
        let mut snapshot = self.draw(hosts, STREAM_CLIENTS);
        let connections = snapshot.monitor.iter_mut().flat_map(|row| &mut row.connections);
        connections.for_each(|connection| connection.octets = None);
        snapshot
    }

    fn draw(&self, hosts: usize, clients: usize) -> Snapshot {
        let now = Timestamp::now();
        let config = self.config.borrow().clone();
        let (rows, left_out, totals) = self.queue.read(|queue| {
            let (rows, left_out) = queue.rows(hosts);
            (rows, left_out, queue.totals())
        });
        let full = self.gate.is_full();
        let (allowed, shares) = *lock(&self.portion);
        let (clients, clients_not_shown) = self.clients.rows(clients);
        let monitor = rows.into_iter().map(|row| self.row_where(row, (full, allowed), now)).collect();
        Snapshot {
            relay: config.name.clone(),
            version: self.version.to_owned(),
            log_level: self.log.level(),
            link: self.gate.link(now),
            queue: totals,
            problems: self.problems(&config, now),
            monitor,
            hosts_not_shown: u32::try_from(left_out).unwrap_or(u32::MAX),
            clients,
            clients_not_shown,
            handover: lock(&self.handover).clone(),
            shares,
        }
    }

    /// A host's row.
    #[must_use]
    pub fn row(&self, row: HostSummary, now: Timestamp) -> HostRow {
        let (allowed, _) = *lock(&self.portion);
        self.row_where(row, (self.gate.is_full(), allowed), now)
    }

    /// A host's row, where it is known whether all connections are in use, and what the pod may use.
    fn row_where(&self, row: HostSummary, (full, allowed): (Option<u32>, Allowed), now: Timestamp) -> HostRow {
        let row = crowded_out(row, full, allowed);
        HostRow {
            addresses: self.gate.addresses(|addresses| addresses.rows(&row.host, now)),
            connections: self.table.of(row.id, &row.host, CONNECTIONS_SHOWN),
            host: row.host,
            state: row.state,
            messages: row.messages,
            oldest: row.oldest,
            suspended_till: row.suspended_till,
            reason: row.reason,
            problem: row.problem.map(|text| crate::errors::shortened(&text, 256)),
            failing_since: row.failing_since,
            last_error: row.last_error,
        }
    }

    /// The Monitor with all its rows, and with what has gone over each connection.
    #[must_use]
    pub fn whole(&self) -> Snapshot {
        self.draw(usize::MAX, usize::MAX)
    }

    /// The bounded Monitor of this moment, and the ones that follow as it changes.
    #[must_use]
    pub fn subscribe(&self) -> (Snapshot, watch::Receiver<Arc<Snapshot>>) {
        // Subscribed first: a change that falls between is seen twice rather than never.
        let mut changes = self.latest.subscribe();
        changes.mark_unchanged();
        (self.snapshot(STREAM_HOSTS), changes)
    }

    /// What the TCP Schedule says now, and its week.
    #[must_use]
    pub fn timetable(&self) -> Timetable {
        self.gate.timetable(Timestamp::now())
    }

    /// Sends subscribers a snapshot at each change, until the relay stops.
    pub async fn publish(self: Arc<Self>) {
        let mut look = time::interval(LOOK_INTERVAL);
        look.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.queue.changed() => {}
                _ = look.tick() => {}
            }
            if self.latest.receiver_count() > 0 {
                let snapshot = self.snapshot(STREAM_HOSTS);
                self.latest.send_if_modified(|latest| {
                    let changed = **latest != snapshot;
                    if changed {
                        *latest = Arc::new(snapshot);
                    }
                    changed
                });
            }
            time::sleep(STREAM_INTERVAL).await;
        }
    }

    /// The values that metrics sample.
    #[must_use]
    pub fn sample(&self) -> Sample {
        let (spool, now, config) = (self.spool.stats(), Timestamp::now(), self.config.borrow().clone());
        let expire_after = config.spec.retry.expire_after.duration();
        let (queue, next_expiry, hosts, sendable) = self
            .queue
            .read(|queue| (queue.totals(), queue.next_too_old(expire_after), queue.states(), queue.sendable()));
        Sample {
            queue,
            // Where no connection is left, all of it waits for one.
            sendable: if self.gate.is_full().is_some() { 0 } else { sendable },
            next_expiry,
            hosts,
            sessions_out: self.gate.connections(),
            link: self.gate.link(now),
            log_level: self.log.level(),
            spool_live: spool.bytes_live,
            spool_held: spool.bytes_held,
            spool_room: Room::of(&self.folder).ok(),
            spool_accepting: self.spool.health() == Health::Good,
            spool_damaged: spool.damaged,
            problems: self.problems(&config, now).into_iter().map(|problem| problem.reason).collect(),
            expire_after,
        }
    }

    /// Whether new mail can be taken.
    #[must_use]
    pub fn accepts_mail(&self) -> bool {
        self.spool.health() == Health::Good
    }

    fn problems(&self, config: &Config, now: Timestamp) -> Vec<RelayProblem> {
        let (failing, full) = match self.spool.health() {
            Health::Good => (None, None),
            Health::Full(why) => (None, Some(format!("no mail is accepted: the spool's disk is full: {why}"))),
            Health::ReadOnly(why) | Health::Failing(why) => {
                (Some(format!("no mail is accepted: the spool cannot be written: {why}")), None)
            }
        };
        let missing = match &config.schedule {
            TcpSchedule::Missing(name) => {
                Some(format!("all mail is held: TCP Schedule {name} does not exist; create it, or correct scheduleRef"))
            }
            TcpSchedule::None | TcpSchedule::Known(_) => None,
        };
        let damaged = self.spool.damage().map(|damage| {
            let DamageSummary { records, first } = damage;
            let are = if records == 1 { "record of the spool is" } else { "records of the spool are" };
            format!(
                "{records} {are} damaged and set aside, all other mail is delivered; the log names the messages, and \
                 `mailsluice-relay spool check` lists what is damaged; remove the damaged-* files and restart when it is dealt with; first: {first}"
            )
        });
        let held = self.queue.read(|queue| queue.holds().of_all());
        let (held, held_since) = held.map_or((None, now), |(sentence, since)| (Some(sentence), since));
        let mut problems = self.lock();
        set(&mut problems, ProblemReason::Held, held, held_since);
        set(&mut problems, ProblemReason::SpoolDamaged, damaged, now);
        set(&mut problems, ProblemReason::SpoolFailing, failing, now);
        set(&mut problems, ProblemReason::QueueFull, full, now);
        set(&mut problems, ProblemReason::ScheduleNotFound, missing, now);
        problems.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<RelayProblem>> {
        lock(&self.problems)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A host that could be sent to and has no session waits for a connection, where all are in use, or the pod has no part of the limits.
fn crowded_out(mut row: HostSummary, full: Option<u32>, allowed: Allowed) -> HostSummary {
    if row.state != HostState::Ready {
        return row;
    }
    let problem = match (allowed.nothing, full) {
        (Some(why), _) => Some(format!("this pod has no part of the relay's limits now: {why}")),
        (None, Some(limit)) => {
            let whose = if allowed.divided { "this pod's part of " } else { "" };
            Some(format!(
                "{whose}limits.connections is {limit}, and so many are open; it goes as soon as one of them ends"
            ))
        }
        (None, None) => None,
    };
    if problem.is_some() {
        row.reason = Some(Reason::ConnectionsLimited);
        row.problem = problem;
    }
    row
}

/// Keeps the list ordered by reason, the worst first, and each problem's `since` for as long as it is there.
fn set(problems: &mut Vec<RelayProblem>, reason: ProblemReason, message: Option<String>, now: Timestamp) {
    let place = problems.binary_search_by_key(&reason, |problem| problem.reason);
    match (place, message) {
        (Ok(at), Some(message)) => {
            if let Some(problem) = problems.get_mut(at) {
                problem.message = message;
            }
        }
        (Ok(at), None) => {
            problems.remove(at);
        }
        (Err(at), Some(message)) => problems.insert(at, RelayProblem { reason, message, since: now }),
        (Err(_), None) => {}
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn a_problem_keeps_its_beginning_until_it_is_over() {
        let mut problems = Vec::new();
        let start = Timestamp::UNIX_EPOCH;
        let later = start + SignedDuration::from_secs(60);
        set(&mut problems, ProblemReason::ConfigurationInvalid, Some("a".into()), start);
        set(&mut problems, ProblemReason::SpoolFailing, Some("b".into()), later);
        set(&mut problems, ProblemReason::ConfigurationInvalid, Some("c".into()), later);
        let shown: Vec<_> = problems.iter().map(|p| (p.reason, p.message.as_str(), p.since)).collect();
        assert_eq!(
            shown,
            [(ProblemReason::SpoolFailing, "b", later), (ProblemReason::ConfigurationInvalid, "c", start)]
        );
        set(&mut problems, ProblemReason::SpoolFailing, None, later);
        assert_eq!(problems.len(), 1);
    }
}
