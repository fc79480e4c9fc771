//! Log records of the relay.

use std::{fmt, fs, path::Path};

use mailsluice_crds::LogLevel;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Map, Value};

/// One record in JSON.
#[derive(Debug, Clone, Deserialize)]
pub struct Record {
    /// When.
    pub time: jiff::Timestamp,
    /// How important.
    pub level: LogLevel,
    /// Which part of the relay.
    pub tag: String,
    /// `TCP(SMTP)` on what happened when a session was asked for.
    pub marker: Option<String>,
    /// What happened.
    pub msg: String,
    /// The fields by name.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

impl Record {
    /// A field's value as text.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<String> {
        self.fields.get(name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }
}

/// The records in a log file. A last line that is being written is left out; any other that is no record is a failure.
#[must_use]
pub fn read(file: &Path) -> Vec<Record> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let failed = |line, error| -> Record { panic!("not a record: {line:?}: {error}") };
    whole.lines().map(|line| parse(line).unwrap_or_else(|error| failed(line, error))).collect()
}

/// One record. JSON objects with the same name twice are taken, as most readers of logs do; the last one counts.
///
/// # Errors
/// When it is none.
pub fn parse(line: &str) -> serde_json::Result<Record> {
    serde_json::from_value(serde_json::from_str(line)?)
}

/// The names in a record, in their order, each as often as it is there.
#[must_use]
pub fn names(line: &str) -> Vec<String> {
    struct Names(Vec<String>);
    impl<'de> Deserialize<'de> for Names {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Names, D::Error> {
            struct Visit;
            impl<'de> Visitor<'de> for Visit {
                type Value = Names;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a JSON object")
                }
                fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                    let mut names = Vec::new();
                    while let Some((name, _)) = map.next_entry::<String, Value>()? {
                        names.push(name);
                    }
                    Ok(Names(names))
                }
            }
            deserializer.deserialize_map(Visit)
        }
    }
    serde_json::from_str::<Names>(line).unwrap_or_else(|error| panic!("not a record: {line:?}: {error}")).0
}
