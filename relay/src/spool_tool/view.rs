//! A message as JSON has it: the names are those of the sink's envelopes, and of the Monitor.

use jiff::Timestamp;
use serde::Serialize;

use crate::spool::Recovered;

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

#[derive(Debug, Serialize)]
struct LastError<'a> {
    code: &'a str,
    text: &'a str,
    at: Timestamp,
}

impl<'a> Message<'a> {
    pub(super) fn new(found: &'a Recovered) -> Message<'a> {
        let envelope = &found.envelope;
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
            waiting: waiting.collect(),
        }
    }
}
