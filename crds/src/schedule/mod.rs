//! TCPSchedule: when connections may be opened.

#![allow(unreachable_pub, reason = "KubeSchema derives from a private copy of the struct")]

mod clock_time;
mod compiled;
mod day;
mod moments;
mod rule;
pub(crate) mod texts;
mod verdict;
mod week;
mod words;
mod zone;

#[cfg(test)]
mod tests;

use jiff::{Timestamp, civil::Date};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use clock_time::{ClockTime, ClockTimeError};
pub use compiled::{Decision, Schedule, ScheduleError};
pub use day::Day;
pub use rule::{Rule, RuleSource};
pub use verdict::Verdict;
pub use week::{CalendarDay, Stretch};
pub use zone::UnknownZone;

pub(crate) use compiled::LONGEST_PAUSE;
pub(crate) use zone::zone;

use crate::{
    crd::{rules, schema},
    log_level::LogLevel,
    quantity::Interval,
};

/// On which days and at which times connections may be opened, and how often.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "mailsluice.dev",
    version = "v1alpha1",
    kind = "TCPSchedule",
    plural = "tcpschedules",
    singular = "tcpschedule",
    shortname = "tcps",
    category = "mailsluice",
    namespaced,
    status = "TCPScheduleStatus",
    derive = "PartialEq",
    validation = rules::schedule_name(),
    printcolumn(name = "Link", type_ = "string", json_path = ".status.link"),
    // Not a date: kubectl shows the age of a date, and this one is in the future.
    printcolumn(name = "Changes", type_ = "string", json_path = ".status.changesAt"),
    printcolumn(name = "TimeZone", type_ = "string", json_path = ".spec.timeZone"),
    printcolumn(name = "Relays", type_ = "integer", json_path = ".status.relays"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    doc = "On which days and at which times connections may be opened, and how often."
)]
#[serde(rename_all = "camelCase")]
pub struct TCPScheduleSpec {
    /// The IANA time zone in which days and times are meant.
    #[serde(default = "utc")]
    #[schemars(schema_with = "schema::time_zone")]
    pub time_zone: String,
    /// What holds outside every window: Open, connections may be opened, or Closed.
    #[serde(default = "closed")]
    pub default: LinkState,
    /// Days and times; the last one that matches a moment decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = schema::MOST_ENTRIES))]
    pub windows: Vec<Window>,
    /// Single dates; they beat windows, and the last one that matches a moment decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = schema::MOST_ENTRIES))]
    pub exceptions: Vec<Exception>,
    /// The Log Level of the questions to this schedule: Major logs what it changes, AllInfo each question and its answer.
    #[serde(default = "major")]
    pub log: LogLevel,
}

/// Whether connections may be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum LinkState {
    /// They may.
    Open,
    /// They may not.
    Closed,
}

/// Days of the week and the times on them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = rules::times()))]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// The days on which it starts; every day, where it is absent or empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::days")]
    pub days: Vec<Day>,
    /// The wall-clock time at which it starts, `HH:MM`; midnight, where it is absent.
    #[serde(default = "ClockTime::midnight")]
    pub from: ClockTime,
    /// The wall-clock time at which it ends, `HH:MM` up to `24:00`; the end of the day, where it is absent. At or before
    /// `from`, it is on the next day.
    #[serde(default = "ClockTime::end_of_day")]
    pub to: ClockTime,
    /// What holds in it.
    pub link: LinkState,
    /// In an open window: a session may begin so long after the one before it began, such as 30m; at most 7d.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Interval>,
}

/// Single dates and the times on them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = rules::times()))]
#[serde(rename_all = "camelCase")]
pub struct Exception {
    /// The dates on which it starts, such as 2026-12-25.
    #[schemars(schema_with = "schema::dates")]
    pub dates: Vec<Date>,
    /// As in a window.
    #[serde(default = "ClockTime::midnight")]
    pub from: ClockTime,
    /// As in a window.
    #[serde(default = "ClockTime::end_of_day")]
    pub to: ClockTime,
    /// What holds in it.
    pub link: LinkState,
    /// As in a window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Interval>,
}

/// What is so: written by the operator when the link changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TCPScheduleStatus {
    /// The generation of the specification that this is about: one behind `metadata.generation` is of before the last change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Accepted: whether relays can obey it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Whether connections may be opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkState>,
    /// Since when that has been so, as the operator saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub since: Option<Timestamp>,
    /// When that changes next; absent when it never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub changes_at: Option<Timestamp>,
    /// How many SMTPRelays refer to it.
    #[serde(default)]
    pub relays: u32,
}

fn utc() -> String {
    "UTC".into()
}

fn closed() -> LinkState {
    LinkState::Closed
}

fn major() -> LogLevel {
    LogLevel::Major
}
