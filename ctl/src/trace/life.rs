//! From log records to the life of a message.

use std::collections::BTreeMap;

use jiff::Timestamp;
use mailsluice_crds::LogLevel;
use serde::Serialize;

use super::Record;
use crate::{HostName, MessageId};

/// Everything that the log says of a message.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Life {
    /// The message's id.
    pub message: MessageId,
    /// What became of it, as far as the log goes.
    pub outcome: Outcome,
    /// Recipients that it had, where its acceptance is in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipients: Option<u64>,
    /// Those of them whose host has taken it.
    pub delivered: u64,
    /// Those that were given up.
    pub given_up: u64,
    /// Those for whom an administrator removed it without a report.
    pub dropped: u64,
    /// Attempts that put recipients off.
    pub deferrals: u64,
    /// How often a host that it waited for was suspended.
    pub suspensions: u64,
    /// The hosts that it waits for, as far as the log goes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<HostName>,
    /// What happened, in its order.
    pub events: Vec<Event>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Outcome {
    /// The log has nothing of it.
    NotFound,
    /// Recipients wait, or the log does not go to the end.
    Waiting,
    /// All recipients' hosts have taken it.
    Delivered,
    /// All recipients were given up.
    GivenUp,
    /// An administrator removed it for all recipients, without a report.
    Dropped,
    /// Not the same for all recipients: taken for some, given up or removed for others.
    Partly,
}

/// Something that happened to a message, or to a host while the message waited for it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// The pod, where the log says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// The session, all of whose records have this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The host that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all_fields = "camelCase")]
pub enum What {
    /// It was taken from a client.
    Accepted {
        /// The client's address.
        client: Option<String>,
        /// The sender.
        sender: Option<String>,
        /// How many recipients.
        recipients: Option<u64>,
        /// Octets of its text.
        bytes: Option<u64>,
        /// The hosts that it waits for.
        hosts: Vec<String>,
    },
    /// A host that it waits for is suspended.
    HostSuspended {
        /// The Suspended Till; none where no moment ends it.
        till: Option<Timestamp>,
        /// Why.
        reason: String,
        /// Why, in words.
        why: String,
    },
    /// That has ended before its time.
    HostReleased {
        /// Why, in words.
        why: String,
    },
    /// An address of a host that it waits for is left alone.
    AddressSuspended {
        /// The address and port.
        address: String,
        /// Till when.
        till: Option<Timestamp>,
        /// Why.
        reason: String,
        /// Why, in words.
        why: String,
    },
    /// An attempt put recipients off.
    Deferred {
        /// Whom it was tried with.
        peer: Option<String>,
        /// The code of the error.
        code: Option<String>,
        /// What was said.
        reply: Option<String>,
        /// How many recipients.
        recipients: Option<u64>,
        /// When it is tried again.
        till: Option<Timestamp>,
    },
    /// A host has taken it.
    Delivered {
        /// Who.
        peer: Option<String>,
        /// What it said.
        reply: Option<String>,
        /// For how many recipients.
        recipients: Option<u64>,
    },
    /// A recipient was given up.
    GivenUp {
        /// Whom.
        recipient: Option<String>,
        /// The status of RFC 3463.
        status: Option<String>,
        /// Why.
        why: String,
    },
    /// An administrator removed it, without a report.
    Dropped {
        /// Who.
        by: Option<String>,
        /// For how many recipients.
        recipients: Option<u64>,
    },
    /// Its sender was told something.
    Reported {
        /// The id of the report, which is a message of its own.
        report: Option<String>,
        /// The sender.
        to: Option<String>,
        /// What it was told.
        why: String,
    },
    /// The routes lead elsewhere now.
    Moved {
        /// The hosts that it waits for since then.
        hosts: Vec<String>,
    },
    /// Anything else of note.
    Noted {
        /// What.
        why: String,
    },
}

/// The life of a message, from the records of all pods that may have had it, each pod's in their order.
#[must_use]
pub fn life(message: MessageId, records: impl IntoIterator<Item = Record>) -> Life {
    let id = message.to_string();
    let names = |record: &Record, field| record.text(field).is_some_and(|named| named.eq_ignore_ascii_case(&id));
    let mut own: Vec<Event> = Vec::new();
    let mut of_hosts: Vec<Event> = Vec::new();
    for record in records {
        if names(&record, "original") {
            own.push(report(&record));
        } else if names(&record, "message") {
            own.extend(of_message(&record));
        } else {
            of_hosts.extend(of_host(&record));
        }
    }
    own.sort_by_key(|event| event.at);
    let waited = waited(&own);
    let concerns = |event: &Event| {
        let spans = event.host.as_ref().and_then(|host| waited.get(host));
        spans.is_some_and(|span| span.holds(event))
    };
    let mut events: Vec<Event> = of_hosts.into_iter().filter(concerns).chain(own).collect();
    // At one moment, what comes of the other comes last: an attempt before the suspension that it leads to.
    events.sort_by_key(|event| (event.at, event.what.order()));
    let mut life = told(message, events);
    if life.outcome == Outcome::Waiting {
        let open = waited.iter().filter(|(_, span)| span.to.is_none());
        life.waits_for = open.filter_map(|(host, _)| host.parse().ok()).collect();
    }
    life
}

impl Life {
    /// Recipients for whom it is over.
    pub(super) fn settled(&self) -> u64 {
        self.delivered + self.given_up + self.dropped
    }
}

/// Sums a life up.
fn told(message: MessageId, events: Vec<Event>) -> Life {
    let mut life = Life {
        message,
        outcome: Outcome::NotFound,
        recipients: None,
        delivered: 0,
        given_up: 0,
        dropped: 0,
        deferrals: 0,
        suspensions: 0,
        waits_for: Vec::new(),
        events,
    };
    for event in &life.events {
        match &event.what {
            What::Accepted { recipients, .. } => life.recipients = *recipients,
            What::Delivered { recipients, .. } => life.delivered += recipients.unwrap_or(1),
            What::GivenUp { .. } => life.given_up += 1,
            What::Dropped { recipients, .. } => life.dropped += recipients.unwrap_or(1),
            What::Deferred { .. } => life.deferrals += 1,
            // Of a host whose messages were put off one by one, the attempt tells more.
            What::HostSuspended { reason, .. } => life.suspensions += u64::from(reason != "MessagesDeferred"),
            _ => {}
        }
    }
    let all = life.recipients.is_some_and(|recipients| life.settled() >= recipients);
    life.outcome = match (life.delivered, life.given_up, life.dropped) {
        _ if life.events.is_empty() => Outcome::NotFound,
        _ if !all => Outcome::Waiting,
        (_, 0, 0) => Outcome::Delivered,
        (0, _, 0) => Outcome::GivenUp,
        (0, 0, _) => Outcome::Dropped,
        _ => Outcome::Partly,
    };
    life
}

/// The time in which a message waits for a host, in one pod.
struct Span {
    pod: Option<String>,
    from: Timestamp,
    /// None: as far as the log goes.
    to: Option<Timestamp>,
}

impl Span {
    fn holds(&self, event: &Event) -> bool {
        let same = self.pod.is_none() || event.pod.is_none() || self.pod == event.pod;
        same && event.at >= self.from && self.to.is_none_or(|to| event.at <= to)
    }
}

/// When it waited for which host, from what happened to it.
fn waited(own: &[Event]) -> BTreeMap<String, Span> {
    let mut spans: BTreeMap<String, Span> = BTreeMap::new();
    for event in own {
        let from = |pod: &Option<String>| Span { pod: pod.clone(), from: event.at, to: None };
        match (&event.what, &event.host) {
            (What::Accepted { hosts, .. } | What::Moved { hosts }, _) => {
                for host in hosts {
                    spans.entry(host.clone()).or_insert_with(|| from(&event.pod));
                }
            }
            // It may wait on for other recipients there: a later deferral opens it again.
            (What::Delivered { .. } | What::Dropped { .. }, Some(host)) => {
                if let Some(span) = spans.get_mut(host) {
                    span.to = Some(event.at);
                }
            }
            (What::Deferred { .. }, Some(host)) => {
                spans.entry(host.clone()).or_insert_with(|| from(&event.pod)).to = None
            }
            _ => {}
        }
    }
    // What nobody took was given up, or waits.
    let settled: u64 = own
        .iter()
        .map(|event| match &event.what {
            What::Delivered { recipients, .. } | What::Dropped { recipients, .. } => recipients.unwrap_or(1),
            What::GivenUp { .. } => 1,
            _ => 0,
        })
        .sum();
    let all = own.iter().find_map(|event| match &event.what {
        What::Accepted { recipients, .. } => *recipients,
        _ => None,
    });
    if all.is_some_and(|all| settled >= all)
        && let Some(last) = own.iter().rev().find(|event| event.what.settles())
    {
        spans.values_mut().for_each(|span| span.to = Some(span.to.unwrap_or(last.at)));
    }
    spans
}

impl What {
    pub(super) fn settles(&self) -> bool {
        matches!(self, What::Delivered { .. } | What::GivenUp { .. } | What::Dropped { .. })
    }

    fn order(&self) -> u8 {
        match self {
            What::Accepted { .. } => 0,
            What::Moved { .. } | What::HostReleased { .. } => 1,
            What::AddressSuspended { .. } => 2,
            What::Noted { .. } => 3,
            What::Deferred { .. } => 4,
            What::Delivered { .. } | What::GivenUp { .. } | What::Dropped { .. } => 5,
            What::HostSuspended { .. } => 6,
            What::Reported { .. } => 7,
        }
    }
}

/// A record of a report about the message.
fn report(record: &Record) -> Event {
    let text = |name: &str| record.text(name).map(str::to_owned);
    event(record, What::Reported { report: text("message"), to: text("to"), why: record.msg.clone() })
}

/// What a record says of the message that it names.
fn of_message(record: &Record) -> Option<Event> {
    let text = |name: &str| record.text(name).map(str::to_owned);
    let hosts = || record.text("hosts").unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    let what = match (record.tag.as_str(), record.msg.as_str()) {
        ("SMTPI", "accepted") => What::Accepted {
            client: text("client"),
            sender: record.text("sender").map(|path| path.trim_matches(['<', '>']).to_owned()),
            recipients: record.number("recipients"),
            bytes: record.number("bytes"),
            hosts: hosts(),
        },
        ("SMTP", "delivered") => {
            What::Delivered { peer: text("peer"), reply: text("reply"), recipients: record.number("recipients") }
        }
        ("SMTP", "deferred") => What::Deferred {
            peer: text("peer"),
            code: text("code"),
            reply: text("reply"),
            recipients: record.number("recipients"),
            till: record.moment("till"),
        },
        ("ROUTE", _) if record.text("hosts").is_some() => What::Moved { hosts: hosts() },
        ("REPORT", msg) if msg.starts_with("gave a recipient up") => {
            What::GivenUp { recipient: text("recipient"), status: text("status"), why: why(record) }
        }
        ("QUEUE", msg) if msg.starts_with("removed by an administrator") => {
            What::Dropped { by: text("by"), recipients: record.number("recipients") }
        }
        // The conversation itself is for whoever asks for the session.
        _ if record.level > LogLevel::Problems => return None,
        _ => What::Noted { why: record.msg.clone() },
    };
    Some(event(record, what))
}

/// What a record says of a host, whoever's mail waits for it.
fn of_host(record: &Record) -> Option<Event> {
    let reason = || record.text("reason").unwrap_or_default().to_owned();
    let till = record.moment("suspendedTill");
    let what = match record.text("event")? {
        "HostSuspended" => What::HostSuspended { till, reason: reason(), why: why(record) },
        "HostReleased" => What::HostReleased { why: why(record) },
        "AddressSuspended" => {
            let address = record.text("address")?.to_owned();
            What::AddressSuspended { address, till, reason: reason(), why: why(record) }
        }
        _ => return None,
    };
    Some(event(record, what))
}

/// The reason in what a record says, behind what happened.
fn why(record: &Record) -> String {
    record.msg.split_once(": ").map_or(record.msg.as_str(), |(_, why)| why).to_owned()
}

fn event(record: &Record, what: What) -> Event {
    let text = |name: &str| record.text(name).map(str::to_owned);
    Event { at: record.time, pod: record.pod.clone(), session: text("session"), host: text("host"), what }
}
