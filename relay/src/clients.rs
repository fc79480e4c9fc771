//! What is known of clients: a page for each, with what was taken of it and what was refused, for the Monitor.
//!
//! Decisions:
//! - A client is what it has shown to be: a service account, a user, a name that its certificate bears; else its address. So one reader
//!   finds the application, and another the pod by its address.
//! - A session looks its page up once, and turns it without a lock: a message that is taken costs three numbers, and nothing else.
//! - What is kept is bounded, and who was seen least recently is forgotten. Those who have shown who they are and may relay have a
//!   shelf of their own, those who may by their address another, and strangers a third: whoever comes from many addresses forgets none of
//!   the clients that matter. Of strangers, one of the network that has the most pages goes first.
//! - Whoever only connects has no page: port scans and health checks are none of a reader's business.

mod book;

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use mailsluice_crds::monitor::{
    ClientKind, ClientRow,
    client::{NAME, foremost},
};

use crate::{
    access::{Access, Identity, Peer},
    errors::shortened,
};
use book::{Book, Who};

pub use book::Page;

/// The book of all clients.
#[derive(Debug, Default)]
pub struct Clients(Mutex<Book>);

impl Clients {
    /// The page of a client, which is there from now on.
    #[must_use]
    pub fn page(&self, peer: &Peer<'_>, access: &Access, now: Timestamp) -> Arc<Page> {
        let listed = access.lists(peer);
        let who = who(peer, access, listed);
        self.book(|book| book.page(who, listed, now))
    }

    /// At most so many rows, those refused most recently first, and how many are left out.
    #[must_use]
    pub fn rows(&self, most: usize) -> (Vec<ClientRow>, u32) {
        foremost(self.book(|book| book.rows()), most)
    }

    fn book<T>(&self, work: impl FnOnce(&mut Book) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a client is known by.
fn who(peer: &Peer<'_>, access: &Access, listed: bool) -> Who {
    let named = |kind, name: &str| {
        let clean: String = name.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        Who::Named(kind, shortened(&clean, NAME).into())
    };
    match peer.identity {
        Some(Identity::ServiceAccount { namespace, name }) => {
            named(ClientKind::ServiceAccount, &format!("{namespace}/{name}"))
        }
        Some(Identity::User { name, .. }) => named(ClientKind::User, name),
        None => match peer.holder.and_then(|holder| access.holder_name(holder)) {
            Some(name) => named(ClientKind::Certificate, name),
            None => Who::address(peer.address, listed),
        },
    }
}

/// An address as it is shown.
pub(crate) fn shown(address: IpAddr) -> String {
    address.to_canonical().to_string()
}

#[cfg(test)]
mod tests {
    use mailsluice_crds::relay::{Client, ClientCertificates, ServiceAccount};

    use super::*;
    use crate::access::{Holder, Way};

    #[test]
    fn a_client_is_known_by_what_it_has_shown_and_else_by_its_address() {
        let access = Access::new(&[
            Client {
                service_accounts: vec![ServiceAccount { namespace: "shop".into(), name: "checkout".into() }],
                ..Client::default()
            },
            Client { networks: vec!["2001:db8:1::/48".into()], ..Client::default() },
            Client {
                certificates: Some(ClientCertificates { secret_name: "ours".into(), names: vec!["app.test".into()] }),
                ..Client::default()
            },
        ])
        .unwrap();
        let account = |name: &str| Identity::ServiceAccount { namespace: "shop".into(), name: name.into() };
        let user = Identity::User { secret: "users".into(), name: "sh\u{7}op".into() };
        let (ours, theirs) = (Holder::new(["ours"], ["other.test", "APP.test"]), Holder::new([], ["app.test"]));
        let unasked = Holder::new(["ours"], ["other.test"]);
        let (checkout, returns) = (account("checkout"), account("returns"));
        for (address, identity, holder, kind, name, listed) in [
            ("192.0.2.1", Some(&checkout), None, ClientKind::ServiceAccount, "shop/checkout", true),
            ("192.0.2.1", Some(&returns), Some(&ours), ClientKind::ServiceAccount, "shop/returns", true),
            ("192.0.2.1", Some(&returns), None, ClientKind::ServiceAccount, "shop/returns", false),
            ("192.0.2.1", Some(&user), None, ClientKind::User, "sh?op", false),
            ("192.0.2.1", None, Some(&ours), ClientKind::Certificate, "APP.test", true),
            ("192.0.2.1", None, Some(&unasked), ClientKind::Certificate, "other.test", false),
            ("192.0.2.1", None, Some(&theirs), ClientKind::Address, "192.0.2.1", false),
            ("::ffff:192.0.2.1", None, None, ClientKind::Address, "192.0.2.1", false),
            ("2001:db8:1::7", None, None, ClientKind::Address, "2001:db8:1::7", true),
            ("2001:db8:2:3:4::7", None, None, ClientKind::Address, "2001:db8:2:3::/64", false),
        ] {
            let peer = Peer { address: address.parse().unwrap(), identity, holder, way: Way::None };
            let clients = Clients::default();
            clients.page(&peer, &access, Timestamp::UNIX_EPOCH).seen(Timestamp::UNIX_EPOCH);
            let (rows, left_out) = clients.rows(8);
            let shown: Vec<_> = rows.iter().map(|row| (row.kind, row.client.as_str(), row.listed)).collect();
            assert_eq!((shown, left_out), (vec![(kind, name, listed)], 0));
        }
    }
}
