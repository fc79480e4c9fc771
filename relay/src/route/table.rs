//! The routes: which of them is for a recipient domain.

use std::{collections::HashMap, sync::Arc};

use mailsluice_crds::relay::{PrivateAddresses, Route};

use super::{NextHop, Way};
use crate::smtp::Domain;

/// The routes of a manifest. The first whose `domains` name the recipient's domain decides.
///
/// Kept by name, so that a question costs the same however many domains the routes list.
#[derive(Debug, Default)]
pub struct Routes {
    /// By MX where there is none.
    smarthosts: Vec<Option<NextHop>>,
    /// Whether each may lead to addresses that are not of the public Internet.
    private: Vec<bool>,
    /// How mail leaves on each.
    ways: Vec<Arc<Way>>,
    /// The first route to each smarthost, by its name; those to one smarthost agree in how mail leaves.
    by_smarthost: HashMap<String, usize>,
    /// The first route for exactly this domain.
    exact: HashMap<String, usize>,
    /// The first route for everything below this domain.
    below: HashMap<String, usize>,
    /// The first route for every domain.
    all: Option<usize>,
}

impl Routes {
    /// Takes the routes over. Domains are compared without regard to case or to a dot at their end.
    #[must_use]
    pub fn new(routes: &[Route]) -> Routes {
        let mut table = Routes::default();
        for (index, route) in routes.iter().enumerate() {
            // Without a smarthost it is by MX: the schema sees to it that a route is one or the other.
            table.ways.push(Arc::new(Way::of(route)));
            if let Some(smarthost) = &route.smarthost {
                table.by_smarthost.entry(NextHop::smarthost(smarthost).host_name()).or_insert(index);
            }
            table.smarthosts.push(route.smarthost.as_ref().map(NextHop::smarthost));
            let mx = route.mx.clone().unwrap_or_default();
            table.private.push(mx.private_addresses == PrivateAddresses::Allow);
            for pattern in &route.domains {
                if pattern == "*" {
                    table.all.get_or_insert(index);
                } else if let Some(parent) = pattern.strip_prefix("*.") {
                    table.below.entry(canonical(parent)).or_insert(index);
                } else {
                    table.exact.entry(canonical(pattern)).or_insert(index);
                }
            }
        }
        table
    }

    /// The smarthosts of this name, on whatever port.
    pub fn smarthosts_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a NextHop> {
        let named = move |hop: &&NextHop| matches!(hop, NextHop::Smarthost { host, .. } if host == name);
        self.smarthosts.iter().flatten().filter(named)
    }

    /// Where mail for `domain` goes.
    #[must_use]
    pub fn next_hop(&self, domain: &str) -> NextHop {
        let Ok(domain) = Domain::parse(domain) else { return NextHop::Nowhere };
        match self.first_match(domain.as_str()).and_then(|route| self.smarthosts.get(route)) {
            Some(Some(smarthost)) => smarthost.clone(),
            Some(None) => NextHop::mx(domain),
            None => NextHop::Nowhere,
        }
    }

    /// Whether mail for `domain` may go by MX to an address that is not of the public Internet: where the route allows it, or
    /// names this very address literal.
    #[must_use]
    pub fn allows_private(&self, domain: &str) -> bool {
        let route = self.first_match(domain);
        let named = domain.starts_with('[') && route.is_some() && self.exact.get(domain).copied() == route;
        named || route.and_then(|route| self.private.get(route)).copied().unwrap_or(false)
    }

    /// How mail for this host leaves, by its name in the Monitor.
    #[must_use]
    pub fn way(&self, host: &str) -> Arc<Way> {
        self.route_to(host).and_then(|route| self.ways.get(route)).cloned().unwrap_or_default()
    }

    /// The route, by its place in the manifest, on which mail for this host goes, by its name in the Monitor.
    #[must_use]
    pub fn route_to(&self, host: &str) -> Option<usize> {
        self.by_smarthost.get(host).copied().or_else(|| self.first_match(host))
    }

    fn first_match(&self, domain: &str) -> Option<usize> {
        let exact = self.exact.get(domain).copied();
        let parents = domain.match_indices('.').filter_map(|(dot, _)| domain.get(dot + 1..));
        let below = parents.filter_map(|parent| self.below.get(parent).copied());
        below.chain(exact).chain(self.all).min()
    }
}

fn canonical(domain: &str) -> String {
    Domain::parse(domain).map_or_else(|_| domain.to_ascii_lowercase(), |domain| domain.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use mailsluice_crds::relay::{Mx, Smarthost};

    use super::*;

    fn by_mx(domains: &[&str]) -> Route {
        Route {
            domains: domains.iter().map(|domain| (*domain).to_owned()).collect(),
            mx: Some(Mx::default()),
            ..Route::default()
        }
    }

    fn by_smarthost(domains: &[&str], host: &str) -> Route {
        let smarthost = Some(Smarthost::new(host, 25));
        Route { smarthost, mx: None, ..by_mx(domains) }
    }

    #[test]
    fn the_first_route_that_names_the_domain_decides() {
        let routes = Routes::new(&[
            by_smarthost(&["*.internal.example", "one.example"], "inside.example"),
            by_mx(&["one.example", "shop.internal.example", "Upper.Example."]),
            by_smarthost(&["*.deep.example"], "deep.example"),
            by_smarthost(&["*.very.deep.example", "[192.0.2.9]"], "never-for-deep.example"),
            by_smarthost(&["*"], "rest.example"),
            by_mx(&["late.example"]),
        ]);
        for (domain, host) in [
            ("a.internal.example", "inside.example:25"),
            ("a.b.internal.example", "inside.example:25"),
            // Of two routes the first in the manifest, not the one that says more.
            ("shop.internal.example", "inside.example:25"),
            ("x.very.deep.example", "deep.example:25"),
            ("one.example", "inside.example:25"),
            ("ONE.Example.", "inside.example:25"),
            ("upper.example", "upper.example"),
            // What is below a name is not the name itself, nor one that only ends like it.
            ("internal.example", "rest.example:25"),
            ("notinternal.example", "rest.example:25"),
            ("late.example", "rest.example:25"),
            ("[192.0.2.9]", "never-for-deep.example:25"),
            ("[192.0.2.8]", "rest.example:25"),
            ("no domain", "invalid"),
        ] {
            assert_eq!(routes.next_hop(domain).host_name(), host, "{domain}");
        }
    }

    #[test]
    fn mail_that_no_route_is_for_goes_nowhere() {
        let routes = Routes::new(&[by_mx(&["one.example"])]);
        assert_eq!(routes.next_hop("two.example"), NextHop::Nowhere);
        assert_eq!(Routes::default().next_hop("one.example"), NextHop::Nowhere);
    }

    #[test]
    fn by_mx_a_domain_is_its_own_host() {
        let routes = Routes::new(&[by_mx(&["*"])]);
        for domain in ["example.com", "[192.0.2.1]", "[IPv6:2001:db8::1]"] {
            assert_eq!(routes.next_hop(domain).host_name(), domain);
        }
    }

    #[test]
    fn how_mail_leaves_is_said_by_the_route_that_led_to_the_host() {
        let from = |domain: &str, route: Route| Route { sender_domain: Some(domain.to_owned()), ..route };
        let routes = Routes::new(&[
            from("a.example", by_smarthost(&["one.example"], "Relay.Example")),
            from("b.example", by_mx(&["*.two.example"])),
            by_mx(&["*"]),
        ]);
        for (host, want) in [
            ("relay.example:25", "x@a.example"),
            // The domain of that name goes by MX.
            ("relay.example", "x@own.example"),
            ("mail.two.example", "x@b.example"),
            ("two.example", "x@own.example"),
            ("invalid", "x@own.example"),
        ] {
            let sender = routes.way(host).sender("x@own.example".parse().unwrap());
            assert_eq!(sender.as_str(), want, "{host}");
        }
    }

    #[test]
    fn a_host_is_reached_as_its_own_route_says() {
        let routes = Routes::new(&[
            by_smarthost(&["a.example"], "mail.example"),
            by_smarthost(&["b.example"], "other.example"),
            by_smarthost(&["c.example"], "Other.Example."),
            by_mx(&["*.d.example"]),
        ]);
        for (host, route) in [
            ("mail.example:25", Some(0)),
            ("other.example:25", Some(1)),
            ("x.d.example", Some(3)),
            ("y.example", None),
            ("invalid", None),
        ] {
            assert_eq!(routes.route_to(host), route, "{host}");
        }
    }

    #[test]
    fn inside_addresses_are_for_routes_that_say_so() {
        let inside = Mx { private_addresses: PrivateAddresses::Allow };
        let routes = Routes::new(&[
            Route { mx: Some(inside), ..by_mx(&["*.corp.example"]) },
            by_mx(&["[10.0.0.1]", "one.example"]),
            by_mx(&["*"]),
        ]);
        for (domain, allowed) in [
            ("a.corp.example", true),
            ("one.example", false),
            ("[10.0.0.1]", true),
            ("[10.0.0.2]", false),
            ("two.example", false),
        ] {
            assert_eq!(routes.allows_private(domain), allowed, "{domain}");
        }
    }
}
