//! The table of manifests that are accepted and refused, for whoever admits them: the loader of this crate, and the API
//! server. `cases/tcpschedule.yaml` explains its columns.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{GROUP, VERSION, yaml};

const FILES: [(&str, &str); 8] = [
    ("TCPSchedule", include_str!("../cases/tcpschedule.yaml")),
    ("SMTPRelay", include_str!("../cases/smtprelay.yaml")),
    ("SMTPRelay", include_str!("../cases/smtprelay-routes.yaml")),
    ("SMTPRelay", include_str!("../cases/smtprelay-pods.yaml")),
    ("SMTPRelay", include_str!("../cases/smtprelay-service.yaml")),
    ("SMTPRelay", include_str!("../cases/smtprelay-network-policy.yaml")),
    ("SMTPRelay", include_str!("../cases/smtprelay-access.yaml")),
    ("SMTPAccess", include_str!("../cases/smtpaccess.yaml")),
];

/// A manifest, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// What the case shows.
    pub name: String,
    /// The kind that it is about.
    pub kind: &'static str,
    /// The manifest that is applied. Its `metadata.name` is `case` wherever the case is not about the name.
    pub manifest: String,
    /// The manifest that was applied before it.
    pub before: Option<String>,
    /// Why it is refused; an accepted one has none.
    pub refused: Option<Refused>,
    /// Why the API server accepts it although a relay refuses it.
    pub only_local: Option<String>,
}

/// What a refusal says. The same words and the same path from both, unless the API server has words of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The field, as everyone names it; empty where it is the manifest as a whole.
    pub path: String,
    /// A part of what a relay says.
    pub because: String,
    /// A part of what the API server, or kubectl before it, says instead.
    pub server_says: Option<String>,
    /// How many refusals a relay reports.
    pub count: usize,
}

impl Refused {
    /// Whether an API server that refused with these words refused for this reason.
    #[must_use]
    pub fn is_said_in(&self, answer: &str) -> bool {
        match &self.server_says {
            Some(words) => answer.contains(words),
            None => answer.contains(&self.because) && answer.contains(&self.path),
        }
    }
}

/// A table that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the table of cases for {kind}: {problem}")]
pub struct CaseError {
    kind: &'static str,
    problem: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Row {
    name: String,
    metadata: Option<Value>,
    spec: Option<Value>,
    manifest: Option<String>,
    before: Option<Value>,
    refused_because: Option<String>,
    server_says: Option<String>,
    path: Option<String>,
    refusals: Option<usize>,
    only_local: Option<String>,
}

/// All cases, in the order of the tables.
///
/// # Errors
/// When a table is not as its head says.
pub fn all() -> Result<Vec<Case>, CaseError> {
    let mut cases = Vec::new();
    for (kind, text) in FILES {
        let failed = |problem: String| CaseError { kind, problem };
        let (documents, error) = yaml::parse(text);
        if let Some(error) = error {
            return Err(failed(format!("line {}: {}", error.line, error.problem)));
        }
        for document in documents {
            let rows: Vec<Row> =
                serde_json::from_value(yaml::plain(&document)).map_err(|error| failed(error.to_string()))?;
            cases.extend(rows.into_iter().map(|row| row.into_case(kind)));
        }
    }
    cases.extend(largest());
    Ok(cases)
}

/// The largest manifests that fit the bounds: what the rules cost on them has to stay within the API server's budget.
fn largest() -> [Case; 3] {
    let list = |count: usize, entry: &dyn Fn(usize) -> Value| (0..count).map(entry).collect::<Value>();
    let routes = list(16, &|route| {
        let domains = list(20, &|domain| json!(format!("*.team-{domain}.unit-{route}.example.com")));
        json!({"domains": domains, "mx": {}})
    });
    let clients = list(64, &|client| {
        let networks = list(64, &|network| json!(format!("10.{client}.{network}.0/24")));
        let senders = list(32, &|sender| json!(format!("sender-{sender}@unit-{client}.example.com")));
        json!({"networks": networks, "senders": senders})
    });
    let listeners = list(8, &|index| json!({"name": format!("smtp-{index}"), "port": 2500 + index}));
    let hosts = list(
        64,
        &|host| json!({"host": format!("host-{host}.example.com:25"), "level": "AllInfo", "until": "2026-12-01T18:00:00+01:00"}),
    );
    let labels = list(
        64,
        &|label| json!({"key": format!("label-{label}.example.com/team"), "operator": "In", "values": ["a", "b"]}),
    );
    let patterns = list(32, &|pattern| json!(format!("sender-{pattern}@{{namespace}}.team-{pattern}.example.com")));
    let access =
        json!({"namespaces": {"from": "Selector", "selector": {"matchExpressions": labels}}, "senders": patterns});
    let relay = json!({
        "routes": routes, "clients": clients, "listeners": listeners, "log": {"hosts": hosts}, "access": access,
    });
    let accounts = list(64, &|account| json!(format!("service-account-{account}")));
    let senders = list(32, &|sender| json!(format!("sender-{sender}@team.example.com")));
    let ask =
        json!({"relayRef": {"name": "outbound", "namespace": "mail"}, "serviceAccounts": accounts, "senders": senders});
    let days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let windows =
        list(64, &|_| json!({"days": days, "from": "08:00", "to": "19:30", "link": "Open", "pause": "10080m"}));
    let exceptions = list(64, &|_| {
        let dates = list(64, &|date| json!(format!("20{:02}-{:02}-28", 26 + date / 12, 1 + date % 12)));
        json!({"dates": dates, "from": "08:00", "to": "19:30", "link": "Open", "pause": "10080m"})
    });
    let schedule = json!({"timeZone": "America/Argentina/Buenos_Aires", "windows": windows, "exceptions": exceptions});
    [("SMTPRelay", relay), ("TCPSchedule", schedule), ("SMTPAccess", ask)].map(|(kind, spec)| {
        let name = "the largest that fits the bounds".into();
        Row { name, spec: Some(spec), ..Row::default() }.into_case(kind)
    })
}

impl Row {
    fn into_case(self, kind: &'static str) -> Case {
        let metadata = self.metadata.unwrap_or_else(|| json!({"name": "case"}));
        let manifest = |spec: &Value| {
            yaml::emit(&json!({
                "apiVersion": format!("{GROUP}/{VERSION}"), "kind": kind, "metadata": metadata, "spec": spec
            }))
        };
        let refused = self.refused_because.map(|because| Refused {
            path: self.path.unwrap_or_default(),
            server_says: self.server_says,
            because,
            count: self.refusals.unwrap_or(1),
        });
        Case {
            name: self.name,
            kind,
            before: self.before.as_ref().map(manifest),
            manifest: self.manifest.unwrap_or_else(|| manifest(&self.spec.unwrap_or_default())),
            refused,
            only_local: self.only_local,
        }
    }
}
