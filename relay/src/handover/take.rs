//! The side that stays: takes a sibling's mail, and answers when it is safe here.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::{Stream, future};
use hyper::StatusCode;
use jiff::Timestamp;
use mailsluice_crds::LogLevel;
use mailsluice_ctl::{Hold, Target, hold::HoldOn};
use tokio::{sync::watch, task, time};
use tokio_util::sync::CancellationToken;

use super::{
    Answer, Kinship, clocks,
    wire::{self, WireError},
};
use crate::{
    clock,
    config::Config,
    control::Holding,
    intake,
    log::{Log, Tag},
    metrics::Metrics,
    queue::SharedQueue,
    spool::{Body, Envelope, MessageId, Recovered, Spool, SpoolError, Stored, Waiting},
};

/// How often it is looked whether a message that is being stored is.
const LOOK: Duration = Duration::from_millis(20);

/// What takes siblings' mail.
pub struct Taker {
    /// How a sibling is known.
    pub kinship: Arc<Kinship>,
    /// Where its mail goes.
    pub spool: Spool,
    /// Where it waits.
    pub queue: Arc<SharedQueue>,
    /// What is held.
    pub holding: Arc<Holding>,
    /// Where it goes from there.
    pub config: watch::Receiver<Arc<Config>>,
    /// Whether this relay leaves itself.
    pub leaves: bool,
    /// Messages that are being stored: whoever is given one of them twice at a time must not store it twice.
    pub under_way: UnderWay,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where records go.
    pub log: Log,
    /// Set when the relay stops.
    pub stop: CancellationToken,
}

/// What comes with a batch.
pub struct Offer {
    /// Who offers it.
    pub credential: Option<String>,
    /// What it is.
    pub content_type: Option<String>,
    /// What the clock of the sibling that offers it shows.
    pub clock: Option<Timestamp>,
}

/// Why nothing of a batch was taken: a status, and a sentence.
pub type Refusal = (StatusCode, String);

impl Taker {
    /// Takes a batch, with what is held of it; one that is empty says that there are no more, and what came is put into the
    /// order of acceptance.
    ///
    /// # Errors
    /// Why nothing was taken.
    pub async fn take<E>(
        self: &Arc<Self>,
        offer: Offer,
        batch: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<Answer, Refusal> {
        if let Err(stranger) = self.kinship.verify(offer.credential.as_deref().unwrap_or_default()) {
            self.log
                .at(LogLevel::Problems, Tag::Spool)
                .say(format_args!("somebody who is no sibling offers mail: {stranger}"));
            return Err((StatusCode::UNAUTHORIZED, "only a sibling's mail is taken".into()));
        }
        if self.leaves || self.stop.is_cancelled() {
            return Err((StatusCode::SERVICE_UNAVAILABLE, "this relay takes no mail: it leaves itself".into()));
        }
        // What waits here must be known, or a message that is given a second time would be taken for another.
        if !self.queue.read(|queue| queue.is_complete()) {
            return Err((StatusCode::SERVICE_UNAVAILABLE, "the spool is still being read".into()));
        }
        // Before the batch is read, which may take a while.
        let now = clock::now();
        let difference = clocks::difference(offer.clock, now);
        let mut batch = wire::Reader::new(batch);
        let holds = batch.holds(offer.content_type.as_deref()).await.map_err(refusal)?;
        let messages = batch.all(&self.spool).await.map_err(refusal)?;
        if messages.is_empty() {
            self.queue.change(|queue| queue.put_in_order());
            return Ok(Answer { taken: Vec::new(), refused: None });
        }
        if !difference.is_zero() {
            self.log.at(LogLevel::Problems, Tag::Spool).number("seconds", difference.as_secs().unsigned_abs()).say(
                format_args!(
                    "the clock of a sibling that hands its mail over is {}: its mail waits here as long as it would have waited there",
                    if difference.is_negative() { "ahead of this one's" } else { "behind this one's" }
                ),
            );
        }
        let holds = holds.into_iter().map(|on| clocks::moved(on, difference)).collect();
        let messages = messages.into_iter().map(|(waiting, body)| (waiting.moved_by(difference, now), body)).collect();
        // A sibling that goes away in the middle must not leave half of them stored and the others not.
        let taker = self.clone();
        task::spawn(async move { taker.store(messages, holds).await })
            .await
            .map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
    }

    async fn store(&self, messages: Vec<(Waiting, Body)>, holds: Vec<HoldOn>) -> Answer {
        let config = self.config.borrow().clone();
        // Before the mail that they are on: it must not go before they are known.
        let (single, wide): (Vec<_>, Vec<_>) =
            holds.into_iter().partition(|on| matches!(on.target, Target::Message(_)));
        let inherited = self.holding.change(|holds| wide.into_iter().for_each(|on| holds.inherit(on.target, on.hold)));
        if let Err(error) = inherited.await {
            return Answer { taken: Vec::new(), refused: Some(format!("what is held cannot be written: {error}")) };
        }
        let held = |id: MessageId| {
            let is_its = |on: &&HoldOn| matches!(on.target, Target::Message(held) if held.get() == id.get());
            single.iter().find(is_its).map(|on| on.hold.clone())
        };
        // All at once, so that they share a sync.
        let each = messages.into_iter().map(|message| {
            let hold = held(message.0.envelope().id);
            self.store_one(&config, message, hold)
        });
        let stored = future::join_all(each).await;
        let (mut taken, mut refused) = (Vec::with_capacity(stored.len()), None);
        for result in stored {
            match result {
                Ok(id) => taken.push(id.to_string()),
                Err(error) => refused = Some(error.to_string()),
            }
        }
        Answer { taken, refused }
    }

    /// Stores a message; its id at the sibling that gave it.
    async fn store_one(
        &self,
        config: &Config,
        (waiting, body): (Waiting, Body),
        hold: Option<Hold>,
    ) -> Result<MessageId, SpoolError> {
        let id = waiting.envelope().id;
        let _under_way = self.under_way.begin(id).await;
        let waiting = match self.queue.read(|queue| queue.location(id)) {
            None => waiting,
            Some(location) => match self.spool.envelope(location).await {
                Ok(here) if is_same(&here, waiting.envelope()) => return Ok(id),
                // Two relays may accept a message in the same microsecond.
                _ => waiting.renamed(self.spool.reserve_id(Timestamp::now())),
            },
        };
        if let Some(hold) = hold {
            let target = Target::Message(mailsluice_ctl::MessageId::from_u64(waiting.envelope().id.get()));
            let inherited = self.holding.change(|holds| holds.inherit(target, hold)).await;
            inherited.map_err(|error| SpoolError::Io {
                what: "write",
                file: "what is held".into(),
                source: Arc::new(error),
            })?;
        }
        let Stored { location, .. } = self.spool.append_waiting(&waiting, body).await?;
        let (envelope, pending) = waiting.into_parts();
        let mut record = self.log.at(LogLevel::Major, Tag::Spool).field("message", envelope.id);
        if envelope.id != id {
            record = record.field("was", id);
        }
        record.say("taken over from a sibling");
        let found = Recovered { envelope, location, pending };
        self.queue.insert(intake::recovered(&config.routes, &found), clock::now());
        self.metrics.taken_over.inc();
        Ok(id)
    }
}

/// Whether it is the very message, given a second time. Not by when it was received, which is moved where clocks differ, and each time by
/// a little more or less.
fn is_same(here: &Envelope, given: &Envelope) -> bool {
    let of = |envelope: &Envelope| (envelope.size, envelope.client.address);
    of(here) == of(given) && here.sender == given.sender && here.recipients == given.recipients
}

fn refusal(error: WireError) -> Refusal {
    let status = match &error {
        WireError::Spool(SpoolError::Full { .. }) => StatusCode::INSUFFICIENT_STORAGE,
        WireError::Spool(_) => StatusCode::SERVICE_UNAVAILABLE,
        WireError::BrokenOff | WireError::TooLong | WireError::Head(_) | WireError::Holds(_) => StatusCode::BAD_REQUEST,
    };
    (status, error.to_string())
}

/// Messages that are being stored.
#[derive(Debug, Default)]
pub struct UnderWay(Mutex<HashSet<MessageId>>);

/// One of them, until it is dropped.
struct Begun<'a>(&'a UnderWay, MessageId);

impl UnderWay {
    /// Waits until nobody else stores it: then it waits here, and is known.
    async fn begin(&self, id: MessageId) -> Begun<'_> {
        while !self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id) {
            time::sleep(LOOK).await;
        }
        Begun(self, id)
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}
