//! The way to a host: what a session that sends mail and a dry run have in common.
//!
//! It is [`look_up`](Approach::look_up) → [`narrow`](Approach::narrow) → [`wanted`](Approach::wanted) → [`reach`](Approach::reach), or
//! [`open`](Approach::open) where the connection is there already. Nothing on it knows of a message, and none of it changes what is
//! suspended: whoever goes it judges its [`Fault`](super::fault::Fault)s.

use std::sync::{Arc, Mutex, OnceLock};

use mailsluice_crds::LogLevel;

use super::{Courier, login::Login, policy::Asks, steps::Steps};
use crate::{
    config::Config,
    ids::SessionId,
    log::{Record, Tag},
    route::{NextHop, RouteError, Target, Terms, Way, listens_at},
    tcp::{Entry, Lease},
};

/// The way to one host, in one session.
pub(super) struct Approach {
    pub(super) courier: Arc<Courier>,
    pub(super) host: String,
    pub(super) hop: NextHop,
    /// That in force when the session began.
    pub(super) config: Arc<Config>,
    /// What the domain itself asks of TLS, once it is known.
    pub(super) asks: OnceLock<Asks>,
    pub(super) id: SessionId,
    pub(super) entry: Arc<Entry>,
    pub(super) lease: Lease,
    /// What the route to the host says of how mail leaves.
    pub(super) way: Arc<Way>,
    /// What the last connection was logged in with, where it was.
    pub(super) login: Mutex<Option<Login>>,
    /// Where a dry run notes what happens, which counts for nothing then; none where mail is sent.
    pub(super) dry_run: Option<Arc<Steps>>,
}

impl Approach {
    pub(super) fn new(courier: Arc<Courier>, host: String, id: SessionId, entry: Arc<Entry>, lease: Lease) -> Self {
        let hop = NextHop::from_host_name(&host);
        let config = courier.config.borrow().clone();
        let way = config.routes.way(&host);
        Approach {
            courier,
            host,
            hop,
            config,
            asks: OnceLock::new(),
            id,
            entry,
            lease,
            way,
            login: Mutex::default(),
            dry_run: None,
        }
    }

    /// The way as a dry run goes it.
    pub(super) fn dry(courier: Arc<Courier>, host: String, id: SessionId, lease: Lease, steps: Arc<Steps>) -> Self {
        let entry = Arc::new(Entry::apart());
        Approach { dry_run: Some(steps), ..Approach::new(courier, host, id, entry, lease) }
    }

    /// Notes something for a dry run.
    pub(super) fn note(&self, note: impl FnOnce(&Steps)) {
        if let Some(steps) = &self.dry_run {
            note(steps);
        }
    }

    /// A record of this session.
    pub(super) fn record(&self, level: LogLevel) -> Record<'_> {
        self.courier.log.at_host(level, Tag::Smtp, &self.host).field("session", self.id)
    }

    /// A connection to one of these is about to be opened.
    pub(super) fn connecting(&self, targets: &[&Target]) {
        for target in targets.iter().rev() {
            self.note(|steps| steps.connecting(&target.address.to_string()));
            self.entry.connecting(target.address);
            let record = self.record(LogLevel::LowLevel).field("peer", target.address);
            record.say(format_args!("connects to {}", target.name));
        }
    }

    /// The addresses of the host to try; `dane`: whether answers are to be proved.
    pub(super) async fn look_up(&self, dane: bool) -> Result<Vec<Target>, RouteError> {
        let ports: Vec<u16> = self.config.spec.listeners.iter().map(|listener| listener.port).collect();
        let terms = Terms {
            private: self.config.routes.allows_private(&self.host),
            dane,
            hostname: &self.config.hello,
            ours: &|address| listens_at(self.courier.bind, &ports, address),
        };
        let mut targets = self.courier.resolver.targets(&self.hop, &terms).await?;
        if targets.iter().any(|target| self.way.reaches(target.address)) {
            targets.retain(|target| self.way.reaches(target.address));
        }
        if self.courier.log.shows_host(LogLevel::AllInfo, &self.host) {
            let shown: Vec<_> = targets.iter().map(ToString::to_string).collect();
            let record = self.courier.log.at_host(LogLevel::AllInfo, Tag::Route, &self.host).field("session", self.id);
            record.say(format_args!("the DNS has led to {}", shown.join(", ")));
        }
        Ok(targets)
    }
}
