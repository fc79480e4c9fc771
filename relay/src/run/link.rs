//! The link, as the log tells of it.

use std::time::Duration;

use jiff::Timestamp;
use mailsluice_crds::LogLevel;
use tokio::time;

use super::Relay;
use crate::log::Tag;

/// Writes a record whenever the TCP Schedule opens or closes the link.
pub(super) async fn tell(relay: Relay) {
    let mut last = None;
    let mut config = relay.config.subscribe();
    loop {
        let now = Timestamp::now();
        let link = relay.gate.link(now);
        if let Some(schedule) = &link.schedule
            && last != Some(link.state)
        {
            let record = relay.log.at_schedule(LogLevel::Major, Tag::Tcp).field("schedule", schedule);
            record.maybe("changesAt", link.changes_at).say(format_args!("the TCP/IP link is {:?}", link.state));
        }
        last = Some(link.state);
        let until = link.changes_at.and_then(|at| Duration::try_from(now.duration_until(at)).ok());
        tokio::select! {
            // At least once a minute, because the clock may be set.
            () = time::sleep(until.unwrap_or(Duration::MAX).clamp(Duration::from_millis(1), Duration::from_secs(60))) => {}
            changed = config.changed() => if changed.is_err() { return },
            () = relay.stop.cancelled() => return,
        }
    }
}
