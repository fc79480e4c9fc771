//! Messages whose senders require TLS all the way (RFC 8689 section 4.2.1).
//!
//! Decisions:
//! - Such a message goes only where the host has shown by its certificate, or by its TLSA records, that it is the one that is named,
//!   where nobody but the domain can have named it, and where it promises as much itself. The name is beyond doubt where the route gives
//!   it, where there is no MX record, where DNSSEC proves the MX record, and where the domain's MTA-STS policy lists the host, be it on
//!   trial. A DNS server that leaves signatures out is no hindrance where there is such a policy.
//! - A connection that the route's own policy has led to is used where it has all that. Else the session looks for one that has, over
//!   all hosts of the domain, whatever the route says of TLS, and goes on there with all that waits.
//! - What no host can have goes back at once, as the RFC wants it: with 5.7.30 where a host wants nothing but the promise, else with
//!   5.7.10. What may be otherwise in an hour (a host that cannot be reached, an answer of the DNS) keeps the message waiting. It is the
//!   message that waits or fails, not the host.
//! - A report is not lost (section 5): what no host can have as it should goes as other mail does, and does not say REQUIRETLS.

use mailsluice_crds::{catalogue::TlsCode, monitor::LastError, relay::TlsPolicy};

use super::{
    fault::{Fault, TEXT_LENGTH},
    outcome::{Failure, Outcome},
    policy::Asks,
    session::{Peer, Session, Turn},
    transfer::Watcher,
};
use crate::{
    clock,
    errors::shortened,
    mta_sts::Mode,
    queue::{InHand, Work},
    route::{NextHop, RouteCode, Target},
    smtp::client::{Capabilities, Client},
    spool::Envelope,
    tls::{Stream, TlsFault, Wanted},
};

/// What a connection may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carries {
    /// Mail that requires no more than its route says.
    Ordinary,
    /// Mail that requires TLS too: the host is the one that it should be.
    All,
    /// As `Ordinary`, and reports that require TLS, for which there is no better connection.
    Reports,
    /// Mail alone that is to go even without TLS.
    Optional,
}

/// How a message goes over a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Going {
    /// With all that its sender asked for.
    Whole,
    /// Without REQUIRETLS, which is only said where it holds (RFC 8689 section 2).
    Unmarked,
    /// Not over this one.
    Elsewhere,
}

/// How a message goes over a connection to a host that offers this.
pub(super) fn going(envelope: &Envelope, carries: Carries, host: &Capabilities) -> Going {
    match carries {
        _ if !envelope.requires_tls() => Going::Whole,
        Carries::All if host.require_tls => Going::Whole,
        Carries::Reports if envelope.sender.is_empty() => Going::Unmarked,
        Carries::Ordinary | Carries::All | Carries::Reports | Carries::Optional => Going::Elsewhere,
    }
}

/// Why a host cannot have a message that requires TLS.
#[derive(Debug)]
enum Unmet {
    /// It does not promise to pass it on likewise; its name.
    NoPromise(String),
    /// There is no TLS with it that is as it should be, and why.
    NoTls(String),
    /// It is not known: another time, perhaps.
    Later(LastError),
}

impl Unmet {
    fn of(fault: Fault, host: &str) -> Unmet {
        let LastError { code, text, .. } = &fault.error;
        if !fault.lasting {
            return Unmet::Later(fault.error);
        }
        // In its own words it speaks of the route, which is not what asks for TLS here.
        let why = if *code == TlsFault::NotOffered.code() { "the host offers no STARTTLS" } else { text };
        Unmet::NoTls(format!("{host}: {code}: {why}"))
    }
}

/// What becomes of a message that none of the hosts can have.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// It goes back.
    Never {
        /// The status of RFC 3463.
        status: &'static str,
        /// Why, as a sentence.
        text: String,
    },
    /// It waits.
    Later(LastError),
}

/// What becomes of a message that none of these can have.
fn verdict(unmet: Vec<Unmet>) -> Verdict {
    const ASKED: &str = "the sender requires TLS all the way (REQUIRETLS)";
    let (mut hosts, mut why) = (Vec::new(), String::new());
    for one in unmet {
        match one {
            Unmet::Later(error) => {
                let text = format!("{ASKED}, and whether a host has it is not known yet: {}", error.text);
                return Verdict::Later(LastError { text: shortened(&text, TEXT_LENGTH), ..error });
            }
            Unmet::NoPromise(host) if hosts.contains(&host) => {}
            Unmet::NoPromise(host) => hosts.push(host),
            Unmet::NoTls(text) => why = text,
        }
    }
    if hosts.is_empty() {
        return Verdict::Never { status: "5.7.10", text: format!("{ASKED}, and none can be relied on: {why}") };
    }
    let text = format!("{ASKED}, and there is no promise of it: no REQUIRETLS is offered by {}", hosts.join(", "));
    Verdict::Never { status: "5.7.30", text }
}

impl Session {
    /// What a connection to this target, under this, may carry.
    pub(super) fn carries(&self, target: &Target, wanted: Option<&Wanted>) -> Carries {
        let verified = wanted.is_some_and(|wanted| wanted.verified);
        // Of the targets of a policy in force those are left that it lists.
        let named = target.proved || self.approach.asks.get().and_then(Asks::mode) == Some(Mode::Enforce);
        if verified && named { Carries::All } else { Carries::Ordinary }
    }

    /// Sends a message that requires a better connection than there was, and what waits behind it.
    pub(super) async fn require_tls(&self, first: InHand) {
        let mut next = Some(first);
        while let Some(in_hand) = next.take() {
            if self.approach.courier.stop.is_cancelled() || !self.approach.lease.may_go_on(clock::now()) {
                return;
            }
            next = self.send_verified(in_hand).await;
        }
    }

    /// The same for one such message; gives the next, if the connection that was found is not good enough for it.
    async fn send_verified(&self, in_hand: InHand) -> Option<InHand> {
        let unmet = match self.open_verified().await {
            Ok((client, target)) => return self.go_on(client, &target, Carries::All, in_hand).await,
            Err(unmet) => unmet,
        };
        let work = in_hand.work().cloned()?;
        let envelope = match self.approach.courier.spool.envelope(work.location).await {
            Ok(envelope) => envelope,
            Err(error) => {
                self.approach.courier.unreadable(&work, &error, in_hand);
                return None;
            }
        };
        let outcome = match verdict(unmet) {
            Verdict::Never { .. } if envelope.sender.is_empty() => match self.open_as_usual().await {
                Ok((client, target)) => return self.go_on(client, &target, Carries::Reports, in_hand).await,
                Err(fault) => put_off(&work, fault?.error),
            },
            Verdict::Never { status, text } => given_up(&work, status, &text),
            Verdict::Later(error) => put_off(&work, error),
        };
        self.settle(in_hand, &envelope, outcome, None).await;
        None
    }

    async fn go_on(
        &self,
        client: Client<Stream, Watcher>,
        target: &Target,
        carries: Carries,
        in_hand: InHand,
    ) -> Option<InHand> {
        let peer = Peer { target, carries, others: false };
        match self.send_all(client, &peer, Some(in_hand)).await {
            Turn::Over => None,
            Turn::Requires(in_hand) => Some(in_hand),
            Turn::Broken(fault) => {
                // Nothing more is tried in this session, whatever it is.
                let _ = self.blame(target, &fault);
                None
            }
        }
    }

    /// A session with the first host that has all that is required, or what each of them lacks.
    async fn open_verified(&self) -> Result<(Client<Stream, Watcher>, Target), Vec<Unmet>> {
        let targets = self.beyond_doubt().await.map_err(|unmet| vec![unmet])?;
        let mut unmet = Vec::new();
        for target in targets {
            if let Some(error) = self.held(&target) {
                unmet.push(Unmet::Later(error));
                continue;
            }
            match self.reach_verified(&target).await {
                Ok(client) if client.capabilities().require_tls => return Ok((client, target)),
                Ok(client) => {
                    // What the host thinks of our leaving changes nothing.
                    let _ = client.quit().await;
                    unmet.push(Unmet::NoPromise(target.name));
                }
                Err(fault) => {
                    let last = fault.is_of_all_addresses();
                    unmet.push(Unmet::of(fault, &target.name));
                    if last {
                        break;
                    }
                }
            }
        }
        Err(unmet)
    }

    /// The targets whose names nobody but the domain, or the route, can have given; at least one.
    async fn beyond_doubt(&self) -> Result<Vec<Target>, Unmet> {
        let later = |fault: Fault| Unmet::Later(fault.error);
        let is_mx = matches!(self.approach.hop, NextHop::Mx(_));
        let mut found = self.approach.look_up(is_mx || self.approach.asks_for_dane()).await;
        if is_mx && found.as_ref().is_err_and(|error| error.code == RouteCode::DnssecBogus) {
            found = self.approach.look_up(false).await;
        }
        let mut targets = found.map_err(|error| later(Fault::route(&error, clock::now())))?;
        let NextHop::Mx(domain) = &self.approach.hop else { return Ok(targets) };
        if targets.iter().all(|target| target.proved) {
            return Ok(targets);
        }
        let found = self.approach.find_policy(domain).await;
        let policy = found.policy.as_ref().map(|in_force| &in_force.policy);
        let names: Vec<String> = targets.iter().map(|target| target.name.clone()).collect();
        targets.retain(|target| target.proved || policy.is_some_and(|policy| policy.names(&target.name)));
        if targets.is_empty() {
            let mut names = names;
            names.dedup();
            let text = format!(
                "nothing proves that mail for {domain} goes to {}: its MX record is not signed (DNSSEC), and no MTA-STS policy \
                 lists it",
                names.join(", ")
            );
            if found.unknown || found.failed.is_some() {
                return Err(later(Fault::policy(TlsCode::MxNotProved, &text, clock::now())));
            }
            return Err(Unmet::NoTls(text));
        }
        Ok(targets)
    }

    /// A session with this target, under TLS and verified.
    async fn reach_verified(&self, target: &Target) -> Result<Client<Stream, Watcher>, Fault> {
        let usable = target.tlsa.as_ref().is_some_and(|records| records.is_usable());
        let policy = if usable { TlsPolicy::Dane } else { TlsPolicy::Verified };
        let wanted = self.approach.wanted_as(policy, (target, None), None)?;
        self.reach(target, wanted.as_ref()).await
    }

    /// A session with the first host that will have one as the route says; why there is none, else.
    async fn open_as_usual(&self) -> Result<(Client<Stream, Watcher>, Target), Option<Fault>> {
        let targets = self
            .approach
            .look_up(self.approach.asks_for_dane())
            .await
            .map_err(|error| Fault::route(&error, clock::now()))?;
        let mut last = None;
        for target in self.approach.narrow(targets).await? {
            let reached = match self.approach.wanted(&target, None).await {
                Ok(wanted) => self.reach(&target, wanted.as_ref()).await,
                Err(fault) => Err(fault),
            };
            match reached {
                Ok(client) => return Ok((client, target)),
                Err(fault) if fault.is_of_all_addresses() => return Err(Some(fault)),
                Err(fault) => last = Some(fault),
            }
        }
        Err(last)
    }

    /// Why an address is left alone now, where it is.
    fn held(&self, target: &Target) -> Option<LastError> {
        let now = clock::now();
        let held = |held: &crate::tcp::Held| held.error.clone();
        self.approach
            .courier
            .gate
            .addresses(|addresses| addresses.held(target.address, &self.approach.host, now).map(held))
    }
}

fn given_up(work: &Work, status: &str, text: &str) -> Outcome {
    let failure = |recipient: &u16| Failure {
        recipient: *recipient,
        status: status.to_owned(),
        reply: None,
        remote: None,
        text: text.to_owned(),
    };
    Outcome { failed: work.recipients.iter().map(failure).collect(), ..Outcome::default() }
}

fn put_off(work: &Work, error: LastError) -> Outcome {
    Outcome { deferred: work.recipients.to_vec(), error: Some(error), ..Outcome::default() }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use mailsluice_crds::{catalogue::OwnCode, monitor::Stage};

    use super::*;
    use crate::{
        smtp::{
            Extensions,
            client::{ClientError, ErrorKind, Fate},
        },
        spool::Extras,
    };

    #[test]
    fn mail_that_requires_tls_goes_where_all_of_it_is_and_reports_go_as_they_can() {
        use Carries::{All, Optional, Ordinary, Reports};
        use Going::{Elsewhere, Unmarked, Whole};
        for (require_tls, sender, carries, offered, expected) in [
            (false, "a@a.test", Ordinary, false, Whole),
            (false, "a@a.test", Optional, false, Whole),
            (true, "a@a.test", All, true, Whole),
            (true, "a@a.test", All, false, Elsewhere),
            (true, "a@a.test", Ordinary, true, Elsewhere),
            (true, "a@a.test", Reports, true, Elsewhere),
            (true, "a@a.test", Optional, true, Elsewhere),
            (true, "", All, true, Whole),
            (true, "", All, false, Elsewhere),
            (true, "", Ordinary, true, Elsewhere),
            // The host is not proved to be who it should be, so it is not said to it.
            (true, "", Reports, true, Unmarked),
            (true, "", Reports, false, Unmarked),
        ] {
            let message = Extensions { require_tls, ..Extensions::default() };
            let envelope = Envelope {
                id: crate::spool::MessageId::from_u64(1),
                received_at: Timestamp::UNIX_EPOCH,
                sender: sender.into(),
                recipients: vec!["b@b.test".into()],
                eight_bit: false,
                extras: Some(Box::new(Extras { message, ..Extras::default() })),
                size: 1,
                client: crate::spool::Client::default(),
            };
            let host = Capabilities { require_tls: offered, ..Capabilities::default() };
            let found = going(&envelope, carries, &host);
            assert_eq!(found, expected, "{require_tls} {sender:?} {carries:?} {offered}");
        }
    }

    #[test]
    fn what_no_host_can_have_goes_back_and_what_may_be_otherwise_waits() {
        let fault = |kind| {
            let error = ClientError { stage: crate::smtp::client::Stage::StartTls, kind, fate: Fate::NotAccepted };
            Unmet::of(Fault::client(&error, Some("192.0.2.1:25"), Timestamp::UNIX_EPOCH), "mx.test")
        };
        let clear = || fault(ErrorKind::Tls(TlsFault::NotOffered));
        let away = || fault(ErrorKind::Closed);
        let promise = |host: &str| Unmet::NoPromise(host.into());
        for (unmet, status, says) in [
            (vec![promise("mx.test"), promise("mx.test")], "5.7.30", "no REQUIRETLS is offered by mx.test"),
            (vec![promise("a.test"), promise("b.test")], "5.7.30", "a.test, b.test"),
            (vec![clear()], "5.7.10", "relied on: mx.test: TLS_NOT_OFFERED: the host offers no STARTTLS"),
            (vec![clear(), promise("b.test")], "5.7.30", "b.test"),
        ] {
            let Verdict::Never { status: found, text } = verdict(unmet) else { panic!("{says}: it waits") };
            assert_eq!(found, status, "{says}");
            assert!(text.ends_with(says), "{says}: {text}");
        }
        let Verdict::Later(error) = verdict(vec![clear(), away(), promise("b.test")]) else { panic!("it goes back") };
        assert_eq!((error.code.clone(), error.stage), (OwnCode::Closed.into(), Stage::StartTls));
        assert!(error.text.starts_with("the sender requires TLS all the way (REQUIRETLS), and whether"), "{error:?}");
    }
}
