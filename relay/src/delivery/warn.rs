//! Senders are told that their mail is late: once when it has waited for `retry.warnAfter`, and once when the time is over by which
//! they wanted it delivered (RFC 2852 mode N). It stays in its place all the while.

use std::sync::Arc;

use jiff::Timestamp;
use mailsluice_crds::{
    LogLevel,
    catalogue::{Code, OwnCode},
    monitor::{LastError, Reason, Stage},
};

use super::{Courier, outcome::Failure};
use crate::{
    clock,
    log::Tag,
    queue::{HostSummary, LateMessage},
    report::Occasion,
    smtp::extensions::Notify,
    spool::{self, Deferral, Envelope, Mark, Told},
};

/// Tells the sender of one message, and writes that down.
pub(super) async fn tell(courier: Arc<Courier>, late: LateMessage) {
    // What is gone by now is not late any more.
    let Ok((envelope, body)) = courier.spool.read(late.location).await else { return };
    let parts = late.parts.iter().flat_map(|part| part.recipients.iter().map(|recipient| (*recipient, &part.host)));
    let wanted: Vec<Failure> = parts
        .filter(|(recipient, _)| wants_delays(&envelope, *recipient, late.told))
        .map(|(recipient, host)| delay(recipient, host, &envelope, late.told))
        .collect();
    if envelope.sender.is_empty() || wanted.is_empty() {
        return;
    }
    let until = courier.expiry(&envelope);
    if let Err(error) = courier.report_delay(&envelope, body, until, &wanted).await {
        courier
            .log
            .at(LogLevel::Problems, Tag::Report)
            .field("message", late.id)
            .say(format_args!("could not tell a sender that its message is late: {error}"));
        return;
    }
    courier.metrics.delays_told.inc();
    write_down(&courier, &late, clock::now());
}

/// Whether the sender wants to be told that a recipient is late: unless NOTIFY says otherwise (RFC 3461 section 5.2.5). Who asked for
/// it by DELIVERBY is told but for NOTIFY=NEVER.
fn wants_delays(envelope: &Envelope, recipient: u16, told: Told) -> bool {
    let asked = envelope.extras.as_ref().and_then(|extras| extras.of(recipient));
    match asked.and_then(|asked| asked.notify) {
        None => true,
        Some(notify) if told == Told::OVERDUE => notify != Notify::NEVER,
        Some(notify) => notify.includes(Notify::DELAY),
    }
}

fn delay(recipient: u16, host: &HostSummary, envelope: &Envelope, told: Told) -> Failure {
    let overdue = envelope.timing().deliver_by.filter(|_| told == Told::OVERDUE);
    let sentence = host.sentence().unwrap_or_else(|| "it waits for its turn".to_owned());
    Failure {
        recipient,
        status: if overdue.is_some() { "4.4.7".to_owned() } else { status(host) },
        reply: None,
        remote: None,
        text: match overdue {
            Some(by) => format!("it was to be delivered by {:.0}; {sentence}", by.at),
            None => sentence,
        },
    }
}

/// The status of RFC 3463 for mail that waits: the host's own, or what its failure comes to.
fn status(host: &HostSummary) -> String {
    let failure = match host.reason {
        // Nothing is wrong with the host: it is the time that passes.
        Some(
            Reason::TcpScheduleClosed
            | Reason::TcpSchedulePause
            | Reason::ScheduleNotFound
            | Reason::RateLimited
            | Reason::HeldBySender
            | Reason::Held,
        ) => None,
        // None while it is being tried again.
        _ => host.last_error.as_ref(),
    };
    let Some(LastError { code, stage, .. }) = failure else { return "4.4.7".to_owned() };
    let said = match code {
        Code::Reply(reply) => reply.enhanced().filter(|enhanced| enhanced.class == 4),
        _ => None,
    };
    match (said, stage) {
        (Some(enhanced), _) => enhanced.to_string(),
        (None, Stage::Dns) => "4.4.3".to_owned(),
        (None, Stage::Connect) => "4.4.1".to_owned(),
        (None, _) => "4.4.2".to_owned(),
    }
}

/// So that a restart does not tell it again. What a session has taken meanwhile it writes down itself.
fn write_down(courier: &Courier, late: &LateMessage, now: Timestamp) {
    for part in &late.parts {
        let summary = &part.host;
        let code = match (&summary.last_error, summary.reason) {
            (Some(error), _) => error.code.to_string(),
            (None, Some(reason)) => reason.name().to_owned(),
            (None, None) => OwnCode::Late.to_string(),
        };
        let text = summary.sentence().unwrap_or_else(|| "it waits for its turn".to_owned());
        let error = spool::LastError { code, text, at: now };
        // Under the queue's lock, so that no session takes the message before its mark is on its way.
        courier.queue.read(|queue| {
            let Some((attempts, due, told)) = queue.waiting(summary.id, late.id) else { return };
            let deferral = Deferral { attempts, due: due.unwrap_or(now), error, told };
            let outcomes = part.recipients.iter();
            let outcomes = outcomes.map(|recipient| (*recipient, spool::Outcome::Deferred(deferral.clone()))).collect();
            courier.spool.mark(Mark { id: late.id, location: late.location, outcomes });
        });
    }
}

impl Courier {
    async fn report_delay(
        &self,
        envelope: &Envelope,
        body: spool::BodyReader,
        until: Timestamp,
        late: &[Failure],
    ) -> Result<(), super::bounce::BounceError> {
        self.report_headers(Occasion::Delayed { until }, envelope, Some(body), late).await
    }
}

#[cfg(test)]
mod tests {
    use mailsluice_crds::monitor::HostState;

    use super::*;
    use crate::queue::{Backoff, Limits, Queue};

    #[test]
    fn mail_that_waits_has_the_status_of_what_it_waits_for() {
        let host = |reason, code: &str, stage| HostSummary {
            id: some_host(),
            host: "a.test".into(),
            state: HostState::Suspended,
            messages: 1,
            oldest: None,
            suspended_till: None,
            reason,
            problem: None,
            failing_since: None,
            last_error: (!code.is_empty()).then(|| LastError {
                code: Code::from_name(code).unwrap(),
                number: None,
                stage,
                peer: None,
                at: Timestamp::UNIX_EPOCH,
                text: String::new(),
            }),
        };
        for (reason, code, stage, expected) in [
            (Some(Reason::MessagesDeferred), "451 4.7.1", Stage::RcptTo, "4.7.1"),
            (Some(Reason::HostRefused), "421 4.3.2", Stage::Banner, "4.3.2"),
            (Some(Reason::HostRefused), "421", Stage::Banner, "4.4.2"),
            (Some(Reason::ConnectionFailed), "ECONNREFUSED", Stage::Connect, "4.4.1"),
            (None, "ECONNREFUSED", Stage::Connect, "4.4.1"),
            (Some(Reason::DnsFailed), "SERVFAIL", Stage::Dns, "4.4.3"),
            (Some(Reason::TcpScheduleClosed), "421", Stage::Banner, "4.4.7"),
            (None, "", Stage::Connect, "4.4.7"),
        ] {
            assert_eq!(status(&host(reason, code, stage)), expected, "{reason:?} {code}");
        }
    }

    fn some_host() -> crate::queue::HostId {
        let mut queue = Queue::new(Limits { backoff: Backoff::default(), ..Limits::default() });
        crate::queue::tests::any_host(&mut queue)
    }
}
