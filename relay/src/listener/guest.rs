//! The client of a session: who it is, by whose word, and how much it may still take.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use mailsluice_crds::{
    LogLevel,
    relay::{BareNewlines, TlsMode},
};
use tokio::time;

use super::{arrival::Guest, hold, session::Session};
use crate::{
    clock,
    config::Config,
    limiter::{Counted, Seat, Shares},
    smtp::{Reply, XClient, data::BareLf, server},
};

/// How long a refusal waits for which a limit is the reason: Postfix's `smtpd_error_sleep_time`.
const REFUSAL_PAUSE: Duration = Duration::from_secs(1);

/// What is known of a client.
#[derive(Debug)]
pub(super) struct Known {
    /// Its address: its own, or as it was told by the PROXY protocol or XCLIENT.
    pub(super) address: SocketAddr,
    /// The load balancer or filter that speaks for it.
    pub(super) via: Option<SocketAddr>,
    /// Its name in the DNS, as XCLIENT told it.
    pub(super) name: Option<String>,
    /// Whom it logged in as, as XCLIENT told it: for the log alone. It gives no rights, since nobody here has seen a proof of it.
    pub(super) login: Option<String>,
    /// Whoever was let in at first: its address decides about XCLIENT, whatever XCLIENT says.
    origin: SocketAddr,
    seat: Option<Seat>,
    shares: Shares,
}

impl Known {
    pub(super) fn new(guest: Guest, config: &Config) -> Known {
        let Guest { address, via, seat } = guest;
        let shares = config.border.terms(address.ip()).shares;
        Known { address, via, name: None, login: None, origin: address, seat, shares }
    }
}

impl Session {
    /// What the protocol is to do for this client under this configuration, which is in force from here on.
    pub(super) fn obey(&mut self, config: &Config) -> Arc<server::Config> {
        let terms = config.border.terms(self.client.address.ip());
        self.client.shares = terms.shares;
        let limits = &config.spec.limits;
        let mut protocol = server::Config::new(config.hello.clone(), limits.message_size.as_bytes());
        protocol.max_recipients = limits.recipients as usize;
        let is_submission = self.is_submission(config);
        protocol.etrn = !is_submission;
        protocol.future_release = hold::offer(is_submission, limits.future_release.duration(), clock::now());
        protocol.start_tls = self.tls_of(config).is_some_and(|tls| tls.mode == TlsMode::StartTls);
        protocol.auth = self.auth_offer(config);
        protocol.xclient = config.border.may_xclient(self.port, self.client.origin.ip());
        protocol.bare_lf = match terms.bare_newlines {
            BareNewlines::Refuse => BareLf::Refuse,
            BareNewlines::Normalize => BareLf::Normalize,
        };
        Arc::new(protocol)
    }

    /// Takes the client of whom XCLIENT speaks in the place of the one before.
    pub(super) fn take_in(&mut self, said: &XClient) -> Result<(), Reply> {
        let known = &mut self.client;
        if let Some(address) = said.address {
            // What is not told of another client is not known of it.
            known.address = SocketAddr::new(address, 0);
            (known.name, known.login) = (None, None);
        }
        if let Some(port) = said.port {
            known.address.set_port(port);
        }
        let told = |text: &Option<String>, before: Option<String>| match text {
            Some(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            None => before,
        };
        known.name = told(&said.name, known.name.take());
        known.login = told(&said.login, known.login.take());
        known.via = Some(known.via.unwrap_or(known.origin));
        // Given back first: it may be the same client's.
        known.seat = None;
        let address = known.address;
        let seat = self.reception.seat(address, self.port);
        self.client.seat = seat.map_err(|over| self.reception.over(address, &over, 421))?;
        self.record(LogLevel::LowLevel).say("the client is told by XCLIENT");
        Ok(())
    }

    /// Whether the client may begin a message now.
    pub(super) fn may_begin(&self) -> Result<(), Reply> {
        let (limiter, client) = (&self.reception.limiter, &self.client);
        limiter
            .has_room(client.address.ip(), &client.shares)
            .and_then(|()| limiter.count(client.address.ip(), Counted::Messages, &client.shares))
            .map_err(|over| self.reception.over(client.address, &over, 451))
    }

    /// Lets a client that is over a limit wait for its refusal: who tries again at once, as fast as it can, would take the machine
    /// from others by that alone.
    pub(super) async fn slow_down(&self) {
        tokio::select! {
            () = time::sleep(REFUSAL_PAUSE) => {}
            () = self.reception.stop.cancelled() => {}
        }
    }

    /// Whether the client may name one more recipient now.
    pub(super) fn may_name(&self) -> Result<(), Reply> {
        let (limiter, client) = (&self.reception.limiter, &self.client);
        limiter
            .count(client.address.ip(), Counted::Recipients, &client.shares)
            .map_err(|over| self.reception.over(client.address, &over, 451))
    }

    /// Notes that a message of so many octets was taken.
    pub(super) fn took(&self, octets: u64) {
        self.reception.limiter.took(self.client.address.ip(), octets, &self.client.shares);
    }
}
