//! A DNS server on loopback with a zone of test records, that can also fail and fall silent.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use hickory_resolver::{
    config::ResolverOpts,
    net::runtime::{Time, TokioRuntimeProvider},
    proto::{
        dnssec::{
            DigestType, DnssecSigner, PublicKeyBuf, SigningKey as _, TrustAnchors,
            crypto::Ed25519SigningKey,
            rdata::{DNSKEY, DNSSECRData, DS},
        },
        op::{Header, HeaderCounts, Metadata, ResponseCode},
        rr::{
            Name, RData, Record, RecordType,
            rdata::{NS, SOA},
        },
    },
};
use hickory_server::{
    Server,
    dnssec::NxProofKind,
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
    store::in_memory::InMemoryZoneHandler,
    zone_handler::{AxfrPolicy, Catalog, MessageResponseBuilder, ZoneType},
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::net::{TcpListener, UdpSocket};

use super::super::{Resolver, Servers};

/// What the server does with questions about a name, other than to look into its zone.
#[derive(Clone)]
pub(super) enum Trouble {
    Answers(ResponseCode),
    Silent,
    /// It answers with these records, and those in the authority section.
    Forges(Vec<Record>, Vec<Record>),
}

/// A running server; it stops when it is dropped.
pub(super) struct Dns {
    address: SocketAddr,
    asked: Arc<Mutex<HashSet<String>>>,
    _server: Server<Zone>,
}

struct Zone {
    catalog: Catalog,
    /// Of the root alone, which is asked about the keys of the zones below it.
    parent: Option<Catalog>,
    troubles: Vec<(Name, Trouble)>,
    asked: Arc<Mutex<HashSet<String>>>,
}

impl Dns {
    /// Serves these records, and nothing else that is under the sun.
    pub(super) async fn start(records: &[(&str, RData)], troubles: &[(&str, Trouble)]) -> Dns {
        let zone = zone(".", records);
        let mut catalog = Catalog::new();
        catalog.upsert(Name::root().into(), vec![Arc::new(zone)]);
        Dns::serve(catalog, None, troubles).await
    }

    /// Serves zones below a signed root; the keys from which they are proved.
    pub(super) async fn start_signed(zones: &[SignedZone<'_>], troubles: &[(&str, Trouble)]) -> (Dns, TrustAnchors) {
        let mut catalog = Catalog::new();
        let mut of_root = Vec::new();
        for SignedZone { origin, signed, records } in zones {
            let mut zone = zone(origin, records);
            let keys = Keys::generate();
            if let Some(delegation) = keys.sign(&mut zone, origin, *signed) {
                of_root.extend(delegation.into_iter().map(|data| (*origin, data)));
            }
            catalog.upsert(name(origin).into(), vec![Arc::new(zone)]);
        }
        let keys = Keys::generate();
        let mut parent = Catalog::new();
        for catalog in [&mut catalog, &mut parent] {
            let mut root = zone(".", &of_root);
            keys.sign(&mut root, ".", Signed::Well);
            catalog.upsert(Name::root().into(), vec![Arc::new(root)]);
        }
        if zones.iter().any(|zone| zone.signed == Signed::Stale) {
            // Signatures last for whole seconds.
            tokio::time::sleep(Duration::from_millis(1_100)).await;
        }
        let mut anchors = TrustAnchors::empty();
        anchors.insert(&keys.public());
        (Dns::serve(catalog, Some(parent), troubles).await, anchors)
    }

    async fn serve(catalog: Catalog, parent: Option<Catalog>, troubles: &[(&str, Trouble)]) -> Dns {
        let troubles = troubles.iter().map(|(owner, trouble)| (name(owner), trouble.clone())).collect();
        let asked = Arc::new(Mutex::default());
        let mut server = Server::new(Zone { catalog, parent, troubles, asked: asked.clone() });
        let (socket, listener) = sockets().await;
        let address = socket.local_addr().unwrap();
        server.register_socket(socket);
        server.register_listener(listener, Duration::from_secs(5), 16);
        Dns { address, asked, _server: server }
    }

    /// A resolver that asks this server, and does not wait long for it.
    pub(super) fn resolver(&self) -> Resolver {
        resolver(self.address)
    }

    /// The same, that proves answers from these keys on.
    pub(super) fn proving_resolver(&self, anchors: TrustAnchors) -> Resolver {
        Resolver { servers: Servers::fixed(self.address, options(), anchors) }
    }

    /// The questions that came, as `NAME TYPE`.
    pub(super) fn asked(&self) -> HashSet<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// One port that is free for both protocols.
async fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(listener) = TcpListener::bind(socket.local_addr().unwrap()).await {
            return (socket, listener);
        }
    }
}

/// Patient enough for a machine that is busy.
fn options() -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = Duration::from_millis(800);
    options.attempts = 0;
    options
}

pub(super) fn resolver(address: SocketAddr) -> Resolver {
    Resolver { servers: Servers::fixed(address, options(), TrustAnchors::empty()) }
}

/// A zone below the root.
pub(super) struct SignedZone<'a> {
    pub(super) origin: &'a str,
    pub(super) signed: Signed,
    pub(super) records: Vec<(&'a str, RData)>,
}

/// How a zone is signed, and what the root says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signed {
    /// It is, and the root knows its key.
    Well,
    /// It is not, and the root says so.
    Not,
    /// It is not, and the root has a key for it.
    Stripped,
    /// Its signatures have run out.
    Stale,
    /// Its signatures are by another key than its own.
    Badly,
    /// It is not, and the root knows of no such zone.
    Private,
}

fn zone(origin: &str, records: &[(&str, RData)]) -> InMemoryZoneHandler<TokioRuntimeProvider> {
    let proof = Some(NxProofKind::Nsec);
    let mut zone = InMemoryZoneHandler::empty(name(origin), ZoneType::Primary, AxfrPolicy::Deny, proof);
    let soa = SOA::new(name("ns."), name("hostmaster."), 1, 3600, 600, 86_400, 60);
    let own = [(origin, RData::SOA(soa)), (origin, RData::NS(NS(name("ns."))))];
    for (owner, data) in own.iter().chain(records) {
        assert!(zone.upsert_mut(Record::from_rdata(name(owner), 60, data.clone()), 1), "{owner} {data}");
    }
    zone
}

/// The keys of a zone, to sign it with as often as it is served.
struct Keys(PrivatePkcs8KeyDer<'static>);

impl Keys {
    fn generate() -> Keys {
        Keys(Ed25519SigningKey::generate_pkcs8().unwrap())
    }

    fn public(&self) -> PublicKeyBuf {
        Ed25519SigningKey::from_pkcs8(&self.0).unwrap().to_public_key().unwrap()
    }

    /// Signs a zone; the records about it that the zone above has, where that knows it.
    fn sign(
        &self,
        zone: &mut InMemoryZoneHandler<TokioRuntimeProvider>,
        origin: &str,
        signed: Signed,
    ) -> Option<Vec<RData>> {
        let key = Ed25519SigningKey::from_pkcs8(&self.0).unwrap();
        if matches!(signed, Signed::Well | Signed::Stale | Signed::Badly) {
            let key = match signed {
                Signed::Badly => Ed25519SigningKey::from_pkcs8(&Keys::generate().0).unwrap(),
                _ => key,
            };
            let lasts = if signed == Signed::Stale { Duration::ZERO } else { Duration::from_secs(86_400) };
            let signer = DnssecSigner::new(DNSKEY::from_key(&self.public()), Box::new(key), name(origin), lasts);
            zone.add_zone_signing_key_mut(signer).unwrap();
            zone.secure_zone_mut().unwrap();
        }
        let delegation = RData::NS(NS(name("ns.")));
        let ds =
            || RData::DNSSEC(DNSSECRData::DS(DS::from_key(&self.public(), &name(origin), DigestType::SHA256).unwrap()));
        match signed {
            Signed::Well | Signed::Stripped | Signed::Stale | Signed::Badly => Some(vec![delegation, ds()]),
            Signed::Not => Some(vec![delegation]),
            Signed::Private => None,
        }
    }
}

pub(super) fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).unwrap();
    name.set_fqdn(true);
    name
}

#[async_trait::async_trait]
impl RequestHandler for Zone {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut response: R) -> ResponseInfo {
        let query = request.request_info().unwrap().query;
        self.asked.lock().unwrap().insert(format!("{} {}", query.name(), query.query_type()));
        let owner = Name::from(query.name());
        match self.troubles.iter().find(|(name, _)| *name == owner) {
            None => {
                let catalog = match &self.parent {
                    Some(parent) if query.query_type() == RecordType::DS && owner.num_labels() <= 1 => parent,
                    _ => &self.catalog,
                };
                catalog.handle_request::<R, T>(request, response).await
            }
            Some((_, Trouble::Forges(answers, authorities))) => {
                let metadata = Metadata::response_from_request(&request.metadata);
                let answer = MessageResponseBuilder::from_message_request(request);
                let answer = answer.build(metadata, answers, authorities, None, None);
                response.send_response(answer).await.unwrap()
            }
            Some((_, Trouble::Answers(code))) => {
                let answer = MessageResponseBuilder::from_message_request(request).error_msg(&request.metadata, *code);
                response.send_response(answer).await.unwrap()
            }
            Some((_, Trouble::Silent)) => {
                let metadata = Metadata::response_from_request(&request.metadata);
                ResponseInfo::from(Header { metadata, counts: HeaderCounts::default() })
            }
        }
    }
}
