//! A message's text on its way to the host: signed where its author's domain signs, else as it is.

use std::{io, sync::Arc};

use bytes::Bytes;
use jiff::SignedDuration;
use mailsluice_crds::{
    LogLevel,
    catalogue::OwnCode,
    monitor::{LastError, Stage},
};

use super::{Courier, fault::TEXT_LENGTH, session::Session, transfer::Text};
use crate::{
    clock,
    config::Config,
    dkim::{KeyFault, NoKey, Signing},
    errors::shortened,
    log::Tag,
    queue::{InHand, Settled, Work},
    spool::{self, BodyReader, Deferral, Mark, SpoolError},
};

/// The longest wait for a key: an administrator who has put a Secret right wants to see the mail go.
const KEY_WAIT: SignedDuration = SignedDuration::from_mins(5);

/// The code of mail that waits for a key.
const NO_KEY: OwnCode = OwnCode::DkimNoKey;

/// Why a text cannot be sent now.
pub(super) enum Unsent {
    /// It cannot be read.
    Read(SpoolError),
    /// Its domain signs, and has no key.
    NoKey(NoKey),
    /// A key failed.
    Key(KeyFault),
}

impl From<io::Error> for Unsent {
    fn from(source: io::Error) -> Self {
        Unsent::Read(SpoolError::Io { what: "read", file: "the text of a message".into(), source: source.into() })
    }
}

impl Courier {
    /// The text to be sent, with its signatures in front; and their octets.
    pub(super) async fn text(&self, work: &Work, body: BodyReader) -> Result<(Text, u64), Unsent> {
        let config = self.config.borrow().clone();
        if config.spec.dkim.is_empty() {
            return Ok((Text::from(body), 0));
        }
        // Boxed, so that sessions whose mail nobody signs do not carry it.
        Box::pin(self.signed(&config, work, body)).await
    }

    async fn signed(&self, config: &Arc<Config>, work: &Work, mut body: BodyReader) -> Result<(Text, u64), Unsent> {
        let size = body.size();
        let mut signing = Signing::default();
        // What was read before it was known whether anybody signs.
        let mut read: Vec<Bytes> = Vec::new();
        while !signing.has_header() {
            match body.next_chunk().await? {
                Some(chunk) => {
                    signing.feed(&chunk);
                    read.push(chunk);
                }
                None => signing.end(),
            }
            if signing.is_too_long() {
                return Ok((Text::after(read, body), 0));
            }
        }
        let author = signing.author();
        let signer = author.and_then(|author| self.keys.signer(&config.spec.dkim, author.as_str()));
        let signer = match signer {
            None => return Ok((Text::after(read, body), 0)),
            Some(signer) => signer.map_err(Unsent::NoKey)?,
        };
        let whole = read.iter().map(|chunk| chunk.len() as u64).sum::<u64>() == size;
        while let Some(chunk) = body.next_chunk().await? {
            signing.feed(&chunk);
        }
        let signature = signing.finish(&signer, clock::now().as_second()).map_err(Unsent::Key)?;
        self.metrics.dkim_signed.inc();
        let added = signature.len() as u64;
        if !whole {
            // A large text is read a second time, rather than kept.
            body = self.spool.body(work.location).await.map_err(Unsent::Read)?;
            read.clear();
        }
        read.insert(0, signature.into());
        Ok((Text::after(read, body), added))
    }
}

impl Session {
    /// The text cannot be sent now; the connection is none the worse for it.
    pub(super) fn unsent(&self, in_hand: InHand, work: &Work, why: Unsent) {
        let text = match why {
            Unsent::Read(error) => return self.approach.courier.unreadable(work, &error, in_hand),
            Unsent::NoKey(no_key) => no_key.to_string(),
            Unsent::Key(fault) => format!("the message cannot be signed: {fault}"),
        };
        let courier = &self.approach.courier;
        let now = clock::now();
        let text = shortened(&text, TEXT_LENGTH);
        let attempts = work.attempts + 1;
        let till = courier.queue.read(|queue| queue.retry_at(attempts, now));
        let till = now.checked_add(KEY_WAIT).map_or(till, |latest| till.min(latest));
        let error = spool::LastError { code: NO_KEY.name().into(), text: text.clone(), at: now };
        let deferral = Deferral { attempts, due: till, error, told: work.told };
        let outcomes = work.recipients.iter().map(|recipient| (*recipient, spool::Outcome::Deferred(deferral.clone())));
        courier.spool.mark(Mark { id: work.id, location: work.location, outcomes: outcomes.collect() });
        courier.metrics.deferred.inc_by(work.recipients.len() as u64);
        courier
            .log
            .at_host(LogLevel::Problems, Tag::Smtp, &self.approach.host)
            .field("session", self.approach.id)
            .field("message", work.id)
            .field("code", NO_KEY)
            .field("till", till)
            .say(&text);
        let error = LastError { code: NO_KEY.into(), number: None, stage: Stage::Body, peer: None, at: now, text };
        courier.queue.change(|queue| queue.note_error(self.host_id, error));
        in_hand.settle(Settled::Deferred { recipients: work.recipients.clone(), till });
    }
}
