//! One record: time, level, tag, marker where there is one, and fields by name.

use std::fmt::{self, Display, Write as _};

use jiff::Timestamp;
use mailsluice_crds::{LogLevel, monitor::LastError};

use super::Writer;

/// The part of the relay that a record comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// The process: start, stop, configuration.
    Relay,
    /// Mail coming in.
    SmtpIn,
    /// Mail going out.
    Smtp,
    /// Outgoing connections and the TCP Schedule.
    Tcp,
    /// Where mail goes.
    Route,
    /// The queues.
    Queue,
    /// The disk.
    Spool,
    /// Bounces.
    Report,
}

impl Tag {
    fn name(self) -> &'static str {
        match self {
            Tag::Relay => "RELAY",
            Tag::SmtpIn => "SMTPI",
            Tag::Smtp => "SMTP",
            Tag::Tcp => "TCP",
            Tag::Route => "ROUTE",
            Tag::Queue => "QUEUE",
            Tag::Spool => "SPOOL",
            Tag::Report => "REPORT",
        }
    }
}

/// A record being put together; [`Record::say`] writes it. One that is not shown takes everything and writes nothing.
#[must_use = "a record is written by `say`"]
pub struct Record<'a>(Option<Shown<'a>>);

struct Shown<'a> {
    writer: &'a Writer,
    line: Line,
}

/// The line of a record, being put together.
pub(super) struct Line {
    text: bool,
    /// Of a text record, the time, level, tag and marker; of a JSON one, everything.
    head: String,
    /// Of a text record, the fields, which come last in it.
    fields: String,
}

impl<'a> Record<'a> {
    pub(super) const fn hidden() -> Self {
        Record(None)
    }

    pub(super) fn begin(writer: &'a Writer, text: bool, level: LogLevel, tag: Tag, relay: &str) -> Self {
        let record = Record(Some(Shown { writer, line: Line::begin(text, level, tag) }));
        if relay.is_empty() { record } else { record.field("relay", relay) }
    }

    /// Whether it will be written.
    #[must_use]
    pub fn is_shown(&self) -> bool {
        self.0.is_some()
    }

    /// Adds the marker.
    pub fn marker(mut self, marker: &str) -> Self {
        if let Some(shown) = &mut self.0 {
            shown.line.marker(marker);
        }
        self
    }

    /// Adds a field. Control characters are escaped, so that nothing a peer says can forge a record.
    pub fn field(mut self, name: &str, value: impl Display) -> Self {
        if let Some(shown) = &mut self.0 {
            shown.line.field(name, &value.to_string());
        }
        self
    }

    /// Adds a field, where there is a value.
    pub fn maybe(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.field(name, value),
            None => self,
        }
    }

    /// Adds a number.
    pub fn number(mut self, name: &str, value: impl Into<i128>) -> Self {
        if let Some(shown) = &mut self.0 {
            shown.line.number(name, value.into());
        }
        self
    }

    /// Adds what went wrong: its code, stage, peer and number.
    pub fn error(self, error: &LastError) -> Self {
        let LastError { code, number, stage, peer, .. } = error;
        let record = self.field("code", code).field("stage", format_args!("{stage:?}")).maybe("peer", peer.as_ref());
        match number {
            Some(number) => record.number("number", *number),
            None => record,
        }
    }

    /// Says what happened, and writes the record.
    pub fn say(self, what: impl Display) {
        if let Some(Shown { writer, line }) = self.0 {
            let text = line.text;
            writer.write(&line.finish(&what.to_string()), text);
        }
    }
}

// Writing into a String cannot fail.
impl Line {
    pub(super) fn begin(text: bool, level: LogLevel, tag: Tag) -> Self {
        let now = Timestamp::now();
        let mut head = String::with_capacity(256);
        let _ = if text {
            write!(head, "{now:.3} {:<11} {:<6}", level.name(), tag.name())
        } else {
            write!(head, r#"{{"time":"{now:.3}","level":"{}","tag":"{}""#, level.name(), tag.name())
        };
        Line { text, head, fields: String::new() }
    }

    fn marker(&mut self, marker: &str) {
        if self.text {
            let _ = write!(self.head, " {marker}");
        } else {
            self.json_string("marker", marker);
        }
    }

    fn field(&mut self, name: &str, value: &str) {
        if self.text {
            let _ = write!(self.fields, " {name}={}", Quoted(value));
        } else {
            self.json_string(name, value);
        }
    }

    fn number(&mut self, name: &str, value: i128) {
        let _ =
            if self.text { write!(self.fields, " {name}={value}") } else { write!(self.head, r#","{name}":{value}"#) };
    }

    /// The whole line, its end included. What happened is `msg` in JSON: `message` is the field with a message's id.
    pub(super) fn finish(mut self, what: &str) -> String {
        if self.text {
            let _ = write!(self.head, " {}", OneLine(what));
            self.head.push_str(&self.fields);
        } else {
            self.json_string("msg", what);
            self.head.push('}');
        }
        self.head.push('\n');
        self.head
    }

    fn json_string(&mut self, name: &str, value: &str) {
        let _ = write!(self.head, r#","{name}":{}"#, JsonString(value));
    }
}

struct JsonString<'a>(&'a str);

impl Display for JsonString<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self.0).map_err(|_| fmt::Error)?)
    }
}

/// A value as it is where it is a plain word, and else in quotes.
struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |c: char| c.is_ascii_graphic() && c != '"' && c != '=';
        if !self.0.is_empty() && self.0.chars().all(plain) { f.write_str(self.0) } else { JsonString(self.0).fmt(f) }
    }
}

/// Text without the characters that could begin another line or move a terminal's cursor.
struct OneLine<'a>(&'a str);

impl Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if c.is_control() { write!(f, "{}", c.escape_unicode())? } else { f.write_char(c)? }
        }
        Ok(())
    }
}
