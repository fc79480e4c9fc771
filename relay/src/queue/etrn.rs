//! A site asks for its mail (ETRN): what waits for it after failures is tried at once.

use jiff::{SignedDuration, Timestamp};
use mailsluice_crds::monitor::Reason;

use super::{HostId, Queue, Suspension};

/// A host that failed so short a time ago is not tried again: it answers the same, and who asks over and over must not make the
/// relay knock over and over.
const JUST_FAILED: SignedDuration = SignedDuration::from_secs(10);

/// What a site's asking came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Released {
    /// So many messages are sent now.
    Now(u64),
    /// Some are sent now, and some of the hosts stay held.
    Partly,
    /// Nothing can be sent now, and why.
    Held(Suspension),
    /// Nothing waits.
    Nothing,
}

impl Queue {
    /// Lets what waits for these hosts after failures go at once. Mail that its sender wants held stays, and so does what the
    /// TCP Schedule, a rate or an administrator holds: those are not the site's to lift.
    pub fn release_hosts(&mut self, hosts: &[HostId], now: Timestamp) -> Released {
        let mut released = 0;
        let mut held = None;
        for id in hosts {
            let Some(host) = self.hosts.get_mut(id) else { continue };
            if !host.has_mail() {
                continue;
            }
            if let Some(hold) = &host.hold {
                held = Some(Suspension { till: None, reason: Reason::Held, problem: hold.to_string() });
                continue;
            }
            let failed = matches!(
                host.suspension.as_ref().map(|held| held.reason),
                Some(Reason::DnsFailed | Reason::ConnectionFailed | Reason::TlsFailed | Reason::HostRefused)
            );
            let just = host.last_error.as_ref().is_some_and(|error| error.at.duration_until(now) < JUST_FAILED);
            if let Some(suspension) = host.suspension.as_ref().filter(|_| !failed || just) {
                held = Some(suspension.clone());
                continue;
            }
            if failed {
                host.suspension = None;
            }
            if !just {
                host.release_deferred();
            }
            released += host.sendable();
            self.changes.extend(host.change(Some("its site asks for its mail")));
            self.refresh(*id);
        }
        match (released, held) {
            (0, Some(held)) => Released::Held(held),
            (0, None) => Released::Nothing,
            (_, Some(_)) => Released::Partly,
            (count, None) => Released::Now(count),
        }
    }

    /// The hosts of these names that have mail.
    #[must_use]
    pub fn hosts_named<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Vec<HostId> {
        names.into_iter().filter_map(|name| self.names.get(name).copied()).collect()
    }

    /// The hosts that are below a domain, or it.
    #[must_use]
    pub fn hosts_below(&self, domain: &str) -> Vec<HostId> {
        let below = |name: &str| {
            let above = name.strip_suffix(domain);
            above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
        };
        self.names.iter().filter(|(name, _)| below(name)).map(|(_, id)| *id).collect()
    }
}
