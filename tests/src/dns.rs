//! A DNS server with zones of test records, signed or not, that can also fail, fall silent and lie.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use hickory_server::{
    Server,
    dnssec::NxProofKind,
    net::{
        runtime::{Time, TokioRuntimeProvider},
        xfer::Protocol,
    },
    proto::{
        dnssec::{
            DigestType, DnssecSigner, PublicKeyBuf, SigningKey as _,
            crypto::Ed25519SigningKey,
            rdata::{DNSKEY, DNSSECRData, DS},
        },
        op::{Header, HeaderCounts, Metadata, ResponseCode},
        rr::{
            Name, RData, Record, RecordType,
            rdata::{NS, SOA},
        },
        serialize::txt::Parser,
    },
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
    store::in_memory::InMemoryZoneHandler,
    zone_handler::{AxfrPolicy, Catalog, MessageResponseBuilder, ZoneType},
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::{
    net::{TcpListener, UdpSocket},
    runtime::Runtime,
};

type ZoneHandler = InMemoryZoneHandler<TokioRuntimeProvider>;

/// What the server does with questions about a name, other than to look into its zones.
#[derive(Debug, Clone)]
pub enum Trouble {
    /// It could not find out.
    ServFail,
    /// It does not answer for that name: nobody told it about the zone that was delegated to it.
    Lame,
    /// It says nothing.
    Silent,
    /// It answers after so long.
    Slow(Duration),
    /// It says that there is nothing, and gives the SOA of this zone for it.
    Denies(&'static str),
    /// It says that there is no such name, which is to be believed for a second.
    NoName,
    /// It gives these records, in the format of zone files, of the type that is asked for, and no others.
    Gives(String),
}

/// How a zone is signed, and what the root says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    /// It is, and the root knows its key.
    Well,
    /// It is not, and the root says so.
    Not,
    /// By another key than its own.
    Badly,
}

/// A DNS server that runs until it is dropped.
pub struct Dns {
    /// Where it answers, over UDP and TCP.
    pub address: SocketAddr,
    /// The record of the root's key, where that is signed.
    anchor: Option<String>,
    troubles: Arc<Mutex<BTreeMap<String, Trouble>>>,
    asked: Arc<Mutex<Vec<String>>>,
    _server: Server<Zones>,
    _runtime: Runtime,
}

struct Zones {
    catalog: Catalog,
    /// Of the root alone, which is asked about the keys of the zones below it.
    parent: Option<Catalog>,
    troubles: Arc<Mutex<BTreeMap<String, Trouble>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Dns {
    /// Serves these records, in the format of zone files, and nothing else that is under the sun.
    #[must_use]
    pub fn start(records: &str) -> Dns {
        let mut catalog = Catalog::new();
        catalog.upsert(Name::root().into(), vec![Arc::new(zone(".", records))]);
        Dns::serve(catalog, None, None)
    }

    /// Serves zones below a signed root: each with its name, how it is signed, and its records.
    #[must_use]
    pub fn signed(zones: &[(&str, Signed, &str)]) -> Dns {
        let mut catalog = Catalog::new();
        let mut of_root = Vec::new();
        for (origin, signed, records) in zones {
            let mut zone = zone(origin, records);
            let keys = Keys::generate();
            of_root.push((*origin, RData::NS(NS(name("ns.")))));
            if *signed != Signed::Not {
                keys.sign(&mut zone, origin, *signed);
                let ds = DS::from_key(&keys.public(), &name(origin), DigestType::SHA256).expect("a DS record");
                of_root.push((*origin, RData::DNSSEC(DNSSECRData::DS(ds))));
            }
            catalog.upsert(name(origin).into(), vec![Arc::new(zone)]);
        }
        let keys = Keys::generate();
        let mut parent = Catalog::new();
        for catalog in [&mut catalog, &mut parent] {
            let mut root = zone(".", "");
            for (owner, data) in &of_root {
                root.upsert_mut(Record::from_rdata(name(owner), 60, data.clone()), 1);
            }
            keys.sign(&mut root, ".", Signed::Well);
            catalog.upsert(Name::root().into(), vec![Arc::new(root)]);
        }
        let anchor = format!(". 3600 IN DNSKEY {}\n", DNSKEY::from_key(&keys.public()));
        Dns::serve(catalog, Some(parent), Some(anchor))
    }

    fn serve(catalog: Catalog, parent: Option<Catalog>, anchor: Option<String>) -> Dns {
        let (troubles, asked) = (Arc::default(), Arc::default());
        let zones = Zones { catalog, parent, troubles: Arc::clone(&troubles), asked: Arc::clone(&asked) };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime for the DNS server");
        let (address, server) = runtime.block_on(async {
            let mut server = Server::new(zones);
            let (socket, listener) = sockets().await;
            let address = socket.local_addr().expect("its address");
            server.register_socket(socket);
            server.register_listener(listener, Duration::from_secs(5), 16);
            (address, server)
        });
        Dns { address, anchor, troubles, asked, _server: server, _runtime: runtime }
    }

    /// Makes trouble with questions about a name from here on, or no more.
    pub fn trouble(&self, name: &str, trouble: Option<Trouble>) {
        let mut troubles = self.troubles.lock().expect("no panic while it was held");
        match trouble {
            Some(trouble) => _ = troubles.insert(name.to_owned(), trouble),
            None => _ = troubles.remove(name),
        }
    }

    /// The questions that came, as `NAME TYPE PROTOCOL`.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic while it was held").clone()
    }

    /// Writes the root's key into a file in this folder.
    ///
    /// # Panics
    /// When the root is not signed.
    #[must_use]
    pub fn trust_anchor(&self, folder: &Path) -> PathBuf {
        let path = folder.join("root.key");
        std::fs::write(&path, self.anchor.as_ref().expect("a signed root")).expect("write the root's key");
        path
    }
}

/// A port of loopback that is free for UDP and for TCP.
async fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let socket = UdpSocket::bind((IpAddr::from([127, 0, 0, 1]), 0)).await.expect("a UDP port");
        match TcpListener::bind(socket.local_addr().expect("its address")).await {
            Ok(listener) => return (socket, listener),
            // Somebody has it for TCP: another one, then.
            Err(error) => assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}"),
        }
    }
}

fn zone(origin: &str, records: &str) -> ZoneHandler {
    let zone = format!(
        "$ORIGIN {origin}\n$TTL 60\n{origin} IN SOA ns. hostmaster. 1 3600 600 86400 60\n{origin} IN NS ns.\n{records}\n"
    );
    let (origin, records) = Parser::new(zone, None, Some(name(origin))).parse().expect("a zone");
    let proof = Some(NxProofKind::Nsec);
    ZoneHandler::new(origin, records, ZoneType::Primary, AxfrPolicy::Deny, proof).expect("a zone with a SOA")
}

/// What stands beside a denial: how many seconds it is to be believed.
fn soa(origin: &str, seconds: u32) -> Record {
    let soa = SOA::new(name("ns."), name("hostmaster."), 1, 3_600, 600, 86_400, seconds);
    Record::from_rdata(name(origin), seconds, RData::SOA(soa))
}

/// Those of the records that are of this type.
fn records(text: &str, wanted: RecordType) -> Vec<Record> {
    let (_, sets) = Parser::new(format!("{text}\n"), None, Some(Name::root())).parse().expect("records");
    let all = sets.values().flat_map(|set| set.records_without_rrsigs().cloned());
    all.filter(|record| record.record_type() == wanted).collect()
}

fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).expect("a name");
    name.set_fqdn(true);
    name
}

/// The keys of a zone, to sign it with as often as it is served.
struct Keys(PrivatePkcs8KeyDer<'static>);

impl Keys {
    fn generate() -> Keys {
        Keys(Ed25519SigningKey::generate_pkcs8().expect("a key"))
    }

    fn public(&self) -> PublicKeyBuf {
        Ed25519SigningKey::from_pkcs8(&self.0).and_then(|key| key.to_public_key()).expect("a public key")
    }

    fn sign(&self, zone: &mut ZoneHandler, origin: &str, signed: Signed) {
        let strange = Keys::generate();
        let by = if signed == Signed::Badly { &strange } else { self };
        let key = Ed25519SigningKey::from_pkcs8(&by.0).expect("a key");
        let day = Duration::from_secs(86_400);
        let signer = DnssecSigner::new(DNSKEY::from_key(&self.public()), Box::new(key), name(origin), day);
        zone.add_zone_signing_key_mut(signer).expect("a signer");
        zone.secure_zone_mut().expect("sign a zone");
    }
}

#[async_trait::async_trait]
impl RequestHandler for Zones {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut response: R) -> ResponseInfo {
        let query = request.request_info().expect("one question").query;
        let owner = query.name().to_string().trim_end_matches('.').to_owned();
        let protocol = if request.protocol() == Protocol::Tcp { "TCP" } else { "UDP" };
        let question = format!("{owner} {} {protocol}", query.query_type());
        self.asked.lock().expect("no panic while it was held").push(question);
        let trouble = self.troubles.lock().expect("no panic while it was held").get(&owner).cloned();
        let builder = || MessageResponseBuilder::from_message_request(request);
        let answer = match trouble {
            Some(Trouble::ServFail) => builder().error_msg(&request.metadata, ResponseCode::ServFail),
            Some(Trouble::Lame) => builder().error_msg(&request.metadata, ResponseCode::Refused),
            Some(Trouble::Silent) => {
                let metadata = Metadata::response_from_request(&request.metadata);
                return ResponseInfo::from(Header { metadata, counts: HeaderCounts::default() });
            }
            Some(Trouble::Denies(zone)) => {
                let metadata = Metadata::response_from_request(&request.metadata);
                let soa = soa(zone, 60);
                let answer = builder().build(metadata, [], [&soa], [], []);
                return response.send_response(answer).await.expect("send an answer");
            }
            Some(Trouble::NoName) => {
                let mut metadata = Metadata::response_from_request(&request.metadata);
                metadata.response_code = ResponseCode::NXDomain;
                let soa = soa(".", 1);
                let answer = builder().build(metadata, [], [&soa], [], []);
                return response.send_response(answer).await.expect("send an answer");
            }
            Some(Trouble::Gives(text)) => {
                let metadata = Metadata::response_from_request(&request.metadata);
                let records = records(&text, query.query_type());
                let soa = soa(".", 1);
                let authority = records.is_empty().then_some(&soa);
                let answer = builder().build(metadata, &records, authority, [], []);
                return response.send_response(answer).await.expect("send an answer");
            }
            Some(Trouble::Slow(wait)) => {
                tokio::time::sleep(wait).await;
                return self.catalog.handle_request::<R, T>(request, response).await;
            }
            None => {
                let of_parent = query.query_type() == RecordType::DS && !owner.contains('.');
                let catalog = self.parent.as_ref().filter(|_| of_parent).unwrap_or(&self.catalog);
                return catalog.handle_request::<R, T>(request, response).await;
            }
        };
        response.send_response(answer).await.expect("send an answer")
    }
}
