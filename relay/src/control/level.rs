//! The Log Level, changed while the relay works.

use std::time::Duration;

use mailsluice_crds::LogLevel;
use mailsluice_ctl::words::level::{LevelSet, SetLevel};
use tokio::time;

use super::{Control, socket::Peer};
use crate::{
    clock,
    log::{Override, Tag},
};

impl Control {
    /// Changes a level, for a time where one is given, and till the configuration is read again at the latest.
    pub(super) fn set_level(&self, wanted: SetLevel, peer: Peer) -> LevelSet {
        let SetLevel { level, host, period, by } = wanted;
        let log = &self.courier.log;
        let now = clock::now();
        let until = period.and_then(|period| now.checked_add(period.duration()).ok());
        let name = host.as_ref().map(|host| host.as_str().to_owned());
        let before = log.level_of(name.as_deref());
        let record = log.at(LogLevel::Major, Tag::Relay).maybe("host", name.as_ref()).field("logLevel", level.name());
        peer.note(record.maybe("until", until).field("by", by)).say("an administrator changes the Log Level");
        log.set(Override { host: name.clone(), level, until });
        if let (Some(until), Some(period)) = (until, period) {
            let (log, stop) = (log.clone(), self.courier.stop.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = time::sleep(Duration::from_secs(period.as_secs().into())) => {}
                    () = stop.cancelled() => return,
                }
                log.fall_back(until);
                let level = log.level_of(name.as_deref());
                log.at(LogLevel::Major, Tag::Relay)
                    .maybe("host", name)
                    .field("logLevel", level.name())
                    .say("the time of a changed Log Level is over");
            });
        }
        LevelSet { now, level, before, host, until }
    }
}
