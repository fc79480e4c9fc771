//! What each level shows, and what a record looks like.

use std::{
    io,
    sync::{Arc, Mutex},
};

use jiff::{SignedDuration, Timestamp};
use mailsluice_crds::{
    LogLevel,
    relay::{self, HostLog, LogFormat},
};

use super::*;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn take(&self, log: &Log) -> String {
        log.flush();
        String::from_utf8(std::mem::take(&mut self.0.lock().unwrap())).unwrap()
    }
}

fn log() -> (Log, Lines) {
    let lines = Lines::default();
    (Log::new(lines.clone()).unwrap(), lines)
}

#[test]
fn a_level_lets_through_itself_and_those_before_it() {
    let (log, lines) = log();
    for set in LogLevel::ALL {
        log.configure("r", &relay::Log { level: set, ..Default::default() }, LogLevel::CrashesOnly);
        for level in LogLevel::ALL {
            log.at(level, Tag::Smtp).say(level.name());
        }
        let shown = lines.take(&log).lines().count();
        assert_eq!(shown, set as usize + 1, "records shown at {set:?}");
    }
}

#[test]
fn a_host_and_the_schedule_have_levels_of_their_own() {
    let (log, lines) = log();
    let host = |host: &str, until| HostLog { host: host.into(), level: LogLevel::AllInfo, until };
    let past = Timestamp::now() - SignedDuration::from_secs(1);
    let hosts = vec![host("loud.test", None), host("over.test", Some(past))];
    log.configure("r", &relay::Log { hosts, ..Default::default() }, LogLevel::LowLevel);
    log.at_host(LogLevel::AllInfo, Tag::Smtp, "loud.test").say("shown");
    log.at_host(LogLevel::LowLevel, Tag::Smtp, "over.test").say("hidden");
    log.at_host(LogLevel::LowLevel, Tag::Smtp, "quiet.test").say("hidden");
    log.at_schedule(LogLevel::LowLevel, Tag::Tcp).say("shown");
    log.at_schedule(LogLevel::AllInfo, Tag::Tcp).say("hidden");
    let shown = lines.take(&log);
    assert_eq!((shown.lines().count(), shown.contains("hidden")), (2, false), "{shown}");
}

#[test]
fn json_has_time_level_tag_marker_and_fields_by_name() {
    let (log, lines) = log();
    log.configure("outbound", &relay::Log::default(), LogLevel::Major);
    log.at(LogLevel::Major, Tag::Tcp)
        .marker(TCP_SMTP)
        .field("host", "a.test")
        .number("code", 421)
        .say("said \"no\"\r\n{\"level\":\"forged\"}");
    let text = lines.take(&log);
    assert_eq!(text.lines().count(), 1, "a peer's line ends make no record of their own: {text}");
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&value["level"], &value["tag"], &value["marker"], &value["relay"], &value["host"], &value["code"]),
        (&"Major".into(), &"TCP".into(), &"TCP(SMTP)".into(), &"outbound".into(), &"a.test".into(), &421.into())
    );
    assert!(value["time"].as_str().unwrap().parse::<Timestamp>().is_ok(), "{text}");
}

#[test]
fn text_is_one_line_for_people() {
    let (log, lines) = log();
    log.configure("outbound", &relay::Log { format: LogFormat::Text, ..Default::default() }, LogLevel::Major);
    log.at(LogLevel::Problems, Tag::Smtp).field("reply", "451 later\n").say("deferred\u{1b}[2J");
    let text = lines.take(&log);
    assert!(text.contains("Problems") && text.contains("SMTP") && text.contains("deferred"), "{text}");
    assert_eq!((text.lines().count(), text.contains('\u{1b}')), (1, false), "{text}");
    assert!(text.contains(r#"reply="451 later\n""#), "{text}");
}

#[test]
fn a_level_changed_at_run_time_falls_back_when_its_time_is_over_or_the_configuration_is_read() {
    let (log, _) = log();
    let own = HostLog { host: "Loud.test".into(), level: LogLevel::LowLevel, until: None };
    let configured = relay::Log { level: LogLevel::Major, hosts: vec![own], ..Default::default() };
    log.configure("r", &configured, LogLevel::Major);
    let levels = || [None, Some("loud.test"), Some("other.test")].map(|host| log.level_of(host));
    let as_configured = [LogLevel::Major, LogLevel::LowLevel, LogLevel::Major];
    assert_eq!(levels(), as_configured);
    let until = Timestamp::now() + SignedDuration::from_secs(60);
    let change = |host: Option<&str>, level, until| log.set(Override { host: host.map(str::to_owned), level, until });
    change(Some("loud.test"), LogLevel::AllInfo, Some(until));
    change(Some("other.test"), LogLevel::Failures, Some(until));
    change(None, LogLevel::Problems, None);
    assert_eq!(levels(), [LogLevel::Problems, LogLevel::AllInfo, LogLevel::Failures]);
    log.fall_back(until - SignedDuration::from_secs(1));
    assert_eq!(log.overrides().len(), 3);
    log.fall_back(until);
    assert_eq!(levels(), [LogLevel::Problems, LogLevel::LowLevel, LogLevel::Problems]);
    log.configure("r", &configured, LogLevel::Major);
    assert_eq!((levels(), log.overrides()), (as_configured, Vec::new()));
}
