//! Mail that is given up goes back to its sender.

use std::{borrow::Cow, io};

use bytes::Bytes;
use mailsluice_crds::LogLevel;

use super::{Courier, outcome::Failure};
use crate::{
    clock, intake,
    log::Tag,
    report::{self, Occasion, Original, ReportedRecipient},
    smtp::extensions::{Extensions, Notify, Return, xtext},
    spool::{Body, BodyReader, Client, Draft, Envelope, Extras, Purpose, Timing},
};

/// Octets of the original that are searched for the end of its header; what a bounce returns is no longer than this.
const HEADER_LIMIT: u64 = 64 << 10;

/// Octets of the longest original that is returned whole where RET=FULL asks for it; of a longer one the header is, as RFC 3461
/// section 6.2 allows.
const WHOLE_MAX: u64 = 256 << 10;

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
        let failed: Vec<_> = failed.iter().filter(wanted).collect();
        // Of what requires TLS no more than the header is returned (RFC 8689 section 5).
        let asked = envelope.extras.as_ref().map(|extras| &extras.message);
        let whole = asked.is_some_and(|asked| asked.ret == Some(Return::Full) && !asked.require_tls);
        let text = match body {
            Some(body) if whole && envelope.size <= WHOLE_MAX => Text::Whole(read(body, WHOLE_MAX).await?),
            Some(body) => Text::Headers(headers_of(read(body, HEADER_LIMIT).await?)),
            None => Text::Headers(Vec::new()),
        };
        self.report(Occasion::Failed, envelope, &text, &failed).await
    }

    /// Tells the sender that the message went on to a host that reports no success, for the recipients for whom it wants to know
    /// (RFC 3461 section 5.2.2).
    pub(super) async fn report_relayed(
        &self,
        envelope: &Envelope,
        body: Option<BodyReader>,
        relayed: &[Failure],
    ) -> Result<(), BounceError> {
        if envelope.sender.is_empty() || relayed.is_empty() {
            return Ok(());
        }
        self.report_headers(Occasion::Relayed, envelope, body, relayed).await
    }

    /// Reports with the header of the message: RET is about failures only (RFC 3461 section 4.3).
    pub(super) async fn report_headers(
        &self,
        occasion: Occasion,
        envelope: &Envelope,
        body: Option<BodyReader>,
        about: &[Failure],
    ) -> Result<(), BounceError> {
        let text = match body {
            Some(body) => headers_of(read(body, HEADER_LIMIT).await?),
            None => Vec::new(),
        };
        self.report(occasion, envelope, &Text::Headers(text), &about.iter().collect::<Vec<_>>()).await
    }

    /// Writes a report, and puts it on disk and into the queue.
    async fn report(
        &self,
        occasion: Occasion,
        envelope: &Envelope,
        text: &Text,
        about: &[&Failure],
    ) -> Result<(), BounceError> {
        let now = clock::now();
        let id = envelope.id.to_string();
        let asked = envelope.extras.as_ref();
        let envelope_id = asked.and_then(|extras| xtext::decode(extras.message.envid.as_deref()?));
        let (headers, whole): (&[u8], _) = match text {
            Text::Headers(text) => (text, None),
            Text::Whole(text) => (&[], Some(text.as_slice())),
        };
        let original = Original {
            sender: &envelope.sender,
            arrival: envelope.received_at,
            message_id: &id,
            envelope_id: envelope_id.as_deref(),
            timing: envelope.timing(),
            tls_optional: envelope.is_tls_optional(),
            headers,
            whole,
        };
        let named: Vec<Option<Cow<'_, str>>> =
            about.iter().map(|failure| Some(asked?.of(failure.recipient)?.original.as_ref()?.decoded())).collect();
        let recipients: Vec<ReportedRecipient<'_>> = about
            .iter()
            .zip(&named)
            .filter_map(|(failure, named)| {
                Some(ReportedRecipient {
                    recipient: envelope.recipients.get(usize::from(failure.recipient))?,
                    original: named.as_deref(),
                    status: &failure.status,
                    reply: failure.reply.as_deref(),
                    remote: failure.remote.as_deref(),
                    text: &failure.text,
                })
            })
            .collect();
        let config = self.config.borrow().clone();
        let message = report::write(occasion, &original, &recipients, &config.hello, now, &id)?;
        let draft = Draft {
            id: None,
            received_at: now,
            sender: String::new(),
            recipients: vec![envelope.sender.clone()],
            eight_bit: !message.is_ascii(),
            extras: extras(envelope),
            client: Client { address: None, helo: config.hello.clone(), session: format!("bounce-{id}") },
            purpose: Purpose::Report,
        };
        let size = message.len() as u64;
        let recipients = draft.recipients.clone();
        let asked = intake::Asked::of(&draft);
        let stored = self.spool.append(draft, Body::from(Bytes::from(message))).await?;
        let arrival = intake::arrival(&config.routes, stored.id, stored.location, now, size, &recipients, asked);
        self.queue.insert(arrival, now);
        self.log
            .at(LogLevel::Major, Tag::Report)
            .field("message", stored.id)
            .field("original", &id)
            .field("to", &envelope.sender)
            .say(occasion.done());
        Ok(())
    }
}

/// Whether the sender wants to be told that this recipient was given up: unless NOTIFY says otherwise (RFC 3461 section 5.2.6).
fn wants_failures(envelope: &Envelope, recipient: u16) -> bool {
    let asked = envelope.extras.as_ref().and_then(|extras| extras.of(recipient));
    asked.and_then(|asked| asked.notify).is_none_or(|notify| notify.includes(Notify::FAILURE))
}

/// A report matters as much as what it is about (RFC 6710 section 4.6), requires or waives TLS where that does (RFC 8689 sections 5
/// and 6), and is in UTF-8 to a sender who is (RFC 6533).
fn extras(envelope: &Envelope) -> Option<Box<Extras>> {
    let timing = Timing { priority: envelope.timing().priority, ..Timing::default() };
    let utf8 = !envelope.sender.is_ascii();
    let (require_tls, tls_optional) = (envelope.requires_tls(), envelope.is_tls_optional());
    let message = Extensions { smtp_utf8: utf8, utf8_header: utf8, require_tls, tls_optional, ..Extensions::default() };
    let extras = Extras { message, timing, recipients: Vec::new() };
    (extras != Extras::default()).then(|| Box::new(extras))
}

/// What of the original goes into a report.
enum Text {
    Headers(Vec<u8>),
    Whole(Vec<u8>),
}

/// The beginning of a text, at most so many octets.
async fn read(mut body: BodyReader, most: u64) -> io::Result<Vec<u8>> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut text = Vec::new();
    while text.len() < most
        && let Some(chunk) = body.next_chunk().await?
    {
        text.extend_from_slice(&chunk);
    }
    text.truncate(most);
    Ok(text)
}

/// The header, up to its empty line.
fn headers_of(mut text: Vec<u8>) -> Vec<u8> {
    let end = memchr::memmem::find(&text, b"\r\n\r\n").map_or(text.len(), |at| at + 2);
    text.truncate(end);
    text
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
