//! What the relay is told: one SMTPRelay, the TCP Schedule it refers to and what asks it for access, from manifests, and again when they change.

mod watch;

use std::{
    fmt, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use kube::ResourceExt as _;
use mailsluice_crds::{
    LogLevel, SMTPAccess, SMTPRelay,
    access::{self, Labels, Place},
    manifest::{self, Refusal, Source},
    relay::{Client, Route, SMTPRelaySpec, TlsPolicy},
    schedule::{Schedule, ScheduleError},
};

use crate::{
    access::{Access, NetworkError},
    border::Border,
    hello,
    route::{NextHop, Routes},
};

pub use watch::{Change, watch};
pub(crate) use watch::{Stamp, stamp};

/// The name on the command line that stands for standard input.
pub const STANDARD_INPUT: &str = "-";

/// A configuration that can be obeyed.
#[derive(Debug)]
pub struct Config {
    /// The relay's `metadata.name`.
    pub name: String,
    /// How it names itself to other hosts and to clients.
    pub hello: String,
    /// What it is asked to do; with what is granted to others among its `clients`.
    pub spec: SMTPRelaySpec,
    /// When connections may be opened.
    pub schedule: TcpSchedule,
    /// The Log Level of the TCP Schedule.
    pub schedule_log: LogLevel,
    /// Who may relay.
    pub access: Access,
    /// Whose word is taken for whom, and how much each client may take.
    pub border: Border,
    /// Where mail goes.
    pub routes: Routes,
}

/// The TCP Schedule of a relay.
#[derive(Debug, Clone)]
pub enum TcpSchedule {
    /// It has none: connections may always be opened.
    None,
    /// This one.
    Known(Box<Schedule>),
    /// It refers to one by this name that was not given: mail is held rather than let out by a guess.
    Missing(String),
}

/// Why a configuration is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("{file}: {source}")]
    Unreadable {
        /// The file as it was named.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// Manifests that the API server would refuse, each with file, line, path and what to write instead.
    #[error("{}", Lines(.0))]
    Refused(Vec<Refusal>),
    /// Not exactly one SMTPRelay.
    #[error("{found} SMTPRelays in {files}: one process is one relay, so give it exactly one")]
    NotOneRelay {
        /// How many there are.
        found: usize,
        /// Where they were looked for.
        files: String,
    },
    /// A TCPSchedule that cannot be obeyed.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// An SMTPAccess that cannot be granted.
    #[error(transparent)]
    Access(#[from] Box<AccessError>),
    /// A client network that cannot be read.
    #[error(transparent)]
    Network(#[from] NetworkError),
}

/// Why an SMTPAccess is not granted.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The relay does not allow it.
    #[error("SMTPAccess {access}: {refusal}")]
    Refused {
        /// Which.
        access: Place,
        /// Why, and what to write instead.
        refusal: access::Refusal,
    },
    /// It asks a relay that is not this one.
    #[error("SMTPAccess {access} asks SMTPRelay {asked}, which is not in these files: write {own} into its relayRef")]
    AsksAnother {
        /// Which.
        access: Place,
        /// The relay that it asks.
        asked: Place,
        /// This one.
        own: Place,
    },
}

struct Lines<'a>(&'a [Refusal]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, refusal) in self.0.iter().enumerate() {
            write!(f, "{}{refusal}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl Config {
    /// Reads the files; a name of `-` stands for what standard input held.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn read(files: &Files) -> Result<Config, ConfigError> {
        let sources = files
            .paths
            .iter()
            .map(|path| {
                let name = path.display().to_string();
                let text = match (&files.standard_input, name.as_str()) {
                    (Some(text), STANDARD_INPUT) => text.clone(),
                    _ => fs::read_to_string(path)
                        .map_err(|source| ConfigError::Unreadable { file: name.clone(), source })?,
                };
                Ok((name, text))
            })
            .collect::<Result<Vec<_>, ConfigError>>()?;
        let sources: Vec<_> = sources.iter().map(|(name, text)| Source { name, text }).collect();
        Config::from_sources(&sources)
    }

    /// The route on which mail for a host of the queue goes; none for one that no route leads to any more.
    #[must_use]
    pub fn route_to(&self, hop: &NextHop) -> Option<&Route> {
        self.spec.routes.get(self.routes.route_to(&hop.host_name())?)
    }

    /// What is asked of TLS towards a host of the queue, and the route that leads there.
    #[must_use]
    pub fn tls_to(&self, hop: &NextHop) -> (TlsPolicy, Option<&Route>) {
        let route = self.route_to(hop);
        (route.and_then(|route| route.tls).unwrap_or(self.spec.tls), route)
    }

    pub(crate) fn from_sources(sources: &[Source<'_>]) -> Result<Config, ConfigError> {
        let mut resources = manifest::load(sources).map_err(ConfigError::Refused)?;
        let mut relay = match (resources.relays.pop(), resources.relays.len()) {
            (Some(relay), 0) => relay,
            (relay, others) => {
                let files = sources.iter().map(|source| source.name).collect::<Vec<_>>().join(", ");
                return Err(ConfigError::NotOneRelay { found: others + usize::from(relay.is_some()), files });
            }
        };
        let (schedule, schedule_log) = find_schedule(&relay, &resources)?;
        let granted = granted(&relay, &resources.accesses)?;
        relay.spec.clients.extend(granted);
        let access = Access::new(&relay.spec.clients)?;
        let border = Border::new(&relay.spec)?;
        let routes = Routes::new(&relay.spec.routes);
        let hello = hello::name(relay.spec.hello.as_deref(), &hello::machine());
        Ok(Config { name: relay.name_any(), hello, spec: relay.spec, schedule, schedule_log, access, border, routes })
    }
}

/// What the SMTPAccesses come to. Those that an operator hands over are granted; in others an error is told as any in a manifest.
fn granted(relay: &SMTPRelay, asks: &[SMTPAccess]) -> Result<Vec<Client>, Box<AccessError>> {
    let own = Place::new(relay.namespace(), &relay.name_any());
    if let Some(ask) = asks.iter().find(|ask| ask.relay() != own) {
        return Err(Box::new(AccessError::AsksAnother { access: ask.place(), asked: ask.relay(), own }));
    }
    let judged = access::resolve(&own, relay.spec.access.as_ref(), asks, |_| Labels::Unseen);
    let refused = |access, refusal| Box::new(AccessError::Refused { access, refusal });
    judged.into_iter().map(|(access, verdict)| verdict.map_err(|refusal| refused(access, refusal))).collect()
}

fn find_schedule(relay: &SMTPRelay, resources: &manifest::Resources) -> Result<(TcpSchedule, LogLevel), ScheduleError> {
    let Some(reference) = &relay.spec.schedule_ref else { return Ok((TcpSchedule::None, LogLevel::Major)) };
    let found = resources
        .schedules
        .iter()
        .find(|schedule| schedule.name_any() == reference.name && schedule.namespace() == relay.namespace());
    Ok(match found {
        Some(found) => {
            let schedule = Schedule::new(&reference.name, &found.spec)?;
            (TcpSchedule::Known(Box::new(schedule)), found.spec.log)
        }
        None => (TcpSchedule::Missing(reference.name.clone()), LogLevel::Major),
    })
}

/// The files that a configuration is read from.
#[derive(Debug, Clone)]
pub struct Files {
    paths: Vec<PathBuf>,
    /// What standard input held, where it is one of them: it can be read only once.
    standard_input: Option<String>,
}

impl Files {
    /// Takes the names from the command line, and reads standard input where it is among them.
    ///
    /// # Errors
    /// When standard input cannot be read.
    pub fn new(paths: Vec<PathBuf>) -> io::Result<Files> {
        let standard_input = if paths.iter().any(|path| path.as_os_str() == STANDARD_INPUT) {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text)?;
            Some(text)
        } else {
            None
        };
        Ok(Files { paths, standard_input })
    }

    /// The folder of the first file, or the present one where that is standard input.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.watched().next().and_then(Path::parent).unwrap_or(Path::new(""))
    }

    /// Those that can change.
    fn watched(&self) -> impl Iterator<Item = &Path> {
        self.paths.iter().map(PathBuf::as_path).filter(|path| path.as_os_str() != STANDARD_INPUT)
    }
}
