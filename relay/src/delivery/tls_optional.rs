//! Messages that are to go even without the TLS that their recipient's domain asks for: `TLS-Required: No` (RFC 8689 section 4.2.2).
//!
//! They go like all others as long as a host is as its domain's policy (DANE, MTA-STS) wants it. Where none is, so that the domain's
//! mail is about to wait, they go as if the relay knew no such policies: under TLS with any certificate, or in clear. What the
//! administrator asks for himself (`Required`, `Verified`), and of his own smarthosts, stays in force: the header is about what recipients'
//! domains ask for, and its author is not who decides what leaves this relay. One that comes while the domain's mail waits for want of TLS
//! is tried at once (the queue sees to that), and the rest waits on.

use mailsluice_crds::{
    LogLevel,
    monitor::{LastError, Reason},
    relay::TlsPolicy,
};

use super::{
    require_tls::Carries,
    session::{Peer, Session, Turn},
};
use crate::{
    clock,
    log::Tag,
    queue::InHand,
    route::{NextHop, RouteCode, Target},
};

impl Session {
    /// Whether a failure comes of what the recipients' domain asks of TLS.
    pub(super) fn is_of_policy(&self, reason: Reason, error: &LastError) -> bool {
        let asks = matches!(self.approach.config.tls_to(&self.approach.hop).0, TlsPolicy::Dane | TlsPolicy::MtaSts);
        let bogus = error.code == RouteCode::DnssecBogus.into();
        asks && matches!(self.approach.hop, NextHop::Mx(_)) && (reason == Reason::TlsFailed || bogus)
    }

    /// The next message that is to go even without TLS.
    pub(super) fn next_optional(&self) -> Option<InHand> {
        let work = self.approach.courier.queue.change(|queue| queue.take_tls_optional(self.host_id, clock::now()))?;
        Some(self.approach.courier.queue.in_hand(work))
    }

    /// Sends those messages, and no others, as if the domain had no policy.
    pub(super) async fn send_regardless(&self) {
        let Some(first) = self.next_optional() else { return };
        let Ok(targets) = self.approach.look_up(false).await else { return };
        self.approach
            .courier
            .log
            .at_host(LogLevel::Problems, Tag::Smtp, &self.approach.host)
            .field("session", self.approach.id)
            .say("mail whose header says TLS-Required: No goes without what the domain's policy asks for");
        let mut next = Some(first);
        for target in targets.iter().filter(|target| !self.is_away(target)) {
            let Some(in_hand) = next.take().or_else(|| self.next_optional()) else { return };
            if self.approach.courier.stop.is_cancelled() || !self.approach.lease.may_go_on(clock::now()) {
                return;
            }
            let opened = match self.approach.wanted_as(TlsPolicy::Opportunistic, (target, None), None) {
                Ok(wanted) => self.reach(target, wanted.as_ref()).await,
                Err(fault) => Err(fault),
            };
            let Ok(client) = opened else {
                next = Some(in_hand);
                continue;
            };
            let peer = Peer { target, carries: Carries::Optional, others: false };
            if let Turn::Over = self.send_all(client, &peer, Some(in_hand)).await {
                return;
            }
        }
    }

    /// Whether an address is left alone for want of something else than TLS.
    fn is_away(&self, target: &Target) -> bool {
        let now = clock::now();
        self.approach.courier.gate.addresses(|addresses| {
            addresses
                .held(target.address, &self.approach.host, now)
                .is_some_and(|held| held.reason != Reason::TlsFailed)
        })
    }
}
