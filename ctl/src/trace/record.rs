//! Log records out of the lines of a log.

use jiff::Timestamp;
use mailsluice_crds::LogLevel;
use serde::Deserialize;
use serde_json::{Map, Value};

/// A record of a relay, as it writes them in JSON.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Record {
    /// When.
    pub time: Timestamp,
    /// How important.
    pub level: LogLevel,
    /// Which part of the relay.
    pub tag: String,
    /// `TCP(SMTP)` where it is about an outgoing session that was asked for.
    #[serde(default)]
    pub marker: Option<String>,
    /// What happened.
    pub msg: String,
    /// The pod, where the line says so.
    #[serde(skip)]
    pub pod: Option<String>,
    /// The other fields.
    #[serde(flatten)]
    fields: Map<String, Value>,
}

impl Record {
    /// A field that is text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name)?.as_str()
    }

    /// A field that is a number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.fields.get(name)?.as_u64()
    }

    /// A field that is a moment.
    #[must_use]
    pub fn moment(&self, name: &str) -> Option<Timestamp> {
        self.text(name)?.parse().ok()
    }
}

/// The records in these lines, in their order; what is none is passed over. A line may have something before its record, as `kubectl
/// logs --prefix` and `journalctl` put it there, or hold it as `journalctl -o json` does.
pub fn records<'a>(lines: impl IntoIterator<Item = &'a str>) -> impl Iterator<Item = Record> {
    lines.into_iter().filter_map(record)
}

fn record(line: &str) -> Option<Record> {
    let (before, object) = line.split_at(line.find('{')?);
    let pod = before.split_once("[pod/").and_then(|(_, rest)| rest.split(['/', ']']).next()).map(str::to_owned);
    let value: Value = serde_json::from_str(object.trim_end()).ok()?;
    let value = match value.get("MESSAGE").and_then(Value::as_str) {
        Some(wrapped) => serde_json::from_str(wrapped).ok()?,
        None => value,
    };
    let record: Record = serde_json::from_value(value).ok()?;
    Some(Record { pod, ..record })
}
