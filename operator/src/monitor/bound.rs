//! Bounds of the status: whatever the queue, it stays small enough to be stored, watched and read.

use mailsluice_crds::{SMTPRelayStatus, monitor::HostRow};

/// Hosts shown.
pub const HOSTS: usize = 32;
/// Characters of a message about a host.
pub const TEXT: usize = 256;
/// Octets of the whole status, as JSON.
pub const OCTETS: usize = 16 << 10;

/// Characters of an address and port.
const PEER: usize = 64;

/// The row with its texts cut to what the schema takes.
#[must_use]
pub fn row(mut row: HostRow) -> HostRow {
    row.problem = row.problem.map(|text| shortened(&text, TEXT));
    if let Some(error) = &mut row.last_error {
        error.peer = error.peer.take().map(|peer| shortened(&peer, PEER));
        error.text = shortened(&error.text, TEXT);
    }
    for address in &mut row.addresses {
        address.address = shortened(&address.address, PEER);
    }
    for connection in &mut row.connections {
        connection.peer = shortened(&connection.peer, PEER);
        connection.last_reply = connection.last_reply.take().map(|reply| shortened(&reply, TEXT));
        // What changes with every write is no status.
        connection.octets = None;
    }
    row
}

/// Puts as many of the rows into the status as it has room for, the first ones first, and counts the others.
pub fn fill(status: &mut SMTPRelayStatus, rows: &[HostRow], hosts: u32) {
    status.monitor.clear();
    // As long as it can get, so that what is counted below stays an upper bound.
    status.hosts_not_shown = u32::MAX;
    let mut octets = size(status) + ",\"monitor\":[]".len();
    for candidate in rows.iter().take(HOSTS) {
        let candidate = row(candidate.clone());
        octets += size(&candidate) + 1;
        if octets > OCTETS {
            break;
        }
        status.monitor.push(candidate);
    }
    let known = hosts.max(u32::try_from(rows.len()).unwrap_or(u32::MAX));
    status.hosts_not_shown = known.saturating_sub(u32::try_from(status.monitor.len()).unwrap_or(u32::MAX));
}

/// The text, cut to so many characters; one that was cut ends in an ellipsis.
#[must_use]
pub fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

fn size(value: &impl serde::Serialize) -> usize {
    // What has no JSON form cannot be stored either, and is left out as if it were too large.
    serde_json::to_vec(value).map_or(OCTETS + 1, |json| json.len())
}
