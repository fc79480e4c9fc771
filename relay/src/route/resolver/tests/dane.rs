//! Answers that DNSSEC proves, and those that it does not.

use hickory_resolver::proto::rr::{
    RData, Record,
    rdata::{
        SOA, TLSA,
        tlsa::{CertUsage, Matching, Selector},
    },
};

use super::{
    super::*,
    SERVFAIL, a, alias,
    dns::{Dns, Signed, SignedZone, Trouble, name},
    four, mx,
};

fn tlsa(usage: CertUsage, octet: u8) -> RData {
    RData::TLSA(TLSA::new(usage, Selector::Spki, Matching::Sha256, vec![octet; 32]))
}

fn end_entity(octet: u8) -> RData {
    tlsa(CertUsage::DaneEe, octet)
}

fn soa_of(owner: &str) -> Record {
    let soa = SOA::new(name("ns."), name("hostmaster."), 1, 3600, 600, 86_400, 60);
    Record::from_rdata(name(owner), 60, RData::SOA(soa))
}

async fn world() -> (Dns, Resolver) {
    let signed = vec![
        ("signed.", mx(10, "mx.signed")),
        ("mx.signed.", a(1)),
        ("_25._tcp.mx.signed.", end_entity(1)),
        ("_25._tcp.mx.signed.", tlsa(CertUsage::PkixEe, 2)),
        ("none.signed.", mx(10, "none-mx.signed")),
        ("none-mx.signed.", a(2)),
        ("unusable.signed.", mx(10, "unusable-mx.signed")),
        ("unusable-mx.signed.", a(3)),
        ("_25._tcp.unusable-mx.signed.", tlsa(CertUsage::PkixTa, 3)),
        ("implicit.signed.", a(4)),
        ("_25._tcp.implicit.signed.", end_entity(4)),
        ("alias.signed.", mx(10, "alias-mx.signed")),
        ("alias-mx.signed.", alias("mx.signed")),
        ("own-alias.signed.", mx(10, "own-alias-mx.signed")),
        ("own-alias-mx.signed.", alias("none-mx.signed")),
        ("_25._tcp.own-alias-mx.signed.", end_entity(5)),
        ("half-alias.signed.", mx(10, "half-alias-mx.signed")),
        ("half-alias-mx.signed.", alias("mx.unsigned")),
        ("_25._tcp.half-alias-mx.signed.", end_entity(6)),
        ("shared.signed.", mx(10, "shared-mx.signed")),
        ("shared-mx.signed.", a(7)),
        ("_25._tcp.shared-mx.signed.", alias("_dane.signed")),
        ("_dane.signed.", end_entity(7)),
        ("lame.signed.", mx(10, "lame-mx.signed")),
        ("lame-mx.signed.", a(8)),
        ("half-lame.signed.", mx(10, "lame-mx.signed")),
        ("half-lame.signed.", mx(20, "mx.signed")),
        ("robbed.signed.", mx(10, "robbed-mx.signed")),
        ("robbed-mx.signed.", a(9)),
        ("diverted.signed.", mx(10, "diverted-mx.signed")),
        ("diverted-mx.signed.", a(9)),
        ("emptied.signed.", mx(10, "emptied-mx.signed")),
        ("emptied-mx.signed.", a(9)),
        ("faked.signed.", mx(10, "faked-mx.signed")),
        ("faked-mx.signed.", a(9)),
        ("null.signed.", mx(0, ".")),
    ];
    let unsigned = vec![
        ("unsigned.", mx(10, "mx.unsigned")),
        ("mx.unsigned.", a(20)),
        ("_25._tcp.mx.unsigned.", end_entity(20)),
        ("hosted.unsigned.", mx(10, "mx.signed")),
        ("addressless.unsigned.", mx(10, "gone.unsigned")),
    ];
    let zone = |origin, signed, records| SignedZone { origin, signed, records };
    let zones = [
        zone("signed.", Signed::Well, signed),
        zone("unsigned.", Signed::Not, unsigned),
        zone("stripped.", Signed::Stripped, vec![("stripped.", mx(10, "mx.stripped")), ("mx.stripped.", a(30))]),
        zone("stale.", Signed::Stale, vec![("stale.", mx(10, "mx.stale")), ("mx.stale.", a(31))]),
        zone("badly.", Signed::Badly, vec![("badly.", mx(10, "mx.badly")), ("mx.badly.", a(31))]),
        zone("cluster.", Signed::Private, vec![("mail.cluster.", a(32))]),
    ];
    // What somebody on the way answers instead of the zone.
    let fake = Record::from_rdata(name("_25._tcp.faked-mx.signed."), 60, end_entity(66));
    let junk = Record::from_rdata(name("mx.unsigned."), 60, a(66));
    let troubles = [
        ("_25._tcp.lame-mx.signed.", SERVFAIL),
        ("_25._tcp.robbed-mx.signed.", Trouble::Forges(vec![], vec![soa_of("unsigned.")])),
        ("_25._tcp.diverted-mx.signed.", Trouble::Forges(vec![junk], vec![soa_of("unsigned.")])),
        ("_25._tcp.emptied-mx.signed.", Trouble::Forges(vec![], vec![])),
        ("_25._tcp.faked-mx.signed.", Trouble::Forges(vec![fake], vec![])),
    ];
    let (dns, anchors) = Dns::start_signed(&zones, &troubles).await;
    let resolver = dns.proving_resolver(anchors);
    (dns, resolver)
}

async fn by_dane(resolver: &Resolver, domain: &str) -> Result<Vec<Target>, RouteError> {
    let terms = Terms { private: false, dane: true, hostname: "relay.example", ours: &|_| false };
    resolver.targets(&NextHop::from_host_name(domain), &terms).await
}

#[tokio::test]
async fn a_host_is_known_by_its_records_where_they_are_proved() {
    let (dns, resolver) = world().await;
    for (domain, address, records) in [
        ("signed", 1, Some(("mx.signed", true))),
        ("none.signed", 2, None),
        ("unusable.signed", 3, Some(("unusable-mx.signed", false))),
        ("implicit.signed", 4, Some(("implicit.signed", true))),
        // Below the name at the end of its aliases; below its own, where there is nothing.
        ("alias.signed", 1, Some(("mx.signed", true))),
        ("own-alias.signed", 2, Some(("own-alias-mx.signed", true))),
        // Where its alias leads, nobody signs.
        ("half-alias.signed", 20, Some(("half-alias-mx.signed", true))),
        ("shared.signed", 7, Some(("shared-mx.signed", true))),
        ("half-lame.signed", 1, Some(("mx.signed", true))),
        ("unsigned", 20, None),
        // A domain that nobody signs, at a host that is.
        ("hosted.unsigned", 1, Some(("mx.signed", true))),
        ("[192.0.2.5]", 5, None),
    ] {
        let targets = by_dane(&resolver, domain).await.unwrap_or_else(|error| panic!("{domain}: {error}"));
        let found: Vec<_> = targets
            .iter()
            .map(|target| (target.address, target.tlsa.as_ref().map(|tlsa| (tlsa.base(), tlsa.is_usable()))))
            .collect();
        assert_eq!(found, [(four(address), records)], "{domain}");
    }
    assert!(!dns.asked().contains("_25._tcp.mx.unsigned. TLSA"), "records of a host that nobody signs are of no use");
    let smarthost = by_dane(&resolver, "mx.signed:25").await.unwrap();
    assert!(smarthost[0].tlsa.is_some(), "{smarthost:?}");
}

#[tokio::test]
async fn what_is_not_proved_keeps_mail_waiting() {
    let (_dns, resolver) = world().await;
    for (domain, code, permanent, says) in [
        ("stripped", RouteCode::DnssecBogus, false, "look up MX of stripped"),
        ("stale", RouteCode::DnssecBogus, false, "look up MX of stale"),
        ("badly", RouteCode::DnssecBogus, false, "look up MX of badly"),
        ("lame.signed", RouteCode::ServFail, false, "look up TLSA of _25._tcp.lame-mx.signed"),
        // Somebody says that there is none, and proves it with the SOA of a zone that nobody signs.
        ("robbed.signed", RouteCode::DnssecBogus, false, "look up TLSA of _25._tcp.robbed-mx.signed"),
        ("diverted.signed", RouteCode::DnssecBogus, false, "look up TLSA of _25._tcp.diverted-mx.signed"),
        ("emptied.signed", RouteCode::DnssecBogus, false, "look up TLSA of _25._tcp.emptied-mx.signed"),
        ("faked.signed", RouteCode::DnssecBogus, false, "look up TLSA of _25._tcp.faked-mx.signed"),
        // A name of the cluster, of which the root knows nothing.
        ("mail.cluster:25", RouteCode::DnssecBogus, false, "of mail.cluster"),
        ("absent.cluster:25", RouteCode::DnssecBogus, false, "of absent.cluster"),
        ("missing.signed", RouteCode::NxDomain, true, "missing.signed does not exist"),
        ("missing.unsigned", RouteCode::NxDomain, true, "missing.unsigned does not exist"),
        ("missing", RouteCode::NxDomain, true, "missing does not exist"),
        ("null.signed", RouteCode::NullMx, true, "null.signed takes no mail"),
        ("addressless.unsigned", RouteCode::NoAddress, true, "gone.unsigned"),
    ] {
        let error = match by_dane(&resolver, domain).await {
            Err(error) => error,
            Ok(targets) => panic!("{domain}: {targets:?}"),
        };
        assert_eq!((error.code, error.permanent), (code, permanent), "{domain}: {error}");
        assert!(error.text.contains(says), "{domain}: {error}");
    }
}

#[tokio::test]
async fn who_does_not_ask_for_proofs_pays_nothing_for_them() {
    let (dns, resolver) = world().await;
    let terms = Terms { private: false, dane: false, hostname: "relay.example", ours: &|_| false };
    let targets = resolver.targets(&NextHop::from_host_name("signed"), &terms).await.unwrap();
    assert!(targets[0].tlsa.is_none());
    let expected = ["signed. MX", "mx.signed. A", "mx.signed. AAAA"].map(str::to_owned);
    assert_eq!(dns.asked(), expected.into());
}
