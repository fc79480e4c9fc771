//! Connections to the gateway that are ready for the next message: each belongs to one transaction at a time.
//!
//! Decisions:
//! - A transaction begins over a connection that is ready, if there is one, and is over with the gateway's reply to its text. So an
//!   application that keeps its own connection open takes none of the gateway's.
//! - A few connections are kept ready ([`Terms::warm`]), so that the first message after a silence waits for no handshake. They are made
//!   anew before the gateway tires of them: a new one comes to any of the replicas, with the token of now.
//! - What is given back in the middle of a transaction goes through RSET first, and is closed where that fails.
//! - Where the gateway is away, a lease waits for it as long as the application is to wait, unless it is certain that waiting does not help.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use mailsluice_crds::LogLevel;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    away::Away,
    gateway::{Connection, Gateway},
    offers::Offers,
};
use crate::log::Tag;

/// For so long a connection is used: replicas come and go, and a token does not last for ever.
const AGE_MAX: Duration = Duration::from_secs(600);

/// For so long a connection waits for its next use: less than the five minutes after which servers close (RFC 5321 section 4.5.3.2.7).
const IDLE_MAX: Duration = Duration::from_secs(240);

/// For so long one waits that is more than are to be kept.
const SURPLUS_MAX: Duration = Duration::from_secs(10);

/// How often connections that wait are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The first and the longest pause between two tries to have a connection ready while nobody waits for it.
const KEEP_PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// The first and the longest pause between two tries while an application waits.
const LEASE_PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// How many connections there are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// As many are kept ready.
    pub(super) warm: usize,
    /// As many transactions at once.
    pub(super) most: usize,
    /// For so long an application waits for a gateway that is away.
    pub(super) wait: Duration,
}

/// The connections.
pub(super) struct Pool {
    pub(super) gateway: Gateway,
    pub(super) terms: Terms,
    slots: Arc<Semaphore>,
    waiting: Mutex<Vec<Waiting>>,
    offers: Mutex<Option<Offers>>,
    /// What is known of the gateway: nothing, that it is away, or that it is there.
    known: AtomicU8,
    leaving: TaskTracker,
    stop: CancellationToken,
}

const UNKNOWN: u8 = 0;
const AWAY: u8 = 1;
const THERE: u8 = 2;

/// A connection that waits for its next use.
struct Waiting {
    connection: Connection,
    since: Instant,
}

/// A connection in use.
pub(super) struct Lease {
    pub(super) connection: Connection,
    slot: OwnedSemaphorePermit,
}

impl Pool {
    pub(super) fn new(gateway: Gateway, terms: Terms, stop: CancellationToken) -> Pool {
        Pool {
            gateway,
            terms,
            slots: Arc::new(Semaphore::new(terms.most)),
            waiting: Mutex::default(),
            offers: Mutex::default(),
            known: AtomicU8::new(UNKNOWN),
            leaving: TaskTracker::new(),
            stop,
        }
    }

    /// A connection for one transaction: one that is ready, or a new one.
    pub(super) async fn lease(&self, deadline: Instant) -> Result<Lease, Away> {
        let slot = match time::timeout_at(deadline.into(), self.slots.clone().acquire_owned()).await {
            Ok(Ok(slot)) => slot,
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => return Err(Away::Busy(self.terms.most)),
        };
        let (mut pause, longest) = LEASE_PAUSES;
        loop {
            if let Some(connection) = self.ready().await {
                return Ok(Lease { connection, slot });
            }
            match self.connect(deadline).await {
                Ok(connection) => return Ok(Lease { connection, slot }),
                Err(away) if !away.may_pass() || Instant::now() + pause >= deadline => return Err(away),
                Err(_) => {}
            }
            time::sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    /// Takes back a connection that is in no transaction.
    pub(super) fn give_back(&self, lease: Lease) {
        let Lease { mut connection, slot } = lease;
        connection.client.observer_mut().lend(None);
        if !connection.client.is_usable() {
            return;
        }
        if connection.opened.elapsed() >= AGE_MAX || self.stop.is_cancelled() {
            self.take_leave(connection);
        } else {
            // Before the slot is free: who waits for one finds the connection.
            self.waiting().push(Waiting { connection, since: Instant::now() });
        }
        drop(slot);
    }

    /// Takes back a connection whose transaction is to be forgotten.
    pub(super) fn give_up(self: &Arc<Self>, mut lease: Lease) {
        // In the middle of a text there is no way back: what comes next would be a part of it.
        if !lease.connection.client.is_usable() {
            return;
        }
        let pool = self.clone();
        self.leaving.spawn(async move {
            if lease
                .connection
                .client
                .pass(&[b"RSET"])
                .await
                .is_ok_and(|replies| replies.iter().all(|r| r.is_success()))
            {
                pool.give_back(lease);
            }
        });
    }

    /// A connection to this address broke: the next one goes elsewhere, if there is an elsewhere.
    pub(super) fn broke(&self, address: SocketAddr) {
        self.gateway.failed(address);
        self.waiting().retain(|waiting| waiting.connection.address != address);
    }

    /// What the gateway offers; where that is not known yet, it is asked, for as long as an application waits.
    pub(super) async fn offers(&self) -> Offers {
        if let Some(offers) = self.known_offers() {
            return offers;
        }
        if let Ok(lease) = self.lease(Instant::now() + self.terms.wait).await {
            self.give_back(lease);
        }
        self.known_offers().unwrap_or_default()
    }

    /// How many connections are ready.
    #[cfg(test)]
    pub(super) fn count_ready(&self) -> usize {
        self.waiting().len()
    }

    /// Takes in a connection that is ready.
    #[cfg(test)]
    pub(super) fn add(&self, connection: Connection) {
        self.waiting().push(Waiting { connection, since: Instant::now() });
    }

    /// Keeps connections ready, until the sidecar stops.
    pub(super) async fn keep(self: Arc<Self>) {
        let (mut pause, longest) = KEEP_PAUSES;
        let mut next_try = Instant::now();
        loop {
            self.look().await;
            let in_use = self.terms.most.saturating_sub(self.slots.available_permits());
            let lacks = self.waiting().len() + in_use < self.terms.warm;
            if lacks && Instant::now() >= next_try {
                match self.connect(Instant::now() + self.terms.wait).await {
                    Ok(connection) => {
                        pause = KEEP_PAUSES.0;
                        self.waiting().push(Waiting { connection, since: Instant::now() });
                        continue;
                    }
                    Err(_) => {
                        next_try = Instant::now() + pause;
                        pause = (pause * 2).min(longest);
                    }
                }
            }
            tokio::select! {
                () = time::sleep(LOOK_INTERVAL) => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    /// Takes leave of the gateway over all connections that wait, within this time.
    pub(super) async fn close(&self, limit: Duration) {
        let waiting = std::mem::take(&mut *self.waiting());
        waiting.into_iter().for_each(|waiting| self.take_leave(waiting.connection));
        self.leaving.close();
        // It matters to nobody whether the gateway hears that.
        let _ = time::timeout(limit, self.leaving.wait()).await;
    }

    /// One that waits, if it is still good; the one that was used last, so that those which nobody needs grow old.
    async fn ready(&self) -> Option<Connection> {
        loop {
            let Waiting { mut connection, .. } = self.waiting().pop()?;
            if connection.client.expect_silence().await.is_ok() {
                return Some(connection);
            }
        }
    }

    async fn connect(&self, deadline: Instant) -> Result<Connection, Away> {
        let connected = self.gateway.connect(deadline).await;
        let now = if connected.is_ok() { THERE } else { AWAY };
        let changed = self.known.swap(now, Ordering::Relaxed) != now;
        self.gateway.metrics.gateway_up.set(i64::from(connected.is_ok()));
        match &connected {
            Ok(connection) => {
                *self.offers.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection.offers.clone());
                if changed {
                    let record = self.gateway.log.at(LogLevel::Major, Tag::Tcp).field("peer", connection.address);
                    record.say("the gateway lets the sidecar in");
                }
            }
            Err(away) if changed => {
                let record = self.gateway.log.at(LogLevel::Failures, Tag::Tcp);
                record.say(format_args!("the mail gateway {} cannot be used now: {away}", self.gateway.shown()));
            }
            Err(_) => {}
        }
        connected
    }

    /// Lets go of connections that have waited long enough, or that the gateway has closed.
    async fn look(&self) {
        // The oldest first, as they lie.
        let all = std::mem::take(&mut *self.waiting());
        let mut surplus = all.len().saturating_sub(self.terms.warm);
        let mut kept = Vec::with_capacity(all.len());
        for mut waiting in all {
            let (idle, age) = (waiting.since.elapsed(), waiting.connection.opened.elapsed());
            if waiting.connection.client.expect_silence().await.is_err() {
                surplus = surplus.saturating_sub(1);
            } else if idle >= IDLE_MAX || age >= AGE_MAX || surplus > 0 && idle >= SURPLUS_MAX {
                surplus = surplus.saturating_sub(1);
                self.take_leave(waiting.connection);
            } else {
                kept.push(waiting);
            }
        }
        // Below what was given back meanwhile.
        let mut now = self.waiting();
        kept.append(&mut now);
        *now = kept;
    }

    fn take_leave(&self, connection: Connection) {
        self.leaving.spawn(async move {
            let Connection { client, _open, .. } = connection;
            let _ = client.quit().await;
        });
    }

    fn known_offers(&self) -> Option<Offers> {
        self.offers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
