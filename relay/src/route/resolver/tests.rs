mod dane;
mod dns;

use std::{collections::HashSet, net::SocketAddr};

use hickory_resolver::proto::{
    op::ResponseCode,
    rr::{
        RData,
        rdata::{A, AAAA, CNAME, MX, TXT},
    },
};

use super::*;
use dns::{Dns, Trouble, name};

fn mx(preference: u16, exchange: &str) -> RData {
    RData::MX(MX::new(preference, name(exchange)))
}

fn a(host: u8) -> RData {
    RData::A(A::new(192, 0, 2, host))
}

fn aaaa(host: u16) -> RData {
    RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host))
}

fn alias(of: &str) -> RData {
    RData::CNAME(CNAME(name(of)))
}

fn four(host: u8) -> SocketAddr {
    ([192, 0, 2, host], 25).into()
}

fn six(host: u16) -> SocketAddr {
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, host], 25).into()
}

const SERVFAIL: Trouble = Trouble::Answers(ResponseCode::ServFail);

/// The world in which all tests look things up.
async fn world() -> Dns {
    let zone = [
        ("plain.example", mx(20, "mx2.plain.example")),
        ("plain.example", mx(10, "MX1.plain.example")),
        ("mx1.plain.example", a(1)),
        ("mx1.plain.example", aaaa(1)),
        ("mx2.plain.example", a(2)),
        ("null.example", mx(0, ".")),
        ("null.example", a(9)),
        ("half-null.example", mx(0, ".")),
        ("half-null.example", mx(10, "mx2.plain.example")),
        ("implicit.example", a(3)),
        ("implicit.example", aaaa(3)),
        ("empty.example", RData::TXT(TXT::new(vec!["nothing else".into()]))),
        ("dangling.example", mx(10, "gone.example")),
        ("dangling.example", mx(20, "empty.example")),
        ("partly-dangling.example", mx(10, "gone.example")),
        ("partly-dangling.example", mx(20, "mx2.plain.example")),
        ("partly-failing.example", mx(10, "mx.failing.example")),
        ("partly-failing.example", mx(20, "mx2.plain.example")),
        ("wholly-failing.example", mx(10, "mx.failing.example")),
        ("wholly-failing.example", mx(20, "gone.example")),
        ("alias.example", alias("plain.example")),
        ("aliased-mx.example", mx(10, "alias-of-mx1.example")),
        ("alias-of-mx1.example", alias("mx1.plain.example")),
        ("aliased-host.example", alias("implicit.example")),
        ("loop.example", alias("loop2.example")),
        ("loop2.example", alias("loop.example")),
        ("address-for-mx.example", mx(10, "192.0.2.7")),
        ("backup.example", mx(10, "mx2.plain.example")),
        ("backup.example", mx(20, "relay.example")),
        ("backup.example", mx(20, "mx1.plain.example")),
        ("backup.example", mx(30, "implicit.example")),
        ("circle.example", mx(10, "relay.example")),
        ("circle.example", mx(20, "mx2.plain.example")),
        ("circle-by-address.example", mx(10, "alias-of-self.example")),
        ("alias-of-self.example", alias("self.example")),
        ("self.example", a(66)),
        ("relay.example", a(67)),
        ("inside.example", mx(10, "mx.inside.example")),
        ("mx.inside.example", RData::A(A::new(10, 0, 0, 1))),
        ("half-inside.example", mx(10, "mx.inside.example")),
        ("half-inside.example", mx(20, "mx2.plain.example")),
        ("loopback.example", RData::A(A::new(127, 0, 0, 1))),
    ];
    let troubles = [
        ("mx.failing.example", SERVFAIL),
        ("servfail.example", SERVFAIL),
        ("refused.example", Trouble::Answers(ResponseCode::Refused)),
        ("notimp.example", Trouble::Answers(ResponseCode::NotImp)),
        ("silent.example", Trouble::Silent),
    ];
    Dns::start(&zone, &troubles).await
}

async fn by_mx(resolver: &Resolver, domain: &str) -> Result<Vec<Target>, RouteError> {
    let terms = Terms { private: false, dane: false, hostname: "relay.example", ours: &|address| address == four(66) };
    resolver.targets(&NextHop::from_host_name(domain), &terms).await
}

#[tokio::test]
async fn mail_goes_to_the_exchangers_that_the_dns_names() {
    let dns = world().await;
    let resolver = dns.resolver();
    for (domain, expected) in [
        (
            "plain.example",
            vec![("mx1.plain.example", six(1)), ("mx1.plain.example", four(1)), ("mx2.plain.example", four(2))],
        ),
        ("implicit.example", vec![("implicit.example", six(3)), ("implicit.example", four(3))]),
        ("half-null.example", vec![("mx2.plain.example", four(2))]),
        ("partly-dangling.example", vec![("mx2.plain.example", four(2))]),
        ("partly-failing.example", vec![("mx2.plain.example", four(2))]),
        (
            "alias.example",
            vec![("mx1.plain.example", six(1)), ("mx1.plain.example", four(1)), ("mx2.plain.example", four(2))],
        ),
        ("aliased-mx.example", vec![("alias-of-mx1.example", six(1)), ("alias-of-mx1.example", four(1))]),
        ("aliased-host.example", vec![("aliased-host.example", six(3)), ("aliased-host.example", four(3))]),
        ("backup.example", vec![("mx2.plain.example", four(2))]),
        ("half-inside.example", vec![("mx2.plain.example", four(2))]),
        ("[192.0.2.5]", vec![("[192.0.2.5]", four(5))]),
        ("[IPv6:2001:db8::5]", vec![("[IPv6:2001:db8::5]", six(5))]),
    ] {
        let targets = by_mx(&resolver, domain).await.unwrap();
        let found: Vec<_> = targets.iter().map(|target| (target.name.as_str(), target.address)).collect();
        assert_eq!(found, expected, "{domain}");
    }
}

#[tokio::test]
async fn what_the_dns_does_not_give_returns_mail_or_keeps_it_waiting() {
    let dns = world().await;
    let resolver = dns.resolver();
    for (domain, code, enhanced, says) in [
        ("missing.example", RouteCode::NxDomain, (5, 1, 2), "missing.example does not exist"),
        ("null.example", RouteCode::NullMx, (5, 1, 10), "null.example takes no mail"),
        ("empty.example", RouteCode::NoAddress, (5, 4, 4), "neither a mail exchanger nor an address"),
        ("dangling.example", RouteCode::NoAddress, (5, 4, 4), "gone.example, empty.example"),
        ("address-for-mx.example", RouteCode::NoAddress, (5, 4, 4), "192.0.2.7"),
        ("loop.example", RouteCode::NoAddress, (5, 4, 4), "loop.example"),
        ("circle.example", RouteCode::MxLoop, (5, 4, 6), "loops back"),
        ("circle-by-address.example", RouteCode::MxLoop, (5, 4, 6), "alias-of-self.example is the relay itself"),
        ("self.example", RouteCode::MxLoop, (5, 4, 6), "loops back"),
        ("inside.example", RouteCode::PrivateAddress, (5, 4, 4), "mx.privateAddresses: Allow"),
        ("loopback.example", RouteCode::PrivateAddress, (5, 4, 4), "127.0.0.1"),
        ("[127.0.0.1]", RouteCode::PrivateAddress, (5, 4, 4), "127.0.0.1"),
        ("invalid", RouteCode::NoRoute, (5, 4, 4), "no route"),
        ("servfail.example", RouteCode::ServFail, (4, 4, 3), "look up MX of servfail.example"),
        ("wholly-failing.example", RouteCode::ServFail, (4, 4, 3), "of mx.failing.example"),
        ("refused.example", RouteCode::Refused, (4, 4, 3), "refused"),
        ("notimp.example", RouteCode::DnsProtocol, (4, 4, 3), "could not be used"),
        ("silent.example", RouteCode::DnsTimeout, (4, 4, 3), "answered in time"),
    ] {
        let error = by_mx(&resolver, domain).await.unwrap_err();
        assert_eq!((error.code, error.enhanced), (code, enhanced), "{domain}: {error}");
        assert_eq!(error.permanent, enhanced.0 == 5, "{domain}");
        assert!(error.text.contains(says), "{domain}: {error}");
    }
}

#[tokio::test]
async fn a_smarthost_is_a_host_and_never_to_blame() {
    let dns = world().await;
    let resolver = dns.resolver();
    let with_port = |mut address: SocketAddr| {
        address.set_port(587);
        address
    };
    for (host, expected) in [
        // Its own addresses, though it has exchangers in null.example.
        ("null.example:587", vec![four(9)]),
        ("implicit.example:587", vec![six(3), four(3)]),
        ("aliased-host.example:587", vec![six(3), four(3)]),
        ("192.0.2.5:587", vec![four(5)]),
        ("[2001:db8::5]:587", vec![six(5)]),
    ] {
        let targets = by_mx(&resolver, host).await.unwrap();
        let found: Vec<_> = targets.iter().map(|target| target.address).collect();
        assert_eq!(found, expected.into_iter().map(with_port).collect::<Vec<_>>(), "{host}");
        assert!(targets.iter().all(|target| host == format!("{}:587", target.name)), "{targets:?}");
    }
    for (host, code, enhanced) in [
        ("missing.example:25", RouteCode::NxDomain, (4, 1, 2)),
        ("empty.example:25", RouteCode::NoAddress, (4, 4, 4)),
        ("servfail.example:25", RouteCode::ServFail, (4, 4, 3)),
        ("two..dots.example:25", RouteCode::BadName, (4, 3, 5)),
    ] {
        let error = by_mx(&resolver, host).await.unwrap_err();
        assert_eq!((error.code, error.enhanced, error.permanent), (code, enhanced, false), "{host}: {error}");
    }
}

#[tokio::test]
async fn a_dns_server_that_is_not_there_keeps_mail_waiting() {
    for (server, code) in [
        // Nobody listens there; the questions are datagrams, and nothing comes back.
        (([127, 0, 0, 1], 1), RouteCode::DnsTimeout),
        // The system sends nothing to the broadcast address unless it is asked to.
        (([255, 255, 255, 255], 53), RouteCode::DnsUnreachable),
    ] {
        let error = by_mx(&dns::resolver(server.into()), "plain.example").await.unwrap_err();
        assert_eq!((error.code, error.permanent), (code, false), "{error}");
    }
}

#[tokio::test]
async fn exchangers_of_one_preference_share_the_mail() {
    let hosts = ["a.example", "b.example", "c.example"];
    let mut zone: Vec<_> = hosts.iter().map(|host| ("shared.example", mx(10, host))).collect();
    zone.extend(hosts.iter().zip(1..).map(|(host, number)| (*host, a(number))));
    let resolver = Dns::start(&zone, &[]).await;
    let resolver = resolver.resolver();
    let mut first = HashSet::new();
    for _ in 0..100 {
        let targets = by_mx(&resolver, "shared.example").await.unwrap();
        assert_eq!(targets.len(), 3);
        first.extend(targets.into_iter().next().map(|target| target.name));
    }
    assert_eq!(first, hosts.map(str::to_owned).into());
}

#[tokio::test]
async fn a_long_list_of_exchangers_arrives_over_tcp_and_is_bounded() {
    let names: Vec<_> =
        (0..60_u16).map(|number| format!("mx-{number:02}.a-name-that-fills-the-answer.example")).collect();
    let mut zone: Vec<_> =
        names.iter().zip(0..).map(|(host, preference)| ("long.example", mx(preference, host))).collect();
    zone.extend(names.iter().zip(1..).map(|(host, number)| (host.as_str(), a(number))));
    let dns = Dns::start(&zone, &[]).await;
    let targets = by_mx(&dns.resolver(), "long.example").await.unwrap();
    let found: Vec<_> = targets.into_iter().map(|target| target.address).collect();
    assert_eq!(found, (1..=8).map(four).collect::<Vec<_>>());
    assert!(!dns.asked().contains("mx-20.a-name-that-fills-the-answer.example. A"), "no look-ups without need");
}

#[tokio::test]
async fn names_are_asked_for_as_they_are() {
    let dns = world().await;
    let resolver = dns.resolver();
    let _ = by_mx(&resolver, "missing.example").await;
    let _ = by_mx(&resolver, "sink:25").await;
    let expected = ["missing.example. MX", "sink. A", "sink. AAAA"].map(str::to_owned);
    assert_eq!(dns.asked(), expected.into());
}
