//! `monitor`: the SMTP Monitor as a table.

use jiff::Timestamp;
use mailsluice_crds::monitor::{HostRow, Snapshot};
use serde::{Deserialize, Serialize};

use super::{Answer, Question, clients};
use crate::{
    Said,
    table::{Table, age, moment},
};

/// The whole Monitor.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MonitorAsked {}

impl Question for MonitorAsked {
    const PATH: &'static str = "/monitor";
    type Answer = MonitorSaid;
}

/// A relay's Monitor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MonitorSaid {
    /// What the relay's clock shows.
    pub now: Timestamp,
    /// The Monitor, as the relay serves it at `/monitor`.
    #[serde(flatten)]
    pub snapshot: Snapshot,
}

impl Answer for MonitorSaid {
    fn table(said: &[Said<Self>]) -> String {
        let rows = said.iter().map(|Said { pod, answer }| (pod, answer.now, answer.snapshot.monitor.as_slice()));
        let hosts = table(rows);
        let hosts = if hosts.is_empty() { "No mail waits.\n".to_owned() } else { hosts };
        let rows = said.iter().map(|Said { pod, answer }| (pod, answer.now, answer.snapshot.clients.as_slice()));
        hosts + &clients::table(rows)
    }
}

/// A line for each host of each relay; the relays' hosts as they come, so that the worst of each is first.
pub(super) fn table<'a>(
    relays: impl Iterator<Item = (&'a Option<String>, Timestamp, &'a [HostRow])> + Clone,
) -> String {
    let pods = relays.clone().any(|(pod, ..)| pod.is_some());
    let columns = ["HOST", "STATE", ">MESSAGES", "OLDEST", "SUSPENDED TILL", "REASON", "PROBLEM"];
    let mut table = if pods { Table::new(&[&["POD"], columns.as_slice()].concat()) } else { Table::new(&columns) };
    for (pod, now, rows) in relays {
        for row in rows {
            let cells = [
                row.host.clone(),
                format!("{:?}", row.state),
                row.messages.to_string(),
                row.oldest.map_or_else(|| "-".to_owned(), |oldest| age(oldest, now)),
                moment(row.suspended_till),
                row.reason.map_or("-", mailsluice_crds::monitor::Reason::name).to_owned(),
                problem(row),
            ];
            table.row(pods.then(|| pod.clone().unwrap_or_default()).into_iter().chain(cells));
        }
    }
    table.text()
}

/// Why its mail waits; of a host that is being tried again, what went wrong last.
fn problem(row: &HostRow) -> String {
    match (&row.problem, &row.last_error) {
        (Some(problem), _) => problem.clone(),
        (None, Some(error)) => format!("{}: {}", error.place(), error.text),
        (None, None) => String::new(),
    }
}
