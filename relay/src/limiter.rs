//! How much each client, and all of them together, may take in a minute and at a time.
//!
//! Decisions:
//! - A client is an IPv4 address, or an IPv6 /64, which is the least that one site has: whoever has one can use any address in it.
//! - A minute is a client's own: it begins with what is counted first, and when it is over the count begins anew. So what a refusal
//!   names as the time to try again is true. (Postfix's anvil counts in the same way.)
//! - A connection, message or recipient over the limit is not counted; whoever asks again and again is let in no later for it.
//! - A message is counted at MAIL, as in Postfix, and its octets when it has ended: what they are beyond the limit is not given
//!   back, but counts towards the minutes that follow.
//! - What is known of clients is bounded by [`MOST_CLIENTS`]. Those with nothing open and their minute over are forgotten first; then
//!   any with nothing open, which is a gift to whoever has that many addresses, and costs nobody else anything.

mod ledger;

use std::{
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use mailsluice_crds::relay::{ClientLimits, Rates};
use tokio::time::Instant;

pub use ledger::MOST_CLIENTS;
use ledger::{Key, Ledger};

/// What is counted by the minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Connections begun.
    Connections,
    /// Messages begun.
    Messages,
    /// Recipients named.
    Recipients,
    /// Octets of messages taken.
    Bytes,
}

/// What may be counted in a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// In the order of [`Counted`]; the largest number stands for any.
    per_minute: [u64; 4],
}

impl From<&Rates> for Quota {
    fn from(rates: &Rates) -> Quota {
        let Rates { connections_per_minute, messages_per_minute, recipients_per_minute, bytes_per_minute } = rates;
        let count = |limit: &Option<u32>| limit.map_or(u64::MAX, u64::from);
        let bytes = bytes_per_minute.map_or(u64::MAX, |size| size.as_bytes());
        Quota {
            per_minute: [
                count(connections_per_minute),
                count(messages_per_minute),
                count(recipients_per_minute),
                bytes,
            ],
        }
    }
}

impl Quota {
    fn of(&self, counted: Counted) -> u64 {
        self.per_minute.get(counted as usize).copied().unwrap_or(u64::MAX)
    }
}

/// What a client may take, of its own and beside all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// Connections that the client may have open at a time.
    pub connections: u32,
    /// What the client may take in a minute.
    pub own: Quota,
    /// What all clients together may take in a minute.
    pub all: Quota,
}

impl Shares {
    /// Those of a client with these limits, where `connections` is the most that all may have open.
    #[must_use]
    pub fn new(own: &ClientLimits, all: &Rates, connections: u32) -> Shares {
        // Half of all, as Postfix has it: no client alone can lock the others out.
        let connections = own.connections.unwrap_or(connections.div_ceil(2));
        Shares { connections, own: Quota::from(&own.rates), all: all.into() }
    }
}

/// Whose limit it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The client's.
    Client,
    /// That of all clients together.
    All,
}

impl Scope {
    /// The label in metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Scope::Client => "client",
            Scope::All => "all",
        }
    }
}

/// A limit that is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Over {
    /// Whose it is.
    pub scope: Scope,
    /// What would have been one too many; none where it is connections open at a time.
    pub counted: Option<Counted>,
    /// The limit.
    pub limit: u64,
    /// The time until it may be tried again; none where that depends on when a connection ends.
    pub wait: Option<Duration>,
}

impl Over {
    /// The labels that metrics can have: all scopes and fields.
    pub const LABELS: [(&'static str, &'static str); 9] = [
        ("client", "connections"),
        ("client", "connectionsPerMinute"),
        ("client", "messagesPerMinute"),
        ("client", "recipientsPerMinute"),
        ("client", "bytesPerMinute"),
        ("all", "connectionsPerMinute"),
        ("all", "messagesPerMinute"),
        ("all", "recipientsPerMinute"),
        ("all", "bytesPerMinute"),
    ];

    /// The name of the field that says the limit.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self.counted {
            None => "connections",
            Some(Counted::Connections) => "connectionsPerMinute",
            Some(Counted::Messages) => "messagesPerMinute",
            Some(Counted::Recipients) => "recipientsPerMinute",
            Some(Counted::Bytes) => "bytesPerMinute",
        }
    }

    /// What the client is told.
    #[must_use]
    pub fn text(&self, client: IpAddr) -> String {
        let Over { scope, counted, limit, wait } = self;
        let who = match scope {
            Scope::Client => client.to_canonical().to_string(),
            Scope::All => "all clients together".to_owned(),
        };
        let what = match counted {
            None => format!("have {limit} connections open"),
            Some(Counted::Connections) => format!("begin {limit} connections a minute"),
            Some(Counted::Messages) => format!("begin {limit} messages a minute"),
            Some(Counted::Recipients) => format!("name {limit} recipients a minute"),
            Some(Counted::Bytes) => format!("send {limit} octets a minute"),
        };
        let when = match wait {
            Some(wait) => format!("in {} seconds", wait.as_millis().div_ceil(1_000).max(1)),
            None => "when one of them has ended".to_owned(),
        };
        format!("{who} may {what}; try again {when}")
    }
}

/// Counts.
#[derive(Debug)]
pub struct Limiter {
    since: Instant,
    ledger: Mutex<Ledger>,
}

impl Default for Limiter {
    fn default() -> Self {
        Limiter { since: Instant::now(), ledger: Mutex::default() }
    }
}

impl Limiter {
    /// Lets a connection of `client` in.
    ///
    /// # Errors
    /// The limit that it would exceed.
    pub fn enter(self: &Arc<Self>, client: IpAddr, shares: &Shares) -> Result<Seat, Over> {
        let key = Key::of(client);
        self.with(|ledger, now| ledger.enter(key, shares, now))?;
        Ok(Seat { limiter: Arc::clone(self), key })
    }

    /// Counts one message or recipient.
    ///
    /// # Errors
    /// The limit that it would exceed.
    pub fn count(&self, client: IpAddr, counted: Counted, shares: &Shares) -> Result<(), Over> {
        if shares.is_free(counted) {
            return Ok(());
        }
        self.with(|ledger, now| ledger.count(Key::of(client), counted, shares, now))
    }

    /// Whether there is room for octets of the client's in this minute.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn has_room(&self, client: IpAddr, shares: &Shares) -> Result<(), Over> {
        if shares.is_free(Counted::Bytes) {
            return Ok(());
        }
        self.with(|ledger, now| ledger.has_room(Key::of(client), shares, now))
    }

    /// Counts the octets of a message that has ended.
    pub fn took(&self, client: IpAddr, octets: u64, shares: &Shares) {
        if !shares.is_free(Counted::Bytes) {
            self.with(|ledger, now| ledger.took(Key::of(client), octets, shares, now));
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Ledger, u64) -> T) -> T {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        // Within the lock, so that the times that the ledger is told never go back.
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        work(&mut ledger, now)
    }
}

impl Shares {
    /// Whether nothing limits this.
    fn is_free(&self, counted: Counted) -> bool {
        self.own.of(counted) == u64::MAX && self.all.of(counted) == u64::MAX
    }
}

/// A client's connection, counted until this is dropped.
pub struct Seat {
    limiter: Arc<Limiter>,
    key: Key,
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.limiter.with(|ledger, now| ledger.leave(self.key, now));
    }
}
