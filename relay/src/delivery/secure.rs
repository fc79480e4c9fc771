//! From a TCP connection to a session: TLS as it is wanted there, the greeting and EHLO, and a login where there is one.

use std::sync::Arc;

use mailsluice_crds::{
    LogLevel, monitor,
    relay::{TlsMode, TlsPolicy},
};
use mailsluice_ctl::words::test::StepKind;
use tokio::net::TcpStream;

use super::{approach::Approach, fault::Fault, login::raised, policy::Asks, transfer::Watcher};
use crate::{
    clock,
    log::Tag,
    mta_sts::Mode,
    route::Target,
    smtp::client::{self, Client, ClientError, ErrorKind, Fate, Stage, StartTls},
    tcp::connect,
    tls::{Details, Stream, TlsFault, Wanted},
};

/// What a dry run says of a host without TLS.
const NOT_OFFERED: &str = "the host offers no STARTTLS: mail goes in clear, as its route allows";

impl Approach {
    /// What is wanted of TLS towards a target, and another one of its name, where the two race; none where mail goes in clear.
    pub(super) async fn wanted(&self, target: &Target, second: Option<&Target>) -> Result<Option<Wanted>, Fault> {
        let policy = self.config.tls_to(&self.hop).0;
        self.wanted_as(policy, (target, second), self.asks.get().and_then(Asks::mode))
    }

    /// The same, under another policy than the route's. Where the route has credentials, they have to be there, and may want more.
    pub(super) fn wanted_as(
        &self,
        policy: TlsPolicy,
        (target, second): (&Target, Option<&Target>),
        sts: Option<Mode>,
    ) -> Result<Option<Wanted>, Fault> {
        let route = self.config.tls_to(&self.hop).1;
        self.credentials()?;
        let policy = raised(policy, route, [Some(target), second].into_iter().flatten());
        let wanted = self.courier.tls.wanted(policy, route, target, (self.host.as_str(), sts));
        wanted.map_err(|fault| Fault::client(&failed(fault), None, clock::now()))
    }

    /// Connects to one target, and takes the connection to the point where messages can be sent.
    pub(super) async fn reach(
        &self,
        target: &Target,
        wanted: Option<&Wanted>,
    ) -> Result<Client<Stream, Watcher>, Fault> {
        self.connecting(&[target]);
        let mut race = connect(&self.lease, self.way.source(), target.address, None).await;
        match (race.won, race.failed.pop()) {
            (Some((_, stream)), _) => {
                self.connected(target);
                self.open(stream, target, wanted).await
            }
            (None, Some((_, error))) => Err(Fault::connect(&error, &target.address.to_string(), clock::now())),
            (None, None) => {
                let closed = ClientError { stage: Stage::Banner, kind: ErrorKind::Closed, fate: Fate::NotAccepted };
                Err(Fault::client(&closed, Some(&target.address.to_string()), clock::now()))
            }
        }
    }

    /// Takes a connection to the point where messages can be sent.
    pub(super) async fn open(
        &self,
        stream: TcpStream,
        target: &Target,
        wanted: Option<&Wanted>,
    ) -> Result<Client<Stream, Watcher>, Fault> {
        let mut client = self.begin(stream, target, wanted).await?;
        let Some(credentials) = self.credentials()? else { return Ok(client) };
        match Box::pin(self.log_in(&mut client, (target, wanted), credentials)).await {
            Ok(()) => Ok(client),
            Err(fault) => {
                // It matters to nobody whether the host hears that.
                let _ = client.quit().await;
                Err(fault)
            }
        }
    }

    /// Where there is no TLS and none is needed, mail goes in clear: after a handshake that failed, over another connection, once.
    async fn begin(
        &self,
        stream: TcpStream,
        target: &Target,
        wanted: Option<&Wanted>,
    ) -> Result<Client<Stream, Watcher>, Fault> {
        let peer = target.address.to_string();
        let fault = |error: &ClientError| Fault::client(error, Some(&peer), clock::now());
        let Some(wanted) = wanted else {
            return self.greet(Stream::Plain(stream), target).await.map_err(|e| fault(&e));
        };
        let error = match self.under_tls(Stream::Plain(stream), target, wanted).await {
            Ok(client) => return Ok(client),
            Err(error) => error,
        };
        let ErrorKind::Tls(why) = &error.kind else { return Err(fault(&error)) };
        // Words that were slipped in are no want of TLS.
        if !wanted.or_clear || matches!(why, TlsFault::Injection) {
            return Err(fault(&error));
        }
        self.goes_on_in_clear(target, why);
        self.connecting(&[target]);
        let mut again = connect(&self.lease, self.way.source(), target.address, None).await;
        match again.won {
            Some((_, stream)) => {
                self.connected(target);
                self.greet(Stream::Plain(stream), target).await.map_err(|error| fault(&error))
            }
            None => match again.failed.pop() {
                Some((_, error)) => Err(Fault::connect(&error, &peer, clock::now())),
                None => Err(fault(&error)),
            },
        }
    }

    async fn under_tls(
        &self,
        stream: Stream,
        target: &Target,
        wanted: &Wanted,
    ) -> Result<Client<Stream, Watcher>, ClientError> {
        if wanted.mode == TlsMode::Implicit {
            self.entry.connecting(target.address);
            self.entry.stage(monitor::Stage::StartTls);
            self.note(|steps| steps.stage(Stage::StartTls));
            let stream = Box::pin(self.handshake(stream, target, wanted)).await.map_err(failed)?;
            return self.greet(stream, target).await;
        }
        let client = self.greet(stream, target).await?;
        if !client.capabilities().start_tls {
            self.count(wanted, "notOffered");
            self.tell_session(target, None, Some(&TlsFault::NotOffered));
            if !wanted.or_clear {
                return Err(failed(TlsFault::NotOffered));
            }
            self.note(|steps| steps.note(StepKind::StartTls, None, NOT_OFFERED));
            return Ok(client);
        }
        match client.start_tls(|stream| self.handshake(stream, target, wanted)).await? {
            StartTls::Done(client) => Ok(client),
            StartTls::Refused(client, reply) => {
                self.count(wanted, "failed");
                self.tell_session(target, None, Some(&TlsFault::NotOffered));
                if !wanted.or_clear {
                    return Err(ClientError { kind: ErrorKind::Reply(reply), ..failed(TlsFault::NotOffered) });
                }
                self.goes_on_in_clear(target, reply);
                Ok(client)
            }
        }
    }

    async fn handshake(&self, stream: Stream, target: &Target, wanted: &Wanted) -> Result<Stream, TlsFault> {
        let local = stream.local_ip();
        let result = stream.connect(wanted).await;
        let doubt = wanted.witness.as_ref().and_then(|witness| witness.said()).map(TlsFault::Certificate);
        self.tell_session(target, local, result.as_ref().err().or(doubt.as_ref()));
        let record = |level| {
            let record = self.courier.log.at_host(level, Tag::Smtp, &self.host).field("session", self.id);
            record.field("peer", target.address).field("policy", wanted.policy.name())
        };
        match &result {
            Ok(stream) => {
                let Some(details) = stream.details() else { return result };
                self.note(|steps| steps.ok(StepKind::StartTls, &shown(stream, &details, wanted)));
                self.count(wanted, details.kind());
                record(LogLevel::LowLevel)
                    .field("tlsVersion", details.version)
                    .field("tlsCipher", &details.cipher)
                    .maybe("tlsKeyExchange", details.key_exchange.as_ref())
                    .field("tlsHandshake", details.kind())
                    .say("TLS is established");
                if self.courier.log.shows_host(LogLevel::AllInfo, &self.host) {
                    let shown = stream.peer_certificate().unwrap_or_else(|| "none".to_owned());
                    record(LogLevel::AllInfo)
                        .field("tlsName", wanted.name.to_str())
                        .say(format_args!("the host's certificate is {shown}"));
                }
            }
            Err(fault) => {
                self.count(wanted, "failed");
                record(LogLevel::Problems)
                    .field("code", fault.code())
                    .say(format_args!("no TLS handshake with {}: {fault}", target.name));
            }
        }
        result
    }

    async fn greet(&self, stream: Stream, target: &Target) -> Result<Client<Stream, Watcher>, ClientError> {
        self.entry.connecting(target.address);
        let watcher = Watcher {
            courier: self.courier.clone(),
            host: self.host.clone(),
            peer: target.address.to_string(),
            id: self.id,
            entry: self.entry.clone(),
            message: None,
            dry_run: self.dry_run.clone(),
        };
        let settings = client::Config { hello: self.config.hello.clone(), timeouts: self.courier.timeouts };
        Client::start(stream, Arc::new(settings), watcher).await
    }

    fn connected(&self, target: &Target) {
        self.note(|steps| steps.ok(StepKind::Connect, &target.to_string()));
    }

    fn goes_on_in_clear(&self, target: &Target, why: impl std::fmt::Display) {
        self.note(|steps| {
            steps.note(StepKind::StartTls, None, &format!("mail goes in clear, as its route allows: {why}"));
        });
        self.courier
            .log
            .at_host(LogLevel::Problems, Tag::Smtp, &self.host)
            .field("session", self.id)
            .field("peer", target.address)
            .say(format_args!("mail goes in clear, as its route allows: {why}"));
    }

    fn count(&self, wanted: &Wanted, result: &str) {
        if self.dry_run.is_some() {
            return;
        }
        self.courier.metrics.handshakes_out.with_label_values(&[wanted.policy.name(), result]).inc();
    }
}

/// What a handshake agreed on, and what is known of the host by it.
fn shown(stream: &Stream, details: &Details, wanted: &Wanted) -> String {
    let policy = wanted.policy.name();
    let certificate = stream.peer_certificate().unwrap_or_else(|| "none".to_owned());
    let verified = if wanted.verified { "verified" } else { "any will do" };
    format!("{details}; the policy is {policy} ({verified}); the host's certificate is {certificate}")
}

fn failed(fault: TlsFault) -> ClientError {
    ClientError { stage: Stage::StartTls, kind: ErrorKind::Tls(fault), fate: Fate::NotAccepted }
}
