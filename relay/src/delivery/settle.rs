//! What became of a message, put on disk, into the queue and into the log, in that order.

use jiff::Timestamp;
use mailsluice_crds::{LogLevel, catalogue::OwnCode};

use super::{
    fault::Fault,
    outcome::{Failure, Outcome},
    session::Session,
};
use crate::{
    clock,
    log::Tag,
    queue::{InHand, Next, Settled, Work},
    route::RouteError,
    smtp::Reply,
    spool::{self, Deferral, Envelope, Mark},
};

impl Session {
    /// Puts an outcome on disk, then into the queue, then into the log.
    pub(super) async fn settle(
        &self,
        in_hand: InHand,
        envelope: &Envelope,
        mut outcome: Outcome,
        said: Option<(&Reply, &str)>,
    ) {
        let courier = &self.approach.courier;
        let Some(work) = in_hand.work().cloned() else { return };
        if !outcome.failed.is_empty() {
            let body = courier.spool.body(work.location).await.ok();
            if let Err(error) = courier.bounce(envelope, body, &outcome.failed).await {
                courier
                    .log
                    .at(LogLevel::Problems, Tag::Report)
                    .field("message", work.id)
                    .say(format_args!("could not return a message to its sender, trying again later: {error}"));
                outcome.deferred.extend(outcome.failed.drain(..).map(|failure| failure.recipient));
            }
        }
        if !outcome.relayed.is_empty() {
            let body = courier.spool.body(work.location).await.ok();
            if let Err(error) = courier.report_relayed(envelope, body, &outcome.relayed).await {
                courier
                    .log
                    .at(LogLevel::Problems, Tag::Report)
                    .field("message", work.id)
                    .say(format_args!("could not report to the sender that a message was passed on: {error}"));
            }
        }
        let now = clock::now();
        let attempts = work.attempts + 1;
        let till = courier.queue.read(|queue| queue.retry_at(attempts, now));
        let deferral = || {
            let (code, text) = outcome.error.as_ref().map_or_else(
                || (OwnCode::Bounce.to_string(), "could not be returned to its sender".to_owned()),
                |error| (error.code.to_string(), error.text.clone()),
            );
            let error = spool::LastError { code, text, at: now };
            spool::Outcome::Deferred(Deferral { attempts, due: till, error, told: work.told })
        };
        let delivered = outcome.delivered.iter().map(|recipient| (*recipient, spool::Outcome::Delivered));
        let failed = outcome.failed.iter().map(|failure| (failure.recipient, spool::Outcome::Failed));
        let deferred = outcome.deferred.iter().map(|recipient| (*recipient, deferral()));
        courier.spool.mark(Mark {
            id: work.id,
            location: work.location,
            outcomes: delivered.chain(failed).chain(deferred).collect(),
        });
        self.tell(&work, &outcome, said, till);
        if let Some(error) = outcome.error.take() {
            courier.queue.change(|queue| queue.note_error(self.host_id, error));
        } else if !outcome.delivered.is_empty() {
            self.hold.succeeded();
        }
        in_hand.settle(if outcome.deferred.is_empty() {
            Settled::Gone
        } else {
            Settled::Deferred { recipients: outcome.deferred.into(), till }
        });
    }

    pub(super) fn tell(&self, work: &Work, outcome: &Outcome, said: Option<(&Reply, &str)>, till: Timestamp) {
        let metrics = &self.approach.courier.metrics;
        metrics.delivered.inc_by(outcome.delivered.len() as u64);
        metrics.deferred.inc_by(outcome.deferred.len() as u64);
        let record = |level| {
            self.approach
                .courier
                .log
                .at_host(level, Tag::Smtp, &self.approach.host)
                .field("session", self.approach.id)
                .field("message", work.id)
        };
        if !outcome.delivered.is_empty() {
            record(LogLevel::Major)
                .maybe("peer", said.map(|(_, peer)| peer))
                .maybe("reply", said.map(|(reply, _)| reply))
                .number("recipients", outcome.delivered.len() as u64)
                .say("delivered");
        }
        if !outcome.deferred.is_empty() {
            record(LogLevel::Problems)
                .maybe("peer", said.map(|(_, peer)| peer))
                .maybe("code", outcome.error.as_ref().map(|error| &error.code))
                .maybe("reply", outcome.error.as_ref().map(|error| &error.text))
                .number("recipients", outcome.deferred.len() as u64)
                .field("till", till)
                .say("deferred");
        }
    }

    /// The host can take no mail, ever: all that waits for it goes back to its senders.
    pub(super) async fn give_up_all(&self, error: &RouteError) {
        let fault = Fault::route(error, clock::now());
        while !self.approach.courier.stop.is_cancelled()
            && let Next::Message(in_hand) = self.hold.next(clock::now())
        {
            let Some(work) = in_hand.work().cloned() else { continue };
            match self.approach.courier.spool.envelope(work.location).await {
                Ok(envelope) => {
                    let (class, subject, detail) = error.enhanced;
                    let failed = work
                        .recipients
                        .iter()
                        .map(|recipient| Failure {
                            recipient: *recipient,
                            status: format!("{class}.{subject}.{detail}"),
                            reply: None,
                            remote: None,
                            text: error.text.clone(),
                        })
                        .collect();
                    let outcome = Outcome { failed, error: Some(fault.error.clone()), ..Outcome::default() };
                    self.settle(in_hand, &envelope, outcome, None).await;
                }
                Err(error) => self.approach.courier.unreadable(&work, &error, in_hand),
            }
        }
    }
}
