//! The levels that are wanted: those of the configuration, and those that were changed at run time. Pure.

use std::collections::HashMap;

use jiff::Timestamp;
use mailsluice_crds::{LogLevel, relay};

/// A level that was changed at run time. It is over when the configuration is read again, at the latest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// The host that it is for, in lower case; the whole relay where there is none.
    pub host: Option<String>,
    /// The level.
    pub level: LogLevel,
    /// When it falls back.
    pub until: Option<Timestamp>,
}

/// What is wanted.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    configured: relay::Log,
    overrides: Vec<Override>,
}

/// The level of a single host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HostLevel {
    pub(super) level: LogLevel,
    pub(super) until: Option<Timestamp>,
}

impl Wanted {
    pub(super) fn configured(log: relay::Log) -> Wanted {
        Wanted { configured: log, overrides: Vec::new() }
    }

    pub(super) fn change(&mut self, change: Override) {
        self.overrides.retain(|known| known.host != change.host);
        self.overrides.push(change);
    }

    pub(super) fn forget_over(&mut self, now: Timestamp) {
        self.overrides.retain(|known| known.until.is_none_or(|until| now < until));
    }

    pub(super) fn overrides(&self) -> &[Override] {
        &self.overrides
    }

    /// The relay's level, and those of hosts.
    pub(super) fn in_force(&self) -> (LogLevel, HashMap<String, HostLevel>) {
        let mut level = self.configured.level;
        let configured = self.configured.hosts.iter();
        let mut hosts: HashMap<String, HostLevel> = configured
            .map(|host| (host.host.to_ascii_lowercase(), HostLevel { level: host.level, until: host.until }))
            .collect();
        for Override { host, level: changed, until: _ } in &self.overrides {
            match host {
                // Its end is waited for, so that what the configuration says of the host comes back then.
                Some(host) => drop(hosts.insert(host.clone(), HostLevel { level: *changed, until: None })),
                None => level = *changed,
            }
        }
        (level, hosts)
    }
}
