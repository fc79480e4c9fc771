//! Who may ask for a site's mail by ETRN, and what is answered (RFC 1985).
//!
//! Decisions:
//! - Whoever may relay may ask, for any site: the mail goes where the routes say and nowhere else, so that asking gives nobody
//!   anything but an attempt, and the sites themselves are seldom the relay's clients. All others get 459. A host that failed in the
//!   last seconds is not tried again for the asking.
//! - ETRN ends the wait after failures. It opens no TCP Schedule and lifts no rate: while one of those holds the mail, the answer
//!   is 458 with the reason. What a sender wants held (FUTURERELEASE) stays held.
//! - 253 tells how many messages go now, 252 that some of the site's hosts stay held, 251 that none waits, and 250 that nobody knows
//!   yet, for the spool is still being read after a start.

use super::Reception;
use crate::{
    clock,
    queue::Released,
    route::{NextHop, Routes},
    smtp::{Domain, Reply, command::Site},
};

/// Lets a site's mail go, and says what came of it.
pub(super) fn answer(reception: &Reception, may_relay: bool, site: &Site) -> Reply {
    let config = reception.config.borrow().clone();
    if !may_relay {
        return Reply::enhanced(459, (7, 1), format!("Node {site} not allowed: ETRN is for clients that may relay"));
    }
    let names = match site {
        Site::Host(domain) | Site::Below(domain) => names(&config.routes, domain),
        Site::Queue(name) => Some(vec![name.clone()]),
    };
    let Some(names) = names else {
        return Reply::enhanced(459, (7, 1), format!("Node {site} not allowed: no route leads there"));
    };
    let (released, hosts, complete) = reception.queue.change(|queue| {
        let mut hosts = queue.hosts_named(names.iter().map(String::as_str));
        if let Site::Below(domain) = site {
            hosts.extend(queue.hosts_below(domain.as_str()));
            hosts.sort_unstable();
            hosts.dedup();
        }
        let released = queue.release_hosts(&hosts, clock::now());
        let hosts: Vec<String> = hosts.iter().filter_map(|id| queue.host_name(*id).map(str::to_owned)).collect();
        (released, hosts, queue.is_complete())
    });
    if matches!(released, Released::Now(_) | Released::Partly) {
        reception.gate.addresses(|addresses| hosts.iter().for_each(|host| addresses.try_again(host)));
    }
    reply(&released, complete, site)
}

/// What is answered. `complete`: whether all mail that a start has found is in the queue.
fn reply(released: &Released, complete: bool, site: &Site) -> Reply {
    match released {
        Released::Now(count) => {
            Reply::enhanced(253, (0, 0), format!("OK, {count} pending messages for node {site} started"))
        }
        Released::Partly => Reply::enhanced(252, (0, 0), format!("OK, pending messages for node {site} started")),
        Released::Held(held) => {
            Reply::enhanced(458, (3, 2), format!("Unable to queue messages for node {site}: {}", held.problem))
        }
        Released::Nothing if complete => {
            Reply::enhanced(251, (0, 0), format!("OK, no messages waiting for node {site}"))
        }
        Released::Nothing => {
            Reply::enhanced(250, (0, 0), format!("OK, queuing for node {site} started: the spool is still being read"))
        }
    }
}

/// The hosts for which a domain's mail waits: where its route leads, and smarthosts of its name.
fn names(routes: &Routes, domain: &Domain) -> Option<Vec<String>> {
    let hop = routes.next_hop(domain.as_str());
    let smarthosts = routes.smarthosts_named(domain.as_str());
    let mut names: Vec<String> = smarthosts.map(NextHop::host_name).collect();
    if hop != NextHop::Nowhere {
        names.push(hop.host_name());
    }
    names.sort_unstable();
    names.dedup();
    (!names.is_empty()).then_some(names)
}

#[cfg(test)]
mod tests {
    use mailsluice_crds::{
        monitor::Reason,
        relay::{Mx, Route, Smarthost},
    };

    use super::*;
    use crate::queue::Suspension;

    #[test]
    fn each_answer_to_a_site_has_its_code() {
        let held = Suspension { till: None, reason: Reason::TcpScheduleClosed, problem: "TCP/IP link is down".into() };
        for (released, complete, expected) in [
            (Released::Now(2), true, "253 2.0.0 OK, 2 pending messages for node ship.test started"),
            (Released::Now(2), false, "253 2.0.0 OK, 2 pending messages for node ship.test started"),
            (Released::Partly, true, "252 2.0.0 OK, pending messages for node ship.test started"),
            (Released::Nothing, true, "251 2.0.0 OK, no messages waiting for node ship.test"),
            (
                Released::Nothing,
                false,
                "250 2.0.0 OK, queuing for node ship.test started: the spool is still being read",
            ),
            (Released::Held(held), true, "458 4.3.2 Unable to queue messages for node ship.test: TCP/IP link is down"),
        ] {
            let site = Site::Host(Domain::parse("ship.test").unwrap());
            assert_eq!(reply(&released, complete, &site).to_string(), expected, "{released:?} {complete}");
        }
    }

    #[test]
    fn a_domain_is_asked_for_by_its_own_name_or_by_that_of_the_host_that_takes_its_mail() {
        let to = |domains: &[&str], host: Option<&str>| Route {
            domains: domains.iter().map(|domain| (*domain).to_owned()).collect(),
            smarthost: host.map(|host| Smarthost::new(host, 2525)),
            mx: host.is_none().then(Mx::default),
            ..Route::default()
        };
        let routes = Routes::new(&[to(&["ship.example"], Some("mail.ship.example")), to(&["*.example"], None)]);
        for (domain, expected) in [
            ("ship.example", Some(&["mail.ship.example:2525"][..])),
            ("mail.ship.example", Some(&["mail.ship.example", "mail.ship.example:2525"])),
            ("shore.example", Some(&["shore.example"])),
            ("elsewhere.test", None),
        ] {
            let names = names(&routes, &Domain::parse(domain).unwrap());
            let expected = expected.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
            assert_eq!(names, expected, "{domain}");
        }
    }
}
