//! ETRN (RFC 1985): a site asks for the mail that waits for it.
//!
//! It stands outside a transaction, after EHLO; elsewhere it gets 503, as from Postfix. Ports for
//! submission do not offer it (RFC 6409 section 7).

use bytes::BytesMut;

use super::{
    Session,
    state::{State, Step},
};
use crate::smtp::{command::Site, reply::Reply};

impl Session {
    pub(super) fn etrn(&mut self, site: Site, output: &mut BytesMut) -> Option<Step> {
        if !self.hello.as_ref().is_some_and(|hello| hello.extended) {
            return self.out_of_order("Send EHLO first", output);
        }
        if !self.config.etrn {
            return self.junk(&Reply::enhanced(502, (5, 1), "ETRN is not offered"), output);
        }
        if !matches!(self.state, State::Ready) {
            return self.out_of_order("ETRN within a transaction; send RSET first", output);
        }
        self.state = State::Turn(site);
        Some(Step::Turn)
    }
}
