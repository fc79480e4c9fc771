//! From a message that is safe in the spool to its places in the queue: one for each host that its recipients go to.

use jiff::Timestamp;

use crate::{
    queue::{Arrival, Part, Recipients},
    route::Routes,
    smtp::{Domain, ForwardPath},
    spool::{Draft, Extras, Location, MessageId, Recovered, Timing, Told},
};

/// The host name under which mail waits that no route is for: it is given up when it is tried.
const NO_DOMAIN: &str = "invalid";

/// What of a message's extras decides how it waits.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked {
    /// When it may be sent and is to be delivered, and how much it matters.
    timing: Timing,
    /// Whether it is to go even without the TLS that its domain asks for.
    tls_optional: bool,
}

impl Asked {
    /// What a draft asks for.
    #[must_use]
    pub fn of(draft: &Draft) -> Asked {
        let asked = |extras: &Extras| Asked { timing: extras.timing, tls_optional: extras.message.tls_optional };
        draft.extras.as_deref().map(asked).unwrap_or_default()
    }
}

/// Where a new message's recipients go.
#[must_use]
pub fn arrival(
    routes: &Routes,
    id: MessageId,
    location: Location,
    received_at: Timestamp,
    size: u64,
    recipients: &[String],
    asked: Asked,
) -> Arrival {
    let mut groups: Vec<(String, Vec<u16>)> = Vec::with_capacity(1);
    for (index, recipient) in (0_u16..).zip(recipients) {
        add(&mut groups, host_of(routes, recipient), index);
    }
    let parts = groups
        .into_iter()
        .map(|(host, recipients)| Part {
            host,
            recipients: recipients.into(),
            attempts: 0,
            due: None,
            told: Told::NOTHING,
            tls_optional: asked.tls_optional,
        })
        .collect();
    Arrival { id, location, size, received_at, timing: asked.timing, parts }
}

/// Where the recipients go that a restart found waiting, with their attempts and due times.
#[must_use]
pub fn recovered(routes: &Routes, found: &Recovered) -> Arrival {
    let envelope = &found.envelope;
    let mut parts: Vec<Part> = Vec::with_capacity(1);
    for pending in &found.pending {
        let Some(recipient) = envelope.recipients.get(usize::from(pending.recipient)) else { continue };
        let host = host_of(routes, recipient);
        match parts.iter_mut().find(|part| part.host == host) {
            Some(part) => {
                part.recipients = part.recipients.iter().copied().chain([pending.recipient]).collect();
                part.attempts = part.attempts.max(pending.attempts);
                part.due = part.due.min(pending.due);
                part.told = part.told.and(pending.told);
            }
            None => parts.push(Part {
                host,
                recipients: Recipients::one(pending.recipient),
                attempts: pending.attempts,
                due: pending.due,
                told: pending.told,
                tls_optional: envelope.is_tls_optional(),
            }),
        }
    }
    Arrival {
        id: envelope.id,
        location: found.location,
        size: envelope.size,
        received_at: envelope.received_at,
        timing: envelope.timing(),
        parts,
    }
}

/// The name of the host that a recipient's mail waits for.
#[must_use]
pub fn host_of(routes: &Routes, recipient: &str) -> String {
    let domain = match recipient.parse::<ForwardPath>() {
        Ok(path) => path.domain().map(str::to_owned),
        Err(_) => recipient.rsplit_once('@').and_then(|(_, domain)| Domain::parse(domain).ok()).map(|d| d.to_string()),
    };
    routes.next_hop(domain.as_deref().unwrap_or(NO_DOMAIN)).host_name()
}

fn add(groups: &mut Vec<(String, Vec<u16>)>, host: String, recipient: u16) {
    match groups.iter_mut().find(|(name, _)| *name == host) {
        Some((_, recipients)) => recipients.push(recipient),
        None => groups.push((host, vec![recipient])),
    }
}
