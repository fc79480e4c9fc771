//! This pod's part of the limits that hold for its relay as a whole, as the operator [divides](shares) them.
//!
//! The operator publishes in a file beside the manifests how they are divided. What a pod has seen of it is on its claim too, so that
//! one that starts goes on with what it had, and never goes back to an older division that its mount may still show. A
//! relay that nobody divides anything for has all of it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use mailsluice_crds::{
    relay::Limits,
    shares::{self, Shares},
};

use crate::{
    config::{Stamp, stamp},
    mta_sts::store::write_whole,
};

/// The file in the spool's folder with what was seen last.
const KEPT: &str = "shares.json";

/// A minute in which messages are counted by a larger part ends within this.
const MINUTE: Duration = Duration::from_secs(60);

/// What a pod has of the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Portion {
    /// All: nobody divides them.
    Whole,
    /// Nothing: they are divided, and it is not known how.
    Unknown,
    /// The part of the pod of this number.
    Part {
        /// Its number.
        pod: u32,
        /// How they are divided.
        shares: Shares,
    },
}

/// The limits of one pod, where 0 is that it has no part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    /// Connections.
    pub connections: u32,
    /// Connections to one host.
    pub connections_per_host: u32,
    /// Messages to one host in a minute.
    pub messages_per_host_per_minute: Option<u32>,
    /// Why there is nothing that it may send now, where that is so.
    pub nothing: Option<&'static str>,
    /// Whether siblings have the rest.
    pub divided: bool,
}

impl Portion {
    /// What it may use of these limits.
    #[must_use]
    pub fn of(self, limits: &Limits) -> Allowed {
        let (connections, per_host) = (self.part(limits.connections), self.part(limits.connections_per_host));
        let messages = limits.messages_per_host_per_minute.map(|messages| self.part(messages));
        let has_none = connections == 0 || per_host == 0 || messages == Some(0);
        let why = match self {
            Portion::Whole => "",
            Portion::Unknown => "it is not known how they are divided",
            Portion::Part { shares: Shares { next: Some(_), .. }, .. } => {
                "they are being divided anew, and its siblings are not seen yet to have taken their new parts"
            }
            Portion::Part { pod, shares } if pod >= shares.now.among => {
                "it is not among those that they are divided among"
            }
            Portion::Part { .. } => {
                "there are more pods than one of the limits allows, and they take turns, which the operator gives"
            }
        };
        Allowed {
            connections,
            // Without a message that it may send, no connection is of use.
            connections_per_host: if has_none { 0 } else { per_host },
            messages_per_host_per_minute: messages,
            nothing: has_none.then_some(why),
            divided: !matches!(
                self,
                Portion::Whole
                    | Portion::Part { shares: Shares { now: shares::Division { among: 1, .. }, next: None, .. }, .. }
            ),
        }
    }

    fn part(self, limit: u32) -> u32 {
        match self {
            Portion::Whole => limit,
            Portion::Unknown => 0,
            Portion::Part { pod, shares } => shares.part(limit, pod),
        }
    }
}

/// Why what is published is not seen.
#[derive(Debug, thiserror::Error)]
pub enum PortionError {
    /// The file says nothing that is understood.
    #[error("{}: how limits are divided cannot be read: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is seen, and could not be written down.
    #[error("{}: how limits are divided cannot be kept: {source}", file.display())]
    NotKept {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Where a pod finds its part, and how far it keeps to it.
#[derive(Debug)]
pub struct Lookout {
    pod: u32,
    published: PathBuf,
    kept: PathBuf,
    stamp: Stamp,
    portion: Portion,
    /// When it last had a larger part of the messages in a minute, or may have had.
    larger_till: Instant,
    /// The version that it keeps to, and uses no more than.
    settled: Option<u64>,
}

impl Lookout {
    /// Of the pod of this number, with its manifests in one folder and its spool in the other. Waits for the disk.
    #[must_use]
    pub fn new(pod: u32, manifests: &Path, spool: &Path, now: Instant) -> Lookout {
        let kept = spool.join(KEPT);
        let portion = read(&kept).ok().flatten().map_or(Portion::Whole, |shares| Portion::Part { pod, shares });
        // What the process before this one sent in its last minute is not known.
        Lookout {
            pod,
            published: manifests.join(shares::FILE),
            kept,
            stamp: None,
            portion,
            larger_till: now,
            settled: None,
        }
    }

    /// The pod's part, as far as it has been seen.
    #[must_use]
    pub fn portion(&self) -> Portion {
        self.portion
    }

    /// Looks whether another division is published; true when the part is another one from here on. Waits for the disk.
    ///
    /// # Errors
    /// What of it failed. Then what was known before goes on, but for a pod that knew nothing: it has no part.
    pub fn look(&mut self, limits: &Limits, now: Instant) -> Result<bool, PortionError> {
        let stamp = stamp(&self.published);
        if stamp == self.stamp {
            return Ok(false);
        }
        self.stamp = stamp;
        let before = self.portion;
        let seen = match read(&self.published) {
            Ok(None) => return Ok(false),
            Ok(Some(shares)) => Ok(shares),
            Err(source) => Err(PortionError::Unreadable { file: self.published.clone(), source }),
        };
        match (before, &seen) {
            (Portion::Part { shares: known, .. }, Ok(shares)) if known.version >= shares.version => return Ok(false),
            (_, Ok(shares)) => self.portion = Portion::Part { pod: self.pod, shares: *shares },
            (Portion::Whole, Err(_)) => self.portion = Portion::Unknown,
            (_, Err(_)) => {}
        }
        let messages = |portion: Portion| portion.of(limits).messages_per_host_per_minute;
        if messages(self.portion) < messages(before) {
            self.larger_till = now;
        }
        let shares = seen?;
        let kept = serde_json::to_vec(&shares).map_err(io::Error::from).and_then(|text| write_whole(&self.kept, &text));
        // It is in force all the same: what is published will be there at the next start, most likely.
        kept.map_err(|source| PortionError::NotKept { file: self.kept.clone(), source })?;
        Ok(self.portion != before)
    }

    /// The newest version that the pod keeps to. `within`: whether it has no more connections than its part now.
    pub fn settle(&mut self, limits: &Limits, within: impl FnOnce() -> bool, now: Instant) -> Option<u64> {
        let Portion::Part { shares, .. } = self.portion else { return None };
        let counted = limits.messages_per_host_per_minute.is_some();
        let over = !counted || now.saturating_duration_since(self.larger_till) >= MINUTE;
        if self.settled != Some(shares.version) && over && within() {
            self.settled = Some(shares.version);
        }
        self.settled
    }
}

/// What a file says; nothing, where it is not there.
fn read(file: &Path) -> io::Result<Option<Shares>> {
    match fs::read(file) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use mailsluice_crds::shares::Division;

    use super::*;

    fn shares(version: u64, among: u32, next: Option<u32>) -> Shares {
        let division = |among| Division { among, turn: 0 };
        Shares { version, now: division(among), next: next.map(division) }
    }

    fn limits(messages: Option<u32>) -> Limits {
        Limits { connections: 7, connections_per_host: 3, messages_per_host_per_minute: messages, ..Limits::default() }
    }

    #[test]
    fn a_pod_has_its_part_of_each_limit_and_no_connection_where_it_may_send_nothing() {
        let part = |pod, shares| Portion::Part { pod, shares };
        for (name, portion, allowed, nothing) in [
            ("nobody divides", Portion::Whole, (7, 3, Some(2)), None),
            ("it is not known how", Portion::Unknown, (0, 0, Some(0)), Some("not known")),
            ("alone", part(0, shares(1, 1, None)), (7, 3, Some(2)), None),
            ("the first of two", part(0, shares(1, 2, None)), (4, 2, Some(1)), None),
            ("the second of two", part(1, shares(1, 2, None)), (3, 1, Some(1)), None),
            ("the third comes", part(0, shares(1, 2, Some(3))), (3, 1, Some(1)), None),
            ("it is the third", part(2, shares(1, 2, Some(3))), (0, 0, Some(0)), Some("divided anew")),
            ("it leaves", part(2, shares(1, 2, None)), (0, 0, Some(0)), Some("not among")),
            ("it has connections and no message", part(2, shares(1, 3, None)), (2, 0, Some(0)), Some("turns")),
        ] {
            let got = portion.of(&limits(Some(2)));
            let (connections, per_host, messages) = allowed;
            assert_eq!(got.connections, connections, "{name}");
            assert_eq!((got.connections_per_host, got.messages_per_host_per_minute), (per_host, messages), "{name}");
            assert_eq!(got.nothing.is_some(), nothing.is_some(), "{name}");
            assert!(got.nothing.unwrap_or_default().contains(nothing.unwrap_or_default()), "{name}: {got:?}");
        }
    }

    #[test]
    fn a_pod_that_starts_goes_on_with_what_it_had_and_never_goes_back() {
        let (manifests, spool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let now = Instant::now();
        let start = || Lookout::new(1, manifests.path(), spool.path(), now);
        let publish = |text: &str| fs::write(manifests.path().join(shares::FILE), text).unwrap();
        let shown = |shares: &Shares| publish(&serde_json::to_string(shares).unwrap());
        let version = |lookout: &Lookout| match lookout.portion() {
            Portion::Part { shares, .. } => Some(shares.version),
            _ => None,
        };
        let mut pod = start();
        assert!(!pod.look(&limits(None), now).unwrap());
        assert_eq!(pod.portion(), Portion::Whole, "nobody divides anything");
        publish("two\n");
        assert!(matches!(pod.look(&limits(None), now), Err(PortionError::Unreadable { .. })));
        assert_eq!(pod.portion(), Portion::Unknown, "somebody does");
        shown(&shares(10, 2, None));
        assert!(pod.look(&limits(None), now).unwrap());
        assert_eq!(version(&pod), Some(10));
        assert!(!pod.look(&limits(None), now).unwrap(), "nothing has changed");
        for (name, text) in [("older", &*serde_json::to_string(&shares(9, 1, None)).unwrap()), ("damaged", "{")] {
            publish(text);
            let _ = pod.look(&limits(None), now);
            assert_eq!(version(&pod), Some(10), "{name}");
            let mut again = start();
            let _ = again.look(&limits(None), now);
            assert_eq!(version(&again), Some(10), "{name}, after a restart");
        }
        fs::remove_file(manifests.path().join(shares::FILE)).unwrap();
        let mut again = start();
        assert!(!again.look(&limits(None), now).unwrap());
        assert_eq!(version(&again), Some(10), "nothing is published");
    }

    #[test]
    fn a_smaller_part_is_kept_to_when_connections_have_ended_and_the_minute_is_over() {
        let (manifests, spool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let start = Instant::now();
        let mut pod = Lookout::new(0, manifests.path(), spool.path(), start);
        let show = |shares: &Shares| {
            fs::write(manifests.path().join(shares::FILE), serde_json::to_string(shares).unwrap()).unwrap();
        };
        let (counted, uncounted) = (limits(Some(10)), limits(None));
        assert_eq!(pod.settle(&uncounted, || true, start), None, "nobody asks");
        show(&shares(1, 2, None));
        assert!(pod.look(&counted, start).unwrap());
        let after = |seconds| start + Duration::from_secs(seconds);
        for (limits, within, at, settled) in [
            (&counted, true, 59, None),
            (&uncounted, false, 59, None),
            (&uncounted, true, 59, Some(1)),
            (&counted, true, 60, Some(1)),
        ] {
            assert_eq!(pod.settle(limits, || within, after(at)), settled, "{within} after {at} s");
        }
        show(&shares(22, 2, Some(3)));
        assert!(pod.look(&counted, after(100)).unwrap());
        assert_eq!(pod.settle(&counted, || true, after(159)), Some(1), "it may have sent more in this minute");
        assert_eq!(pod.settle(&counted, || true, after(160)), Some(22));
        show(&shares(333, 2, None));
        assert!(pod.look(&counted, after(200)).unwrap());
        assert_eq!(pod.settle(&counted, || true, after(200)), Some(333), "a larger part is no more than was allowed");
    }
}
