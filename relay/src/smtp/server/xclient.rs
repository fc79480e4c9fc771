//! XCLIENT: another client takes the place of the one that was there (Postfix's XCLIENT_README).
//!
//! It is announced and obeyed where the driver says so ([`Config::xclient`](super::Config::xclient)), and the driver judges the new
//! client. The session then is where its greeting was, and answers with that greeting: what the last client said counts for nothing.

use bytes::BytesMut;

use super::{
    Hello, Session,
    state::{State, Step},
};
use crate::smtp::{reply::Reply, xclient::XClient};

impl Session {
    pub(super) fn xclient(&mut self, said: Box<XClient>, output: &mut BytesMut) -> Option<Step> {
        if !self.config.xclient {
            return self.junk(&Reply::enhanced(550, (7, 0), "XCLIENT is not for this client"), output);
        }
        if matches!(self.state, State::Transaction(_) | State::BetweenChunks(_)) {
            return self.out_of_order("XCLIENT within a transaction; send RSET first", output);
        }
        self.state = State::XClient(said);
        Some(Step::Ask)
    }

    /// The driver has taken the new client in.
    pub(super) fn greet_anew(&mut self, said: XClient, output: &mut BytesMut) {
        let extended = said.extended.unwrap_or(true);
        let helo = said.helo.filter(|name| !name.is_empty());
        self.hello = helo.map(|name| Hello { extended, name });
        self.errors = 0;
        self.authenticated = false;
        self.greeting().render(output);
        self.state = State::Ready;
    }
}
