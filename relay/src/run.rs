//! Puts the relay's parts together, hands changed configurations out, and takes it all down again.

mod leave;
mod link;
mod portion;
#[cfg(test)]
mod power_cut;
mod recover;
mod reread;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use mailsluice_crds::{
    LogLevel,
    monitor::{ProblemReason, Reason},
    relay::Listener,
};
use rustls::RootCertStore;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, watch},
    task, time,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    access::Accounts,
    clients::Clients,
    clock,
    config::{self, Change, Config, ConfigError, Files},
    control::{self, Holding},
    delivery::{Courier, dispatch, reroute},
    dkim::Keys,
    handover::{
        Kinship, Place, Siblings,
        place::{self, Pattern},
    },
    http::{self, Endpoints},
    listener::{Listeners, Reception},
    log::{Log, Tag},
    logins::Logins,
    metrics::Metrics,
    monitor::{Monitor, Parts},
    mta_sts::Policies,
    portion::{Allowed, Lookout},
    queue::{Queue, SharedQueue},
    route::{Resolver, ResolverSource, TrustAnchors},
    secrets::Secrets,
    smtp::client,
    socket,
    spool::{self, Disk, Spool, SpoolError},
    tcp::{Gate, Table},
    tls::{Certificates, Outgoing},
    tls_report::TlsReports,
};

/// How long a stop waits for messages that are under way. Kubernetes gives 30 seconds, and 10 are promised.
const STOP_TIME: Duration = Duration::from_secs(6);

/// How long a stop waits for requests over HTTP that are under way.
const HTTP_STOP_TIME: Duration = Duration::from_secs(1);

/// How often the files of Secrets are looked at: a changed certificate is in force within the second.
const SECRETS_INTERVAL: Duration = Duration::from_millis(500);

/// Why hosts that wait for want of TLS or of a login are tried again.
const SECRETS_CHANGED: &str = "the Secrets have changed";

/// The version of the relay.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the command line says.
pub struct Options {
    /// Manifests; `-` is standard input.
    pub files: Vec<PathBuf>,
    /// The spool's folder; by default `spool` beside the first file.
    pub spool: Option<PathBuf>,
    /// The address on which mail is taken.
    pub bind: IpAddr,
    /// The address and port of the HTTP endpoints.
    pub http: SocketAddr,
    /// The DNS server to ask; by default the system's.
    pub resolver: Option<SocketAddr>,
    /// The keys from which DNSSEC proves answers; by default those of the root of the Internet.
    pub trust_anchors: Option<TrustAnchors>,
    /// The authorities that vouch for public hosts; by default those that come with the program.
    pub authorities: Option<RootCertStore>,
    /// A file with the SHA-256 of the credential to which the Monitor answers off loopback.
    pub monitor_credential: Option<PathBuf>,
    /// The folder of the Secrets; by default that of the first file.
    pub secrets: Option<PathBuf>,
    /// The other pods of the relay, where there may be any.
    pub family: Option<Family>,
}

/// A pod among the others of its relay.
pub struct Family {
    /// Where they are.
    pub siblings: Pattern,
    /// A file with the token by which they know each other.
    pub token: PathBuf,
    /// The pod's name.
    pub pod: String,
}

/// Why a relay does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The manifests are refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The spool cannot be used.
    #[error("spool {}: {source}", folder.display())]
    Spool {
        /// Its folder.
        folder: PathBuf,
        /// Why.
        source: SpoolError,
    },
    /// A port cannot be opened.
    #[error(transparent)]
    Listen(#[from] crate::listener::ListenError),
    /// The HTTP port cannot be opened.
    #[error("listen on {address} for HTTP: {source}")]
    Http {
        /// The address and port.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Something else of the system's.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The metrics cannot be set up.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}

/// Runs a relay until SIGTERM or SIGINT.
///
/// # Errors
/// See [`RunError`].
pub async fn run(options: Options, log: Log) -> Result<(), RunError> {
    let files = Files::new(options.files.clone())?;
    let changes = config::watch(files.clone());
    let config = Arc::new(Config::read(&files)?);
    log.configure(&config.name, &config.spec.log, config.schedule_log);
    log.at(LogLevel::Major, Tag::Relay).field("version", VERSION).say("the relay starts");

    let metrics = Arc::new(Metrics::new(VERSION)?);
    let folder = options.spool.clone().unwrap_or_else(|| files.folder().join("spool"));
    let mut opened = open_spool(folder.clone(), &metrics)
        .await
        .map_err(|source| RunError::Spool { folder: folder.clone(), source })?;
    let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let started = clock::now();
    let siblings =
        options.family.as_ref().map(|family| Siblings::new(family.siblings.clone(), &family.pod, files.folder()));
    let number = options.family.as_ref().and_then(|family| place::number(&family.pod));
    let lookout = number.map(|number| Lookout::new(number, files.folder(), &folder, Instant::now()));
    let mut told =
        Told { files: &files, folder: &folder, siblings, lookout, config, changes, terminate, interrupt, started };
    loop {
        match serve(&options, &mut told, opened, &metrics, &log).await? {
            None => return Ok(()),
            Some(again) => opened = again,
        }
    }
}

/// What the relay is told from outside, and what of it is in force.
struct Told<'a> {
    files: &'a Files,
    folder: &'a Path,
    siblings: Option<Siblings>,
    lookout: Option<Lookout>,
    config: Arc<Config>,
    changes: mpsc::Receiver<Change>,
    terminate: Signal,
    interrupt: Signal,
    /// When the process started.
    started: Timestamp,
}

impl Told<'_> {
    /// What becomes of this pod.
    fn place(&self) -> Place {
        self.siblings.as_ref().map_or(Place::Stays, Siblings::place)
    }
}

/// Why a relay starts over, or does not.
enum Next {
    /// The process is told to stop.
    Stop,
    /// It is scaled away, or is not any more.
    Moved,
    /// The spool has failed, and was opened again.
    Reread(Opened),
}

/// Runs a relay on an open spool, until the process is told to stop, the spool has failed and was opened again, or the pod's place among its
/// siblings has changed.
async fn serve(
    options: &Options,
    told: &mut Told<'_>,
    (spool, recovery): Opened,
    metrics: &Arc<Metrics>,
    log: &Log,
) -> Result<Option<Opened>, RunError> {
    let (files, folder, config) = (told.files, told.folder, told.config.clone());
    let socket = socket::listen(options.http).map_err(|source| RunError::Http { address: options.http, source })?;

    let place = told.place();
    told.look_at_shares(&config, log);
    let secrets = Secrets::below(options.secrets.clone().unwrap_or_else(|| files.folder().to_owned()));
    metrics.spool_recovering.set(1);
    let relay = Relay::assemble(
        options,
        &config,
        (spool, secrets, Folders { manifests: files.folder(), spool: folder }),
        (place == Place::Stays, told.allowed(&config)),
        metrics.clone(),
        log.clone(),
    );
    relay.look_at_secrets(&config);
    let mut listeners = Listeners::new(relay.reception.clone(), options.bind);
    listeners.configure(relay.ports(&config), config.spec.limits.client_connections)?;

    let kinship = options.family.as_ref().map(|family| Arc::new(Kinship::new(family.token.clone(), files.folder())));
    let holding = Holding::new(relay.queue.clone(), control::Store::in_folder(folder));
    let ready = Arc::new(AtomicBool::new(relay.stays));
    let endpoints = Endpoints {
        monitor: relay.monitor.clone(),
        metrics: metrics.clone(),
        reports: relay.courier.reports.clone(),
        credential: options.monitor_credential.clone(),
        ready: ready.clone(),
        taker: kinship.clone().map(|kinship| relay.taker(kinship, holding.clone())),
        stop: relay.stop.clone(),
    };
    // Before anybody is told that the relay is ready.
    let control = control::start(&relay.courier, &relay.monitor, holding, folder, told.started);
    let server = tokio::spawn(http::serve(socket, endpoints));
    let publishing = tokio::spawn(relay.monitor.clone().publish());
    let reports = tokio::spawn(relay.courier.reports.clone().keep(log.clone(), relay.stop.clone()));
    let work = match (&place, kinship) {
        (Place::Leaves { siblings }, Some(kinship)) => tokio::spawn(relay.leave(recovery, siblings.clone(), kinship)),
        _ => {
            tokio::spawn(recover::recover(relay.clone(), recovery));
            tokio::spawn(dispatch::run(relay.courier.clone()))
        }
    };
    tokio::spawn(link::tell(relay.clone()));

    let next = tokio::select! {
        next = relay.obey(told, &mut listeners, &place) => next,
        again = reread::reopened(&relay.spool, async || open_spool(folder.to_owned(), metrics).await, log) => Next::Reread(again),
    };

    ready.store(false, Ordering::Relaxed);
    let reading = matches!(next, Next::Reread(_));
    log.at(LogLevel::Major, Tag::Relay).say(match next {
        Next::Stop => "the relay stops",
        Next::Moved => "the number of pods that stay has changed: all sessions end, and the spool is read",
        Next::Reread(_) => "the spool is open again: all sessions end, and it is read",
    });
    told.config = relay.config.borrow().clone();
    relay.stop(reading).await;
    // They have nothing more to do than to see that the relay stops, and to write down what is counted.
    let _ = tokio::join!(work, reports);
    publishing.abort();
    for server in [Some(server), control].into_iter().flatten() {
        let closing = server.abort_handle();
        if time::timeout(HTTP_STOP_TIME, server).await.is_err() {
            closing.abort();
        }
    }
    control::unbind(folder);
    let again = match next {
        Next::Reread(again) => {
            metrics.spool_rereads.inc();
            Some(again)
        }
        Next::Moved => {
            let opened = open_spool(folder.to_owned(), metrics).await;
            Some(opened.map_err(|source| RunError::Spool { folder: folder.to_owned(), source })?)
        }
        Next::Stop => {
            log.at(LogLevel::Major, Tag::Relay).say("the relay has stopped");
            None
        }
    };
    log.flush();
    Ok(again)
}

/// An open spool, and what is to be read of it.
type Opened = (Spool, spool::Recovery);

async fn open_spool(folder: PathBuf, metrics: &Arc<Metrics>) -> Result<Opened, SpoolError> {
    let metrics = metrics.clone();
    task::spawn_blocking(move || {
        let options =
            spool::Options { on_sync: Some(Arc::new(move |took| metrics.synced(took))), ..spool::Options::default() };
        Spool::open(Arc::new(Disk::open(&folder)?), options)
    })
    .await
    .unwrap_or_else(|_| Err(SpoolError::Closed))
}

/// Where the relay's files are.
#[derive(Clone, Copy)]
struct Folders<'a> {
    manifests: &'a Path,
    spool: &'a Path,
}

/// The running parts.
#[derive(Clone)]
struct Relay {
    spool: Spool,
    queue: Arc<SharedQueue>,
    gate: Arc<Gate>,
    monitor: Arc<Monitor>,
    courier: Arc<Courier>,
    reception: Arc<Reception>,
    config: watch::Sender<Arc<Config>>,
    metrics: Arc<Metrics>,
    sessions: TaskTracker,
    /// Whether it takes and delivers mail, and does not hand it to its siblings.
    stays: bool,
    log: Log,
    stop: CancellationToken,
}

impl Relay {
    fn assemble(
        options: &Options,
        config: &Arc<Config>,
        (spool, secrets, folders): (Spool, Secrets, Folders<'_>),
        (stays, allowed): (bool, Allowed),
        metrics: Arc<Metrics>,
        log: Log,
    ) -> Relay {
        let keys = Arc::new(Keys::new(secrets.clone()));
        let certificates = Arc::new(Certificates::new(secrets.clone()));
        let accounts = Arc::new(Accounts::new(secrets.clone(), folders.manifests));
        let logins = Logins::new(secrets.clone());
        let tls = Outgoing::new(secrets, options.authorities.clone());
        let stop = CancellationToken::new();
        let sessions = TaskTracker::new();
        let sender = watch::Sender::new(config.clone());
        let mut queue = Queue::new(portion::queue_limits(&config.spec, allowed));
        queue.set_holds(control::Store::in_folder(folders.spool).load(clock::now()));
        let queue = SharedQueue::new(queue, log.clone());
        let gate = Gate::new(config.schedule.clone(), allowed.connections, log.clone());
        let table = Table::default();
        let clients = Arc::<Clients>::default();
        let monitor = Monitor::new(
            Parts {
                queue: queue.clone(),
                gate: gate.clone(),
                table: table.clone(),
                clients: clients.clone(),
                config: sender.subscribe(),
                spool: spool.clone(),
                folder: folders.spool.to_owned(),
                allowed,
                log: log.clone(),
            },
            VERSION,
        );
        let courier = Arc::new(Courier {
            queue: queue.clone(),
            spool: spool.clone(),
            gate: gate.clone(),
            table,
            bind: options.bind,
            resolver: Resolver::new(
                options.resolver.map_or(ResolverSource::System, ResolverSource::At),
                options.trust_anchors.clone().unwrap_or_default(),
            ),
            config: sender.subscribe(),
            policies: Policies::load(folders.spool.join("mta-sts"), tls.web(), log.clone()),
            reports: Arc::new(TlsReports::load(folders.spool, &config.hello)),
            tls,
            logins,
            keys,
            watch: clock::Watch::start(),
            timeouts: client::Timeouts::default(),
            log: log.clone(),
            metrics: metrics.clone(),
            sessions: sessions.clone(),
            stop: stop.clone(),
        });
        let reception = Arc::new(Reception {
            spool: spool.clone(),
            queue: queue.clone(),
            gate: gate.clone(),
            certificates,
            limiter: Arc::default(),
            turns: Arc::default(),
            accounts,
            clients,
            config: sender.subscribe(),
            log: log.clone(),
            metrics: metrics.clone(),
            sessions: sessions.clone(),
            stop: stop.clone(),
        });
        Relay { spool, queue, gate, monitor, courier, reception, config: sender, metrics, sessions, stays, log, stop }
    }

    /// Hands changed configurations out until the process is told to stop, or the pod's place is another one.
    async fn obey(&self, told: &mut Told<'_>, listeners: &mut Listeners, place: &Place) -> Next {
        let mut look = time::interval(SECRETS_INTERVAL);
        look.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(change) = told.changes.recv() => match change {
                    Change::Valid(config) => {
                        let allowed = told.allowed(&config);
                        self.apply(config, allowed, listeners);
                    }
                    Change::Invalid(error) => self.refuse(&error.to_string()),
                },
                _ = look.tick() => {
                    let config = self.config.borrow().clone();
                    if self.look_at_secrets(&config) {
                        self.open_ports(&config, listeners);
                    }
                    self.keep_to_shares(told);
                    if told.place() != *place {
                        return Next::Moved;
                    }
                }
                _ = told.terminate.recv() => return Next::Stop,
                _ = told.interrupt.recv() => return Next::Stop,
            }
        }
    }

    /// Reads the Secrets that are new or have changed, and tells what is wrong with them; whether anything changed.
    fn look_at_secrets(&self, config: &Config) -> bool {
        let outgoing = self.courier.tls.look(&config.spec);
        if outgoing {
            self.try_again(&[Reason::TlsFailed], SECRETS_CHANGED);
        }
        let logins = self.courier.logins.look(&config.spec);
        if logins {
            self.try_again(&[Reason::AuthFailed], SECRETS_CHANGED);
        }
        let Reception { certificates, accounts, .. } = &*self.reception;
        let certificates_changed = certificates.look(&config.spec);
        let keys_changed = self.courier.keys.look(&config.spec);
        let changed = accounts.look(&config.access) || certificates_changed || keys_changed || outgoing || logins;
        if changed {
            let mut faults = certificates.faults();
            faults.extend(accounts.faults(&config.access));
            faults.extend(self.courier.tls.faults());
            faults.extend(self.courier.logins.faults());
            faults.extend(self.courier.keys.faults(&config.spec));
            for fault in &faults {
                self.log.at(LogLevel::Failures, Tag::Relay).say(fault);
            }
            if faults.is_empty() {
                self.log.at(LogLevel::Major, Tag::Relay).say("the Secrets are read");
            }
            self.metrics.set_expiries(&certificates.expiries());
            self.metrics.secrets_invalid.set(i64::try_from(faults.len()).unwrap_or(i64::MAX));
            let problem = (!faults.is_empty()).then(|| faults.join(". "));
            self.monitor.set_problem(ProblemReason::SecretInvalid, problem);
            let fault = accounts.keys_fault();
            if let Some(fault) = &fault {
                self.log.at(LogLevel::Failures, Tag::Relay).say(fault);
            }
            self.monitor.set_problem(ProblemReason::TokenKeysInvalid, fault);
        }
        changed
    }

    /// Lets hosts that are suspended for one of these reasons be tried at once; `why`, for the records.
    fn try_again(&self, reasons: &[Reason], why: &'static str) {
        self.gate.addresses(|addresses| addresses.release(reasons, why));
        self.queue.change(|queue| queue.release(reasons, why));
    }

    /// The ports on which mail is taken: none by a relay that leaves.
    fn ports<'a>(&self, config: &'a Config) -> &'a [Listener] {
        if self.stays { &config.spec.listeners } else { &[] }
    }

    /// Opens and closes ports after a change of the Secrets.
    fn open_ports(&self, config: &Config, listeners: &mut Listeners) {
        if let Err(error) = listeners.configure(self.ports(config), config.spec.limits.client_connections) {
            self.log.at(LogLevel::Failures, Tag::Relay).say(error);
        }
    }

    fn apply(&self, config: Arc<Config>, allowed: Allowed, listeners: &mut Listeners) {
        self.courier.keys.prepare(&self.config.borrow().spec, &config.spec);
        self.courier.logins.prepare(&self.config.borrow().spec, &config.spec);
        self.log.configure(&config.name, &config.spec.log, config.schedule_log);
        // Before the others hear of the change: they look at the link, and at what may be logged.
        self.gate.configure(config.schedule.clone(), allowed.connections);
        self.monitor.set_allowed(allowed);
        let before = self.config.send_replace(config.clone());
        self.queue.change(|queue| queue.configure(portion::queue_limits(&config.spec, allowed)));
        // What the schedule held asks again, and the new one answers.
        self.queue.change(|queue| {
            let held =
                [Reason::TcpScheduleClosed, Reason::TcpSchedulePause, Reason::ScheduleNotFound, Reason::RateLimited];
            queue.release(&held, "the configuration has changed, and what held it is asked again")
        });
        if before.spec.routes != config.spec.routes || before.spec.tls != config.spec.tls {
            self.try_again(&[Reason::TlsFailed, Reason::AuthFailed], "the routes have changed");
        }
        if before.spec.routes != config.spec.routes {
            tokio::spawn(reroute::run(self.courier.clone()));
        }
        self.look_at_secrets(&config);
        let connections = config.spec.limits.client_connections;
        match listeners.configure(self.ports(&config), connections) {
            Ok(()) => {
                self.metrics.reloads.with_label_values(&["applied"]).inc();
                self.metrics.config_invalid.set(0);
                self.monitor.set_problem(ProblemReason::ConfigurationInvalid, None);
                self.log
                    .at(LogLevel::Major, Tag::Relay)
                    .field("logLevel", config.spec.log.level.name())
                    .say("the configuration has changed and is in force");
            }
            Err(error) => self.refuse(&error.to_string()),
        }
    }

    fn refuse(&self, error: &str) {
        self.metrics.reloads.with_label_values(&["refused"]).inc();
        self.metrics.config_invalid.set(1);
        let message = format!("the changed configuration is refused and the one before it stays in force: {error}");
        self.log.at(LogLevel::Failures, Tag::Relay).say(&message);
        self.monitor.set_problem(ProblemReason::ConfigurationInvalid, Some(message));
    }

    /// Takes no more mail, gives what is under way a little time, and leaves the spool as a kill would; one that has failed was
    /// left before.
    async fn stop(&self, failed: bool) {
        self.stop.cancel();
        self.sessions.close();
        if time::timeout(STOP_TIME, self.sessions.wait()).await.is_err() {
            self.log
                .at(LogLevel::Problems, Tag::Relay)
                .number("sessions", self.sessions.len() as u64)
                .say("sessions were still busy and are cut off: what was not answered is not taken, and what was not acknowledged is sent again");
        }
        if !failed && let Err(error) = self.spool.close().await {
            self.log.at(LogLevel::Failures, Tag::Spool).say(format_args!("close the spool: {error}"));
        }
    }
}
