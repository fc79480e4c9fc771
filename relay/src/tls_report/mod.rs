//! TLS reports: how sessions with hosts went whose domains have a policy, counted by day and policy as RFC 8460 reports them.
//!
//! Counted are sessions on routes with the policies Dane and MtaSts: on others no domain's policy is looked for, and a report
//! would say "no-policy-found" of domains that have one. A host that could not be reached at all, or that failed before it could offer
//! STARTTLS, says nothing of TLS and is not counted (section 4.3.1).
//!
//! - [`tally`]: what is counted (pure); [`json`]: the reports (pure).

mod json;
mod tally;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use mailsluice_crds::{
    LogLevel,
    catalogue::{Code, TlsCode},
};
use tokio::time;
use tokio_util::sync::CancellationToken;

pub use json::Report;
pub use tally::{Failure, Policy, PolicyType};

use crate::{
    clock,
    log::{Log, Tag},
    mta_sts::store::write_whole,
    tls::TlsFault,
};
use tally::Tallies;

/// How often what is counted goes to disk, if it has changed. A crash forgets so much, which is no mail.
const SAVE_INTERVAL: Duration = Duration::from_secs(30);

/// The file in the spool's folder.
const FILE: &str = "tls-reports.json";

/// What is counted for TLS reports.
pub struct TlsReports {
    tallies: Mutex<Tallies>,
    changed: AtomicBool,
    file: PathBuf,
    hostname: String,
}

impl TlsReports {
    /// What was counted before, from this folder. Waits for the disk.
    #[must_use]
    pub fn load(folder: &Path, hostname: &str) -> TlsReports {
        let file = folder.join(FILE);
        // What cannot be read is not worth a relay that does not start.
        let reports: Option<Vec<Report>> = fs::read(&file).ok().and_then(|octets| serde_json::from_slice(&octets).ok());
        let mut tallies = json::tallies(&reports.unwrap_or_default());
        tallies.forget(day(clock::now()));
        TlsReports {
            tallies: Mutex::new(tallies),
            changed: AtomicBool::new(false),
            file,
            hostname: hostname.to_owned(),
        }
    }

    /// Counts a session under a policy; `failure`: what of it was not as the policy asks.
    pub fn count(&self, policy: &Policy, failure: Option<Failure>) {
        let today = day(clock::now());
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        tallies.forget(today);
        tallies.count(today, policy, failure);
        self.changed.store(true, Ordering::Relaxed);
    }

    /// The reports of today and the days before it.
    #[must_use]
    pub fn reports(&self) -> Vec<Report> {
        json::reports(&self.tallies.lock().unwrap_or_else(PoisonError::into_inner), &self.hostname)
    }

    /// Writes what is counted to disk as it changes, until the relay stops, and then once more.
    pub async fn keep(self: Arc<Self>, log: Log, stop: CancellationToken) {
        loop {
            let last = tokio::select! {
                () = time::sleep(SAVE_INTERVAL) => false,
                () = stop.cancelled() => true,
            };
            let this = self.clone();
            if let Ok(Err(error)) = tokio::task::spawn_blocking(move || this.save()).await {
                log.at(LogLevel::Failures, Tag::Report)
                    .say(format_args!("what is counted for TLS reports could not be written to disk: {error}"));
            }
            if last {
                return;
            }
        }
    }

    fn save(&self) -> io::Result<()> {
        if !self.changed.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        write_whole(&self.file, &serde_json::to_vec(&self.reports())?).inspect_err(|_| {
            // To be tried again.
            self.changed.store(true, Ordering::Relaxed);
        })
    }
}

fn day(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::UTC).date()
}

/// The result type of RFC 8460 section 4.3 for a fault of TLS.
#[must_use]
pub fn result_type(fault: &TlsFault) -> &'static str {
    match fault.code() {
        Code::Tls(TlsCode::NotOffered) => "starttls-not-supported",
        Code::Tls(TlsCode::Expired | TlsCode::NotYetValid) => "certificate-expired",
        Code::Tls(TlsCode::WrongName) => "certificate-host-mismatch",
        Code::Tls(TlsCode::UnknownIssuer | TlsCode::Revoked | TlsCode::BadSignature) => "certificate-not-trusted",
        _ => "validation-failure",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_outlives_the_relay() {
        let folder = tempfile::tempdir().unwrap();
        let policy = Policy {
            policy_type: PolicyType::Tlsa,
            policy_string: vec!["3 1 1 AB".to_owned()],
            policy_domain: "mx.example".to_owned(),
            mx_host: vec![],
        };
        let reports = TlsReports::load(folder.path(), "relay.example");
        reports.count(&policy, None);
        reports.save().unwrap();
        let again = TlsReports::load(folder.path(), "relay.example");
        again.count(&policy, None);
        assert_eq!(again.reports()[0].policies[0].summary.total_successful_session_count, 2);
        fs::write(folder.path().join(FILE), "{").unwrap();
        assert!(TlsReports::load(folder.path(), "relay.example").reports().is_empty());
    }
}
