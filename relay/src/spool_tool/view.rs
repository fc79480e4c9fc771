//! A message as JSON has it: the names are those of the sink's envelopes, and of the Monitor.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    smtp::extensions::timing::{Late, Priority},
    spool::Recovered,
};

/// A message that waits.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Message<'a> {
    id: String,
    received_at: Timestamp,
    client: Option<String>,
    helo: &'a str,
    session: &'a str,
    sender: &'a str,
    recipients: &'a [String],
    size: u64,
    eight_bit: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold_until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deliver_by: Option<DeliverBy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<i8>,
    #[serde(skip_serializing_if = "is_false")]
    require_tls: bool,
    #[serde(skip_serializing_if = "is_false")]
    tls_optional: bool,
    waiting: Vec<Waiting<'a>>,
}

/// A recipient that is not done.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Waiting<'a> {
    recipient: &'a str,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<LastError<'a>>,
}

/// The moment by which a message is to be delivered, and what is done then: `Return` or `Notify`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DeliverBy {
    at: Timestamp,
    late: &'static str,
}

#[derive(Debug, Serialize)]
struct LastError<'a> {
    code: &'a str,
    text: &'a str,
    at: Timestamp,
}

impl<'a> Message<'a> {
    pub(super) fn new(found: &'a Recovered) -> Message<'a> {
        let envelope = &found.envelope;
        let timing = envelope.timing();
        let waiting = found.pending.iter().map(|pending| Waiting {
            recipient: envelope.recipients.get(usize::from(pending.recipient)).map_or("", String::as_str),
            attempts: pending.attempts,
            due: pending.due,
            last_error: pending.error.as_ref().map(|error| LastError {
                code: &error.code,
                text: &error.text,
                at: error.at,
            }),
        });
        Message {
            id: envelope.id.to_string(),
            received_at: envelope.received_at,
            client: envelope.client.address.map(|address| address.to_string()),
            helo: &envelope.client.helo,
            session: &envelope.client.session,
            sender: &envelope.sender,
            recipients: &envelope.recipients,
            size: envelope.size,
            eight_bit: envelope.eight_bit,
            hold_until: timing.hold_until,
            deliver_by: timing
                .deliver_by
                .map(|by| DeliverBy { at: by.at, late: if by.late == Late::Return { "Return" } else { "Notify" } }),
            priority: timing.priority.map(Priority::get),
            require_tls: envelope.requires_tls(),
            tls_optional: envelope.is_tls_optional(),
            waiting: waiting.collect(),
        }
    }
}

/// What most messages are not is left out.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_false(value: &bool) -> bool {
    !value
}
