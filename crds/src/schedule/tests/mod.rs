//! What a TCP Schedule promises: named cases, and a walk through every minute to compare with.

mod cases;
mod property;
mod walk;
mod week;

use super::{Schedule, TCPScheduleSpec};
use jiff::Timestamp;

/// A spec from the JSON of its fields.
fn spec(fields: serde_json::Value) -> TCPScheduleSpec {
    serde_json::from_value(fields).unwrap()
}

/// The schedule that api.md shows.
fn office_hours() -> Schedule {
    let fields = serde_json::json!({
        "timeZone": "Europe/Rome",
        "default": "Closed",
        "windows": [
            {"days": ["Mon", "Tue", "Wed", "Thu", "Fri"], "from": "08:00", "to": "19:30", "link": "Open"},
            {"days": ["Sat"], "from": "22:00", "to": "02:00", "link": "Open", "pause": "30m"},
        ],
        "exceptions": [{"dates": ["2026-12-25"], "link": "Closed"}],
    });
    Schedule::new("office-hours", &spec(fields)).unwrap()
}

/// A moment from a local time with its offset: `2026-11-23T21:40+01:00`.
fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}
