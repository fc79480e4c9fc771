//! What the Monitor is told of a client: that it came in, what was taken of it, and what was refused.

use std::{net::IpAddr, sync::Arc};

use jiff::Timestamp;
use mailsluice_crds::{
    catalogue::ReplyCode,
    monitor::{
        ClientStage, Refusal,
        client::{NAME, TEXT},
    },
};

use super::{Reception, authenticate::Shown, session::Session};
use crate::{
    access::{Peer, Way},
    clients::{self, Page},
    clock,
    errors::shortened,
    smtp::{
        ForwardPath, Reply, ReversePath,
        server::{self, Refusals, Verb},
    },
};

/// Something of a client's that is refused.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refused<'a> {
    stage: ClientStage,
    reply: &'a Reply,
    why: Option<&'a str>,
    sender: Option<&'a ReversePath>,
    recipient: Option<&'a ForwardPath>,
}

impl<'a> Refused<'a> {
    pub(super) fn at(stage: ClientStage, reply: &'a Reply) -> Refused<'a> {
        Refused { stage, reply, why: None, sender: None, recipient: None }
    }

    /// With what the client is not told.
    pub(super) fn since(self, why: Option<&'a str>) -> Refused<'a> {
        Refused { why, ..self }
    }

    pub(super) fn from(self, sender: &'a ReversePath) -> Refused<'a> {
        Refused { sender: Some(sender), ..self }
    }

    pub(super) fn to(self, recipient: &'a ForwardPath) -> Refused<'a> {
        Refused { recipient: Some(recipient), ..self }
    }

    /// As the Monitor shows it. None of it is secret: a reply says nothing of what a client has shown.
    fn told(&self, address: IpAddr, at: Timestamp) -> Refusal {
        let Refused { stage, reply, why, sender, recipient } = *self;
        Refusal {
            at,
            code: ReplyCode::new(reply.code(), reply.enhanced_code().map(|code| (code.subject, code.detail))).into(),
            stage,
            text: shortened(&reply.text().replace('\n', " / "), TEXT),
            why: why.map(|why| shortened(why, TEXT)),
            address: clients::shown(address),
            sender: sender.map(|sender| shortened(&sender.to_string(), NAME)),
            recipient: recipient.map(|recipient| shortened(&recipient.to_string(), NAME)),
        }
    }
}

impl Reception {
    /// Notes that a client which has shown nothing yet is turned away.
    pub(super) fn turned_away(&self, address: IpAddr, reply: &Reply) {
        let config = self.config.borrow().clone();
        let peer = Peer { address, identity: None, holder: None, way: Way::None };
        let now = clock::now();
        let refused = Refused::at(ClientStage::Connect, reply);
        self.clients.page(&peer, &config.access, now).refused(refused.told(address, now), 1);
    }
}

impl Session {
    /// Notes that the client has shown who it is.
    pub(super) fn came_in(&self, shown: &mut Shown) {
        self.page(shown).seen(clock::now());
    }

    /// Notes that a message of the client's was taken.
    pub(super) fn accepted(&self, shown: &mut Shown) {
        self.page(shown).accepted(clock::now());
    }

    /// Notes and counts that something of the client's is refused.
    pub(super) fn refused(&self, shown: &mut Shown, refused: &Refused<'_>) {
        self.count_refusal(refused.reply);
        self.note(shown, refused);
    }

    /// Notes that something of the client's is refused, which is counted already.
    pub(super) fn note(&self, shown: &mut Shown, refused: &Refused<'_>) {
        self.note_several(shown, refused, 1);
    }

    /// Notes what the protocol refused by itself. What only follows from a refusal before it tells nobody anything: a DATA without
    /// recipients, a RCPT without a sender, the end of an exchange that was refused.
    pub(super) fn note_own(&self, shown: &mut Shown, session: &mut server::Session) {
        let Some(Refusals { verb, reply, count }) = session.refusals() else { return };
        if shown.refused && matches!(reply.code(), 503 | 535 | 554) {
            return;
        }
        let stage = match verb {
            Verb::StartTls => ClientStage::StartTls,
            Verb::Auth => ClientStage::Auth,
            Verb::Mail => ClientStage::MailFrom,
            Verb::Rcpt => ClientStage::RcptTo,
            Verb::Data => ClientStage::Data,
            Verb::Other => ClientStage::Command,
        };
        self.note_several(shown, &Refused::at(stage, &reply), count);
    }

    fn note_several(&self, shown: &mut Shown, refused: &Refused<'_>, count: u64) {
        shown.refused = true;
        let told = refused.told(self.client.address.ip(), clock::now());
        self.page(shown).refused(told, count);
    }

    /// The client's page, looked up where it is not known yet or was torn out.
    fn page<'a>(&self, shown: &'a mut Shown) -> &'a Page {
        let page = shown.page.take().filter(|page| !page.is_torn());
        let page = page.unwrap_or_else(|| {
            let config = self.reception.config.borrow().clone();
            let address = self.client.address.ip();
            let (identity, holder) = (shown.identity.as_ref(), shown.holder.as_ref());
            let peer = Peer { address, identity, holder, way: Way::None };
            self.reception.clients.page(&peer, &config.access, clock::now())
        });
        let page: &Arc<Page> = shown.page.insert(page);
        page
    }
}
