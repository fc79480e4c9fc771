//! `queue`: the queues, or the messages that wait for a host, page by page.

use clap::Args;
use jiff::Timestamp;
use mailsluice_crds::monitor::{HostRow, HostState};
use serde::{Deserialize, Serialize};

use super::{Answer, Examples, Question};
use crate::{
    Hold, HostName, MessageId, Said,
    table::{Table, age, moment, plain, size},
};

/// Rows of an answer, where nothing else is asked for, and at most.
pub const PAGE: u16 = 100;
const PAGE_MAX: u16 = 1_000;

/// Recipients that are shown of a message.
pub const RECIPIENTS: usize = 10;

pub(super) const EXAMPLES: Examples = &[
    ("", "the queue of each host, the worst first"),
    ("example.com", "the messages that wait for a host, the oldest first"),
    ("example.com --most 20 --after 00064A7B0C1D2E3F", "the next twenty of them"),
];

/// What of the queues is asked for.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueAsked {
    /// The host, as the Monitor names it; all hosts where none is given.
    #[arg(value_name = "HOST")]
    pub host: Option<HostName>,
    /// Rows at most.
    #[arg(long, value_name = "NUMBER", default_value_t = PAGE, value_parser = clap::value_parser!(u16).range(1..=i64::from(PAGE_MAX)))]
    pub most: u16,
    /// Only messages that came after this one: the next page.
    #[arg(long, value_name = "MESSAGE-ID", requires = "host")]
    pub after: Option<MessageId>,
}

impl QueueAsked {
    /// Rows at most, whatever a program wrote.
    #[must_use]
    pub fn rows(&self) -> usize {
        usize::from(self.most.clamp(1, PAGE_MAX))
    }

    pub(super) fn arguments(&self) -> Vec<String> {
        let host = self.host.iter().map(ToString::to_string);
        let after = self.after.iter().flat_map(|after| ["--after".to_owned(), after.to_string()]);
        let most = ["--most".to_owned(), self.most.to_string()];
        std::iter::once("queue".to_owned()).chain(host).chain(most).chain(after).collect()
    }
}

impl Question for QueueAsked {
    const PATH: &'static str = "/queue";
    type Answer = QueueSaid;
}

/// Queues, or messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum QueueSaid {
    /// The messages that wait for a host.
    Messages(Messages),
    /// The queues.
    Hosts(Hosts),
}

/// The queues, the worst first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hosts {
    /// What the relay's clock shows.
    pub now: Timestamp,
    /// A row for each.
    pub hosts: Vec<HostRow>,
    /// How many are left out.
    pub hosts_not_shown: u64,
}

/// The messages that wait for a host, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Messages {
    /// What the relay's clock shows.
    pub now: Timestamp,
    /// The host.
    pub host: HostName,
    /// Its row in the Monitor; none where no mail waits for it.
    pub row: Option<Box<HostRow>>,
    /// A row for each message.
    pub messages: Vec<MessageRow>,
    /// The last message of this page, where more come after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more_after: Option<MessageId>,
}

/// A message that waits for a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageRow {
    /// Its id.
    pub id: MessageId,
    /// In Queue: since when.
    pub in_queue: Timestamp,
    /// Return Path: the envelope's sender; empty for a report.
    pub return_path: String,
    /// Addrs: those of its recipients that wait for this host, at most [`RECIPIENTS`].
    pub addrs: Vec<String>,
    /// How many of them there are.
    pub addrs_count: u32,
    /// Octets of its text.
    pub size: u64,
    /// What is done about it.
    pub state: MessageState,
    /// Delayed till: it is not tried before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delayed_till: Option<Timestamp>,
    /// Attempts that failed.
    pub attempts: u32,
    /// What went wrong at the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<MessageError>,
    /// Who holds this message, where somebody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
}

/// What is done about a message, as far as it is not its host that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MessageState {
    /// It goes as soon as its host may have it.
    Ready,
    /// It is being sent.
    Sending,
    /// It was put off.
    Delayed,
    /// Its sender wants it held till then (FUTURERELEASE).
    HeldBySender,
    /// An administrator holds it.
    Held,
}

/// What went wrong with a message at its last attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageError {
    /// Its code: `mailsluice-relay explain` says what it means.
    pub code: String,
    /// What was said.
    pub text: String,
    /// When.
    pub at: Timestamp,
}

impl Answer for QueueSaid {
    fn table(said: &[Said<Self>]) -> String {
        let mut hosts = Vec::new();
        let mut messages = Vec::new();
        for Said { pod, answer } in said {
            match answer {
                QueueSaid::Hosts(answer) => hosts.push((pod, answer)),
                QueueSaid::Messages(answer) => messages.push((pod, answer)),
            }
        }
        let text = [hosts_table(&hosts), messages_text(&messages)].concat();
        if text.is_empty() { "No mail waits.\n".to_owned() } else { text }
    }
}

fn hosts_table(said: &[(&Option<String>, &Hosts)]) -> String {
    let pods = said.iter().any(|(pod, _)| pod.is_some());
    let columns = ["HOST", "STATUS", ">MESSAGES", "IN QUEUE", "DELAYED TILL", "LAST ERROR"];
    let mut table = if pods { Table::new(&[&["POD"], columns.as_slice()].concat()) } else { Table::new(&columns) };
    for (pod, Hosts { now, hosts, .. }) in said {
        for row in hosts {
            let cells = [
                row.host.clone(),
                status(row.state).to_owned(),
                row.messages.to_string(),
                row.oldest.map_or_else(|| "-".to_owned(), |oldest| age(oldest, *now)),
                moment(row.suspended_till),
                row.last_error.as_ref().map_or_else(String::new, |error| format!("{}: {}", error.place(), error.text)),
            ];
            table.row(pods.then(|| (*pod).clone().unwrap_or_default()).into_iter().chain(cells));
        }
    }
    let left: u64 = said.iter().map(|(_, hosts)| hosts.hosts_not_shown).sum();
    let more =
        if left > 0 { format!("and {left} more hosts: --most says how many are shown\n") } else { String::new() };
    table.text() + &more
}

/// A queue's status in the words of the original.
fn status(state: HostState) -> &'static str {
    match state {
        HostState::Sending => "Active",
        HostState::Ready => "Ready",
        HostState::Suspended => "Delayed",
        HostState::Held => "Held",
    }
}

fn messages_text(said: &[(&Option<String>, &Messages)]) -> String {
    let pods = said.iter().any(|(pod, _)| pod.is_some());
    let columns =
        ["ID", "IN QUEUE", "RETURN PATH", "ADDRS", ">SIZE", "STATUS", "DELAYED TILL", ">ATTEMPTS", "LAST ERROR"];
    let mut table = if pods { Table::new(&[&["POD"], columns.as_slice()].concat()) } else { Table::new(&columns) };
    let (mut head, mut tail) = (String::new(), String::new());
    for (pod, answer) in said {
        let whose = pod.as_ref().map(|pod| format!("{pod}: ")).unwrap_or_default();
        if let Some(row) = &answer.row {
            let why = row.problem.as_ref().map(|problem| format!(": {problem}")).unwrap_or_default();
            let reason =
                row.reason.map(mailsluice_crds::monitor::Reason::name).filter(|name| *name != status(row.state));
            let reason = reason.map(|name| format!(", {name}")).unwrap_or_default();
            head.push_str(&plain(&format!("{whose}{}: {}{reason}{why}", row.host, status(row.state))));
            head.push('\n');
        }
        for message in &answer.messages {
            let cells = [
                message.id.to_string(),
                age(message.in_queue, answer.now),
                format!("<{}>", message.return_path),
                addrs(message),
                size(message.size),
                format!("{:?}", message.state),
                moment(message.delayed_till),
                message.attempts.to_string(),
                last_error(message),
            ];
            table.row(pods.then(|| (*pod).clone().unwrap_or_default()).into_iter().chain(cells));
        }
        if let Some(after) = answer.more_after {
            tail.push_str(&format!("{whose}more come after these: --after {after}\n"));
        }
    }
    [head, table.text(), tail].concat()
}

/// `a@example.com and 3 more`.
fn addrs(message: &MessageRow) -> String {
    let first = message.addrs.first().map(String::as_str).unwrap_or_default();
    match message.addrs_count {
        0 | 1 => first.to_owned(),
        count => format!("{first} and {} more", count - 1),
    }
}

fn last_error(message: &MessageRow) -> String {
    match (&message.hold, &message.last_error) {
        (Some(hold), _) => hold.to_string(),
        // A reply's text begins with its code.
        (None, Some(error)) if error.text.starts_with(&error.code) => error.text.clone(),
        (None, Some(error)) => format!("{}: {}", error.code, error.text),
        (None, None) => String::new(),
    }
}
