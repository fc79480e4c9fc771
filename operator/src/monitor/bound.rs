//! Bounds of the status: whatever the queue, it stays small enough to be stored, watched and read.

use mailsluice_crds::{
    SMTPRelayStatus,
    monitor::{
        ClientRow, HostRow,
        client::{NAME, foremost},
    },
};

/// Hosts shown.
pub const HOSTS: usize = 32;
/// Clients shown.
pub const CLIENTS: usize = 16;
/// Characters of a message about a host or a client.
pub const TEXT: usize = 256;
/// Octets of the whole status, as JSON.
pub const OCTETS: usize = 16 << 10;

/// Octets of the clients' rows, as JSON: a fourth of all, so that the hosts' have room whatever strangers try.
const CLIENT_OCTETS: usize = OCTETS / 4;

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

/// The client's row with its texts cut to what the schema takes.
fn client(mut row: ClientRow) -> ClientRow {
    row.client = shortened(&row.client, NAME);
    if let Some(refusal) = &mut row.last_refusal {
        refusal.text = shortened(&refusal.text, TEXT);
        refusal.why = refusal.why.take().map(|why| shortened(&why, TEXT));
        refusal.address = shortened(&refusal.address, PEER);
        refusal.sender = refusal.sender.take().map(|sender| shortened(&sender, NAME));
        refusal.recipient = refusal.recipient.take().map(|recipient| shortened(&recipient, NAME));
    }
    row
}

/// Puts the foremost of the clients' rows into the status, and counts the others; before the hosts, who get the room that is left.
pub fn fill_clients(status: &mut SMTPRelayStatus, rows: &[ClientRow], known: u32) {
    status.clients.clear();
    let (rows, _) = foremost(rows.to_vec(), CLIENTS);
    let mut octets = 0;
    for candidate in rows.into_iter().map(client) {
        octets += size(&candidate) + 1;
        if octets > CLIENT_OCTETS {
            break;
        }
        status.clients.push(candidate);
    }
    status.clients_not_shown = known.saturating_sub(u32::try_from(status.clients.len()).unwrap_or(u32::MAX));
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
