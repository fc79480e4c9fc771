//! The limits that hold for the relay as a whole, as far as they are this pod's.

use std::time::Instant;

use mailsluice_crds::{LogLevel, monitor::Reason, relay::SMTPRelaySpec};

use super::{Relay, Told};
use crate::{
    config::Config,
    log::{Log, Tag},
    portion::{Allowed, Portion},
    queue::{Limits, Queue},
};

/// Why hosts that had as many messages as they might are tried again.
const CHANGED: &str = "this pod's part of the limits has changed";

impl Told<'_> {
    /// Looks whether limits are divided anew; true when the pod's part is another one from here on.
    pub(super) fn look_at_shares(&mut self, config: &Config, log: &Log) -> bool {
        let Some(lookout) = &mut self.lookout else { return false };
        let before = lookout.portion();
        if let Err(error) = lookout.look(&config.spec.limits, Instant::now()) {
            log.at(LogLevel::Failures, Tag::Relay).say(error);
        }
        let portion = lookout.portion();
        if let Portion::Part { pod, shares } = portion
            && portion != before
        {
            let Allowed { connections, connections_per_host, messages_per_host_per_minute, .. } =
                portion.of(&config.spec.limits);
            log.at(LogLevel::Major, Tag::Relay)
                .number("pod", pod)
                .number("pods", shares.goal().among)
                .number("connections", connections)
                .number("connectionsPerHost", connections_per_host)
                .maybe("messagesPerHostPerMinute", messages_per_host_per_minute)
                .say("the relay's limits are divided anew");
        }
        portion != before
    }

    /// What this pod may use of a configuration's limits.
    pub(super) fn allowed(&self, config: &Config) -> Allowed {
        self.lookout.as_ref().map_or(Portion::Whole, |lookout| lookout.portion()).of(&config.spec.limits)
    }
}

impl Relay {
    /// Keeps to this pod's part of the limits, and notes how far it does.
    pub(super) fn keep_to_shares(&self, told: &mut Told<'_>) {
        let config = self.config.borrow().clone();
        if told.look_at_shares(&config, &self.log) {
            let allowed = told.allowed(&config);
            self.gate.limit(allowed.connections);
            self.monitor.set_allowed(allowed);
            self.queue.change(|queue| {
                queue.configure(queue_limits(&config.spec, allowed));
                queue.release(&[Reason::RateLimited], CHANGED);
            });
        }
        if let Some(lookout) = &mut told.lookout {
            let within = || self.gate.is_within_limit() && self.queue.read(Queue::is_within_limits);
            self.monitor.set_shares(lookout.settle(&config.spec.limits, within, Instant::now()));
        }
    }
}

/// What the queue keeps to.
pub(super) fn queue_limits(spec: &SMTPRelaySpec, allowed: Allowed) -> Limits {
    Limits {
        backoff: (&spec.retry).into(),
        connections_per_host: allowed.connections_per_host,
        messages_per_minute: allowed.messages_per_host_per_minute,
        divided: allowed.divided,
    }
}
