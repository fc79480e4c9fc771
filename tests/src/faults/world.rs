//! What the rows run in: a network of its own with a DNS server, hosts, and relays.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
};

use mailsluice_crds::{
    quantity::Interval,
    relay::{Mx, PrivateAddresses, Route, SecretRef, Smarthost, TlsPolicy},
};
use tempfile::TempDir;

use super::{
    inbox::Inbox,
    make::{Made, make},
    refusing::{self, Refusing},
    row::{At, Cause, Dns as Answer, Own, Row, Tls},
};
use crate::{
    authority::{Authority, Issued},
    certificate,
    dns::{Dns, Signed},
    manifest::{Manifest, smarthost},
    namespace,
    relay::Relay,
};

/// How the machine is set up: addresses that are all of this machine, which sockets may have before there is a route to them.
const SETUP: &str = "ip link set lo up && ip route add local 192.0.2.0/24 dev lo && sysctl -qw net.ipv4.ip_nonlocal_bind=1 && \
     nft add table ip faults && nft 'add chain ip faults path { type filter hook output priority 0; }' && \
     nft 'add chain ip faults names { type nat hook output priority -100; }'";

/// Where all mail goes that is in order, and what comes back.
pub const GOOD: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

/// Where the neighbours' mail goes.
const NEIGHBOUR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

/// A DNS server that is not there.
pub const NO_RESOLVER: &str = "192.0.2.53:53";

/// The wait before each further attempt, in seconds.
pub const RETRY: u64 = 10;

/// Where a smarthost takes the relay's password that then breaks off: on loopback, where passwords go in clear, too.
pub const LOGIN: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 26)), 25);

/// The Secret with the relay's password at smarthosts.
pub const SECRET: &str = "smarthost-login";

/// Everything that the rows need.
pub struct World {
    /// Its DNS server.
    pub dns: Dns,
    /// Vouches for hosts.
    pub authority: Authority,
    /// The certificate that the TLSA record is about.
    pub recorded: Issued,
    /// Takes all mail that is in order, and bounces.
    pub good: Inbox,
    /// Takes the neighbours' mail.
    pub neighbour: Inbox,
    /// The relay of most rows.
    pub relay: Relay,
    /// Hosts that refuse.
    pub refusing: Refusing,
    folder: TempDir,
}

/// A row with all that stands behind it.
pub struct Place {
    /// The row.
    pub row: Row,
    /// The address of its host.
    pub address: SocketAddr,
    /// What makes its fault.
    pub made: Made,
    /// Its own relay.
    pub own: Option<OwnRelay>,
}

/// A relay of one row.
pub struct OwnRelay {
    /// It.
    pub relay: Relay,
    /// What it was started with.
    pub manifest: Manifest,
}

/// Goes on in namespaces of its own, where nothing that is sent leaves the machine, and the disk may be mounted upon.
pub fn enter() {
    namespace::enter(&["--net", "--mount"], SETUP);
}

/// The address of the row at this place.
#[must_use]
pub fn address(place: usize) -> IpAddr {
    let last = u8::try_from(place + 10).expect("fewer rows than addresses");
    [192, 0, 2, last].into()
}

/// The address of a row, one without a route where that is its fault.
fn address_of(place: usize, row: &Row) -> IpAddr {
    match (row.cause, address(place)) {
        (Cause::Path(super::row::Path::NoRoute | super::row::Path::Route(_)), IpAddr::V4(four)) => {
            let [.., last] = four.octets();
            [203, 0, 113, last].into()
        }
        (Cause::Peer(At::Auth, _), _) => LOGIN.ip(),
        (_, address) => address,
    }
}

impl World {
    /// Starts everything, with the faults of these rows in force.
    #[must_use]
    pub fn start(rows: &[Row]) -> (World, Vec<Place>) {
        let authority = Authority::new();
        let recorded = authority.issue("elsewhere.invalid");
        let dns = zones(rows, &recorded);
        let folder = TempDir::new().expect("a temporary folder");
        for (key, value) in [("username", "shop"), ("password", "a wrong one")] {
            certificate::put(folder.path(), SECRET, key, value);
        }
        let good = Inbox::start((GOOD, 25).into());
        let neighbour = Inbox::start((NEIGHBOUR, 25).into());
        let refusing = Refusing::start(good.address(), &options(rows));
        let text = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
        let arguments = [
            ("--resolver", dns.address.to_string()),
            ("--trust-anchor", text(&dns.trust_anchor(folder.path()))),
            ("--authorities", text(&authority.file(folder.path()))),
            ("--secrets", text(folder.path())),
        ];
        let arguments: Vec<&str> = arguments.iter().flat_map(|(name, value)| [*name, value.as_str()]).collect();
        let relay = Relay::start_with(&manifest(rows), &arguments);
        let world = World { dns, authority, recorded, good, neighbour, relay, refusing, folder };
        let places = rows.iter().enumerate().map(|(place, row)| {
            let address = SocketAddr::new(address_of(place, row), 25);
            let own = own(row, &world);
            let made = make(&world, row, address, own.as_ref());
            Place { row: *row, address, made, own }
        });
        let places = places.collect();
        (world, places)
    }

    /// Where Secrets are.
    #[must_use]
    pub fn secrets(&self) -> &Path {
        self.folder.path()
    }
}

impl Place {
    /// The relay that its mail goes through.
    #[must_use]
    pub fn relay<'a>(&'a self, world: &'a World) -> &'a Relay {
        self.own.as_ref().map_or(&world.relay, |own| &own.relay)
    }
}

/// The relay that all manifests here begin with.
#[must_use]
pub fn base() -> Manifest {
    let mut manifest = Manifest::by_mx();
    manifest.relay.retry.first = Interval::from_secs(RETRY as u32);
    manifest.relay.retry.longest = Interval::from_secs(RETRY as u32);
    manifest.relay.hello = Some("relay.test".into());
    manifest
}

/// The manifest of the relay of most rows: a route for each that asks for something.
fn manifest(rows: &[Row]) -> Manifest {
    let mut manifest = base();
    for row in rows {
        let mx = |tls| Route {
            mx: Some(Mx { private_addresses: PrivateAddresses::Allow }),
            tls: Some(tls),
            ..Route::default()
        };
        let to = |smarthost| Route { smarthost: Some(smarthost), ..Route::default() };
        let login = |host: SocketAddr| {
            let credentials = Some(SecretRef { secret_name: SECRET.into() });
            to(Smarthost { credentials, ..smarthost(host) })
        };
        let route = match row.cause {
            Cause::Tls(Tls::NotOffered) => mx(TlsPolicy::Required),
            Cause::Tls(Tls::Expired | Tls::WrongName | Tls::SelfSigned | Tls::Reset) => mx(TlsPolicy::Verified),
            Cause::Tls(Tls::Dane) | Cause::Dns(Answer::Denied) => mx(TlsPolicy::Dane),
            Cause::Tls(Tls::Sts) => mx(TlsPolicy::MtaSts),
            Cause::Tls(Tls::Password) => login(refusing::LOGIN),
            Cause::Peer(At::Auth, _) => login(LOGIN),
            Cause::Dns(Answer::NoSmarthost) => to(Smarthost::new(row.exchanger(), 25)),
            _ => continue,
        };
        manifest.relay.routes.insert(0, Route { domains: vec![row.domain()], ..route });
    }
    manifest
}

/// A row's own relay.
fn own(row: &Row, world: &World) -> Option<OwnRelay> {
    let manifest = super::make::manifest(row)?;
    let resolver = match row.cause {
        Cause::Own(Own::NoResolver) => NO_RESOLVER.to_owned(),
        _ => world.dns.address.to_string(),
    };
    let folder = TempDir::new().expect("a temporary folder");
    if let Cause::Own(Own::Full) = row.cause {
        crate::disk::mount_small(&folder.path().join("spool"), super::make::DISK);
    }
    let file = folder.path().join("relay.yaml");
    let relay = Relay::start_on(folder, &file, &manifest, &["--resolver", &resolver]);
    Some(OwnRelay { relay, manifest })
}

/// The options of Postfix for each row that it refuses mail of, with the address to do so.
fn options(rows: &[Row]) -> Vec<(SocketAddr, &'static str)> {
    let places = rows.iter().enumerate();
    let refusing = places.filter_map(|(place, row)| match row.cause {
        Cause::Postfix(options) => Some((SocketAddr::new(address(place), 25), options)),
        _ => None,
    });
    refusing.collect()
}

fn zones(rows: &[Row], recorded: &Issued) -> Dns {
    let mut test = format!("neighbour.test. 1 IN MX 10 mx.neighbour.test.\nmx.neighbour.test. 1 IN A {NEIGHBOUR}\n");
    test += "mx.elsewhere.test. 1 IN A 192.0.2.3\nhog.test. 1 IN MX 10 mx.hog.test.\nmx.hog.test. 1 IN A 192.0.2.4\n";
    let mut signed = String::new();
    for (place, row) in rows.iter().enumerate() {
        let (domain, exchanger) = (row.domain(), row.exchanger());
        let address = match row.cause {
            Cause::Schedule(_)
            | Cause::Dns(_)
            | Cause::Hold
            | Cause::Own(Own::Rate | Own::Connections | Own::NoResolver) => GOOD,
            _ => address_of(place, row),
        };
        let zone = if row.is_signed() { &mut signed } else { &mut test };
        *zone += &format!("{domain}. 1 IN MX 10 {exchanger}.\n{exchanger}. 1 IN A {address}\n");
        match row.cause {
            Cause::Tls(Tls::Dane) => *zone += &format!("_25._tcp.{exchanger}. 1 IN TLSA 3 1 1 {}\n", recorded.tlsa()),
            Cause::Tls(Tls::Sts) => {
                *zone +=
                    &format!("_mta-sts.{domain}. 1 IN TXT \"v=STSv1; id=1;\"\nmta-sts.{domain}. 1 IN A {address}\n");
            }
            _ => {}
        }
    }
    let org = format!("example.org. 1 IN MX 10 mx.example.org.\nmx.example.org. 1 IN A {GOOD}\n");
    Dns::signed(&[("test.", Signed::Not, &test), ("signed.", Signed::Well, &signed), ("org.", Signed::Not, &org)])
}
