//! What the sidecar counts: under the relay's names where it is the same, and no label grows without bound.

use std::time::Duration;

use mailsluice_crds::relay::TlsPolicy;
use prometheus::{Encoder as _, Histogram, IntCounter, IntCounterVec, IntGauge, Registry, TextEncoder};

use crate::{metrics::SESSION_BUCKETS, registering::Registering};

/// Everything that is counted.
pub(super) struct Metrics {
    registry: Registry,
    /// Messages that the gateway has answered 250.
    pub(super) accepted: IntCounter,
    /// Octets of their text.
    pub(super) accepted_bytes: IntCounter,
    /// Commands or messages refused, by the reply's code.
    pub(super) refused: IntCounterVec,
    /// Handshakes with the gateway, by their result.
    pub(super) handshakes: IntCounterVec,
    /// Logins at the gateway, by their result.
    pub(super) authentications: IntCounterVec,
    /// The application's sessions that are open.
    pub(super) sessions_in: IntGauge,
    session_in_seconds: Histogram,
    sessions_out: IntGauge,
    /// Whether the last try to connect to the gateway did.
    pub(super) gateway_up: IntGauge,
    /// Transactions begun again over another connection.
    pub(super) resumed: IntCounter,
    /// Messages of which nobody knows whether the gateway has them.
    pub(super) unanswered: IntCounter,
}

/// An open connection to the gateway, as long as it lives.
#[derive(Debug)]
pub(super) struct Open(IntGauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// All at zero. Fails only if two had the same name.
    pub(super) fn new(version: &str) -> prometheus::Result<Metrics> {
        let registry = Registry::new();
        let new = Registering(&registry);
        new.gauges("mailsluice_build_info", "Always 1; the label says which version runs.", &["version"])?
            .with_label_values(&[version])
            .set(1);
        let handshakes = new.counters(
            "mailsluice_smtp_client_tls_handshakes_total",
            "TLS handshakes with the gateway: full ones, those that resumed a session, and those that failed.",
            &["policy", "result"],
        )?;
        for result in ["full", "resumed", "failed"] {
            handshakes.with_label_values(&[TlsPolicy::Verified.name(), result]);
        }
        let authentications = new.counters(
            "mailsluice_smtp_client_authentications_total",
            "Logins at the gateway by AUTH: done, refused, or failed for another reason.",
            &["result"],
        )?;
        for result in ["done", "refused", "failed"] {
            authentications.with_label_values(&[result]);
        }
        Ok(Metrics {
            accepted: new.counter(
                "mailsluice_messages_accepted_total",
                "Messages answered 250, since the gateway has answered so.",
            )?,
            accepted_bytes: new
                .counter("mailsluice_messages_accepted_bytes_total", "Octets of the messages answered 250.")?,
            refused: new.counters(
                "mailsluice_smtp_refusals_total",
                "Senders, recipients and messages refused, by the reply's code.",
                &["code"],
            )?,
            handshakes,
            authentications,
            sessions_in: new.gauge("mailsluice_smtp_server_sessions", "Clients' sessions that are open.")?,
            session_in_seconds: new.histogram(
                "mailsluice_smtp_server_session_seconds",
                "How long clients' sessions took.",
                &SESSION_BUCKETS,
            )?,
            sessions_out: new.gauge("mailsluice_smtp_client_sessions", "Connections to the gateway that are open.")?,
            gateway_up: new.gauge(
                "mailsluice_sidecar_gateway_up",
                "1 while the gateway lets the sidecar in, as far as the last connection has shown; else 0.",
            )?,
            resumed: new.counter(
                "mailsluice_sidecar_resumed_total",
                "Transactions begun again over another connection, before any of their text was sent.",
            )?,
            unanswered: new.counter(
                "mailsluice_sidecar_unanswered_total",
                "Messages whose end was sent and not answered: the application has got no reply either.",
            )?,
            registry,
        })
    }

    /// Counts a connection to the gateway.
    pub(super) fn connection(&self) -> Open {
        self.sessions_out.inc();
        Open(self.sessions_out.clone())
    }

    /// A session of the application has ended.
    pub(super) fn session_ended(&self, took: Duration) {
        self.sessions_in.dec();
        self.session_in_seconds.observe(took.as_secs_f64());
    }

    /// All in Prometheus' text format.
    pub(super) fn render(&self) -> prometheus::Result<Vec<u8>> {
        let mut text = Vec::with_capacity(4 << 10);
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}
