//! Notices that the files of the configuration changed.
//!
//! By looking at them a few times a second, not by inotify: that is right on every file system, sees the symlinks that
//! the kubelet swaps, never runs out of watches, and costs a few system calls.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path, sync::Arc, time::Duration};

use tokio::{sync::mpsc, time};

use super::{Config, ConfigError, Files};

/// How often the files are looked at: well within the second in which a change is to take effect.
const INTERVAL: Duration = Duration::from_millis(200);

/// What a change of the files came to.
#[derive(Debug)]
pub enum Change {
    /// They hold this now.
    Valid(Arc<Config>),
    /// They cannot be obeyed; what was in force stays in force.
    Invalid(ConfigError),
}

/// What tells one state of a file from another.
pub(crate) type Stamp = Option<(u64, u64, i64, i64, i64, i64, u64)>;

/// The state of a file now; none where it is not there.
pub(crate) fn stamp(path: &Path) -> Stamp {
    let file = fs::metadata(path).ok()?;
    Some((file.dev(), file.ino(), file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec(), file.size()))
}

fn stamps(files: &Files) -> Vec<Stamp> {
    files.watched().map(stamp).collect()
}

/// Sends what each change of the files comes to, until nobody listens. To be called before the files are first read, so
/// that no change falls between.
pub fn watch(files: Files) -> mpsc::Receiver<Change> {
    let (sender, receiver) = mpsc::channel(1);
    let mut known = stamps(&files);
    tokio::spawn(async move {
        let mut ticks = time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        let mut refused_once = None;
        while !sender.is_closed() {
            ticks.tick().await;
            let now = stamps(&files);
            if now == known && refused_once.is_none() {
                continue;
            }
            let again = refused_once.take();
            let change = match Config::read(&files) {
                Ok(config) => Change::Valid(Arc::new(config)),
                // A file that is being written in place may be half there: believe it when it has stayed so.
                Err(_) if again.as_ref() != Some(&now) => {
                    refused_once = Some(now.clone());
                    known = now;
                    continue;
                }
                Err(error) => Change::Invalid(error),
            };
            known = now;
            if sender.send(change).await.is_err() {
                return;
            }
        }
    });
    receiver
}
