//! Has the gateway answer the application's commands, in as few round trips as there can be.
//!
//! Decisions:
//! - A MAIL for which the application waits is answered here, once there is a connection to a gateway that can refuse nothing of what it
//!   asks for ([`Needs`](super::needs::Needs)), and goes to the gateway with the command behind it. A server may put the refusal of a
//!   sender off to its recipients (RFC 5321 section 3.3), and the gateway does so itself for most reasons.
//! - Where the gateway refuses such a MAIL, RCPT and DATA are answered by its own reply, until the application begins another.
//! - DATA is answered here where the gateway has accepted a recipient and offers CHUNKING: the text then goes by BDAT. Where no
//!   recipient was accepted, or the text can come by BDAT alone, the gateway is asked.
//! - Both want PIPELINING of the gateway.
//! - A lost connection does no harm before a text: the transaction begins again over another one, at another replica if there is one.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use mailsluice_crds::LogLevel;

use super::{
    away::{lost, not_resumed},
    dialog::{Group, Step, Transaction, Verb, no_mail, passed},
    journal::Journal,
    pool::Lease,
    session::Session,
};
use crate::smtp::{Reply, client::Capabilities};

/// Connections over which the commands of a transaction are tried.
pub(super) const ATTEMPTS: u32 = 4;

impl Session {
    /// Carries out the steps of a group; the last reply to what is the gateway's.
    pub(super) async fn carry_out(&mut self, group: &Group, output: &mut BytesMut) -> Option<Reply> {
        let steps = group.steps.as_slice();
        if passed(steps).is_empty() {
            return self.answer(steps, Ok(Vec::new()), output);
        }
        let deadline = self.deadline();
        let offered = match self.find(deadline).await {
            Ok(offered) => offered,
            Err(why) => return self.answer(steps, Err(why), output),
        };
        if group.is_mail_alone() && self.may_hold(&offered) {
            return self.answer_ahead(steps, output);
        }
        let (steps, data) = match steps.split_last() {
            Some((Step::Pass(Verb::Data, line), before)) if self.takes_chunks(&offered) => (before, Some(line)),
            _ => (steps, None),
        };
        let answers = match passed(steps).as_slice() {
            [] => Ok(Vec::new()),
            lines => self.pass(lines, deadline).await,
        };
        let last = self.answer(steps, answers, output);
        match data {
            Some(line) => self.begin_text(line, output).await,
            None => last,
        }
    }

    /// Until when what begins now may wait for a gateway that is away.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.reception.pool.terms.wait
    }

    /// What the gateway offers over the connection of the transaction, which is one from the pool where there is none yet.
    ///
    /// # Errors
    /// What the application is told where there is no connection.
    async fn find(&mut self, deadline: Instant) -> Result<Capabilities, Reply> {
        let lease = match self.lease.take() {
            Some(lease) => lease,
            None => self.lend(deadline).await?,
        };
        let offered = *lease.connection.client.capabilities();
        self.lease = Some(lease);
        Ok(offered)
    }

    async fn lend(&self, deadline: Instant) -> Result<Lease, Reply> {
        let pool = &self.reception.pool;
        let mut lease = pool.lease(deadline).await.map_err(|away| away.reply(&pool.gateway.shown()))?;
        lease.connection.client.observer_mut().lend(Some(self.id));
        Ok(lease)
    }

    /// Whether the MAIL that was just said may be answered before the gateway has seen it.
    fn may_hold(&self, offered: &Capabilities) -> bool {
        // Within a transaction it is out of order, which the gateway says.
        *self.dialog.transaction() != Transaction::Open && offered.pipelining && self.dialog.needs().are_met(offered)
    }

    /// Whether a text may go to the gateway by BDAT, although the application says DATA.
    fn takes_chunks(&self, offered: &Capabilities) -> bool {
        offered.chunking && offered.pipelining && !self.dialog.needs().are_binary() && !self.journal.is_chunked()
    }

    /// Answers a MAIL, and keeps it for the next flight.
    fn answer_ahead(&mut self, steps: &[Step], output: &mut BytesMut) -> Option<Reply> {
        for step in steps {
            if let Step::Pass(_, line) = step {
                self.journal = Journal::ahead(line);
                // A copy: the line is a part of a buffer that may be much larger.
                self.held = Some(Bytes::copy_from_slice(line));
            }
        }
        self.answer(steps, Ok(vec![Reply::enhanced(250, (1, 0), "Ok")]), output)
    }

    /// Answers DATA, behind which a text may go to the gateway by BDAT.
    async fn begin_text(&mut self, line: &Bytes, output: &mut BytesMut) -> Option<Reply> {
        let reply = match self.dialog.transaction() {
            Transaction::Open if self.held.is_none() && self.journal.recipients() > 0 => {
                self.ahead = true;
                Reply::new(354, "End the message with <CR><LF>.<CR><LF>")
            }
            Transaction::Open => {
                let deadline = self.deadline();
                let answers = self.pass(&[line.as_ref()], deadline).await;
                let step = Step::Pass(Verb::Data, line.clone());
                return self.answer(&[step], answers, output);
            }
            Transaction::Lost(why) => why.clone(),
            Transaction::None => no_mail(),
        };
        self.answered(Verb::Data, line, &reply);
        reply.render(output);
        Some(reply)
    }

    /// Tells the application what its commands have come to: `answers` has a reply for each that was passed on, or one in the place of
    /// all. The last reply to what is the gateway's.
    fn answer(&mut self, steps: &[Step], answers: Result<Vec<Reply>, Reply>, output: &mut BytesMut) -> Option<Reply> {
        let mut answers = answers.map(Vec::into_iter);
        if answers.is_err() {
            self.journal = Journal::default();
            self.held = None;
        }
        let mut last = None;
        for step in steps {
            let (verb, line) = match step {
                Step::Pass(verb, line) => (*verb, line),
                Step::Say(reply) => {
                    reply.render(output);
                    continue;
                }
            };
            let reply = match &mut answers {
                Ok(replies) => match (replies.next(), self.dialog.transaction()) {
                    // As many as were passed.
                    (None, _) => continue,
                    // What the gateway says of a command without its MAIL would explain nothing.
                    (Some(_), Transaction::Lost(why)) if matches!(verb, Verb::Rcpt | Verb::Data) => why.clone(),
                    (Some(reply), _) => reply,
                },
                Err(why) => {
                    let reply = self.dialog.lost(verb, why);
                    self.answered(verb, line, &reply);
                    reply.render(output);
                    continue;
                }
            };
            self.dialog.answered(verb, &reply);
            // One that is held is none that the gateway has accepted.
            if self.held.is_none() {
                self.journal.note(verb, line, &reply);
            }
            self.answered(verb, line, &reply);
            reply.render(output);
            last = Some(reply);
        }
        if *self.dialog.transaction() != Transaction::Open
            && let Some(lease) = self.lease.take()
        {
            self.reception.pool.give_back(lease);
        }
        last
    }

    /// Has the gateway answer commands, behind a MAIL that is held; over another connection where the one that there is has been lost.
    ///
    /// # Errors
    /// What the application is told in the place of all replies.
    pub(super) async fn pass(&mut self, commands: &[&[u8]], deadline: Instant) -> Result<Vec<Reply>, Reply> {
        let pool = self.reception.pool.clone();
        let mut attempts = 0;
        loop {
            let (mut lease, repeated) = match self.lease.take() {
                Some(lease) => (lease, &[][..]),
                None => (self.lend(deadline).await?, self.journal.repeated().unwrap_or_default()),
            };
            let before = repeated.iter().chain(&self.held).map(AsRef::as_ref);
            let lines: Vec<&[u8]> = before.chain(commands.iter().copied()).collect();
            let error = match lease.connection.client.pass(&lines).await {
                Ok(mut replies) => {
                    let mut answers = replies.split_off(repeated.len());
                    if let Some(no) = replies.iter().find(|reply| !reply.is_success()) {
                        // The connection is dropped as it is: it may wait for a text.
                        return Err(not_resumed(&pool.gateway.shown(), no));
                    }
                    if !replies.is_empty() {
                        self.reception.metrics.resumed.inc();
                        self.record(LogLevel::Problems)
                            .field("peer", lease.connection.address)
                            .say("the connection to the gateway was lost; the transaction goes on over another one");
                    }
                    self.lease = Some(lease);
                    if let Some(mail) = self.held.take()
                        && !answers.is_empty()
                    {
                        self.begun(&mail, &answers.remove(0));
                    }
                    return Ok(answers);
                }
                Err(error) => error,
            };
            pool.broke(lease.connection.address);
            attempts += 1;
            if attempts >= ATTEMPTS || self.journal.repeated().is_none() {
                return Err(lost(&pool.gateway.shown(), &error));
            }
        }
    }

    /// The gateway has answered a MAIL that was answered ahead of it.
    fn begun(&mut self, mail: &[u8], reply: &Reply) {
        if reply.is_success() {
            self.journal.note(Verb::Mail, mail, reply);
        } else {
            self.dialog.lost(Verb::Mail, reply);
        }
    }
}
