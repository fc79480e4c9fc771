//! One client's session: moves bytes between the socket and the protocol, asks `access`, and puts messages into the
//! spool before they are answered 250.

use std::{
    io,
    pin::{Pin, pin},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use jiff::{Timestamp, fmt::rfc2822, tz::TimeZone};
use mailsluice_crds::{
    LogLevel,
    monitor::ClientStage,
    relay::{ListenerTls, TlsMode},
};
use tokio::{io::AsyncReadExt as _, net::TcpStream, sync::watch, time};

use super::{
    Reception,
    arrival::Guest,
    authenticate::{Judged, Shown},
    draft::draft,
    etrn,
    guest::Known,
    incoming::{Incoming, refusal, room, spill},
    noted::Refused,
    turns::Turn,
};
use crate::{
    access::Allowing,
    clock,
    config::Config,
    ids::SessionId,
    intake,
    log::{Record, Tag},
    smtp::{
        Envelope, Reply,
        server::{self, COMMAND_TIMEOUT, Event, Hello, Said},
    },
    spool::{Client, MessageId},
    tls::{Acceptor, Details, Stream},
};

/// Octets read at a time: several small messages, or a good part of a large one.
const READ_SIZE: usize = 32 << 10;

/// Octets read at first of a new client, and of one that was silent for [`SILENCE`]: its next command. Room that nobody fills
/// would stay behind between the sessions when it is given back.
const SMALL_READ_SIZE: usize = 512;

/// How long a client is silent before its buffers are given back: a connection that waits for its next use costs little.
const SILENCE: Duration = Duration::from_secs(2);

/// Octets of a message that are gathered before they are handed to the spool's writer.
const CHUNK_SIZE: usize = 64 << 10;

pub(super) struct Session {
    pub(super) reception: Arc<Reception>,
    pub(super) client: Known,
    /// The port that the client came to.
    pub(super) port: u16,
    id: SessionId,
    octets: Octets,
}

/// Octets of a session, without those of TLS.
#[derive(Default)]
struct Octets {
    sent: u64,
    received: u64,
}

/// How a conversation came to its end.
enum Ended {
    /// The session is over.
    Over,
    /// It goes on under TLS.
    StartTls(Acceptor),
}

impl Session {
    pub(super) fn new(reception: Arc<Reception>, guest: Guest, port: u16) -> Self {
        let client = Known::new(guest, &reception.config.borrow());
        Session { reception, client, port, id: SessionId::next(), octets: Octets::default() }
    }

    pub(super) async fn run(mut self, stream: TcpStream) {
        let begun = Instant::now();
        self.reception.metrics.sessions_in.inc();
        self.record(LogLevel::LowLevel).say("a client connected");
        if let Err(error) = self.serve(stream).await {
            self.record(LogLevel::LowLevel).say(format_args!("the client is gone: {error}"));
        }
        let Octets { sent, received } = self.octets;
        let record = self.record(LogLevel::LowLevel);
        let record = match self.reception.log.shows(LogLevel::AllInfo) {
            true => record.number("sent", sent).number("received", received),
            false => record,
        };
        record.say("the session is over");
        self.reception.metrics.sessions_in.dec();
        self.reception.metrics.session_in_seconds.observe(begun.elapsed().as_secs_f64());
    }

    async fn serve(&mut self, stream: TcpStream) -> io::Result<()> {
        let mut stream = Stream::Plain(stream);
        let mut tls = None;
        let mut shown = Shown::default();
        let mut config = self.reception.config.clone();
        let at_start = config.borrow_and_update().clone();
        let mut session = server::Session::new(self.obey(&at_start));
        if let Some(listener) = self.tls_of(&at_start)
            && listener.mode == TlsMode::Implicit
        {
            let ask = at_start.access.asks_for_certificates();
            let acceptor = self.reception.certificates.acceptor(&listener.secret_name, ask);
            let acceptor = acceptor.ok_or_else(|| io::Error::other("there is no certificate"))?;
            let (under_tls, details) = Box::pin(self.handshake(stream, acceptor)).await?;
            shown.holder = self.holder(&at_start, &details);
            (stream, tls) = (under_tls, Some(details));
            session.secured();
        }
        drop(at_start);
        // Each conversation has buffers of its own: what came before a handshake is thrown away with them.
        while let Ended::StartTls(acceptor) =
            self.converse(&mut stream, &mut session, &mut config, tls.as_ref(), &mut shown).await?
        {
            let (under_tls, details) = Box::pin(self.handshake(stream, acceptor)).await?;
            let holder = self.holder(&self.reception.config.borrow(), &details);
            // What was shown in clear counts for nothing.
            shown = Shown { holder, ..Shown::default() };
            (stream, tls) = (under_tls, Some(details));
            session.secured();
        }
        stream.close().await;
        Ok(())
    }

    /// What the listener says of TLS.
    pub(super) fn tls_of<'a>(&self, config: &'a Config) -> Option<&'a ListenerTls> {
        config.spec.listeners.iter().find(|listener| listener.port == self.port)?.tls.as_ref()
    }

    /// What makes handshakes for this listener now.
    fn acceptor(&self) -> Option<Acceptor> {
        let config = self.reception.config.borrow().clone();
        let ask = config.access.asks_for_certificates();
        self.reception.certificates.acceptor(&self.tls_of(&config)?.secret_name, ask)
    }

    async fn handshake(&self, stream: Stream, acceptor: Acceptor) -> io::Result<(Stream, Details)> {
        let result = tokio::select! {
            result = stream.accept(acceptor) => result,
            () = self.reception.stop.cancelled() => Err(io::Error::other("the relay stops")),
        };
        let handshakes = &self.reception.metrics.handshakes_in;
        match &result {
            Ok((_, details)) => {
                handshakes.with_label_values(&[details.kind()]).inc();
                self.record(LogLevel::LowLevel)
                    .field("tlsVersion", details.version)
                    .field("tlsCipher", &details.cipher)
                    .maybe("tlsKeyExchange", details.key_exchange.as_ref())
                    .say("TLS is established");
            }
            Err(error) => {
                handshakes.with_label_values(&["failed"]).inc();
                self.record(LogLevel::Problems).say(format_args!("no TLS handshake with the client: {error}"));
            }
        }
        result
    }

    /// Serves until the session is over, or goes on under TLS.
    async fn converse(
        &mut self,
        stream: &mut Stream,
        session: &mut server::Session,
        config: &mut watch::Receiver<Arc<Config>>,
        tls: Option<&Details>,
        shown: &mut Shown,
    ) -> io::Result<Ended> {
        let mut input = BytesMut::with_capacity(SMALL_READ_SIZE);
        let mut output = BytesMut::new();
        let mut body = Vec::new();
        let mut incoming: Option<Incoming> = None;
        let mut acceptor = None;
        let mut silent = Duration::ZERO;
        let mut served: Option<Turn> = None;
        loop {
            let start = body.len();
            self.tell(session);
            let event = session.next(&mut input, &mut output, &mut body);
            if let Some(message) = &mut incoming {
                message.pass(start, &mut body);
            }
            match event {
                event @ (Event::NeedInput | Event::NeedBody) => {
                    let in_body = matches!(event, Event::NeedBody);
                    self.tell(session);
                    self.note_own(shown, session);
                    if body.len() >= CHUNK_SIZE {
                        within(&mut served, pin!(spill(incoming.as_mut(), &mut body))).await;
                    }
                    if !output.is_empty() {
                        self.octets.sent += output.len() as u64;
                        within(&mut served, pin!(stream.say(&output.split()))).await?;
                    }
                    if config.has_changed().unwrap_or(false) {
                        let changed = config.borrow_and_update().clone();
                        session.set_config(self.obey(&changed));
                        shown.holder = tls.and_then(|details| self.holder(&changed, details));
                        shown.page = None;
                    }
                    input.reserve(if in_body { READ_SIZE } else { SMALL_READ_SIZE });
                    let wait = match &served {
                        Some(turn) => turn.left(),
                        None if silent.is_zero() => SILENCE,
                        None => COMMAND_TIMEOUT - silent,
                    };
                    let read = tokio::select! {
                        biased;
                        read = time::timeout(wait, stream.read_buf(&mut input)) => read,
                        // A message under way is finished; the process gives it the time that it has for stopping.
                        () = self.reception.stop.cancelled(), if !in_body => {
                            session.shut_down(&mut output);
                            self.tell(session);
                            self.octets.sent += output.len() as u64;
                            return stream.say(&output).await.map(|()| Ended::Over);
                        }
                    };
                    match read {
                        Ok(Ok(0)) => return Ok(Ended::Over),
                        Ok(Ok(count)) => {
                            silent = Duration::ZERO;
                            self.octets.received += count as u64;
                        }
                        Ok(Err(error)) => return Err(error),
                        Err(_) if served.take().is_some() => {}
                        Err(_) if silent.is_zero() => {
                            silent = SILENCE;
                            output = BytesMut::new();
                            if input.is_empty() {
                                input = BytesMut::new();
                            }
                            if body.is_empty() {
                                body = Vec::new();
                            }
                        }
                        Err(_) => {
                            session.time_out(&mut output);
                            self.tell(session);
                            self.octets.sent += output.len() as u64;
                            return stream.say(&output).await.map(|()| Ended::Over);
                        }
                    }
                }
                Event::Flush => {
                    self.octets.sent += output.len() as u64;
                    within(&mut served, pin!(stream.say(&output.split()))).await?;
                }
                Event::Turn { site } => {
                    let config = self.reception.config.borrow().clone();
                    let may_relay = config.access.check_client(&self.peer(shown, &config, tls.is_some())).is_ok();
                    let reply = etrn::answer(&self.reception, may_relay, site);
                    self.record(LogLevel::Major)
                        .field("site", site)
                        .say(format_args!("a site asks for its mail: {reply}"));
                    session.accept_with(reply);
                }
                Event::Authenticate(credentials) => {
                    let config = self.reception.config.borrow().clone();
                    match Box::pin(self.judge(&config, credentials, tls)).await {
                        Judged::In(identity) => {
                            (shown.identity, shown.page) = (Some(identity), None);
                            self.came_in(shown);
                            session.accept();
                        }
                        Judged::GoOn(answer) => session.answer_scram(answer),
                        Judged::Out(reply, why) => {
                            self.note(shown, &Refused::at(ClientStage::Auth, &reply).since(why.as_deref()));
                            session.refuse(reply);
                        }
                    }
                }
                Event::CheckSender { envelope } => {
                    let config = self.reception.config.borrow().clone();
                    match self.check_mail(&config, &self.peer(shown, &config, tls.is_some()), &envelope.from) {
                        Ok(()) => match self.may_hold(envelope).map(|()| self.may_begin()) {
                            Ok(Ok(())) => {
                                // Given back first: a session has one at most.
                                drop(served.take());
                                served = self.reception.turns.take(self.client.address.ip()).await;
                                shown.refused = false;
                                session.accept();
                            }
                            Ok(Err(over)) => {
                                served = None;
                                self.note(shown, &Refused::at(ClientStage::MailFrom, &over).from(&envelope.from));
                                self.slow_down().await;
                                session.refuse(over);
                            }
                            Err(reply) => {
                                self.refused(shown, &Refused::at(ClientStage::MailFrom, &reply).from(&envelope.from));
                                session.refuse(reply);
                            }
                        },
                        Err(reply) => {
                            self.record(LogLevel::Problems)
                                .field("sender", &envelope.from)
                                .say(format_args!("refused: {reply}"));
                            self.refused(shown, &Refused::at(ClientStage::MailFrom, &reply).from(&envelope.from));
                            session.refuse(reply);
                        }
                    }
                }
                Event::CheckRecipient { envelope, recipient } => {
                    let config = self.reception.config.borrow().clone();
                    let refused =
                        |reply| Refused::at(ClientStage::RcptTo, reply).from(&envelope.from).to(&recipient.path);
                    let checked = config
                        .access
                        .check(&self.peer(shown, &config, tls.is_some()), &envelope.from)
                        .and_then(|_| self.check_domain(&config, &recipient.path));
                    match checked {
                        Ok(()) => match self.may_name() {
                            Ok(()) => session.accept(),
                            Err(reply) => {
                                served = None;
                                self.note(shown, &refused(&reply));
                                self.slow_down().await;
                                session.refuse(reply);
                            }
                        },
                        Err(reply) => {
                            self.record(LogLevel::Problems)
                                .field("sender", &envelope.from)
                                .field("recipient", &recipient.path)
                                .say(format_args!("refused: {reply}"));
                            self.refused(shown, &refused(&reply));
                            session.refuse(reply);
                        }
                    }
                }
                Event::BodyStart { envelope, hello } => match self.may_take(envelope, shown, tls) {
                    Ok((config, allowing)) => {
                        let received_at = clock::now();
                        let id = self.reception.spool.reserve_id(received_at);
                        let authenticated = shown.identity.is_some();
                        let trace = self.received((hello, tls, authenticated), id, envelope, received_at);
                        let header = self.header_pass(&config, allowing, id, received_at);
                        body.clear();
                        body.extend_from_slice(trace.as_bytes());
                        let writer = self.reception.spool.begin_body();
                        incoming = Some(Incoming { writer, received_at, id, fault: None, header });
                        session.accept();
                    }
                    Err(reply) => {
                        self.record(LogLevel::Problems).say(format_args!("refused: {reply}"));
                        self.refused(shown, &Refused::at(ClientStage::Data, &reply).from(&envelope.from));
                        session.refuse(reply);
                    }
                },
                Event::MessageEnd(envelope) => {
                    self.tell(session);
                    let helo = session.hello().map(|hello| hello.name.clone()).unwrap_or_default();
                    let Some(mut message) = incoming.take() else {
                        session.refuse(Reply::enhanced(451, (3, 0), "the message has no beginning"));
                        continue;
                    };
                    if let Some(reply) = message.finish(&mut body) {
                        body = Vec::new();
                        let record = self.record(LogLevel::Problems).field("sender", &envelope.from);
                        record.say(format_args!("refused: {reply}"));
                        self.refused(shown, &Refused::at(ClientStage::Body, &reply).from(&envelope.from));
                        session.refuse(reply);
                        continue;
                    }
                    let last = Bytes::from(std::mem::take(&mut body));
                    let stored = within(&mut served, pin!(self.store(message, last, envelope, helo))).await;
                    served = None;
                    match stored {
                        Ok(id) => {
                            self.accepted(shown);
                            session.accept_with(Reply::enhanced(250, (0, 0), format!("queued as {id}")));
                        }
                        Err(reply) => {
                            self.refused(shown, &Refused::at(ClientStage::Body, &reply));
                            session.refuse(reply);
                        }
                    }
                }
                Event::MessageRefused { reply } => {
                    incoming = None;
                    body = Vec::new();
                    self.record(LogLevel::Problems).say(format_args!("refused: {reply}"));
                    self.refused(shown, &Refused::at(ClientStage::Body, &reply));
                }
                Event::MessageDropped => {
                    incoming = None;
                    body = Vec::new();
                }
                Event::XClient(said) => match self.take_in(said) {
                    Ok(()) => {
                        // It is another client, that has shown nothing.
                        *shown = Shown::default();
                        session.set_config(self.obey(&config.borrow().clone()));
                        session.accept();
                    }
                    Err(reply) => {
                        self.reception.turned_away(self.client.address.ip(), &reply);
                        session.refuse(reply);
                    }
                },
                Event::StartTls => match self.acceptor() {
                    Some(found) => {
                        acceptor = Some(found);
                        session.accept();
                    }
                    None => {
                        let reply = Reply::enhanced(454, (7, 0), "TLS is not available now: there is no certificate");
                        self.record(LogLevel::Problems).say(format_args!("refused: {reply}"));
                        self.refused(shown, &Refused::at(ClientStage::StartTls, &reply));
                        session.refuse(reply);
                    }
                },
                Event::Handshake => {
                    self.tell(session);
                    self.octets.sent += output.len() as u64;
                    stream.say(&output.split()).await?;
                    return Ok(acceptor.map_or(Ended::Over, Ended::StartTls));
                }
                Event::Close { .. } => {
                    self.tell(session);
                    self.note_own(shown, session);
                    self.octets.sent += output.len() as u64;
                    return stream.say(&output).await.map(|()| Ended::Over);
                }
            }
        }
    }

    /// Writes down what was said, where that is to be seen, and has the next be noted if it is.
    fn tell(&self, session: &mut server::Session) {
        for said in session.said() {
            let record = self.record(LogLevel::LowLevel);
            match said {
                Said::Client(line) => record.say(format_args!("> {line}")),
                Said::Server(reply) => record.say(format_args!("< {reply}")),
            }
        }
        session.listen(self.reception.log.shows(LogLevel::LowLevel));
    }

    /// Commits a message, and only then lets the queue know of it.
    async fn store(
        &self,
        message: Incoming,
        last: Bytes,
        mut envelope: Envelope,
        helo: String,
    ) -> Result<MessageId, Reply> {
        let reception = &self.reception;
        let Incoming { mut writer, received_at, id, fault, header: _ } = message;
        let client = Client { address: Some(self.client.address), helo, session: self.id.to_string() };
        let draft = draft(&mut envelope, id, received_at, client);
        let recipients = draft.recipients.clone();
        let asked = intake::Asked::of(&draft);
        let stored = async {
            if let Some(fault) = fault {
                return Err(fault);
            }
            writer.write(last).await?;
            let body = writer.finish().await?;
            let size = body.size();
            Ok((reception.spool.append(draft, body).await?, size))
        };
        match stored.await {
            Ok((stored, size)) => {
                let config = reception.config.borrow().clone();
                let arrival =
                    intake::arrival(&config.routes, stored.id, stored.location, received_at, size, &recipients, asked);
                // Before the queue has it: what becomes of it is written down behind this.
                self.record(LogLevel::Major)
                    .field("message", stored.id)
                    .field("sender", &envelope.from)
                    .number("recipients", recipients.len() as u64)
                    .field("hosts", arrival.hosts())
                    .number("bytes", size)
                    .say("accepted");
                reception.queue.insert(arrival, received_at);
                reception.metrics.accepted.inc();
                reception.metrics.accepted_bytes.inc_by(size);
                self.took(size);
                Ok(stored.id)
            }
            Err(error) => {
                self.record(LogLevel::Problems).say(format_args!("a message could not be stored: {error}"));
                Err(refusal(&error))
            }
        }
    }

    /// Whether a message may begin, and by which entries of which configuration.
    fn may_take(
        &self,
        envelope: &Envelope,
        shown: &Shown,
        tls: Option<&Details>,
    ) -> Result<(Arc<Config>, Allowing), Reply> {
        room(&self.reception.spool.health())?;
        let config = self.reception.config.borrow().clone();
        let allowing = config.access.check(&self.peer(shown, &config, tls.is_some()), &envelope.from)?;
        Ok((config, allowing))
    }

    /// The trace line of RFC 5321 section 4.4. `for` only where there is one recipient, so that none learns of another.
    fn received(
        &self,
        (hello, tls, authenticated): (&Hello, Option<&Details>, bool),
        id: MessageId,
        envelope: &Envelope,
        at: Timestamp,
    ) -> String {
        let utf8 = envelope.is_smtp_utf8();
        let (protocol, helo) = (hello.protocol(utf8, tls.is_some(), authenticated), &hello.name);
        let tls = tls.map(|details| format!("\r\n\t({details})")).unwrap_or_default();
        let name = self.client.name.as_ref().map(|name| format!("{name} ")).unwrap_or_default();
        let address = match self.client.address.ip().to_canonical() {
            std::net::IpAddr::V4(address) => format!("[{address}]"),
            std::net::IpAddr::V6(address) => format!("[IPv6:{address}]"),
        };
        let only = match envelope.recipients.as_slice() {
            [only] => format!("\r\n\tfor {}", only.path),
            _ => String::new(),
        };
        let priority = envelope.time.as_ref().and_then(|time| time.priority);
        // RFC 6710 sections 4.1 and 7.
        let priority = priority.map(|priority| format!("\r\n\tPRIORITY {priority}")).unwrap_or_default();
        let date = rfc2822::to_string(&at.to_zoned(TimeZone::UTC)).unwrap_or_default();
        let host = &self.reception.config.borrow().hello;
        format!(
            "Received: from {helo} ({name}{address}){tls}\r\n\tby {host} with {protocol} id {id}{only}{priority};\r\n\t{date}\r\n"
        )
    }

    pub(super) fn record(&self, level: LogLevel) -> Record<'_> {
        let Known { address, via, login, .. } = &self.client;
        let record = self.reception.log.at(level, Tag::SmtpIn).field("session", self.id).field("client", address);
        record.maybe("via", *via).maybe("login", login.as_ref())
    }

    pub(super) fn count_refusal(&self, reply: &Reply) {
        // Codes are ours, and few.
        self.reception.metrics.refused.with_label_values(&[reply.code().to_string().as_str()]).inc();
    }
}

/// Carries `work` out; a turn that ends meanwhile is given back.
async fn within<T>(served: &mut Option<Turn>, mut work: Pin<&mut impl Future<Output = T>>) -> T {
    if let Some(left) = served.as_ref().map(Turn::left) {
        if let Ok(done) = time::timeout(left, &mut work).await {
            return done;
        }
        *served = None;
    }
    work.await
}
