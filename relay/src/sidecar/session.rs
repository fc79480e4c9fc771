//! One session of the application: moves octets, and keeps to what may be answered.
//!
//! Decisions:
//! - A message is answered 250 when, and only when, the gateway has answered so. Nothing is held but what is on its way: 32 KiB of a text
//!   at most, and the application is read no faster than the gateway reads.
//! - Where the connection to the gateway is lost before the end of a text is on its way, the gateway cannot have the message: it is read
//!   to its end and answered 451. Where the end is on its way and no answer comes, nobody knows: the application gets no answer either, but
//!   a closed connection, as it would without a sidecar. A refusal would be a lie in one of the two cases.
//! - Where the application is gone before the end of its text, the connection to the gateway is dropped as it is, without the end.
//! - Before a text a lost connection does no harm: the transaction begins again over another one, at another replica if there is one.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Buf as _, BytesMut};
use mailsluice_crds::LogLevel;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time,
};
use tokio_util::sync::CancellationToken;

use super::{
    away::{lost, not_resumed},
    dialog::{Dialog, Group, Step, Then, Transaction, Verb, no_mail},
    journal::{Journal, address},
    metrics::Metrics,
    pool::{Lease, Pool},
};
use crate::{
    ids::SessionId,
    log::{Log, Record, Tag},
    smtp::{
        Reply,
        client::{ClientError, Fate},
        command::CommandError,
        data::{BareLf, Decoder, Encoder},
        server::{COMMAND_TIMEOUT, Said},
    },
};

/// Octets of a text read at a time.
const READ_SIZE: usize = 32 << 10;

/// Octets read at a time of commands.
const SMALL_READ_SIZE: usize = 4 << 10;

/// How long an application may take to read what it is told.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// Connections over which the commands of a transaction are tried.
const ATTEMPTS: u32 = 4;

/// What sessions work with.
pub(super) struct Reception {
    pub(super) pool: Arc<Pool>,
    /// The sidecar's name.
    pub(super) hostname: String,
    pub(super) metrics: Arc<Metrics>,
    pub(super) log: Log,
    pub(super) stop: CancellationToken,
}

/// A session.
struct Session {
    reception: Arc<Reception>,
    id: SessionId,
    client: SocketAddr,
    dialog: Dialog,
    /// What the gateway has accepted of the transaction.
    journal: Journal,
    /// The connection of the transaction under way.
    lease: Option<Lease>,
}

/// The application's connection, and what is on its way.
struct Wire {
    stream: TcpStream,
    input: BytesMut,
    output: BytesMut,
}

/// How a part of a session ended.
enum Ended {
    /// It goes on.
    GoesOn,
    /// The session is over.
    Over,
}

/// What the gateway made of a text.
enum Verdict {
    Said(Reply),
    /// Nobody knows.
    Unknown,
}

/// Has a session with an application until it ends.
pub(super) async fn run(reception: Arc<Reception>, stream: TcpStream, client: SocketAddr) {
    let begun = Instant::now();
    reception.metrics.sessions_in.inc();
    let (dialog, journal) = (Dialog::default(), Journal::default());
    let mut session = Session { reception, id: SessionId::next(), client, dialog, journal, lease: None };
    session.record(LogLevel::LowLevel).say("a client connected");
    if let Err(error) = session.serve(stream).await {
        session.record(LogLevel::LowLevel).say(format_args!("the client is gone: {error}"));
    }
    session.forget();
    session.record(LogLevel::LowLevel).say("the session is over");
    session.reception.metrics.session_ended(begun.elapsed());
}

impl Session {
    async fn serve(&mut self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut wire = Wire { stream, input: BytesMut::new(), output: BytesMut::new() };
        let hostname = self.reception.hostname.clone();
        Reply::new(220, format!("{hostname} ESMTP")).render(&mut wire.output);
        loop {
            self.dialog.transcript().listen(self.reception.log.shows(LogLevel::LowLevel));
            let Group { steps, then } = self.dialog.take(&mut wire.input);
            self.tell();
            let last = self.carry_out(&steps, &mut wire.output).await;
            if last.as_ref().is_some_and(Reply::closes) {
                return self.say(&mut wire).await;
            }
            let ended = match then {
                Then::GoOn => self.say(&mut wire).await.map(|()| Ended::GoesOn),
                Then::Read => self.read(&mut wire, false).await,
                Then::Hello { extended } => {
                    self.forget();
                    self.dialog.greeted();
                    let reply = match extended {
                        true => self.reception.pool.offers().await.reply(&hostname),
                        false => Reply::new(250, hostname.clone()),
                    };
                    reply.render(&mut wire.output);
                    Ok(Ended::GoesOn)
                }
                Then::Text if last.is_some_and(|reply| reply.code() == 354) => self.text(&mut wire).await,
                Then::Text => Ok(Ended::GoesOn),
                Then::Chunk { size, last } => self.chunk(&mut wire, size, last).await,
                Then::Quit => {
                    Reply::enhanced(221, (0, 0), "Bye").render(&mut wire.output);
                    Ok(Ended::Over)
                }
                Then::Close(reply) => {
                    self.refused(None, &reply);
                    reply.render(&mut wire.output);
                    Ok(Ended::Over)
                }
            };
            if let Ended::Over = ended? {
                return self.say(&mut wire).await;
            }
        }
    }

    /// Tells the application what there is to tell.
    async fn say(&mut self, wire: &mut Wire) -> io::Result<()> {
        self.dialog.transcript().replies(&wire.output);
        self.tell();
        wire.say().await
    }

    /// Writes down what was said, where that is to be seen.
    fn tell(&mut self) {
        for said in self.dialog.transcript().take() {
            let record = self.record(LogLevel::LowLevel);
            match said {
                Said::Client(line) => record.say(format_args!("> {line}")),
                Said::Server(reply) => record.say(format_args!("< {reply}")),
            }
        }
    }

    /// Carries out the steps of a group; the gateway's last reply.
    async fn carry_out(&mut self, steps: &[Step], output: &mut BytesMut) -> Option<Reply> {
        let passed: Vec<&[u8]> = steps
            .iter()
            .filter_map(|step| match step {
                Step::Pass(_, line) => Some(line.as_ref()),
                Step::Say(_) => None,
            })
            .collect();
        let mut answers = if passed.is_empty() { Ok(Vec::new()) } else { self.pass(&passed).await }.map(Vec::into_iter);
        if answers.is_err() {
            self.journal = Journal::default();
        }
        let mut last = None;
        for step in steps {
            match step {
                Step::Say(reply) => reply.render(output),
                Step::Pass(verb, line) => {
                    let reply = match &mut answers {
                        // As many as were passed.
                        Ok(replies) => match replies.next() {
                            Some(reply) => reply,
                            None => continue,
                        },
                        Err(why) => {
                            let reply = self.dialog.lost(*verb, why);
                            self.answered(*verb, line, &reply);
                            reply.render(output);
                            continue;
                        }
                    };
                    self.dialog.answered(*verb, &reply);
                    self.journal.note(*verb, line, &reply);
                    self.answered(*verb, line, &reply);
                    reply.render(output);
                    last = Some(reply);
                }
            }
        }
        if *self.dialog.transaction() == Transaction::None
            && let Some(lease) = self.lease.take()
        {
            self.reception.pool.give_back(lease);
        }
        last
    }

    /// Has the gateway answer commands, over another connection where the one that there is has been lost.
    ///
    /// # Errors
    /// What the application is told in the place of all replies.
    async fn pass(&mut self, commands: &[&[u8]]) -> Result<Vec<Reply>, Reply> {
        let pool = self.reception.pool.clone();
        let gateway = pool.gateway.shown();
        let deadline = Instant::now() + pool.terms.wait;
        let mut attempts = 0;
        loop {
            let (mut lease, repeated) = match self.lease.take() {
                Some(lease) => (lease, &[][..]),
                None => {
                    let lease = pool.lease(deadline).await.map_err(|away| away.reply(&gateway))?;
                    (lease, self.journal.repeated().unwrap_or_default())
                }
            };
            lease.connection.client.observer_mut().lend(Some(self.id));
            let lines: Vec<&[u8]> = repeated.iter().map(AsRef::as_ref).chain(commands.iter().copied()).collect();
            let error = match lease.connection.client.pass(&lines).await {
                Ok(mut replies) => {
                    let answers = replies.split_off(repeated.len());
                    if let Some(no) = replies.iter().find(|reply| !reply.is_success()) {
                        // The connection is dropped as it is: it may wait for a text.
                        return Err(not_resumed(&gateway, no));
                    }
                    if !replies.is_empty() {
                        self.reception.metrics.resumed.inc();
                        self.record(LogLevel::Problems)
                            .field("peer", lease.connection.address)
                            .say("the connection to the gateway was lost; the transaction goes on over another one");
                    }
                    self.lease = Some(lease);
                    return Ok(answers);
                }
                Err(error) => error,
            };
            pool.broke(lease.connection.address);
            attempts += 1;
            if attempts >= ATTEMPTS || self.journal.repeated().is_none() {
                return Err(lost(&gateway, &error));
            }
        }
    }

    /// The text of a message, by DATA.
    async fn text(&mut self, wire: &mut Wire) -> io::Result<Ended> {
        // Held here alone: however this ends but by the gateway's answer, the connection is dropped.
        let mut lease = self.lease.take();
        let mut decoder = Decoder::new(u64::MAX, BareLf::Refuse);
        let mut encoder = Encoder::new();
        let (mut text, mut encoded) = (Vec::new(), BytesMut::new());
        let mut settled = None;
        let verdict = loop {
            text.clear();
            encoded.clear();
            let progress = decoder.decode(&wire.input, &mut text);
            wire.input.advance(progress.consumed);
            if decoder.fault().is_some() {
                lease = None;
                settled = Some(CommandError::BareNewline.reply());
            }
            encoder.encode(&text, &mut encoded);
            if progress.ended {
                break match (settled, &mut lease) {
                    (Some(reply), _) => Verdict::Said(reply),
                    (None, Some(lease)) => {
                        encoder.finish(&mut encoded);
                        let ended = lease.connection.client.pass_end(&encoded, true).await;
                        self.verdict(ended, lease.connection.address)
                    }
                    // One of the two is always there.
                    (None, None) => Verdict::Said(no_mail()),
                };
            }
            if let Some(held) = &mut lease
                && !encoded.is_empty()
                && let Err(error) = held.connection.client.pass_text(&encoded).await
            {
                settled = Some(self.broken(&error, held.connection.address));
                lease = None;
            }
            if let Ended::Over = self.read(wire, true).await? {
                return Ok(Ended::Over);
            }
        };
        self.settle(verdict, lease, decoder.octets(), wire)
    }

    /// A chunk of a text, by BDAT.
    async fn chunk(&mut self, wire: &mut Wire, size: u64, last: bool) -> io::Result<Ended> {
        let mut lease = self.lease.take();
        let mut settled = match (self.dialog.transaction(), &mut lease) {
            (Transaction::Open, Some(lease)) => {
                self.journal.chunk(size);
                lease.connection.client.pass_chunk(size, last);
                None
            }
            (Transaction::Lost(why), _) => Some(why.clone()),
            _ => Some(no_mail()),
        };
        let mut left = size;
        let verdict = loop {
            let taken = usize::try_from(left).unwrap_or(usize::MAX).min(wire.input.len());
            let piece = wire.input.split_to(taken);
            left -= taken as u64;
            if left == 0 {
                break match (settled, &mut lease) {
                    (Some(reply), _) => Verdict::Said(reply),
                    (None, Some(lease)) => {
                        let ended = lease.connection.client.pass_end(&piece, last).await;
                        self.verdict(ended, lease.connection.address)
                    }
                    // One of the two is always there.
                    (None, None) => Verdict::Said(no_mail()),
                };
            }
            if let Some(held) = &mut lease
                && !piece.is_empty()
                && let Err(error) = held.connection.client.pass_text(&piece).await
            {
                settled = Some(self.broken(&error, held.connection.address));
                lease = None;
            }
            if let Ended::Over = self.read(wire, true).await? {
                return Ok(Ended::Over);
            }
        };
        match verdict {
            Verdict::Said(reply) if !last && !reply.closes() => {
                if !reply.is_success() {
                    self.refused(Some(self.journal.sender()), &reply);
                }
                match lease.filter(|lease| lease.connection.client.is_usable()) {
                    Some(lease) => self.lease = Some(lease),
                    None if *self.dialog.transaction() == Transaction::Open => {
                        self.dialog.lost(Verb::Data, &reply);
                    }
                    None => {}
                }
                reply.render(&mut wire.output);
                Ok(Ended::GoesOn)
            }
            verdict => self.settle(verdict, lease, self.journal.octets(), wire),
        }
    }

    /// A text has ended, and the transaction with it.
    fn settle(&mut self, verdict: Verdict, lease: Option<Lease>, octets: u64, wire: &mut Wire) -> io::Result<Ended> {
        let journal = std::mem::take(&mut self.journal);
        let Verdict::Said(reply) = verdict else {
            self.reception.metrics.unanswered.inc();
            self.record(LogLevel::Failures).field("sender", journal.sender()).say(
                "the gateway has not answered for a message that it may have; the application gets no answer either",
            );
            return Ok(Ended::Over);
        };
        if reply.is_success() {
            self.dialog.accepted();
            self.reception.metrics.accepted.inc();
            self.reception.metrics.accepted_bytes.inc_by(octets);
            self.record(LogLevel::Major)
                .field("sender", journal.sender())
                .number("recipients", journal.recipients())
                .number("bytes", octets)
                .field("reply", &reply)
                .say("accepted");
        } else {
            self.dialog.ended();
            self.refused(Some(journal.sender()), &reply);
        }
        match lease {
            // After a chunk that failed, the transaction may still be open.
            Some(lease) if !reply.is_success() => self.reception.pool.give_up(lease),
            Some(lease) => self.reception.pool.give_back(lease),
            None => {}
        }
        reply.render(&mut wire.output);
        Ok(if reply.closes() { Ended::Over } else { Ended::GoesOn })
    }

    /// What the end of a text came to.
    fn verdict(&self, ended: Result<Reply, ClientError>, address: SocketAddr) -> Verdict {
        match ended {
            Ok(reply) => Verdict::Said(reply),
            Err(error) if error.fate == Fate::Unknown => {
                self.reception.pool.broke(address);
                Verdict::Unknown
            }
            Err(error) => Verdict::Said(self.broken(&error, address)),
        }
    }

    /// The connection broke in a text that the gateway cannot have: its own refusal, or what became of the connection.
    fn broken(&self, error: &ClientError, address: SocketAddr) -> Reply {
        let pool = &self.reception.pool;
        if let Some(reply) = error.reply()
            && (reply.is_transient() || reply.is_permanent())
        {
            return reply.clone();
        }
        pool.broke(address);
        lost(&pool.gateway.shown(), error)
    }

    /// Reads more of the application, after it has been told what there is to tell.
    async fn read(&mut self, wire: &mut Wire, in_text: bool) -> io::Result<Ended> {
        self.say(wire).await?;
        let busy = in_text || *self.dialog.transaction() == Transaction::Open;
        if !busy && wire.input.is_empty() {
            // A connection that waits for its next use costs little.
            wire.input = BytesMut::new();
            wire.output = BytesMut::new();
        }
        wire.input.reserve(if in_text { READ_SIZE } else { SMALL_READ_SIZE });
        tokio::select! {
            biased;
            read = time::timeout(COMMAND_TIMEOUT, wire.stream.read_buf(&mut wire.input)) => match read {
                Ok(Ok(0)) => Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(Ok(_)) => Ok(Ended::GoesOn),
                Ok(Err(error)) => Err(error),
                Err(_) => {
                    Reply::enhanced(421, (4, 2), "Timed out waiting for the client; closing").render(&mut wire.output);
                    Ok(Ended::Over)
                }
            },
            // A message under way is finished; the process gives it the time that it has for stopping.
            () = self.reception.stop.cancelled(), if !busy => {
                Reply::enhanced(421, (3, 2), "Server is shutting down; try again later").render(&mut wire.output);
                Ok(Ended::Over)
            }
        }
    }

    /// Ends the transaction under way, if there is one.
    fn forget(&mut self) {
        self.journal = Journal::default();
        self.dialog.ended();
        if let Some(lease) = self.lease.take() {
            self.reception.pool.give_up(lease);
        }
    }

    /// Tells of a command that was refused.
    fn answered(&self, verb: Verb, line: &[u8], reply: &Reply) {
        if !reply.is_transient() && !reply.is_permanent() {
            return;
        }
        let named = address(line);
        let (sender, recipient) = match verb {
            Verb::Mail => (named.as_str(), None),
            Verb::Rcpt => (self.journal.sender(), Some(named.as_str())),
            Verb::Data | Verb::Rset => (self.journal.sender(), None),
        };
        self.count_refusal(reply);
        let record = self.record(LogLevel::Problems).field("sender", sender).maybe("recipient", recipient);
        record.say(format_args!("refused: {reply}"));
    }

    fn refused(&self, sender: Option<&str>, reply: &Reply) {
        self.count_refusal(reply);
        self.record(LogLevel::Problems).maybe("sender", sender).say(format_args!("refused: {reply}"));
    }

    fn count_refusal(&self, reply: &Reply) {
        // Replies have three digits.
        self.reception.metrics.refused.with_label_values(&[reply.code().to_string().as_str()]).inc();
    }

    fn record(&self, level: LogLevel) -> Record<'_> {
        self.reception.log.at(level, Tag::SmtpIn).field("session", self.id).field("client", self.client)
    }
}

impl Wire {
    /// Writes what there is to say.
    async fn say(&mut self) -> io::Result<()> {
        if !self.output.is_empty() {
            time::timeout(WRITE_TIMEOUT, self.stream.write_all(&self.output)).await??;
            self.output.clear();
        }
        Ok(())
    }
}
