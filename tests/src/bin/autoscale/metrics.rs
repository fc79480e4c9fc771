//! What brings the metrics of relays to HorizontalPodAutoscalers: Prometheus and its adapter, each told what the files in `docs/` say.

use std::{fmt::Write as _, process::Command, time::Duration};

use mailsluice_tests::{
    cluster::{self, Namespace, try_kubectl},
    process, wait, workspace,
};
use serde_json::Value;

use crate::page;

/// The namespace, which `metrics.yaml` names too.
const NAMESPACE: &str = "metrics";
const OBJECTS: &str = include_str!("metrics.yaml");
/// How often pods are scraped: as often as the Prometheus Operator has it done where nobody says.
const INTERVAL: &str = "30s";
/// What an autoscaler asks for.
const METRIC: &str = "mailsluice_queue_sendable_messages";
/// Until the adapter has found it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Prometheus and its adapter; they go when this is dropped.
pub(crate) struct Metrics(Namespace);

impl Metrics {
    /// Starts them, and waits until they are ready.
    pub(crate) fn start() -> Metrics {
        let images = workspace().join("tests/cluster/images");
        process::run(Command::new(&images).arg("metrics"));
        process::run(Command::new(&images).args(["load", "prometheus", "prometheus-adapter"]));
        let namespace = Namespace::new(NAMESPACE);
        let scrapes = format!("global: {{scrape_interval: {INTERVAL}}}\n{}", page("docs/prometheus.yaml"));
        let values = page("docs/prometheus-adapter.yaml");
        // As the adapter's chart writes its values into the adapter's configuration.
        let (_, rules) = values.split_once("\n  external:\n").expect("the values have external rules");
        for (name, file, text) in [
            ("prometheus", "prometheus.yaml", scrapes),
            ("prometheus-adapter", "config.yaml", format!("externalRules:\n{rules}")),
        ] {
            namespace.kubectl(&["create", "configmap", name, &format!("--from-literal={file}={text}")]);
        }
        cluster::apply(OBJECTS);
        namespace.kubectl(&["wait", "--for=condition=Ready", "pod", "--all", "--timeout=90s"]);
        Metrics(namespace)
    }

    /// What Prometheus has for an expression of one sample.
    pub(crate) fn ask(&self, expression: &str) -> Option<f64> {
        let query = expression.bytes().fold(String::new(), |mut query, octet| {
            // To write into a text cannot fail.
            let _ = write!(query, "%{octet:02X}");
            query
        });
        let service = format!("/api/v1/namespaces/{}/services/prometheus:http/proxy", self.0.name());
        let answer = raw(&format!("{service}/api/v1/query?query={query}"))?;
        answer.pointer("/data/result/0/value/1")?.as_str()?.parse().ok()
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
        // An API whose server is gone keeps every namespace that is deleted from going.
        let _ = try_kubectl(&["delete", "--ignore-not-found", "--wait=false", "-f", "-"], OBJECTS);
    }
}

/// What an autoscaler is told of a relay's queue by the API server.
pub(crate) fn told(namespace: &Namespace, relay: &str) -> Option<f64> {
    let path = format!("/apis/external.metrics.k8s.io/v1beta1/namespaces/{}/{METRIC}", namespace.name());
    let answer = raw(&format!("{path}?labelSelector=relay%3D{relay}"))?;
    quantity(answer.pointer("/items/0/value")?.as_str()?)
}

/// Waits until the API server has the metric of a relay.
pub(crate) fn await_metric(namespace: &Namespace, relay: &str) {
    wait::until_some(PATIENCE, &format!("the API server has {METRIC} of {relay}"), || told(namespace, relay));
}

fn raw(path: &str) -> Option<Value> {
    serde_json::from_slice(&try_kubectl(&["get", "--raw", path], "").stdout).ok()
}

/// A quantity as the API writes one: thousands with a k, and parts of one in thousandths.
fn quantity(text: &str) -> Option<f64> {
    let scaled = |number: &str, by: f64| number.parse::<f64>().ok().map(|number| number * by);
    match (text.strip_suffix('k'), text.strip_suffix('m')) {
        (Some(thousands), _) => scaled(thousands, 1e3),
        (_, Some(thousandths)) => scaled(thousandths, 1e-3),
        _ => scaled(text, 1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::quantity;

    #[test]
    fn quantities_are_read_as_the_api_writes_them() {
        assert_eq!(
            [quantity("7"), quantity("12k"), quantity("1500m"), quantity("")],
            [Some(7.0), Some(12_000.0), Some(1.5), None]
        );
    }
}
