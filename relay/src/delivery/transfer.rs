//! A message on its way through the client: its envelope, its text from disk to socket, and who looks on.

use std::{io, sync::Arc, vec};

use bytes::Bytes;
use jiff::Timestamp;
use mailsluice_crds::LogLevel;

use super::{Courier, fault, outcome::Failure, steps::Steps};
use crate::{
    ids::SessionId,
    log::{Record, Tag},
    route::Way,
    smtp::{
        self, BodyType, Recipient, Reply,
        client::{BodySource, Capabilities, Observer},
        extensions::{Notify, timing::Late},
    },
    spool::{BodyReader, Envelope, MessageId},
    tcp::Entry,
};

/// The envelope for one host at `now`: none when what the spool holds is no envelope.
pub(super) fn outgoing(envelope: &Envelope, recipients: &[u16], way: &Way, now: Timestamp) -> Option<smtp::Envelope> {
    let mut outgoing = smtp::Envelope::new(way.sender(envelope.sender.parse().ok()?));
    for recipient in recipients {
        let path = envelope.recipients.get(usize::from(*recipient))?.parse().ok()?;
        let asked = envelope.extras.as_ref().and_then(|extras| extras.of(*recipient));
        outgoing.recipients.push(Recipient { path, extensions: asked.cloned().map(Box::new) });
    }
    outgoing.body = match &envelope.extras {
        Some(extras) if extras.message.binary => BodyType::BinaryMime,
        _ if envelope.eight_bit => BodyType::EightBitMime,
        _ => BodyType::SevenBit,
    };
    outgoing.size = Some(envelope.size);
    outgoing.time = envelope.extras.as_ref().and_then(|extras| extras.timing.left(now).boxed());
    outgoing.extensions = envelope.extras.as_ref().and_then(|extras| extras.message.clone().boxed());
    Some(outgoing)
}

/// What to report of the recipients that a host has taken: those whose sender asked for it with NOTIFY=SUCCESS, where the host
/// will not (RFC 3461 section 5.2.2); and those of a message that is to be delivered in time, where the host knows nothing of
/// that, or where each relay is to be reported (RFC 2852 sections 4.1.4 and 4.1.4.2).
pub(super) fn relayed(
    envelope: &Envelope,
    delivered: &[u16],
    reply: &Reply,
    remote: &str,
    host: &Capabilities,
) -> Vec<Failure> {
    let Some(extras) = &envelope.extras else { return Vec::new() };
    let traced = extras.timing.deliver_by.is_some_and(|by| match host.deliver_by {
        Some(_) => by.trace,
        None => by.late == Late::Notify,
    });
    let wanted = |recipient: &&u16| {
        let notify = extras.of(**recipient).and_then(|asked| asked.notify);
        let success = !host.dsn && notify.is_some_and(|notify| notify.includes(Notify::SUCCESS));
        success || (traced && notify != Some(Notify::NEVER))
    };
    let status = reply.enhanced_code().map_or_else(|| "2.0.0".to_owned(), |code| code.to_string());
    let told = |recipient: &u16| Failure {
        recipient: *recipient,
        status: status.clone(),
        reply: Some(reply.to_string()),
        remote: Some(remote.to_owned()),
        text: String::new(),
    };
    delivered.iter().filter(wanted).map(told).collect()
}

/// The text, from disk to socket.
pub(super) struct Text {
    /// What goes before the rest.
    first: vec::IntoIter<Bytes>,
    rest: BodyReader,
}

impl Text {
    /// These chunks, and then the rest.
    pub(super) fn after(first: Vec<Bytes>, rest: BodyReader) -> Text {
        Text { first: first.into_iter(), rest }
    }
}

impl From<BodyReader> for Text {
    fn from(rest: BodyReader) -> Self {
        Text::after(Vec::new(), rest)
    }
}

impl BodySource for Text {
    async fn next_chunk(&mut self) -> io::Result<Option<Bytes>> {
        match self.first.next() {
            Some(chunk) => Ok(Some(chunk)),
            None => self.rest.next_chunk().await,
        }
    }
}

/// Shows the conversation in the Monitor, and in the log where it is to be seen there.
pub(super) struct Watcher {
    pub(super) courier: Arc<Courier>,
    pub(super) host: String,
    pub(super) peer: String,
    pub(super) id: SessionId,
    pub(super) entry: Arc<Entry>,
    /// The message that is being sent.
    pub(super) message: Option<MessageId>,
    /// Where a dry run notes what happens.
    pub(super) dry_run: Option<Arc<Steps>>,
}

impl Watcher {
    fn record(&self) -> Record<'_> {
        self.courier
            .log
            .at_host(LogLevel::LowLevel, Tag::Smtp, &self.host)
            .field("session", self.id)
            .maybe("message", self.message)
            .field("peer", &self.peer)
    }
}

impl Observer for Watcher {
    fn stage(&mut self, stage: smtp::client::Stage) {
        self.entry.stage(fault::stage(stage));
        if let Some(steps) = &self.dry_run {
            steps.stage(stage);
        }
    }

    fn reply(&mut self, reply: &Reply) {
        self.entry.reply(crate::errors::shortened(&reply.to_string(), 256));
        self.record().number("code", reply.code()).say(format_args!("< {reply}"));
        if let Some(steps) = &self.dry_run {
            steps.reply(reply);
        }
    }

    fn command(&mut self, line: &str) {
        self.record().say(format_args!("> {line}"));
    }

    fn sent(&mut self, octets: usize) {
        self.entry.sent(octets);
    }

    fn received(&mut self, octets: usize) {
        self.entry.received(octets);
    }
}
