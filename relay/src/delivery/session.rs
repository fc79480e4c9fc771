//! One session with one host: look up where it is, connect, and send what waits, until nothing does.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use mailsluice_crds::{
    LogLevel,
    monitor::{LastError, Stage},
};
use tokio::{net::TcpStream, time};

use super::{
    Courier,
    fault::{self, Fault},
    outcome::{Failure, Outcome},
};
use crate::{
    ids::SessionId,
    log::Tag,
    queue::{HostId, InHand, Next, SessionHold, Settled, Work},
    route::{NextHop, RouteError, Target},
    smtp::{
        self, BodyType, Recipient, Reply,
        client::{BodySource, Client, ClientError, ErrorKind, Observer},
    },
    spool::{self, BodyReader, Deferral, Envelope, Mark, SpoolError},
    tcp::{Entry, Lease, connect},
};

/// How long a session waits for more mail before it says QUIT: long enough to be used again under steady flow, short
/// enough that no host minds.
const IDLE_TIME: Duration = Duration::from_secs(2);

/// After so many messages a session ends where other hosts wait for a connection.
const MESSAGES_PER_TURN: u32 = 100;

/// One session, from its turn to its end.
pub(super) struct Session {
    courier: Arc<Courier>,
    host_id: HostId,
    host: String,
    id: SessionId,
    hold: SessionHold,
    entry: Arc<Entry>,
    lease: Lease,
}

/// What ended the sending of one message.
enum Sent {
    /// The connection can take another.
    GoOn,
    /// The connection is over.
    Over,
}

impl Session {
    pub(super) fn new(courier: Arc<Courier>, host_id: HostId, host: String, hold: SessionHold, lease: Lease) -> Self {
        let entry = Arc::new(courier.table.add(host_id));
        Session { courier, host_id, host, id: SessionId::next(), hold, entry, lease }
    }

    pub(super) async fn run(self) {
        let begun = std::time::Instant::now();
        let hop = NextHop::from_host_name(&self.host);
        match self.courier.resolver.targets(&hop).await {
            Ok(targets) => self.with_targets(&targets).await,
            Err(error) if error.permanent => self.give_up_all(&error).await,
            Err(error) => self.suspend(&Fault::route(&error, Timestamp::now())),
        }
        self.courier.metrics.session_out_seconds.observe(begun.elapsed().as_secs_f64());
    }

    async fn with_targets(&self, targets: &[Target]) {
        let mut last = None;
        for target in targets {
            match self.open(target).await {
                Ok(client) => return self.send_all(client, target).await,
                Err(fault) => {
                    self.courier
                        .log
                        .at_host(LogLevel::LowLevel, Tag::Smtp, &self.host)
                        .field("session", self.id)
                        .field("peer", target.address)
                        .field("code", &fault.error.code)
                        .say(format_args!("no session with {}: {}", target.name, fault.error.text));
                    last = Some(fault);
                }
            }
        }
        if let Some(fault) = last {
            self.suspend(&fault);
        }
    }

    async fn open(&self, target: &Target) -> Result<Client<TcpStream, Watcher>, Fault> {
        let peer = target.address.to_string();
        self.entry.connecting(target.address);
        let stream = connect(&self.lease, target.address)
            .await
            .map_err(|error| Fault::connect(&error, &peer, Timestamp::now()))?;
        let watcher = Watcher {
            courier: self.courier.clone(),
            host: self.host.clone(),
            peer: peer.clone(),
            id: self.id,
            entry: self.entry.clone(),
        };
        Client::start(stream, self.courier.client.clone(), watcher)
            .await
            .map_err(|error| Fault::client(&error, &peer, Timestamp::now()))
    }

    async fn send_all(&self, mut client: Client<TcpStream, Watcher>, target: &Target) {
        let mut messages = 0_u32;
        while !self.courier.stop.is_cancelled() && client.is_usable() && self.lease.may_go_on(Timestamp::now()) {
            if messages >= MESSAGES_PER_TURN && self.courier.queue.read(|queue| queue.has_turns()) {
                break;
            }
            match self.hold.next(Timestamp::now()) {
                Next::Message(in_hand) => match self.send(&mut client, target, in_hand, messages == 0).await {
                    Sent::GoOn => messages += 1,
                    Sent::Over => return,
                },
                Next::Idle(idle) => {
                    self.entry.stage(Stage::Idle);
                    tokio::select! {
                        () = idle.rung() => {}
                        () = time::sleep(IDLE_TIME) => break,
                        () = self.courier.stop.cancelled() => break,
                    }
                }
            }
        }
        // What the host thinks of our leaving changes nothing.
        let _ = client.quit().await;
    }

    async fn send(
        &self,
        client: &mut Client<TcpStream, Watcher>,
        target: &Target,
        in_hand: InHand,
        first: bool,
    ) -> Sent {
        let Some(work) = in_hand.work().cloned() else { return Sent::GoOn };
        let (envelope, body) = match self.courier.spool.read(work.location).await {
            Ok(found) => found,
            Err(error) => {
                self.courier.unreadable(&work, &error, in_hand);
                return Sent::GoOn;
            }
        };
        let Some(outgoing) = outgoing(&envelope, &work.recipients) else {
            self.courier.unusable(&work, "the envelope of a message is none that can be sent", in_hand);
            return Sent::GoOn;
        };
        match client.send(&outgoing, &mut Text(body)).await {
            Ok(replies) => {
                let peer = target.address.to_string();
                let outcome = Outcome::of(&replies, &work.recipients, &target.name, &peer, Timestamp::now());
                self.settle(in_hand, &envelope, outcome, Some((&replies.reply, &peer))).await;
                Sent::GoOn
            }
            Err(ClientError { kind: ErrorKind::Body(source), .. }) => {
                // Not the host's fault: it was left without the final dot, and so has not taken the message.
                let error =
                    SpoolError::Io { what: "read", file: "the text of a message".into(), source: source.into() };
                self.courier.unreadable(&work, &error, in_hand);
                Sent::Over
            }
            Err(error) => {
                self.broken(in_hand, &work, &error, target, first);
                Sent::Over
            }
        }
    }

    /// Puts an outcome on disk, then into the queue, then into the log.
    async fn settle(&self, in_hand: InHand, envelope: &Envelope, mut outcome: Outcome, said: Option<(&Reply, &str)>) {
        let courier = &self.courier;
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
        let now = Timestamp::now();
        let attempts = work.attempts + 1;
        let till = courier.queue.read(|queue| queue.retry_at(attempts, now));
        let deferral = || {
            let (code, text) = outcome.error.as_ref().map_or_else(
                || ("BOUNCE".to_owned(), "could not be returned to its sender".to_owned()),
                |error| (error.code.clone(), error.text.clone()),
            );
            spool::Outcome::Deferred(Deferral { attempts, due: till, error: spool::LastError { code, text, at: now } })
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

    fn tell(&self, work: &Work, outcome: &Outcome, said: Option<(&Reply, &str)>, till: Timestamp) {
        let metrics = &self.courier.metrics;
        metrics.delivered.inc_by(outcome.delivered.len() as u64);
        metrics.deferred.inc_by(outcome.deferred.len() as u64);
        let record = |level| {
            self.courier.log.at_host(level, Tag::Smtp, &self.host).field("session", self.id).field("message", work.id)
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

    /// The connection broke, or the host ended it, in the middle of a message.
    fn broken(&self, in_hand: InHand, work: &Work, error: &ClientError, target: &Target, first: bool) {
        let courier = &self.courier;
        let now = Timestamp::now();
        let peer = target.address.to_string();
        let fault = Fault::client(error, &peer, now);
        // The message waits for itself, so that one which a host cannot bear does not hold up those behind it.
        let attempts = work.attempts + 1;
        let till = courier.queue.read(|queue| queue.retry_at(attempts, now));
        let at_fault = spool::LastError { code: fault.error.code.clone(), text: fault.error.text.clone(), at: now };
        let outcomes = work
            .recipients
            .iter()
            .map(|recipient| {
                let deferral = Deferral { attempts, due: till, error: at_fault.clone() };
                (*recipient, spool::Outcome::Deferred(deferral))
            })
            .collect();
        courier.spool.mark(Mark { id: work.id, location: work.location, outcomes });
        let outcome =
            Outcome { deferred: work.recipients.to_vec(), error: Some(fault.error.clone()), ..Outcome::default() };
        self.tell(work, &outcome, None, till);
        // A host that took messages before over this connection is not at fault as a whole: a new session goes on.
        if first {
            self.suspend(&fault);
        } else {
            courier.queue.change(|queue| queue.note_error(self.host_id, fault.error));
        }
        in_hand.settle(Settled::Deferred { recipients: work.recipients.clone(), till });
    }

    /// The host as a whole cannot be reached: nothing is tried before its new Suspended Till.
    fn suspend(&self, fault: &Fault) {
        let courier = &self.courier;
        let till = courier.queue.change(|queue| {
            queue.suspend_after_failure(
                self.host_id,
                Timestamp::now(),
                fault.reason,
                |failures, till| fault.problem(failures, till),
                fault.error.clone(),
            )
        });
        let LastError { code, number, stage, peer, text, .. } = &fault.error;
        let record = courier
            .log
            .at_host(LogLevel::Problems, Tag::Tcp, &self.host)
            .marker(crate::log::TCP_SMTP)
            .field("session", self.id)
            .field("reason", fault.reason.name())
            .field("code", code)
            .field("stage", format_args!("{stage:?}"))
            .maybe("peer", peer.as_ref())
            .maybe("suspendedTill", till);
        let record = match number {
            Some(number) => record.number("number", *number),
            None => record,
        };
        record.say(format_args!("the host is suspended: {text}"));
    }

    /// The host can take no mail, ever: all that waits for it goes back to its senders.
    async fn give_up_all(&self, error: &RouteError) {
        let fault = Fault::route(error, Timestamp::now());
        while !self.courier.stop.is_cancelled()
            && let Next::Message(in_hand) = self.hold.next(Timestamp::now())
        {
            let Some(work) = in_hand.work().cloned() else { continue };
            match self.courier.spool.envelope(work.location).await {
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
                Err(error) => self.courier.unreadable(&work, &error, in_hand),
            }
        }
    }
}

/// The envelope for one host: none when what the spool holds is no envelope.
fn outgoing(envelope: &Envelope, recipients: &[u16]) -> Option<smtp::Envelope> {
    let mut outgoing = smtp::Envelope::new(envelope.sender.parse().ok()?);
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
    outgoing.extensions = envelope.extras.as_ref().and_then(|extras| extras.message.clone().boxed());
    Some(outgoing)
}

/// The text, from disk to socket.
struct Text(BodyReader);

impl BodySource for Text {
    async fn next_chunk(&mut self) -> io::Result<Option<Bytes>> {
        self.0.next_chunk().await
    }
}

/// Shows the conversation in the Monitor, and in the log where it is to be seen there.
struct Watcher {
    courier: Arc<Courier>,
    host: String,
    peer: String,
    id: SessionId,
    entry: Arc<Entry>,
}

impl Watcher {
    fn record(&self) -> crate::log::Record<'_> {
        self.courier
            .log
            .at_host(LogLevel::LowLevel, Tag::Smtp, &self.host)
            .field("session", self.id)
            .field("peer", &self.peer)
    }
}

impl Observer for Watcher {
    fn stage(&mut self, stage: smtp::client::Stage) {
        self.entry.stage(fault::stage(stage));
    }

    fn reply(&mut self, reply: &Reply) {
        self.entry.reply(crate::errors::shortened(&reply.to_string(), 256));
        self.record().number("code", reply.code()).say(format_args!("< {reply}"));
    }

    fn command(&mut self, line: &str) {
        self.record().say(format_args!("> {line}"));
    }
}
