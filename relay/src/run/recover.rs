//! Brings what a spool holds into the queue, while the relay already works.

use mailsluice_crds::LogLevel;
use tokio::task;

use super::Relay;
use crate::{
    clock, intake,
    log::{Log, Tag},
    queue::Queue,
    spool::{Recovery, RecoveryReport},
};

/// Does so beside all else.
pub(super) async fn recover(relay: Relay, recovery: Recovery) {
    let theirs = relay.clone();
    match task::spawn_blocking(move || theirs.take_back(recovery)).await {
        Ok(()) => {}
        Err(error) => relay.log.at(LogLevel::CrashesOnly, Tag::Spool).say(format_args!("read the spool: {error}")),
    }
}

impl Relay {
    /// Does so. Waits for the disk.
    pub(super) fn take_back(&self, recovery: Recovery) {
        let config = self.config.borrow().clone();
        let recovered =
            recovery.run(&mut |found| self.queue.insert(intake::recovered(&config.routes, &found), clock::now()));
        match recovered {
            Ok(report) => {
                self.queue.change(Queue::recovery_ended);
                self.metrics.spool_recovering.set(0);
                tell(&self.log, &report);
            }
            Err(error) => self.log.at(LogLevel::CrashesOnly, Tag::Spool).say(format_args!("read the spool: {error}")),
        }
    }
}

fn tell(log: &Log, report: &RecoveryReport) {
    for damage in &report.damage {
        log.at(LogLevel::CrashesOnly, Tag::Spool)
            .maybe("message", damage.id)
            .say(format_args!("a damaged part of the spool is set aside: {damage}"));
    }
    log.at(LogLevel::Major, Tag::Spool)
        .number("messages", report.messages as u64)
        .number("tornBytes", report.torn_bytes)
        .say("the spool is read");
}
