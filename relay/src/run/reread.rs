//! After a failed sync nobody knows what the disk holds, and another sync that succeeds proves nothing. So the relay takes no
//! more mail, and reads what is really there as soon as the disk lets it: as a restart would, by the same code, and by itself.
//!
//! Not by ending the process, so that something else starts it: for as long as the disk fails, clients are answered 451 rather
//! than turned away, the Monitor says why, and what waits goes out. Nothing that was learned before is kept but the
//! configuration: what is delivered between the failure and the reading may arrive twice.

use std::time::Duration;

use mailsluice_crds::LogLevel;
use tokio::time;

use crate::{
    log::{Log, Tag},
    spool::{Health, Recovery, Spool, SpoolError},
};

/// How often the spool's health is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// The wait before the first try to read, and the longest between two: it doubles in between.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// Waits until the spool has failed, and then until `open` has opened what is really on its disk.
pub(super) async fn reopened(
    spool: &Spool,
    open: impl AsyncFn() -> Result<(Spool, Recovery), SpoolError>,
    log: &Log,
) -> (Spool, Recovery) {
    let reason = loop {
        if let Health::Failing(reason) = spool.health() {
            break reason;
        }
        time::sleep(LOOK).await;
    };
    log.at(LogLevel::CrashesOnly, Tag::Spool)
        .say(format_args!("the spool takes no more mail until what is really on its disk is read: {reason}"));
    // It says once more that the spool has failed, and gives it free to be opened again.
    let _ = spool.close().await;
    let mut wait = FIRST;
    loop {
        time::sleep(wait).await;
        match open().await {
            Ok(opened) => return opened,
            Err(error) => log
                .at(LogLevel::CrashesOnly, Tag::Spool)
                .say(format_args!("the spool cannot be read again yet, and is tried again: {error}")),
        }
        wait = (wait * 2).min(LONGEST);
    }
}
