//! Who is measured, each set up so that the comparison is fair: one next hop, no limits of its own, a sync before each 250.

use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use jiff::{RoundMode, SignedDuration, Timestamp, TimestampRound, Unit};
use mailsluice_crds::{
    LogLevel,
    relay::{ListenerTls, TlsMode},
    schedule::LinkState,
};
use mailsluice_tests::{
    certificate::Certificate,
    dns::Dns,
    manifest::Manifest,
    peers::{self, root::Root},
    postfix::Postfix,
    process::{self, Process},
    relay::{self, Relay},
};
use tempfile::TempDir;

/// A relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// Ours.
    Mailsluice,
    /// What the goals are set against.
    Postfix,
    /// The other one that syncs.
    Exim,
    /// Another build of ours, where [`EARLIER`] names one: whether a change costs anything.
    Earlier,
}

impl Who {
    /// All that are on this machine.
    pub(crate) fn all() -> Vec<Who> {
        let mut all = vec![Who::Mailsluice, Who::Postfix];
        if peers::unpacked("exim") {
            all.push(Who::Exim);
        }
        if env::var_os(EARLIER).is_some() {
            all.push(Who::Earlier);
        }
        all
    }

    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Who::Mailsluice => "Mailsluice",
            Who::Postfix => "Postfix",
            Who::Exim => "Exim",
            Who::Earlier => "earlier",
        }
    }

    /// How many messages it is given, of so many for ours: a slow one gets fewer, so that the whole comes to an end.
    pub(crate) const fn share(self, messages: u64) -> u64 {
        let share = match self {
            Who::Mailsluice | Who::Earlier => messages,
            Who::Postfix => messages / 6,
            Who::Exim => messages / 20,
        };
        if share < 100 { 100 } else { share }
    }
}

/// Names another build of the relay to measure beside this one.
const EARLIER: &str = "MAILSLUICE_EARLIER";

/// The name of the Secret with the certificate.
const SECRET: &str = "bench-tls";

/// Mail for domains below this one waits: nobody takes it.
pub(crate) const DEAD: &str = "dead.test";

/// How many hosts the mail that waits is for.
pub(crate) const HOSTS: usize = 1_000;

/// How one is to be set up.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    /// Where mail goes.
    pub(crate) next_hop: SocketAddr,
    /// Under STARTTLS, in and out.
    pub(crate) tls: Option<Certificate>,
    /// Keeps all mail until it is opened.
    pub(crate) held: bool,
    /// Mail for [`HOSTS`] domains below [`DEAD`] waits, each for its own host.
    pub(crate) dead_hosts: bool,
}

impl Setup {
    /// The plain way.
    pub(crate) fn to(next_hop: SocketAddr) -> Setup {
        Setup { next_hop, tls: None, held: false, dead_hosts: false }
    }
}

/// A relay that runs until it is dropped.
pub(crate) struct Mta {
    /// Where it takes mail.
    pub(crate) address: SocketAddr,
    kind: Kind,
}

enum Kind {
    Mailsluice { relay: Box<Relay>, manifest: Box<Manifest>, _dns: Option<Dns> },
    Postfix(Postfix),
    Exim { daemon: Process, root: Root, runners: Vec<Process> },
}

/// The address of a domain below [`DEAD`]: each has its own, on loopback.
fn dead_address(host: usize) -> String {
    format!("127.9.{}.{}", host / 250, host % 250 + 1)
}

impl Mta {
    /// Starts one afresh.
    pub(crate) fn start(who: Who, setup: &Setup) -> Mta {
        match who {
            Who::Mailsluice => mailsluice(relay::program(), setup),
            Who::Earlier => mailsluice(Path::new(&env::var_os(EARLIER).expect("another build")), setup),
            Who::Postfix => postfix(setup),
            Who::Exim => exim(setup),
        }
    }

    /// Lets out what it holds; from when on. Ours opens as a schedule does: on a full minute, which may be ahead.
    pub(crate) fn open(&mut self) -> Instant {
        match &mut self.kind {
            Kind::Mailsluice { relay, manifest, .. } => {
                let up = TimestampRound::new().smallest(Unit::Minute).mode(RoundMode::Ceil);
                let moment = (Timestamp::now() + SignedDuration::from_secs(3)).round(up).expect("a full minute");
                relay.rewrite(&manifest.clone().opening_at(moment));
                let left = Duration::try_from(moment.duration_since(Timestamp::now())).expect("ahead");
                return Instant::now() + left;
            }
            Kind::Postfix(postfix) => {
                let etc = postfix.etc();
                process::run(Command::new("/usr/sbin/postconf").arg("-c").arg(&etc).args(["-e", "defer_transports="]));
                process::run(Command::new("/usr/sbin/postfix").arg("-c").arg(&etc).arg("reload").stderr(Stdio::null()));
                process::run(Command::new("/usr/sbin/postqueue").arg("-c").arg(&etc).arg("-f"));
            }
            Kind::Exim { root, runners, .. } => {
                for _ in 0..8 {
                    runners.push(root.start(&["/usr/sbin/exim4", "-C", "/etc/exim.conf", "-q"]));
                }
            }
        }
        Instant::now()
    }

    /// The process that all of its processes descend from.
    pub(crate) fn process(&self) -> u32 {
        match &self.kind {
            Kind::Mailsluice { relay, .. } => relay.id(),
            Kind::Postfix(postfix) => postfix.id(),
            Kind::Exim { daemon, .. } => daemon.id(),
        }
    }

    /// Where it keeps mail.
    pub(crate) fn queue(&self) -> PathBuf {
        match &self.kind {
            Kind::Mailsluice { relay, .. } => relay.folder().join("spool"),
            Kind::Postfix(postfix) => postfix.queue(),
            Kind::Exim { root, .. } => root.path("var/spool/exim4"),
        }
    }

    /// The relay, where it is ours.
    pub(crate) fn relay(&mut self) -> Option<&mut Relay> {
        match &mut self.kind {
            Kind::Mailsluice { relay, .. } => Some(relay),
            _ => None,
        }
    }
}

fn mailsluice(program: &Path, setup: &Setup) -> Mta {
    let mut manifest = if setup.dead_hosts { Manifest::by_mx() } else { Manifest::to(setup.next_hop) };
    let mut dns = None;
    let mut more: Vec<String> = Vec::new();
    if setup.dead_hosts {
        manifest = manifest.route(&["one.test"], setup.next_hop);
        let records: String = (0..HOSTS).map(|n| format!("h{n}.{DEAD}. IN A {}\n", dead_address(n))).collect();
        let server = Dns::start(&records);
        more = vec!["--resolver".into(), server.address.to_string()];
        dns = Some(server);
        // As a relay is set up that nobody tunes for tests.
        manifest.relay.retry = mailsluice_crds::relay::Retry::default();
    }
    manifest.relay.log.level = LogLevel::Problems;
    manifest.relay.limits.connections_per_host = 50;
    if setup.held {
        manifest = manifest.scheduled(LinkState::Closed, Vec::new());
        manifest.schedule.as_mut().expect("a schedule").log = LogLevel::Problems;
    }
    let folder = TempDir::new().expect("a temporary folder");
    if let Some(certificate) = &setup.tls {
        let _ = certificate.put(folder.path(), SECRET);
        manifest.tls = Some(ListenerTls { secret_name: SECRET.into(), mode: TlsMode::StartTls });
    }
    let file = folder.path().join("relay.yaml");
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let relay = Relay::start_build(program, folder, &file, &manifest, &more);
    let address = relay.smtp;
    Mta { address, kind: Kind::Mailsluice { relay: Box::new(relay), manifest: Box::new(manifest), _dns: dns } }
}

fn postfix(setup: &Setup) -> Mta {
    let mut settings = String::new();
    // Kept until Postfix has read it, and then it needs it no more than its children do: so it is leaked to the end.
    if let Some(certificate) = &setup.tls {
        let folder = TempDir::new().expect("a temporary folder").keep();
        let chain = certificate.put(&folder, SECRET);
        let key = chain.with_file_name("tls.key");
        settings += &format!(
            "smtpd_tls_security_level = may\nsmtpd_tls_chain_files = {}, {}\nsmtp_tls_security_level = encrypt\n\
             smtp_tls_connection_reuse = yes\nsmtp_tls_loglevel = 0\nsmtp_tls_session_cache_database =\n",
            key.display(),
            chain.display()
        );
    }
    if setup.held {
        settings += "defer_transports = smtp, relay\n";
    }
    if setup.dead_hosts {
        settings += &format!("transport_maps = inline:{{ {{.{DEAD} = smtp:[127.9.0.1]:9}} }}\n");
    }
    let postfix = Postfix::start_with(setup.next_hop, &settings);
    Mta { address: postfix.address, kind: Kind::Postfix(postfix) }
}

fn exim(setup: &Setup) -> Mta {
    const USER: u32 = 201;
    let root = Root::new("exim", &[("Debian-exim", USER)]).unwrap_or_else(|missing| panic!("{}", missing.0));
    root.folder("var/spool/exim4", USER, 0o750);
    root.folder("var/log/exim4", USER, 0o750);
    let (mut server, mut client) = (String::from("tls_advertise_hosts =\n"), String::new());
    if let Some(certificate) = &setup.tls {
        root.folder("etc/tls", USER, 0o755);
        root.write("etc/tls/chain.pem", &certificate.chain);
        root.write("etc/tls/key.pem", &certificate.key);
        server =
            "tls_advertise_hosts = *\ntls_certificate = /etc/tls/chain.pem\ntls_privatekey = /etc/tls/key.pem\n".into();
        // Any certificate will do. Where neither list names a host, Exim verifies all of them.
        client = "  hosts_require_tls = *\n  tls_verify_hosts = !*\n  tls_try_verify_hosts =\n".into();
    }
    if setup.held {
        server += "queue_only = true\n";
    }
    let address = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
    root.write(
        "etc/exim.conf",
        &format!(
            "primary_hostname = exim.test\nlocal_interfaces = {}\ndaemon_smtp_ports = {}\nspool_directory = /var/spool/exim4\n\
             log_file_path = /var/log/exim4/%slog\nexim_user = Debian-exim\nexim_group = Debian-exim\n\
             host_lookup =\nrfc1413_hosts =\nkeep_environment =\nsmtp_accept_max = 0\nsmtp_accept_max_per_connection = 0\n\
             smtp_accept_queue_per_connection = 0\nsmtp_connect_backlog = 500\nqueue_run_max = 20\nsplit_spool_directory = true\n\
             acl_smtp_rcpt = accept\nacl_smtp_data = accept\n{server}\
             begin routers\nnext:\n  driver = manualroute\n  route_list = * {}\n  transport = next\n  self = send\n\
             begin transports\nnext:\n  driver = smtp\n  port = {}\n  allow_localhost\n  hosts_try_fastopen =\n{client}\
             begin retry\n* * F,1h,1s\n",
            address.ip(),
            address.port(),
            setup.next_hop.ip(),
            setup.next_hop.port(),
        ),
    );
    let mut command = vec!["/usr/sbin/exim4", "-C", "/etc/exim.conf", "-bdf"];
    if !setup.held {
        command.push("-q1s");
    }
    let daemon = root.start(&command);
    process::await_port(address);
    Mta { address, kind: Kind::Exim { daemon, root, runners: Vec::new() } }
}
