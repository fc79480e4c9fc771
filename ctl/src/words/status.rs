//! `status`: what support asks first.

use jiff::Timestamp;
use mailsluice_crds::{
    LogLevel,
    monitor::{ClientRow, HostRow, Link, QueueTotals, RelayProblem},
    schedule::LinkState,
};
use serde::{Deserialize, Serialize};

use super::{Answer, Question, clients, monitor};
use crate::{
    HostName, Said,
    hold::HoldOn,
    table::{Table, age, plain, size},
};

/// Hosts that an answer has at most: the worst.
pub const HOSTS: usize = 10;

/// How the relay does.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusAsked {}

impl Question for StatusAsked {
    const PATH: &'static str = "/status";
    type Answer = StatusSaid;
}

/// How a relay does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusSaid {
    /// What the relay's clock shows.
    pub now: Timestamp,
    /// When its process started.
    pub started: Timestamp,
    /// The relay's name: its SMTPRelay's `metadata.name`.
    pub relay: String,
    /// The version of its program.
    pub version: String,
    /// Whether it takes mail.
    pub accepts_mail: bool,
    /// Whether a spool that a restart found is still being read.
    pub recovering: bool,
    /// The level it logs at.
    pub log_level: LogLevel,
    /// Levels that were changed at run time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<LevelChanged>,
    /// Whether connections are allowed now, and by which TCP Schedule.
    pub link: Link,
    /// Outgoing connections that are open.
    pub connections: u32,
    /// Totals over all hosts.
    pub queue: QueueTotals,
    /// What hinders the relay as a whole, the worst first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<RelayProblem>,
    /// What is held, by whom and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<HoldOn>,
    /// The worst hosts, at most [`HOSTS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostRow>,
    /// How many hosts are left out of them.
    pub hosts_not_shown: u32,
    /// The clients of which something was refused in the last day, the latest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<ClientRow>,
}

/// A Log Level that was changed at run time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LevelChanged {
    /// The host that it is for; the whole relay where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// The level.
    pub level: LogLevel,
    /// When it falls back; when the configuration is read again at the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Answer for StatusSaid {
    fn table(said: &[Said<Self>]) -> String {
        let mut relays = Table::new(&[
            "RELAY",
            "VERSION",
            "UP",
            "MAIL IN",
            "LINK",
            ">MESSAGES",
            ">SIZE",
            "OLDEST",
            ">HOSTS",
            ">SUSPENDED",
            ">CONNECTIONS",
            "LOG LEVEL",
        ]);
        let (mut problems, mut levels, mut holds) = (Vec::new(), Vec::new(), Vec::new());
        for Said { pod, answer } in said {
            let name = pod.as_ref().unwrap_or(&answer.relay);
            let whose = pod.as_ref().map(|pod| format!("{pod}: ")).unwrap_or_default();
            let StatusSaid { now, queue, .. } = answer;
            relays.row([
                name.clone(),
                answer.version.clone(),
                age(answer.started, *now),
                if answer.recovering {
                    "reads its spool"
                } else if answer.accepts_mail {
                    "yes"
                } else {
                    "no"
                }
                .to_owned(),
                link(&answer.link),
                queue.messages.to_string(),
                size(queue.bytes),
                queue.oldest.map_or_else(|| "-".to_owned(), |oldest| age(oldest, *now)),
                queue.hosts.to_string(),
                queue.suspended_hosts.to_string(),
                answer.connections.to_string(),
                answer.log_level.name().to_owned(),
            ]);
            let since = |problem: &RelayProblem| {
                format!("{whose}{} since {:.0}: {}", problem.reason.name(), problem.since, problem.message)
            };
            problems.extend(answer.problems.iter().map(since));
            levels.extend(answer.levels.iter().map(|changed| format!("{whose}{}", level(changed))));
            holds.extend(answer.holds.iter().map(|on| format!("{whose}{}, {}", on.target, on.hold)));
        }
        let rows = said.iter().map(|Said { pod, answer }| (pod, answer.now, answer.hosts.as_slice()));
        let mut hosts = monitor::table(rows);
        let left: u32 = said.iter().map(|said| said.answer.hosts_not_shown).sum();
        if left > 0 {
            hosts.push_str(&format!("and {left} more: `monitor` shows all\n"));
        }
        let part = |head: &str, lines: Vec<String>| match lines.is_empty() {
            true => String::new(),
            false => {
                format!("\n{head}\n{}", lines.iter().map(|line| format!("  {}\n", plain(line))).collect::<String>())
            }
        };
        let hosts = if hosts.is_empty() { hosts } else { format!("\n{hosts}") };
        let clients =
            clients::table(said.iter().map(|Said { pod, answer }| (pod, answer.now, answer.clients.as_slice())));
        let parts = [part("Problems", problems), part("Log Levels", levels), part("Holds", holds), hosts, clients];
        relays.text() + &parts.concat()
    }
}

/// `Closed by office-hours, opens 2026-11-24T07:00:00Z`.
fn link(link: &Link) -> String {
    let by = link.schedule.as_ref().map(|name| format!(" by {name}")).unwrap_or_default();
    let next = match link.state {
        LinkState::Open => "closes",
        LinkState::Closed => "opens",
    };
    let till = link.changes_at.map(|at| format!(", {next} {at:.0}")).unwrap_or_default();
    format!("{:?}{by}{till}", link.state)
}

fn level(LevelChanged { host, level, until }: &LevelChanged) -> String {
    let of = host.as_ref().map_or_else(|| "the relay".to_owned(), ToString::to_string);
    let till = until.map_or_else(|| "till the configuration is read again".to_owned(), |at| format!("till {at:.0}"));
    format!("{of}: {} {till}", level.name())
}
