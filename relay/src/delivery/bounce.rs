//! Mail that is given up goes back to its sender.

use std::io;

use bytes::Bytes;
use mailsluice_crds::LogLevel;

use super::{Courier, outcome::Failure};
use crate::{
    clock, intake,
    log::Tag,
    report::{self, FailedRecipient, Original},
    smtp::extensions::Notify,
    spool::{Body, BodyReader, Client, Draft, Envelope, Purpose},
};

/// Octets of the original that are searched for the end of its header; what a bounce returns is no longer than this.
const HEADER_LIMIT: usize = 64 << 10;

impl Courier {
    /// Returns a message to its sender for the recipients that failed, and waits until the bounce is safe on disk: only
    /// then may the failure be marked. A message with a null reverse-path is never answered (RFC 5321 section 6.1).
    pub(super) async fn bounce(
        &self,
        envelope: &Envelope,
        body: Option<BodyReader>,
        failed: &[Failure],
    ) -> Result<(), BounceError> {
        for failure in failed {
            self.metrics.bounced.inc();
            self.log
                .at(LogLevel::Failures, Tag::Report)
                .field("message", envelope.id)
                .field("sender", &envelope.sender)
                .maybe("recipient", envelope.recipients.get(usize::from(failure.recipient)))
                .field("status", &failure.status)
                .maybe("remote", failure.remote.as_ref())
                .say(format_args!("gave a recipient up: {}", failure.reply.as_ref().unwrap_or(&failure.text)));
        }
        let wanted = |failure: &&Failure| wants_failures(envelope, failure.recipient);
        if envelope.sender.is_empty() || !failed.iter().any(|failure| wanted(&failure)) {
            return Ok(());
        }
        let headers = match body {
            Some(body) => read_headers(body).await?,
            None => Vec::new(),
        };
        let now = clock::now();
        let id = envelope.id.to_string();
        let original =
            Original { sender: &envelope.sender, arrival: envelope.received_at, message_id: &id, headers: &headers };
        let recipients: Vec<FailedRecipient<'_>> = failed
            .iter()
            .filter(wanted)
            .filter_map(|failure| {
                Some(FailedRecipient {
                    recipient: envelope.recipients.get(usize::from(failure.recipient))?,
                    status: &failure.status,
                    reply: failure.reply.as_deref(),
                    remote: failure.remote.as_deref(),
                    text: &failure.text,
                })
            })
            .collect();
        let message = report::bounce(&original, &recipients, &self.hostname, now, &id)?;
        let draft = Draft {
            id: None,
            received_at: now,
            sender: String::new(),
            recipients: vec![envelope.sender.clone()],
            eight_bit: !message.is_ascii(),
            extras: None,
            client: Client { address: None, helo: self.hostname.clone(), session: format!("bounce-{id}") },
            purpose: Purpose::Report,
        };
        let size = message.len() as u64;
        let recipients = draft.recipients.clone();
        let stored = self.spool.append(draft, Body::from(Bytes::from(message))).await?;
        let config = self.config.borrow().clone();
        let arrival = intake::arrival(&config.routes, stored.id, stored.location, now, size, &recipients);
        self.queue.insert(arrival, now);
        self.log
            .at(LogLevel::Major, Tag::Report)
            .field("message", stored.id)
            .field("original", &id)
            .field("to", &envelope.sender)
            .say("returned a message to its sender");
        Ok(())
    }
}

/// Whether the sender wants to be told that this recipient was given up: unless NOTIFY says otherwise (RFC 3461 section 5.2.3).
fn wants_failures(envelope: &Envelope, recipient: u16) -> bool {
    let asked = envelope.extras.as_ref().and_then(|extras| extras.of(recipient));
    asked.and_then(|asked| asked.notify).is_none_or(|notify| notify.includes(Notify::FAILURE))
}

/// The original's header, up to its empty line.
async fn read_headers(mut body: BodyReader) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    while text.len() < HEADER_LIMIT
        && let Some(chunk) = body.next_chunk().await?
    {
        text.extend_from_slice(&chunk);
        if memchr::memmem::find(&text, b"\r\n\r\n").is_some() {
            break;
        }
    }
    let end = memchr::memmem::find(&text, b"\r\n\r\n").map_or(text.len(), |at| at + 2);
    text.truncate(end.min(HEADER_LIMIT));
    Ok(text)
}

/// Why a message could not be returned now; it is tried again with the message itself.
#[derive(Debug, thiserror::Error)]
pub(super) enum BounceError {
    /// The original could not be read.
    #[error("read the original: {0}")]
    Read(#[from] io::Error),
    /// The bounce could not be written.
    #[error("compose the bounce: {0}")]
    Compose(#[from] report::ReportError),
    /// The bounce could not be stored.
    #[error("store the bounce: {0}")]
    Store(#[from] crate::spool::SpoolError),
}
