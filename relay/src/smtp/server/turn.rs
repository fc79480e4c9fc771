//! ETRN (RFC 1985): a site asks for the mail that waits for it.
//!
//! It stands outside a transaction, after EHLO; elsewhere it gets 503, as from Postfix.

use bytes::BytesMut;

use super::{
    Session,
    state::{State, Step},
};
use crate::smtp::command::Site;

impl Session {
    pub(super) fn turn(&mut self, site: Site, output: &mut BytesMut) -> Option<Step> {
        if !self.hello.as_ref().is_some_and(|hello| hello.extended) {
            return self.out_of_order("Send EHLO first", output);
        }
        if !matches!(self.state, State::Ready) {
            return self.out_of_order("ETRN within a transaction; send RSET first", output);
        }
        self.state = State::Turn(site);
        Some(Step::Turn)
    }
}
