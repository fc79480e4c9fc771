//! `log`: the Log Level, changed while the relay works.

use clap::Args;
use jiff::Timestamp;
use mailsluice_crds::{LogLevel, quantity::Interval};
use serde::{Deserialize, Serialize};

use super::{Answer, Examples, Question};
use crate::{HostName, Line, Said, table::plain};

pub(super) const EXAMPLES: Examples = &[
    ("AllInfo --host example.com --for 30m", "follow all that is said with one host, for half an hour"),
    ("LowLevel", "follow all conversations, till the configuration is read again"),
];

/// The level that is wanted.
#[derive(Clone, Debug, Args)]
pub struct Wanted {
    /// CrashesOnly, Failures, Major, Problems, LowLevel or AllInfo.
    #[arg(value_name = "LEVEL")]
    level: LogLevel,
    /// For this host alone, as the Monitor names it.
    #[arg(long, value_name = "HOST")]
    host: Option<HostName>,
    /// For so long, such as 30m or 2h [default: till the configuration is read again].
    #[arg(long = "for", value_name = "TIME")]
    period: Option<Interval>,
}

impl Wanted {
    pub(super) fn arguments(&self) -> Vec<String> {
        let host = self.host.iter().flat_map(|host| ["--host".to_owned(), host.to_string()]);
        let period = self.period.iter().flat_map(|period| ["--for".to_owned(), period.to_string()]);
        ["log".to_owned(), self.level.name().to_owned()].into_iter().chain(host).chain(period).collect()
    }
}

/// Changes a level.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetLevel {
    /// The level.
    pub level: LogLevel,
    /// The host that it is for; the whole relay where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// For how long; till the configuration is read again where it is not said.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub period: Option<Interval>,
    /// Who wants it.
    pub by: Line,
}

impl SetLevel {
    pub(super) fn new(wanted: &Wanted, by: &Line) -> SetLevel {
        let Wanted { level, host, period } = wanted;
        SetLevel { level: *level, host: host.clone(), period: *period, by: by.clone() }
    }
}

impl Question for SetLevel {
    const PATH: &'static str = "/log";
    type Answer = LevelSet;
}

/// A level was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LevelSet {
    /// What the relay's clock shows.
    pub now: Timestamp,
    /// The level.
    pub level: LogLevel,
    /// What it was before.
    pub before: LogLevel,
    /// The host that it is for; the whole relay where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// When it falls back to what the configuration says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Answer for LevelSet {
    fn table(said: &[Said<Self>]) -> String {
        let line = |Said { pod, answer }: &Said<Self>| {
            let whose = pod.as_ref().map(|pod| format!("{pod}: ")).unwrap_or_default();
            let of = answer.host.as_ref().map(|host| format!(" for {host}")).unwrap_or_default();
            let till = answer.until.map_or_else(
                || "till the configuration is read again".to_owned(),
                |until| format!("till {until:.0}, or till the configuration is read again"),
            );
            let (level, before) = (answer.level.name(), answer.before.name());
            plain(&format!("{whose}the Log Level{of} is {level} {till}; it was {before}")) + "\n"
        };
        said.iter().map(line).collect()
    }
}
