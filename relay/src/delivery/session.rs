//! One session with one host: look up where it is, connect, and send what waits, until nothing does.

use std::{net::SocketAddr, ops::ControlFlow, sync::Arc, time::Duration};

use mailsluice_crds::{
    LogLevel,
    monitor::{LastError, Stage},
};
use tokio::time::{self, Instant};

use super::{
    Courier,
    approach::Approach,
    expire::in_vain,
    fault::{Fault, Scope, TEXT_LENGTH},
    live::Live,
    outcome::Outcome,
    require_tls::{Carries, Going, going},
    transfer::{Watcher, outgoing, relayed},
};
use crate::{
    clock,
    config::Config,
    errors::shortened,
    ids::SessionId,
    queue::{Facts, HostId, InHand, Next, Run, SessionHold, Settled, Suspension, Work},
    route::{Target, next_race},
    smtp::client::{self, Client, ClientError, ErrorKind, Fate},
    spool::{self, Deferral, Mark, SpoolError},
    tcp::{Addresses, Blame, Held, Lease, connect},
    tls::{Stream, Wanted},
};

/// How long a session waits for more mail before it says QUIT: long enough to be used again under steady flow, short
/// enough that no host minds.
const IDLE_TIME: Duration = Duration::from_secs(2);

/// After so many messages, or so much time, a session ends where other hosts wait for a connection.
const MESSAGES_PER_TURN: u32 = 100;
const TURN_TIME: Duration = Duration::from_secs(5);

/// After so many messages, or so much time (that of Postfix), a connection is not used for another: hosts count both, and what
/// the DNS says of the host may have changed.
const MESSAGES_PER_CONNECTION: u32 = 1_000;
const CONNECTION_AGE: Duration = Duration::from_secs(300);

/// One session, from its turn to its end.
pub(super) struct Session {
    pub(super) approach: Approach,
    pub(super) host_id: HostId,
    pub(super) hold: SessionHold,
}

/// A connection, at its other end.
pub(super) struct Peer<'a> {
    pub(super) target: &'a Target,
    pub(super) carries: Carries,
    /// Whether addresses are left to be tried when it breaks.
    pub(super) others: bool,
}

/// How the sending over one connection ended.
pub(super) enum Turn {
    /// Nothing waits, or others have their turn.
    Over,
    /// The connection broke, and why.
    Broken(Fault),
    /// The next message requires a better connection.
    Requires(InHand),
}

/// What ended the sending of one message.
enum Sent {
    /// The connection can take another.
    GoOn,
    /// The connection is over, and why.
    Over(Fault),
    /// The connection is over, because the message could not be read, or its time ended.
    GivenUp,
    /// The message requires a better connection.
    Requires(InHand),
}

impl Session {
    pub(super) fn new(
        courier: Arc<Courier>,
        (host_id, host): (HostId, String),
        id: SessionId,
        hold: SessionHold,
        lease: Lease,
    ) -> Self {
        let entry = Arc::new(courier.table.add(host_id));
        Session { approach: Approach::new(courier, host, id, entry, lease), host_id, hold }
    }

    pub(super) async fn run(self) {
        let begun = Instant::now();
        match self.approach.look_up(self.approach.asks_for_dane()).await {
            Ok(targets) => match self.approach.narrow(targets).await {
                Ok(targets) => self.with_targets(targets).await,
                Err(fault) => self.give_up(&fault, self.is_of_policy(fault.reason, &fault.error)).await,
            },
            Err(error) if error.permanent => self.give_up_all(&error).await,
            Err(error) => {
                self.approach.tell_route(&error);
                let fault = Fault::route(&error, clock::now());
                self.give_up(&fault, self.is_of_policy(fault.reason, &fault.error)).await;
            }
        }
        self.approach.courier.metrics.session_out_seconds.observe(begun.elapsed().as_secs_f64());
        let (sent, received) = self.approach.entry.octets();
        let record = self.approach.record(LogLevel::LowLevel);
        let record = match self.approach.courier.log.shows_host(LogLevel::AllInfo, &self.approach.host) {
            true => record.number("sent", sent).number("received", received),
            false => record,
        };
        record.say("the session is over");
    }

    /// Connects to one target, and takes the connection to the point where messages can be sent. What is wrong with the address itself is
    /// noted; the rest is for the caller to judge.
    pub(super) async fn reach(
        &self,
        target: &Target,
        wanted: Option<&Wanted>,
    ) -> Result<Client<Stream, Watcher>, Fault> {
        let reached = self.approach.reach(target, wanted).await;
        if let Err(fault) = &reached
            && matches!(fault.scope, Scope::Address | Scope::Everything)
        {
            let _ = self.blame(target, fault);
        }
        reached
    }

    /// Tries the addresses in their order, those that are suspended left out, until one has taken what waits.
    async fn with_targets(&self, targets: Vec<Target>) {
        let mut left = match self.not_suspended(targets) {
            Ok(left) => left,
            Err(None) => return,
            Err(Some(held)) => {
                let (suspension, error) = *held;
                if self.is_of_policy(suspension.reason, &error) {
                    Box::pin(self.send_regardless()).await;
                }
                self.approach.courier.queue.change_for(&Facts::failure(self.approach.id, &error), |queue| {
                    queue.note_error(self.host_id, error.clone());
                    queue.suspend(self.host_id, suspension)
                });
                return;
            }
        };
        let mut last = None;
        let mut of_policy = false;
        while let Some((first, second)) = next_race(&left)
            && !self.approach.courier.stop.is_cancelled()
        {
            let wanted = match self.approach.wanted(first, second).await {
                Ok(wanted) => wanted,
                Err(fault) => {
                    let name = first.name.clone();
                    left.retain(|other| other.name != name);
                    last = Some(fault);
                    continue;
                }
            };
            let pair: Vec<&Target> = [Some(first), second].into_iter().flatten().collect();
            self.approach.connecting(&pair);
            let race =
                connect(&self.approach.lease, self.approach.way.source(), first.address, second.map(|s| s.address))
                    .await;
            let mut fault = None;
            let tried: Vec<Target> = pair.into_iter().cloned().collect();
            for (target, error) in race.failed.iter().filter_map(|(index, error)| Some((tried.get(*index)?, error))) {
                fault = Some((target, Fault::connect(error, &target.address.to_string(), clock::now())));
                left.retain(|other| other.address != target.address);
                if let Some((target, fault)) = &fault
                    && self.blame(target, fault).is_break()
                {
                    return;
                }
            }
            if let Some((index, stream)) = race.won
                && let Some(target) = tried.get(index)
            {
                left.retain(|other| other.address != target.address);
                fault = match self.approach.open(stream, target, wanted.as_ref()).await {
                    Ok(client) => {
                        let carries = self.carries(target, wanted.as_ref());
                        let peer = Peer { target, carries, others: !left.is_empty() };
                        match self.send_all(client, &peer, None).await {
                            Turn::Over => return,
                            Turn::Requires(in_hand) => return Box::pin(self.require_tls(in_hand)).await,
                            Turn::Broken(fault) => Some((target, fault)),
                        }
                    }
                    Err(fault) => Some((target, fault)),
                };
                if fault.as_ref().is_some_and(|(_, fault)| fault.is_of_all_addresses()) {
                    left.clear();
                }
                if let Some((target, fault)) = &fault
                    && self.blame(target, fault).is_break()
                {
                    return;
                }
            }
            if let Some((target, fault)) = fault {
                of_policy |= self.is_of_policy(fault.reason, &fault.error);
                self.approach
                    .record(LogLevel::LowLevel)
                    .field("peer", target.address)
                    .field("code", &fault.error.code)
                    .say(format_args!("no session with {}: {}", target.name, fault.error.text));
                last = Some(fault);
            }
        }
        if let Some(fault) = last {
            self.give_up(&fault, of_policy).await;
        }
    }

    /// No address of the host takes its mail now. `of_policy`: one of them might, if the domain did not ask for TLS.
    async fn give_up(&self, fault: &Fault, of_policy: bool) {
        if of_policy {
            Box::pin(self.send_regardless()).await;
        }
        self.suspend(fault);
    }

    /// The addresses that may be tried. Where all are suspended, how the host is to be till the first of them is free, if its mail does
    /// not go on over one of them.
    fn not_suspended(&self, mut targets: Vec<Target>) -> Result<Vec<Target>, Option<Box<(Suspension, LastError)>>> {
        let now = clock::now();
        let first_free = self.approach.courier.gate.addresses_for(Some(self.approach.id), |addresses| {
            if addresses.is_empty() {
                return None;
            }
            let mut first_free: Option<(SocketAddr, Held)> = None;
            targets.retain(|target| {
                let Some(held) = addresses.held(target.address, &self.approach.host, now).cloned() else { return true };
                addresses.meet(&self.approach.host, target.address, now);
                if first_free.as_ref().is_none_or(|(_, known)| held.till < known.till) {
                    first_free = Some((target.address, held));
                }
                false
            });
            first_free
        });
        let goes_on = |addresses: &mut Addresses| {
            first_free.as_ref().is_some_and(|(address, _)| addresses.live(*address, &self.approach.host) > 0)
        };
        if targets.is_empty() && self.approach.courier.gate.addresses(goes_on) {
            // Others have found the address wanting, and yet this host's mail goes on over it: no more sessions, then.
            self.approach.courier.queue.change(|queue| queue.crowded(self.host_id));
            return Err(None);
        }
        match first_free {
            Some((_, Held { till, reason, error, failures, since })) if targets.is_empty() => {
                let (place, run) = (error.place(), Run { failures, since, till });
                let problem = format!(
                    "{place}, {run}; all its addresses are suspended, the first of them till {till:.0}: {}",
                    error.text
                );
                let problem = shortened(&problem, TEXT_LENGTH);
                Err(Some(Box::new((Suspension { till: Some(till), reason, problem }, error))))
            }
            _ => Ok(targets),
        }
    }

    /// Suspends what is at fault, if that is less than the host. Break: nothing more is to be tried in this session.
    pub(super) fn blame(&self, target: &Target, fault: &Fault) -> ControlFlow<()> {
        let courier = &self.approach.courier;
        let now = clock::now();
        let blame = match fault.scope {
            Scope::Connection => return ControlFlow::Break(()),
            Scope::Host => return ControlFlow::Continue(()),
            Scope::Everything => {
                let suspension = courier.gate.pause(&fault.error, now);
                courier.queue.change_for(&Facts::failure(self.approach.id, &fault.error), |queue| {
                    queue.note_error(self.host_id, fault.error.clone());
                    queue.suspend(self.host_id, suspension)
                });
                return ControlFlow::Break(());
            }
            Scope::Address => Blame::Address,
            Scope::HostAtAddress => Blame::HostThere,
        };
        // Where other sessions of the host go on there, it takes no more at a time than those.
        if courier.gate.addresses(|addresses| addresses.live(target.address, &self.approach.host)) > 0 {
            courier.queue.change(|queue| queue.crowded(self.host_id));
            self.approach
                .record(LogLevel::Problems)
                .field("peer", target.address)
                .field("code", &fault.error.code)
                .say(format_args!("takes no more connections at a time than are open: {}", fault.error.text));
            return ControlFlow::Break(());
        }
        let backoff = courier.queue.read(|queue| queue.backoff());
        let why = (fault.reason, fault.error.clone());
        courier.gate.addresses_for(Some(self.approach.id), |addresses| {
            addresses.suspend(target.address, &self.approach.host, blame, why, backoff, now)
        });
        ControlFlow::Continue(())
    }

    /// Sends what waits and the connection may carry, `first` in front.
    pub(super) async fn send_all(
        &self,
        mut client: Client<Stream, Watcher>,
        peer: &Peer<'_>,
        mut first: Option<InHand>,
    ) -> Turn {
        let live = Live::new(&self.approach, peer.target.address);
        let begun = Instant::now();
        let mut messages = 0_u32;
        let mut config = self.approach.courier.config.clone();
        while !self.approach.courier.stop.is_cancelled()
            && client.is_usable()
            && self.approach.lease.may_go_on(clock::now())
        {
            if config.has_changed().unwrap_or(false) && !self.is_as(&config.borrow_and_update()) {
                break;
            }
            if !self.approach.is_logged_in_still() {
                break;
            }
            if messages >= MESSAGES_PER_CONNECTION || begun.elapsed() >= CONNECTION_AGE {
                break;
            }
            if (messages >= MESSAGES_PER_TURN || begun.elapsed() >= TURN_TIME)
                && messages > 0
                && self.approach.courier.queue.read(|queue| queue.has_turns())
            {
                break;
            }
            let next = match first.take() {
                Some(first) => Next::Message(first),
                None if peer.carries == Carries::Optional => match self.next_optional() {
                    Some(next) => Next::Message(next),
                    None => break,
                },
                None => self.hold.next(clock::now()),
            };
            match next {
                Next::Message(in_hand) => match self.send(&mut client, peer, in_hand, messages).await {
                    Sent::GoOn => {
                        if messages == 0 {
                            live.answered();
                        }
                        messages += 1;
                    }
                    Sent::Over(fault) => return Turn::Broken(fault),
                    Sent::GivenUp => return Turn::Over,
                    Sent::Requires(in_hand) => {
                        let _ = client.quit().await;
                        return Turn::Requires(in_hand);
                    }
                },
                Next::Over => break,
                Next::Idle(idle) => {
                    self.approach.entry.stage(Stage::Idle);
                    tokio::select! {
                        () = idle.rung() => {}
                        () = time::sleep(IDLE_TIME) => break,
                        () = self.approach.courier.stop.cancelled() => break,
                    }
                }
            }
        }
        // What the host thinks of our leaving changes nothing.
        let _ = client.quit().await;
        Turn::Over
    }

    /// Whether a new session would be like this one.
    fn is_as(&self, config: &Config) -> bool {
        let reached =
            |config: &Config| config.tls_to(&self.approach.hop) == self.approach.config.tls_to(&self.approach.hop);
        self.approach.config.hello == config.hello
            && self.approach.way == config.routes.way(&self.approach.host)
            && reached(config)
    }

    async fn send(
        &self,
        client: &mut Client<Stream, Watcher>,
        peer: &Peer<'_>,
        in_hand: InHand,
        messages: u32,
    ) -> Sent {
        let Some(work) = in_hand.work().cloned() else { return Sent::GoOn };
        let (envelope, body) = match self.approach.courier.spool.read(work.location).await {
            Ok(found) => found,
            Err(error) => {
                self.approach.courier.unreadable(&work, &error, in_hand);
                return Sent::GoOn;
            }
        };
        let going = going(&envelope, peer.carries, client.capabilities());
        if going == Going::Elsewhere {
            return Sent::Requires(in_hand);
        }
        let now = clock::now();
        let Some(mut outgoing) = outgoing(&envelope, &work.recipients, &self.approach.way, now) else {
            self.approach.courier.unusable(&work, "the envelope of a message is none that can be sent", in_hand);
            return Sent::GoOn;
        };
        if going == Going::Unmarked
            && let Some(asked) = &mut outgoing.extensions
        {
            asked.require_tls = false;
        }
        let expiry = self.approach.courier.expiry(&envelope);
        let (mut text, added) = match self.approach.courier.text(&work, body).await {
            Ok(text) => text,
            Err(why) => {
                self.unsent(in_hand, &work, why);
                return Sent::GoOn;
            }
        };
        outgoing.size = Some(envelope.size + added);
        client.observer_mut().message = Some(work.id);
        let sent = tokio::select! {
            biased;
            sent = client.send(&outgoing, &mut text) => sent,
            () = in_vain(&self.approach.courier, &self.approach.entry, expiry) => {
                // The host has nothing of the text yet, so it cannot have taken the message. It goes back at once.
                in_hand.settle(Settled::Untried);
                return Sent::GivenUp;
            }
        };
        client.observer_mut().message = None;
        match sent {
            Ok(replies) => {
                if replies.stage == client::Stage::Reply {
                    self.approach
                        .record(LogLevel::AllInfo)
                        .field("message", work.id)
                        .number("octets", envelope.size + added)
                        .say("the text has been sent");
                }
                let name = &peer.target.name;
                let peer = peer.target.address.to_string();
                let mut outcome = Outcome::of(&replies, &work.recipients, name, &peer, clock::now());
                if envelope.extras.is_some() {
                    let host = client.capabilities();
                    outcome.relayed = relayed(&envelope, &outcome.delivered, &replies.reply, name, host);
                }
                self.settle(in_hand, &envelope, outcome, Some((&replies.reply, &peer))).await;
                Sent::GoOn
            }
            Err(ClientError { kind: ErrorKind::Body(source), .. }) => {
                // Not the host's fault: it was left without the final dot, and so has not taken the message.
                let error =
                    SpoolError::Io { what: "read", file: "the text of a message".into(), source: source.into() };
                self.approach.courier.unreadable(&work, &error, in_hand);
                Sent::GivenUp
            }
            Err(error) => Sent::Over(self.broken(in_hand, &work, &error, peer, messages)),
        }
    }

    /// The connection broke, or the host ended it, in the middle of a message. Says whose failure that is.
    fn broken(&self, in_hand: InHand, work: &Work, error: &ClientError, peer: &Peer<'_>, messages: u32) -> Fault {
        let courier = &self.approach.courier;
        let now = clock::now();
        let mut fault = Fault::client(error, Some(&peer.target.address.to_string()), now);
        // Over a connection that has taken mail it is the connection that has had enough: a new one goes on.
        if messages > 0 && fault.scope == Scope::HostAtAddress {
            fault.scope = Scope::Connection;
        }
        let unheard = matches!(error.stage, client::Stage::Idle | client::Stage::Rset | client::Stage::MailFrom);
        let at_once = match fault.scope {
            Scope::Connection => unheard,
            _ => peer.others && error.fate == Fate::NotAccepted,
        };
        if at_once {
            // Nothing is known against the message: another connection, or another address, is tried at once.
            self.approach
                .record(LogLevel::LowLevel)
                .field("message", work.id)
                .error(&fault.error)
                .say(format_args!("not sent over this connection, and tried again at once: {}", fault.error.text));
            in_hand.settle(Settled::Untried);
            return fault;
        }
        // The message waits for itself, so that one which a host cannot bear does not hold up those behind it.
        let attempts = work.attempts + 1;
        let till = courier.queue.read(|queue| queue.retry_at(attempts, now));
        let at_fault = spool::LastError { code: fault.error.code.to_string(), text: fault.error.text.clone(), at: now };
        let outcomes = work
            .recipients
            .iter()
            .map(|recipient| {
                let deferral = Deferral { attempts, due: till, error: at_fault.clone(), told: work.told };
                (*recipient, spool::Outcome::Deferred(deferral))
            })
            .collect();
        courier.spool.mark(Mark { id: work.id, location: work.location, outcomes });
        let outcome =
            Outcome { deferred: work.recipients.to_vec(), error: Some(fault.error.clone()), ..Outcome::default() };
        self.tell(work, &outcome, None, till);
        courier.queue.change(|queue| queue.note_error(self.host_id, fault.error.clone()));
        in_hand.settle(Settled::Deferred { recipients: work.recipients.clone(), till });
        fault
    }

    /// The host as a whole cannot be reached: nothing is tried before its new Suspended Till.
    fn suspend(&self, fault: &Fault) {
        self.approach.courier.queue.change_for(&Facts::failure(self.approach.id, &fault.error), |queue| {
            queue.suspend_after_failure(
                self.host_id,
                clock::now(),
                fault.reason,
                |run| fault.problem(run),
                fault.error.clone(),
            )
        });
    }
}
