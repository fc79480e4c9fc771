//! One session of the application: moves octets, and keeps to what may be answered.
//!
//! Decisions:
//! - Nothing is held but what is on its way, so that the application is read no faster than the gateway reads: [`commands`](super::commands)
//!   and [`text`](super::text) say how much that is.
//! - Where the application is gone, its transaction is forgotten, and what the gateway has of it never comes to its end.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use mailsluice_crds::LogLevel;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time,
};
use tokio_util::sync::CancellationToken;

use super::{
    dialog::{Dialog, Then, Transaction, Verb},
    journal::{Journal, address},
    metrics::Metrics,
    pool::{Lease, Pool},
};
use crate::{
    ids::SessionId,
    log::{Log, Record, Tag},
    smtp::{
        Reply,
        server::{COMMAND_TIMEOUT, Said},
    },
};

/// Octets of a text read at a time.
const READ_SIZE: usize = 32 << 10;

/// Octets read at a time of commands.
const SMALL_READ_SIZE: usize = 4 << 10;

/// How long an application may take to read what it is told.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

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
pub(super) struct Session {
    pub(super) reception: Arc<Reception>,
    pub(super) id: SessionId,
    client: SocketAddr,
    pub(super) dialog: Dialog,
    /// What the gateway has accepted of the transaction.
    pub(super) journal: Journal,
    /// The connection of the transaction under way.
    pub(super) lease: Option<Lease>,
    /// The MAIL that was answered and is not with the gateway yet.
    pub(super) held: Option<Bytes>,
    /// Whether DATA was answered 354 without the gateway.
    pub(super) ahead: bool,
}

/// The application's connection, and what is on its way.
pub(super) struct Wire {
    stream: TcpStream,
    pub(super) input: BytesMut,
    pub(super) output: BytesMut,
}

/// How a part of a session ended.
pub(super) enum Ended {
    /// It goes on.
    GoesOn,
    /// The session is over.
    Over,
}

/// Has a session with an application until it ends.
pub(super) async fn run(reception: Arc<Reception>, stream: TcpStream, client: SocketAddr) {
    let begun = Instant::now();
    reception.metrics.sessions_in.inc();
    let (dialog, journal) = (Dialog::default(), Journal::default());
    let (id, lease, held) = (SessionId::next(), None, None);
    let mut session = Session { reception, id, client, dialog, journal, lease, held, ahead: false };
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
            let group = self.dialog.take(&mut wire.input);
            self.tell();
            let last = self.carry_out(&group, &mut wire.output).await;
            if last.as_ref().is_some_and(Reply::closes) {
                return self.say(&mut wire).await;
            }
            let ended = match group.then {
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

    /// Reads more of the application, after it has been told what there is to tell.
    pub(super) async fn read(&mut self, wire: &mut Wire, in_text: bool) -> io::Result<Ended> {
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
        let unused = self.held.take().is_some();
        match self.lease.take() {
            Some(lease) if unused => self.reception.pool.give_back(lease),
            Some(lease) => self.reception.pool.give_up(lease),
            None => {}
        }
    }

    /// Tells of a command that was refused.
    pub(super) fn answered(&self, verb: Verb, line: &[u8], reply: &Reply) {
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

    pub(super) fn refused(&self, sender: Option<&str>, reply: &Reply) {
        self.count_refusal(reply);
        self.record(LogLevel::Problems).maybe("sender", sender).say(format_args!("refused: {reply}"));
    }

    fn count_refusal(&self, reply: &Reply) {
        // Replies have three digits.
        self.reception.metrics.refused.with_label_values(&[reply.code().to_string().as_str()]).inc();
    }

    pub(super) fn record(&self, level: LogLevel) -> Record<'_> {
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
