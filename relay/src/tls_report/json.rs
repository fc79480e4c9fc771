//! Reports as RFC 8460 section 4.4 writes them. Pure.

use std::collections::BTreeMap;

use jiff::{civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::tally::{Failure, Policy, Tallies};

/// One day's sessions with one policy domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// Who reports.
    pub organization_name: String,
    /// The day, in UTC.
    pub date_range: DateRange,
    /// Whom to ask.
    pub contact_info: String,
    /// Differs for each report.
    pub report_id: String,
    /// The domain's policies of that day.
    pub policies: Vec<ReportedPolicy>,
}

/// From when till when, in RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DateRange {
    /// The first moment.
    pub start_datetime: String,
    /// The last second.
    pub end_datetime: String,
}

/// A policy, and how sessions under it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReportedPolicy {
    /// The policy.
    pub policy: Policy,
    /// In numbers.
    pub summary: Summary,
    /// What failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failure_details: Vec<FailureDetail>,
}

/// How many sessions were as the policy asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Summary {
    /// Those that were.
    pub total_successful_session_count: u64,
    /// Those that were not.
    pub total_failure_session_count: u64,
}

/// One kind of failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FailureDetail {
    /// What it was.
    #[serde(flatten)]
    pub failure: Failure,
    /// How often it was.
    pub failed_session_count: u64,
}

/// The reports of all days that are kept, by day and domain.
pub(super) fn reports(tallies: &Tallies, hostname: &str) -> Vec<Report> {
    tallies
        .days
        .iter()
        .flat_map(|(day, policies)| {
            let mut domains: BTreeMap<&str, Vec<ReportedPolicy>> = BTreeMap::new();
            for (policy, tally) in policies {
                let reported = ReportedPolicy {
                    policy: policy.clone(),
                    summary: Summary {
                        total_successful_session_count: tally.successes,
                        total_failure_session_count: tally.failures,
                    },
                    failure_details: tally
                        .details
                        .iter()
                        .map(|(failure, count)| FailureDetail {
                            failure: failure.clone(),
                            failed_session_count: *count,
                        })
                        .collect(),
                };
                domains.entry(&policy.policy_domain).or_default().push(reported);
            }
            domains.into_iter().map(move |(domain, mut policies)| {
                policies.sort_by(|one, other| one.policy.cmp(&other.policy));
                Report {
                    organization_name: hostname.to_owned(),
                    date_range: range(*day),
                    contact_info: format!("postmaster@{hostname}"),
                    report_id: format!("{day}_{domain}@{hostname}"),
                    policies,
                }
            })
        })
        .collect()
}

/// What such reports were counted from.
pub(super) fn tallies(reports: &[Report]) -> Tallies {
    let mut tallies = Tallies::default();
    for report in reports {
        let Some(day) = report.date_range.start_datetime.get(..10).and_then(|day| day.parse::<Date>().ok()) else {
            continue;
        };
        for ReportedPolicy { policy, summary, failure_details } in &report.policies {
            if summary.total_successful_session_count > 0 {
                tallies.add(day, policy, None, summary.total_successful_session_count);
            }
            for detail in failure_details {
                tallies.add(day, policy, Some(detail.failure.clone()), detail.failed_session_count);
            }
            // Those beyond the kinds that are told apart.
            if let Some(tally) = tallies.days.get_mut(&day).and_then(|policies| policies.get_mut(policy)) {
                tally.failures = tally.failures.max(summary.total_failure_session_count);
            }
        }
    }
    tallies
}

fn range(day: Date) -> DateRange {
    let at = |hour, minute, second| {
        let at = day.at(hour, minute, second, 0).to_zoned(TimeZone::UTC);
        at.map_or_else(|_| day.to_string(), |at| at.timestamp().to_string())
    };
    DateRange { start_datetime: at(0, 0, 0), end_datetime: at(23, 59, 59) }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use serde_json::json;

    use super::{super::tally::PolicyType, *};

    fn counted() -> Tallies {
        let mut tallies = Tallies::default();
        let sts = Policy {
            policy_type: PolicyType::Sts,
            policy_string: vec!["version: STSv1".into(), "mode: testing".into()],
            policy_domain: "company-y.example".into(),
            mx_host: vec!["*.mail.company-y.example".into()],
        };
        let failure = Failure {
            result_type: "certificate-expired".into(),
            sending_mta_ip: Some([192, 0, 2, 9].into()),
            receiving_mx_hostname: Some("mx1.mail.company-y.example".into()),
            receiving_ip: Some([198, 51, 100, 7].into()),
            failure_reason_code: Some("CERT_EXPIRED".into()),
        };
        tallies.add(date(2026, 4, 1), &sts, None, 5_326);
        tallies.add(date(2026, 4, 1), &sts, Some(failure), 100);
        let none = Policy {
            policy_type: PolicyType::NoPolicyFound,
            policy_string: vec![],
            policy_domain: "a.example".into(),
            mx_host: vec![],
        };
        tallies.add(date(2026, 4, 2), &none, None, 1);
        tallies
    }

    #[test]
    fn a_report_is_written_as_the_rfc_shows_it() {
        let found = serde_json::to_value(reports(&counted(), "relay.example")).unwrap();
        let expected = json!([
            {
                "organization-name": "relay.example",
                "date-range": {"start-datetime": "2026-04-01T00:00:00Z", "end-datetime": "2026-04-01T23:59:59Z"},
                "contact-info": "postmaster@relay.example",
                "report-id": "2026-04-01_company-y.example@relay.example",
                "policies": [{
                    "policy": {
                        "policy-type": "sts",
                        "policy-string": ["version: STSv1", "mode: testing"],
                        "policy-domain": "company-y.example",
                        "mx-host": ["*.mail.company-y.example"]
                    },
                    "summary": {"total-successful-session-count": 5326, "total-failure-session-count": 100},
                    "failure-details": [{
                        "result-type": "certificate-expired",
                        "sending-mta-ip": "192.0.2.9",
                        "receiving-mx-hostname": "mx1.mail.company-y.example",
                        "receiving-ip": "198.51.100.7",
                        "failure-reason-code": "CERT_EXPIRED",
                        "failed-session-count": 100
                    }]
                }]
            },
            {
                "organization-name": "relay.example",
                "date-range": {"start-datetime": "2026-04-02T00:00:00Z", "end-datetime": "2026-04-02T23:59:59Z"},
                "contact-info": "postmaster@relay.example",
                "report-id": "2026-04-02_a.example@relay.example",
                "policies": [{
                    "policy": {"policy-type": "no-policy-found", "policy-domain": "a.example"},
                    "summary": {"total-successful-session-count": 1, "total-failure-session-count": 0}
                }]
            }
        ]);
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_written_is_counted_on() {
        let counted = counted();
        let text = serde_json::to_string(&reports(&counted, "relay.example")).unwrap();
        assert_eq!(tallies(&serde_json::from_str::<Vec<Report>>(&text).unwrap()), counted);
    }
}
