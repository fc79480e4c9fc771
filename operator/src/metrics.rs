//! What the operator counts.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

/// What the operator counts. No label has more values than the code names.
pub struct Metrics {
    registry: Registry,
    reconciles: IntCounterVec,
    writes: IntCounterVec,
    /// Snapshots that came from pods' Monitors.
    pub snapshots: IntCounter,
    /// Attempts to read a pod's Monitor that failed or ended.
    pub stream_failures: IntCounter,
    /// Pods whose Monitor is followed.
    pub pods_followed: IntGauge,
}

impl Metrics {
    /// All counts at zero.
    ///
    /// # Errors
    /// When a name is given twice.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let reconciles = IntCounterVec::new(
            Opts::new("mailsluice_operator_reconciles_total", "Reconciles, by kind and result."),
            &["kind", "result"],
        )?;
        let writes = IntCounterVec::new(
            Opts::new("mailsluice_operator_writes_total", "Writes to the API server, by what was written."),
            &["object"],
        )?;
        let snapshots =
            IntCounter::new("mailsluice_operator_snapshots_total", "Snapshots that came from pods' Monitors.")?;
        let stream_failures = IntCounter::new(
            "mailsluice_operator_monitor_failures_total",
            "Attempts to read a pod's Monitor that failed or ended.",
        )?;
        let pods_followed = IntGauge::new("mailsluice_operator_pods_followed", "Pods whose Monitor is followed.")?;
        let build = IntGaugeVec::new(
            Opts::new("mailsluice_operator_build_info", "Always 1; the label is the program's version."),
            &["version"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(reconciles.clone()))?;
        registry.register(Box::new(writes.clone()))?;
        registry.register(Box::new(snapshots.clone()))?;
        registry.register(Box::new(stream_failures.clone()))?;
        registry.register(Box::new(pods_followed.clone()))?;
        registry.register(Box::new(build))?;
        Ok(Metrics { registry, reconciles, writes, snapshots, stream_failures, pods_followed })
    }

    /// Counts a reconcile.
    pub fn reconciled(&self, kind: &str, result: &str) {
        self.reconciles.with_label_values(&[kind, result]).inc();
    }

    /// Counts a write to the API server.
    pub fn wrote(&self, object: &str) {
        self.writes.with_label_values(&[object]).inc();
    }

    /// All of it, as Prometheus reads it.
    ///
    /// # Errors
    /// When it cannot be written as text.
    pub fn render(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}
