//! The log records around the last changes of hosts: what happened, and what led to it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use mailsluice_crds::{LogLevel, monitor::HostRow};
use serde::Deserialize;

use super::redact;

/// So long before and after a change of a host, every record is kept.
pub(crate) const AROUND: SignedDuration = SignedDuration::from_secs(120);

/// Records of a pod that are kept at most; the newest ones count.
const MOST: usize = 5_000;

/// What of a record is looked at. Records are the relay's: JSON, with the time first.
#[derive(Deserialize)]
struct Record {
    time: Timestamp,
    level: LogLevel,
    #[serde(default)]
    marker: Option<String>,
    #[serde(default)]
    host: Option<String>,
}

/// The moments at which a host changed: as its row tells them, and the last one that a pod's log has of it.
pub(crate) fn changes(rows: &[HostRow], log: &str) -> BTreeSet<Timestamp> {
    let of = |row: &HostRow| [row.failing_since, row.last_error.as_ref().map(|error| error.at)];
    let told = log.lines().filter(|line| line.contains("marker")).filter_map(|line| serde_json::from_str(line).ok());
    // Records come in the order of time, so that of a host the last one stays.
    let last: BTreeMap<String, Timestamp> =
        told.filter_map(|record: Record| record.marker.and(record.host).map(|host| (host, record.time))).collect();
    rows.iter().flat_map(of).flatten().chain(last.into_values()).collect()
}

/// Of a pod's log, in its order and without credentials:
/// - everything around the changes;
/// - wherever they are, the records of changes of a Suspended Till (`TCP(SMTP)`), and what the levels up to `Problems` tell;
/// - lines that are no records, such as a panic's.
pub(crate) fn kept(log: &str, changes: &BTreeSet<Timestamp>) -> Vec<String> {
    let kept: Vec<&str> = log.lines().filter(|line| is_kept(line, changes)).collect();
    let newest = kept.iter().skip(kept.len().saturating_sub(MOST));
    newest.map(|line| redact::line(line)).collect()
}

fn is_kept(line: &str, changes: &BTreeSet<Timestamp>) -> bool {
    let Ok(Record { time, level, marker, .. }) = serde_json::from_str(line) else { return !line.trim().is_empty() };
    let near = |from: Timestamp, to: Timestamp| changes.range(from..=to).next().is_some();
    marker.is_some()
        || LogLevel::Problems.lets_through(level)
        || near(time.saturating_sub(AROUND).unwrap_or(time), time.saturating_add(AROUND).unwrap_or(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(second: i64, level: &str, marker: &str) -> String {
        let at = Timestamp::from_second(1_800_000_000 + second).unwrap();
        let marker = if marker.is_empty() { String::new() } else { format!(r#""marker":"{marker}","#) };
        format!(r#"{{"time":"{at}","level":"{level}","tag":"SMTP",{marker}"msg":"{second} {level}"}}"#)
    }

    #[test]
    fn records_around_changes_are_kept_and_of_others_what_tells_something() {
        let changes = BTreeSet::from([Timestamp::from_second(1_800_001_000).unwrap()]);
        for (line, wanted) in [
            (record(0, "LowLevel", ""), false),
            (record(0, "Problems", ""), true),
            (record(0, "CrashesOnly", ""), true),
            (record(0, "AllInfo", "TCP(SMTP)"), true),
            (record(879, "AllInfo", ""), false),
            (record(880, "AllInfo", ""), true),
            (record(1_120, "LowLevel", ""), true),
            (record(1_121, "LowLevel", ""), false),
            ("thread 'main' panicked".to_owned(), true),
            (String::new(), false),
        ] {
            assert_eq!(is_kept(&line, &changes), wanted, "{line}");
        }
    }

    #[test]
    fn the_last_change_of_each_host_counts() {
        let of = |second: i64, host: &str| {
            record(second, "Problems", "TCP(SMTP)").replacen('{', &format!(r#"{{"host":"{host}","#), 1)
        };
        let log = [of(0, "a.example"), of(10, "b.example"), of(20, "a.example"), record(30, "Major", "")].join("\n");
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        assert_eq!(changes(&[], &log), BTreeSet::from([at(10), at(20)]));
    }

    #[test]
    fn of_many_records_the_newest_are_kept() {
        let log: Vec<String> = (0..MOST as i64 + 10).map(|second| record(second, "Major", "")).collect();
        let kept = kept(&log.join("\n"), &BTreeSet::new());
        assert_eq!((kept.len(), kept.last()), (MOST, log.last()));
    }
}
