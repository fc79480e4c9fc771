//! The manifests that a relay is started with.

use std::net::SocketAddr;

use jiff::Timestamp;
use mailsluice_crds::{
    LogLevel, SMTPRelay, SMTPRelaySpec, TCPSchedule, TCPScheduleSpec,
    quantity::Interval,
    relay::{Client, Listener, ListenerTls, Mx, PrivateAddresses, Role, Route, ScheduleRef, Smarthost, Trusted},
    schedule::{LinkState, Window},
};

/// The name of the TCP Schedule, where a relay has one.
pub const SCHEDULE: &str = "office-hours";

/// One SMTPRelay, and the TCP Schedule that it refers to.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The SMTPRelay's name.
    pub name: String,
    /// The SMTPRelay's spec.
    pub relay: SMTPRelaySpec,
    /// The TCPSchedule's spec.
    pub schedule: Option<TCPScheduleSpec>,
    /// TLS on the port where the relay takes mail.
    pub tls: Option<ListenerTls>,
    /// Whose PROXY headers the port where the relay takes mail believes.
    pub proxy_protocol: Option<Trusted>,
    /// Whose XCLIENT it believes.
    pub xclient: Option<Trusted>,
    /// Whose mail comes in on that port.
    pub role: Option<Role>,
}

impl Manifest {
    /// A relay for clients on loopback that sends everything to one host, tries again after a second, and logs the conversation.
    #[must_use]
    pub fn to(host: SocketAddr) -> Manifest {
        let route = Route { domains: vec!["*".into()], smarthost: Some(smarthost(host)), ..Route::default() };
        Manifest::with_routes(vec![route])
    }

    /// A relay that sends mail to each domain's own hosts, be they on loopback, where all hosts of these tests are.
    #[must_use]
    pub fn by_mx() -> Manifest {
        let mx = Mx { private_addresses: PrivateAddresses::Allow };
        Manifest::with_routes(vec![Route { domains: vec!["*".into()], mx: Some(mx), ..Route::default() }])
    }

    /// A relay with these routes.
    #[must_use]
    pub fn with_routes(routes: Vec<Route>) -> Manifest {
        let mut relay = SMTPRelaySpec { routes, ..SMTPRelaySpec::default() };
        relay.clients = vec![Client { networks: vec!["127.0.0.0/8".into()], ..Client::default() }];
        relay.retry.first = Interval::from_secs(1);
        relay.retry.longest = Interval::from_secs(4);
        relay.log.level = LogLevel::LowLevel;
        let name = "outbound".into();
        Manifest { name, relay, schedule: None, tls: None, role: None, proxy_protocol: None, xclient: None }
    }

    /// Another host for some domains, before the routes that are there.
    #[must_use]
    pub fn route(mut self, domains: &[&str], host: SocketAddr) -> Manifest {
        let domains = domains.iter().map(|domain| (*domain).to_owned()).collect();
        self.relay.routes.insert(0, Route { domains, smarthost: Some(smarthost(host)), ..Route::default() });
        self
    }

    /// A TCP Schedule of this default and these windows.
    #[must_use]
    pub fn scheduled(mut self, default: LinkState, windows: Vec<Window>) -> Manifest {
        self.relay.schedule_ref = Some(ScheduleRef { name: SCHEDULE.into() });
        self.schedule = Some(TCPScheduleSpec {
            time_zone: "Europe/Rome".into(),
            default,
            windows,
            exceptions: Vec::new(),
            log: LogLevel::AllInfo,
        });
        self
    }

    /// A TCP Schedule that is closed now and opens at `moment`, on a full minute, for an hour.
    #[must_use]
    pub fn opening_at(self, moment: Timestamp) -> Manifest {
        let rome = |at: Timestamp| at.in_tz("Europe/Rome").expect("a zone").strftime("%H:%M").to_string();
        let window = Window {
            days: Vec::new(),
            from: rome(moment).parse().expect("a time of day"),
            to: rome(moment + jiff::SignedDuration::from_hours(1)).parse().expect("a time of day"),
            link: LinkState::Open,
            pause: None,
        };
        self.scheduled(LinkState::Closed, vec![window])
    }

    /// The manifests as a file holds them, for a relay that listens on `port`.
    #[must_use]
    pub fn text(&self, port: u16) -> String {
        let mut spec = self.relay.clone();
        spec.listeners = vec![Listener {
            name: "smtp".into(),
            port,
            tls: self.tls.clone(),
            role: self.role,
            proxy_protocol: self.proxy_protocol.clone(),
            xclient: self.xclient.clone(),
        }];
        let relay = serde_json::to_string_pretty(&SMTPRelay::new(&self.name, spec)).expect("a manifest");
        match &self.schedule {
            // JSON is YAML too.
            Some(spec) => {
                let schedule = TCPSchedule::new(SCHEDULE, spec.clone());
                format!("{relay}\n---\n{}\n", serde_json::to_string_pretty(&schedule).expect("a manifest"))
            }
            None => format!("{relay}\n"),
        }
    }
}

/// A host by its address.
#[must_use]
pub fn smarthost(host: SocketAddr) -> Smarthost {
    Smarthost::new(host.ip().to_string(), host.port())
}
