//! A DNS server with a zone of test records.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hickory_server::{
    Server,
    net::runtime::TokioRuntimeProvider,
    proto::{rr::Name, serialize::txt::Parser},
    store::in_memory::InMemoryZoneHandler,
    zone_handler::{AxfrPolicy, Catalog, ZoneType},
};
use tokio::{
    net::{TcpListener, UdpSocket},
    runtime::Runtime,
};

/// A DNS server that runs until it is dropped.
pub struct Dns {
    /// Where it answers, over UDP and TCP.
    pub address: SocketAddr,
    _server: Server<Catalog>,
    _runtime: Runtime,
}

impl Dns {
    /// Serves these records, in the format of zone files, and nothing else that is under the sun.
    #[must_use]
    pub fn start(records: &str) -> Dns {
        let zone =
            format!("$ORIGIN .\n$TTL 60\n. IN SOA ns. hostmaster. 1 3600 600 86400 60\n. IN NS ns.\n{records}\n");
        let (origin, records) = Parser::new(zone, None, Some(Name::root())).parse().expect("a zone");
        let zone = InMemoryZoneHandler::<TokioRuntimeProvider>::new(
            origin.clone(),
            records,
            ZoneType::Primary,
            AxfrPolicy::Deny,
        )
        .expect("a zone with a SOA");
        let mut catalog = Catalog::new();
        catalog.upsert(origin.into(), vec![Arc::new(zone)]);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime for the DNS server");
        let (address, server) = runtime.block_on(async {
            let mut server = Server::new(catalog);
            let socket = UdpSocket::bind((IpAddr::from([127, 0, 0, 1]), 0)).await.expect("a UDP port");
            let address = socket.local_addr().expect("its address");
            server.register_socket(socket);
            let listener = TcpListener::bind(address).await.expect("the same TCP port");
            server.register_listener(listener, Duration::from_secs(5), 16);
            (address, server)
        });
        Dns { address, _server: server, _runtime: runtime }
    }
}
