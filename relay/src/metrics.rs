//! Prometheus metrics. No label grows without bound: none names a host, an address or a client.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use mailsluice_crds::{LogLevel, monitor::ProblemReason, relay::TlsPolicy, schedule::LinkState};
use prometheus::{Encoder as _, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder};

use crate::{limiter::Over, registering::Registering, spool::Room, tls_report::PolicyType};

/// Everything the relay counts. Cheap to share by reference count.
pub struct Metrics {
    registry: Registry,
    /// Messages answered 250.
    pub accepted: IntCounter,
    /// Octets of their text.
    pub accepted_bytes: IntCounter,
    /// Commands or messages refused, by the reply's code.
    pub refused: IntCounterVec,
    /// Clients' limits that were reached, by whose and which.
    pub limits_reached: IntCounterVec,
    /// PROXY headers of load balancers, by what they said.
    pub proxy_headers: IntCounterVec,
    /// Messages that siblings took over from this relay, which is scaled away.
    pub handed_over: IntCounter,
    /// Messages taken over from siblings that are scaled away.
    pub taken_over: IntCounter,
    /// Recipients delivered.
    pub delivered: IntCounter,
    /// Messages signed, each time that they are sent.
    pub dkim_signed: IntCounter,
    /// Recipients put off, each time.
    pub deferred: IntCounter,
    /// Recipients given up and returned to their sender.
    pub bounced: IntCounter,
    /// Recipients whose message an administrator removed without a report.
    pub removed: IntCounter,
    /// Senders told that a message of theirs is late.
    pub delays_told: IntCounter,
    /// Handshakes of clients, by their result.
    pub handshakes_in: IntCounterVec,
    /// Clients that showed who they are, by the result.
    pub authentications_in: IntCounterVec,
    /// Logins at hosts, by their result.
    pub authentications_out: IntCounterVec,
    /// Handshakes with hosts, by what was asked of TLS and their result.
    pub handshakes_out: IntCounterVec,
    /// Sessions that TLS reports count, by where the policy comes from and the result type.
    pub tls_report_sessions: IntCounterVec,
    /// Secrets that are missing or cannot be used.
    pub secrets_invalid: IntGauge,
    certificate_expiry: IntGaugeVec,
    /// Clients' sessions that are open.
    pub sessions_in: IntGauge,
    /// How long clients' sessions took.
    pub session_in_seconds: Histogram,
    /// How long outgoing sessions took.
    pub session_out_seconds: Histogram,
    /// How long syncs of the spool took.
    pub sync_seconds: Histogram,
    /// Whether what a start found in the spool is still being read: 1 until all of it is in the queue.
    pub spool_recovering: IntGauge,
    /// How often the spool failed and was read again.
    pub spool_rereads: IntCounter,
    /// Changes of the configuration, by their result.
    pub reloads: IntCounterVec,
    /// Whether the last change of the configuration was refused.
    pub config_invalid: IntGauge,
    sampled: Sampled,
}

/// Values that are read when they are asked for.
struct Sampled {
    queue_messages: IntGauge,
    queue_sendable: IntGauge,
    queue_bytes: IntGauge,
    queue_oldest: IntGauge,
    hosts: IntGaugeVec,
    sessions_out: IntGauge,
    link_open: IntGauge,
    link_changes: IntGauge,
    log_level: IntGaugeVec,
    spool_live: IntGauge,
    spool_held: IntGauge,
    spool_available: IntGauge,
    spool_capacity: IntGauge,
    spool_accepting: IntGauge,
    spool_damaged: IntGauge,
    problems: IntGaugeVec,
    schedule: IntGaugeVec,
    expire_after: IntGauge,
    next_expiry: IntGauge,
}

/// The state of the relay at one moment, for the sampled values.
pub struct Sample {
    /// Messages, octets and the oldest message's moment.
    pub queue: mailsluice_crds::monitor::QueueTotals,
    /// Messages that only wait for their turn.
    pub sendable: u64,
    /// When the first message is too old to wait on.
    pub next_expiry: Option<Timestamp>,
    /// Hosts that are Sending, Ready, Suspended, Held.
    pub hosts: [usize; 4],
    /// Outgoing sessions that are open.
    pub sessions_out: u32,
    /// Whether connections are allowed.
    pub link: mailsluice_crds::monitor::Link,
    /// The relay's Log Level.
    pub log_level: LogLevel,
    /// Octets of the spool that are needed.
    pub spool_live: u64,
    /// Octets of disk that the spool holds.
    pub spool_held: u64,
    /// The room of its file system, where it can be told.
    pub spool_room: Option<Room>,
    /// Whether the spool takes mail.
    pub spool_accepting: bool,
    /// Parts of the spool that are known to be damaged.
    pub spool_damaged: u64,
    /// What hinders the relay as a whole.
    pub problems: Vec<ProblemReason>,
    /// After so long, mail that cannot be delivered returns to its sender.
    pub expire_after: SignedDuration,
}

/// Buckets for what takes from a tenth of a millisecond to a few seconds.
const SYNC_BUCKETS: [f64; 12] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5];
/// Buckets for sessions, from a few milliseconds to many minutes.
pub(crate) const SESSION_BUCKETS: [f64; 10] = [0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3_600.0];

const HOST_STATES: [&str; 4] = ["Sending", "Ready", "Suspended", "Held"];

impl Metrics {
    /// All metrics at zero.
    ///
    /// # Errors
    /// Only if two metrics had the same name.
    pub fn new(version: &str) -> prometheus::Result<Metrics> {
        let registry = Registry::new();
        let new = Registering(&registry);
        new.gauges("mailsluice_build_info", "Always 1; the label says which version runs.", &["version"])?
            .with_label_values(&[version])
            .set(1);
        let reloads = new.counters(
            "mailsluice_config_reloads_total",
            "Changes of the configuration, by whether they could be obeyed.",
            &["result"],
        )?;
        for result in ["applied", "refused"] {
            reloads.with_label_values(&[result]);
        }
        let handshakes_in = new.counters(
            "mailsluice_smtp_server_tls_handshakes_total",
            "TLS handshakes of clients: full ones, those that resumed a session, and those that failed.",
            &["result"],
        )?;
        for result in ["full", "resumed", "failed"] {
            handshakes_in.with_label_values(&[result]);
        }
        let limits_reached = new.counters(
            "mailsluice_client_limits_reached_total",
            "Connections, messages and recipients refused since a client's limit was reached, or that of all clients.",
            &["scope", "limit"],
        )?;
        for (scope, limit) in Over::LABELS {
            limits_reached.with_label_values(&[scope, limit]);
        }
        let proxy_headers = new.counters(
            "mailsluice_proxy_headers_total",
            "PROXY headers of load balancers: that named a client, that were for themselves (local), or refused.",
            &["result"],
        )?;
        for result in ["client", "local", "refused"] {
            proxy_headers.with_label_values(&[result]);
        }
        let authentications_in = new.counters(
            "mailsluice_smtp_server_authentications_total",
            "Clients that showed who they are by AUTH: it was done, it failed, it was not looked at after too many failures (limited), or \
             for too many passwords to check (busy).",
            &["result"],
        )?;
        for result in ["done", "failed", "limited", "busy"] {
            authentications_in.with_label_values(&[result]);
        }
        let authentications_out = new.counters(
            "mailsluice_smtp_client_authentications_total",
            "Logins at smarthosts by AUTH: done, refused, or failed for another reason.",
            &["result"],
        )?;
        for result in ["done", "refused", "failed"] {
            authentications_out.with_label_values(&[result]);
        }
        let handshakes_out = new.counters(
            "mailsluice_smtp_client_tls_handshakes_total",
            "TLS handshakes with hosts, by the policy: full ones, those that resumed a session, those that failed, and hosts \
             that offered none.",
            &["policy", "result"],
        )?;
        for policy in TlsPolicy::ALL.into_iter().filter(|policy| *policy != TlsPolicy::Off) {
            for result in ["full", "resumed", "failed", "notOffered"] {
                handshakes_out.with_label_values(&[policy.name(), result]);
            }
        }
        let tls_report_sessions = new.counters(
            "mailsluice_tls_report_sessions_total",
            "Sessions under the policies Dane and MtaSts, by where the domain's policy comes from and how they went, in the words of \
             RFC 8460.",
            &["policy", "result"],
        )?;
        for policy in PolicyType::ALL {
            tls_report_sessions.with_label_values(&[policy.name(), "success"]);
        }
        let sampled = Sampled {
            queue_messages: new.gauge("mailsluice_queue_messages", "Messages not yet delivered or bounced.")?,
            queue_sendable: new.gauge(
                "mailsluice_queue_sendable_messages",
                "Messages that could go now and wait for their turn: neither a schedule, a limit, a hold nor the host keeps them.",
            )?,
            queue_bytes: new.gauge("mailsluice_queue_bytes", "Octets of the messages not yet delivered or bounced.")?,
            queue_oldest: new.gauge(
                "mailsluice_queue_oldest_timestamp_seconds",
                "When the oldest waiting message was accepted; 0 when none waits.",
            )?,
            hosts: new.gauges("mailsluice_hosts", "Hosts that mail waits for, by their state.", &["state"])?,
            sessions_out: new.gauge("mailsluice_smtp_client_sessions", "Outgoing sessions that are open.")?,
            link_open: new.gauge(
                "mailsluice_link_open",
                "1 while the TCP Schedule allows connections, 0 while it does not.",
            )?,
            link_changes: new.gauge(
                "mailsluice_link_change_seconds",
                "Seconds until the TCP Schedule opens or closes the link; -1 when it never does.",
            )?,
            log_level: new.gauges(
                "mailsluice_log_level",
                "1 for the Log Level that is set, 0 for the others.",
                &["level"],
            )?,
            spool_live: new.gauge("mailsluice_spool_live_bytes", "Octets in the spool of messages that wait.")?,
            spool_held: new.gauge("mailsluice_spool_held_bytes", "Octets of disk that the spool holds.")?,
            spool_available: new.gauge(
                "mailsluice_spool_available_bytes",
                "Octets that are free on the spool's file system; -1 where it does not say.",
            )?,
            spool_capacity: new.gauge(
                "mailsluice_spool_capacity_bytes",
                "Octets of the spool's file system; -1 where it does not say.",
            )?,
            spool_accepting: new
                .gauge("mailsluice_spool_accepting", "1 while the spool takes mail, 0 while it cannot.")?,
            spool_damaged: new.gauge(
                "mailsluice_spool_damaged_records",
                "Records of the spool that are damaged and were set aside; anything but 0 may be lost mail.",
            )?,
            problems: new.gauges(
                "mailsluice_problem",
                "1 for each problem that hinders the relay as a whole, by the reason that its Monitor shows; else 0.",
                &["reason"],
            )?,
            schedule: new.gauges(
                "mailsluice_link_schedule_info",
                "Always 1; the label names the TCP Schedule that the relay obeys, and is empty where it has none.",
                &["schedule"],
            )?,
            expire_after: new.gauge(
                "mailsluice_queue_expire_after_seconds",
                "After so long, mail that cannot be delivered returns to its sender.",
            )?,
            next_expiry: new.gauge(
                "mailsluice_queue_next_expiry_timestamp_seconds",
                "When the first of the waiting messages will have waited so long; 0 when none waits.",
            )?,
        };
        let spool_recovering = new.gauge(
            "mailsluice_spool_recovering",
            "1 while mail that the start found in the spool is still being read, so that the queue lacks it; else 0.",
        )?;
        spool_recovering.set(1);
        Ok(Metrics {
            accepted: new.counter("mailsluice_messages_accepted_total", "Messages answered 250, each safe on disk.")?,
            accepted_bytes: new
                .counter("mailsluice_messages_accepted_bytes_total", "Octets of the messages answered 250.")?,
            refused: new.counters(
                "mailsluice_smtp_refusals_total",
                "Senders, recipients and messages refused, by the reply's code.",
                &["code"],
            )?,
            limits_reached,
            proxy_headers,
            delivered: new
                .counter("mailsluice_recipients_delivered_total", "Recipients whose host took the message.")?,
            deferred: new
                .counter("mailsluice_recipients_deferred_total", "Recipients put off to another attempt, each time.")?,
            handed_over: new.counter(
                "mailsluice_messages_handed_over_total",
                "Messages that siblings took over from this relay, which is scaled away.",
            )?,
            taken_over: new.counter(
                "mailsluice_messages_taken_over_total",
                "Messages taken over from siblings that are scaled away.",
            )?,
            dkim_signed: new
                .counter("mailsluice_dkim_signed_total", "Messages signed by DKIM, each time that they are sent.")?,
            bounced: new.counter("mailsluice_recipients_bounced_total", "Recipients given up.")?,
            removed: new.counter(
                "mailsluice_recipients_removed_total",
                "Recipients whose message an administrator removed without a report.",
            )?,
            delays_told: new
                .counter("mailsluice_delays_told_total", "Senders told that a message of theirs is late.")?,
            handshakes_in,
            authentications_in,
            authentications_out,
            handshakes_out,
            tls_report_sessions,
            secrets_invalid: new
                .gauge("mailsluice_secrets_invalid", "Secrets that are missing or hold nothing that can be used.")?,
            certificate_expiry: new.gauges(
                "mailsluice_tls_certificate_expiry_timestamp_seconds",
                "When the certificate that listeners show expires, or one of its chain, by the name of its Secret.",
                &["secret"],
            )?,
            sessions_in: new.gauge("mailsluice_smtp_server_sessions", "Clients' sessions that are open.")?,
            session_in_seconds: new.histogram(
                "mailsluice_smtp_server_session_seconds",
                "How long clients' sessions took.",
                &SESSION_BUCKETS,
            )?,
            session_out_seconds: new.histogram(
                "mailsluice_smtp_client_session_seconds",
                "How long outgoing sessions took.",
                &SESSION_BUCKETS,
            )?,
            sync_seconds: new.histogram(
                "mailsluice_spool_sync_seconds",
                "How long syncs of the spool took.",
                &SYNC_BUCKETS,
            )?,
            config_invalid: new
                .gauge("mailsluice_config_invalid", "1 while the files hold a configuration that was refused.")?,
            spool_recovering,
            spool_rereads: new.counter(
                "mailsluice_spool_rereads_total",
                "How often the spool failed, and what is really on its disk was read again.",
            )?,
            reloads,
            sampled,
            registry,
        })
    }

    /// Notes how long a sync of the spool took.
    pub fn synced(&self, took: Duration) {
        self.sync_seconds.observe(took.as_secs_f64());
    }

    /// Notes when certificates expire, each with its Secret's name, in the place of all that were noted before.
    pub fn set_expiries(&self, expiries: &[(String, Timestamp)]) {
        self.certificate_expiry.reset();
        for (secret, at) in expiries {
            self.certificate_expiry.with_label_values(&[secret]).set(at.as_second());
        }
    }

    /// All metrics in Prometheus' text format.
    ///
    /// # Errors
    /// When they cannot be encoded.
    pub fn render(&self, sample: &Sample, now: Timestamp) -> prometheus::Result<Vec<u8>> {
        self.sampled.set(sample, now);
        let mut text = Vec::with_capacity(16 << 10);
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

impl Sampled {
    fn set(&self, sample: &Sample, now: Timestamp) {
        self.queue_messages.set(whole(sample.queue.messages));
        self.queue_sendable.set(whole(sample.sendable));
        self.queue_bytes.set(whole(sample.queue.bytes));
        self.queue_oldest.set(sample.queue.oldest.map_or(0, Timestamp::as_second));
        for (state, count) in HOST_STATES.iter().zip(sample.hosts) {
            self.hosts.with_label_values(&[state]).set(whole(count as u64));
        }
        self.sessions_out.set(i64::from(sample.sessions_out));
        self.link_open.set(i64::from(sample.link.state == LinkState::Open));
        self.link_changes.set(sample.link.changes_at.map_or(-1, |at| now.duration_until(at).as_secs().max(0)));
        for level in LogLevel::ALL {
            self.log_level.with_label_values(&[level.name()]).set(i64::from(level == sample.log_level));
        }
        self.spool_live.set(whole(sample.spool_live));
        self.spool_held.set(whole(sample.spool_held));
        let room = |octets: fn(Room) -> u64| sample.spool_room.map_or(-1, |room| whole(octets(room)));
        self.spool_available.set(room(|room| room.available));
        self.spool_capacity.set(room(|room| room.capacity));
        self.spool_accepting.set(i64::from(sample.spool_accepting));
        self.spool_damaged.set(whole(sample.spool_damaged));
        for reason in ProblemReason::ALL {
            self.problems.with_label_values(&[reason.name()]).set(i64::from(sample.problems.contains(&reason)));
        }
        // Another schedule takes the place of the one before.
        self.schedule.reset();
        self.schedule.with_label_values(&[sample.link.schedule.as_deref().unwrap_or_default()]).set(1);
        self.next_expiry.set(sample.next_expiry.map_or(0, Timestamp::as_second));
        self.expire_after.set(sample.expire_after.as_secs());
    }
}

fn whole(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
