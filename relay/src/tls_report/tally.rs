//! How sessions went, counted for each day and policy (RFC 8460 section 4). Pure.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// Days that are kept; a report that was not asked for by then is of no use to anybody.
pub(super) const DAYS_KEPT: i32 = 7;

/// Policies that are counted in a day. Beyond it sessions are counted as left out.
const MOST_POLICIES: usize = 10_000;

/// Different failures of one policy that are told apart in a day.
const MOST_FAILURES: usize = 64;

/// Where a policy comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PolicyType {
    /// DANE (RFC 7672).
    #[serde(rename = "tlsa")]
    Tlsa,
    /// MTA-STS (RFC 8461).
    #[serde(rename = "sts")]
    Sts,
    /// Neither was found.
    #[serde(rename = "no-policy-found")]
    NoPolicyFound,
}

impl PolicyType {
    /// All of them.
    pub const ALL: [PolicyType; 3] = [PolicyType::Tlsa, PolicyType::Sts, PolicyType::NoPolicyFound];

    /// As reports and metrics spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            PolicyType::Tlsa => "tlsa",
            PolicyType::Sts => "sts",
            PolicyType::NoPolicyFound => "no-policy-found",
        }
    }
}

/// The policy under which a session was made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Policy {
    /// Where it comes from.
    pub policy_type: PolicyType,
    /// Its lines, or its TLSA records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policy_string: Vec<String>,
    /// The domain that has it: with DANE that is the host below whose name the records are.
    pub policy_domain: String,
    /// The hosts that it allows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mx_host: Vec<String>,
}

/// A session that was not as its policy asks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Failure {
    /// One of the result types of RFC 8460 section 4.3.
    pub result_type: String,
    /// The relay's own address in that session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sending_mta_ip: Option<IpAddr>,
    /// The host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiving_mx_hostname: Option<String>,
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiving_ip: Option<IpAddr>,
    /// The error's own name, as the Monitor shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason_code: Option<String>,
}

/// The sessions of one policy on one day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) successes: u64,
    pub(super) failures: u64,
    /// By what they were; at most so many, and all in `failures`.
    pub(super) details: BTreeMap<Failure, u64>,
}

/// All that is counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tallies {
    pub(super) days: BTreeMap<Date, HashMap<Policy, Tally>>,
    /// Sessions that were not counted, there being too many policies.
    pub(super) left_out: u64,
}

impl Tallies {
    /// Counts a session; `failure`: what was wrong with it.
    pub(super) fn count(&mut self, day: Date, policy: &Policy, failure: Option<Failure>) {
        self.add(day, policy, failure, 1);
    }

    pub(super) fn add(&mut self, day: Date, policy: &Policy, failure: Option<Failure>, sessions: u64) {
        let policies = self.days.entry(day).or_default();
        if !policies.contains_key(policy) {
            if policies.len() >= MOST_POLICIES {
                self.left_out += sessions;
                return;
            }
            policies.insert(policy.clone(), Tally::default());
        }
        let Some(tally) = policies.get_mut(policy) else { return };
        match failure {
            None => tally.successes += sessions,
            Some(failure) => {
                tally.failures += sessions;
                if tally.details.len() < MOST_FAILURES || tally.details.contains_key(&failure) {
                    *tally.details.entry(failure).or_default() += sessions;
                }
            }
        }
    }

    /// Forgets the days that nobody asks for any more.
    pub(super) fn forget(&mut self, today: Date) {
        self.days.retain(|day, _| (today - *day).get_days() < DAYS_KEPT);
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn policy(domain: &str) -> Policy {
        let policy_string = vec!["mode: enforce".to_owned()];
        let mx_host = vec!["mx.example".to_owned()];
        Policy { policy_type: PolicyType::Sts, policy_string, policy_domain: domain.to_owned(), mx_host }
    }

    fn failure(host: &str) -> Option<Failure> {
        Some(Failure {
            result_type: "certificate-expired".to_owned(),
            sending_mta_ip: None,
            receiving_mx_hostname: Some(host.to_owned()),
            receiving_ip: None,
            failure_reason_code: None,
        })
    }

    #[test]
    fn sessions_are_counted_by_day_and_policy_and_failures_by_what_they_were() {
        let (today, yesterday) = (date(2026, 3, 2), date(2026, 3, 1));
        let mut tallies = Tallies::default();
        tallies.count(yesterday, &policy("a.example"), None);
        for failure in [None, None, failure("one"), failure("two"), failure("one")] {
            tallies.count(today, &policy("a.example"), failure);
        }
        tallies.count(today, &policy("b.example"), None);
        let tally = &tallies.days[&today][&policy("a.example")];
        assert_eq!((tally.successes, tally.failures), (2, 3));
        assert_eq!(tally.details.values().copied().collect::<Vec<_>>(), [2, 1]);
        assert_eq!(tallies.days[&yesterday][&policy("a.example")].successes, 1);
        tallies.forget(date(2026, 3, 8));
        assert_eq!(tallies.days.keys().copied().collect::<Vec<_>>(), [today]);
    }

    #[test]
    fn what_is_counted_is_bounded() {
        let day = date(2026, 3, 2);
        let mut tallies = Tallies::default();
        for number in 0..MOST_FAILURES + 10 {
            tallies.count(day, &policy("a.example"), failure(&number.to_string()));
        }
        let tally = &tallies.days[&day][&policy("a.example")];
        assert_eq!((tally.failures, tally.details.len()), (MOST_FAILURES as u64 + 10, MOST_FAILURES));
        for number in 0..MOST_POLICIES + 10 {
            tallies.count(day, &policy(&format!("{number}.example")), None);
        }
        assert_eq!((tallies.days[&day].len(), tallies.left_out), (MOST_POLICIES, 11));
    }
}
