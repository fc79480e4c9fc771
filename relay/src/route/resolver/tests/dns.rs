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
        op::{Header, HeaderCounts, Metadata, ResponseCode},
        rr::{Name, RData, Record, rdata::SOA},
    },
};
use hickory_server::{
    Server,
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
    store::in_memory::InMemoryZoneHandler,
    zone_handler::{AxfrPolicy, Catalog, MessageResponseBuilder, ZoneType},
};
use tokio::net::{TcpListener, UdpSocket};

use super::super::{Resolver, Servers};

/// What the server does with questions about a name, other than to look into its zone.
#[derive(Clone, Copy)]
pub(super) enum Trouble {
    Answers(ResponseCode),
    Silent,
}

/// A running server; it stops when it is dropped.
pub(super) struct Dns {
    address: SocketAddr,
    asked: Arc<Mutex<HashSet<String>>>,
    _server: Server<Zone>,
}

struct Zone {
    catalog: Catalog,
    troubles: Vec<(Name, Trouble)>,
    asked: Arc<Mutex<HashSet<String>>>,
}

impl Dns {
    /// Serves these records, and nothing else that is under the sun.
    pub(super) async fn start(records: &[(&str, RData)], troubles: &[(&str, Trouble)]) -> Dns {
        let root = Name::root();
        let mut zone =
            InMemoryZoneHandler::<TokioRuntimeProvider>::empty(root.clone(), ZoneType::Primary, AxfrPolicy::Deny);
        let soa = SOA::new(name("ns."), name("hostmaster."), 1, 3600, 600, 86_400, 60);
        let soa = [(".", RData::SOA(soa))];
        for (owner, data) in soa.iter().chain(records) {
            assert!(zone.upsert_mut(Record::from_rdata(name(owner), 60, data.clone()), 1), "{owner} {data}");
        }
        let mut catalog = Catalog::new();
        catalog.upsert(root.into(), vec![Arc::new(zone)]);
        let troubles = troubles.iter().map(|(owner, trouble)| (name(owner), *trouble)).collect();
        let asked = Arc::new(Mutex::default());
        let mut server = Server::new(Zone { catalog, troubles, asked: asked.clone() });
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
pub(super) fn resolver(address: SocketAddr) -> Resolver {
    let mut options = ResolverOpts::default();
    options.timeout = Duration::from_millis(800);
    options.attempts = 0;
    Resolver { servers: Servers::fixed(address, options) }
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
            None => self.catalog.handle_request::<R, T>(request, response).await,
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
