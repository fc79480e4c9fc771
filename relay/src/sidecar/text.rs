//! The text of a message on its way to the gateway, and what the gateway makes of it.
//!
//! Decisions:
//! - A message is answered 250 when, and only when, the gateway has answered so to the end of its text.
//! - Where DATA was answered ahead of the gateway, a text is gathered up to [`GATHERED_MAX`], and goes as one chunk of BDAT when it has come to
//!   its end: without stuffed dots, so that the gateway gets the very octets that DATA would bring. What does not end by then is asked for by
//!   DATA, and passed on as it comes. Chunks would save a round trip of such a text, but a gateway that stops ends a session
//!   between two of them, and finishes a text of DATA.
//! - Where the connection to the gateway is lost before the end of a text is on its way, the gateway cannot have the message. Gathered whole, it
//!   begins again over another connection; of which a part was sent, it is read to its end and answered 451. Where the end
//!   is on its way and no answer comes, nobody knows: the application gets no answer either, but a closed connection, as it would
//!   without a sidecar. A refusal would be a lie in one of the two cases. A 421 is an answer: no.
//! - Where the application is gone before the end of its text, the gateway never gets the end.
//! - A bare CR or LF is refused here, with the gateway's words, and nothing more of its text goes to the gateway.

use std::{io, net::SocketAddr};

use bytes::{Buf as _, BytesMut};
use mailsluice_crds::LogLevel;

use super::{
    away::{lost, not_asked_for},
    commands::ATTEMPTS,
    dialog::{Transaction, Verb, no_mail},
    journal::Journal,
    pool::Lease,
    session::{Ended, Session, Wire},
};
use crate::smtp::{
    Reply,
    client::{ClientError, Fate},
    command::CommandError,
    data::{BareLf, Decoder, Encoder},
};

/// Octets of a text that are gathered: most mail is smaller, and all that is gathered at once fits into a sidecar's memory.
const GATHERED_MAX: usize = 64 << 10;

/// What the gateway made of a text.
enum Verdict {
    Said(Reply),
    /// Nobody knows.
    Unknown,
}

impl Session {
    /// The text of a message, by DATA.
    pub(super) async fn text(&mut self, wire: &mut Wire) -> io::Result<Ended> {
        let mut decoder = Decoder::new(u64::MAX, BareLf::Refuse);
        let mut text = Vec::new();
        if !std::mem::take(&mut self.ahead) {
            // From here on this session alone has it: however the text ends but by the gateway's answer, the connection is dropped.
            let lease = self.lease.take().ok_or_else(no_mail);
            return self.stream(wire, decoder, text, lease).await;
        }
        loop {
            let progress = decoder.decode(&wire.input, &mut text);
            wire.input.advance(progress.consumed);
            let begun = if decoder.fault().is_some() {
                Err(CommandError::BareNewline.reply())
            } else if text.len() > GATHERED_MAX {
                self.ask_for_text().await
            } else if progress.ended {
                let (verdict, lease) = self.hand_over(&text).await;
                return self.settle(verdict, lease, decoder.octets(), wire);
            } else {
                if let Ended::Over = self.read(wire, true).await? {
                    return Ok(Ended::Over);
                }
                continue;
            };
            return self.stream(wire, decoder, text, begun).await;
        }
    }

    /// Hands over a text that has come to its end.
    async fn hand_over(&mut self, text: &[u8]) -> (Verdict, Option<Lease>) {
        let deadline = self.deadline();
        let mut attempts = 0;
        loop {
            if self.lease.is_none()
                && let Err(why) = self.pass(&[], deadline).await
            {
                return (Verdict::Said(why), None);
            }
            // There is one now.
            let Some(mut lease) = self.lease.take() else { return (Verdict::Said(no_mail()), None) };
            let (client, address) = (&mut lease.connection.client, lease.connection.address);
            client.pass_chunk(text.len() as u64, true);
            let error = match client.pass_end(text, true).await {
                Ok(reply) => return (Verdict::Said(reply), Some(lease)),
                Err(error) => error,
            };
            attempts += 1;
            let refused = error.reply().is_some_and(|reply| reply.code() != 421);
            let again = error.fate == Fate::NotAccepted && !refused && self.journal.repeated().is_some();
            if !again || attempts >= ATTEMPTS {
                return (self.verdict(Err(error), address), None);
            }
            self.reception.pool.broke(address);
        }
    }

    /// Asks the gateway for a text of which no more can be gathered.
    ///
    /// # Errors
    /// What the application is told at the end of the text.
    async fn ask_for_text(&mut self) -> Result<Lease, Reply> {
        let deadline = self.deadline();
        let replies = self.pass(&[b"DATA"], deadline).await?;
        match replies.first() {
            Some(reply) if reply.code() == 354 => self.lease.take().ok_or_else(no_mail),
            Some(reply) if reply.is_transient() || reply.is_permanent() => Err(reply.clone()),
            Some(reply) => Err(not_asked_for(&self.reception.pool.gateway.shown(), reply)),
            None => Err(no_mail()),
        }
    }

    /// Passes a text on as it comes, behind what was gathered of it. Where it is settled what becomes of it, it is read to its end.
    async fn stream(
        &mut self,
        wire: &mut Wire,
        mut decoder: Decoder,
        mut text: Vec<u8>,
        mut way: Result<Lease, Reply>,
    ) -> io::Result<Ended> {
        let (mut encoder, mut encoded) = (Encoder::new(), BytesMut::new());
        let verdict = loop {
            let progress = decoder.decode(&wire.input, &mut text);
            wire.input.advance(progress.consumed);
            if decoder.fault().is_some() {
                way = Err(CommandError::BareNewline.reply());
            }
            encoded.clear();
            encoder.encode(&text, &mut encoded);
            text.clear();
            if progress.ended {
                break match &mut way {
                    Ok(lease) => {
                        encoder.finish(&mut encoded);
                        let ended = lease.connection.client.pass_end(&encoded, true).await;
                        self.verdict(ended, lease.connection.address)
                    }
                    Err(reply) => Verdict::Said(reply.clone()),
                };
            }
            if let Ok(lease) = &mut way
                && !encoded.is_empty()
                && let Err(error) = lease.connection.client.pass_text(&encoded).await
            {
                way = Err(self.broken(&error, lease.connection.address));
            }
            if let Ended::Over = self.read(wire, true).await? {
                return Ok(Ended::Over);
            }
        };
        self.settle(verdict, way.ok(), decoder.octets(), wire)
    }

    /// A chunk of a text, by BDAT.
    pub(super) async fn chunk(&mut self, wire: &mut Wire, size: u64, last: bool) -> io::Result<Ended> {
        if self.held.is_some() {
            // Nobody was named to whom the text would go, which the gateway says.
            let deadline = self.deadline();
            if let Err(why) = self.pass(&[], deadline).await {
                self.held = None;
                self.dialog.lost(Verb::Mail, &why);
            }
        }
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
                        self.journal = Journal::default();
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
        // Where the text was settled without the gateway, the connection is still the session's.
        let lease = lease.or_else(|| self.lease.take());
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
}
