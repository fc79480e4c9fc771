//! The operator's command line.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::Parser;
use mailsluice_operator::{
    inject::webhook,
    run::{self, Options},
};
use tokio::signal::unix::{SignalKind, signal};
use tracing::error;
use tracing_subscriber::EnvFilter;

/// Runs Mailsluice's relays on Kubernetes: reconciles SMTPRelays and TCPSchedules, and writes the SMTP Monitor into their
/// status.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// The image of relay pods.
    #[arg(long, env = "MAILSLUICE_RELAY_IMAGE", value_name = "IMAGE")]
    relay_image: String,
    /// The namespace to watch; empty for all.
    #[arg(long, env = "MAILSLUICE_WATCH_NAMESPACE", value_name = "NAMESPACE", default_value = "")]
    watch_namespace: String,
    /// A file with 32 or more random octets, from which the credentials of relays' Monitors are derived.
    #[arg(long, env = "MAILSLUICE_MONITOR_KEY_FILE", value_name = "FILE")]
    monitor_key_file: PathBuf,
    /// The name of the Lease, in the operator's own namespace, that the one operator holds which does the work.
    #[arg(long, env = "MAILSLUICE_LEASE", value_name = "NAME", default_value = "mailsluice-operator")]
    lease: String,
    /// Where /healthz, /readyz and /metrics are served, and on loopback the page of all relays.
    #[arg(long, env = "MAILSLUICE_HTTP", value_name = "ADDRESS:PORT", default_value = "[::]:8080")]
    http: SocketAddr,
    #[command(flatten)]
    webhook: Option<Webhook>,
    /// What the operator logs: error, warn, info, debug or trace, or directives such as `info,mailsluice_operator=debug`.
    #[arg(long, env = "MAILSLUICE_LOG_LEVEL", value_name = "LEVEL", default_value = "info")]
    log_level: String,
}

/// The webhook that injects sidecars; all of it or nothing.
#[derive(clap::Args)]
struct Webhook {
    /// Where the webhook that injects sidecars is served; nowhere, where it is absent.
    #[arg(
        long = "webhook",
        value_name = "ADDRESS:PORT",
        required = false,
        requires_all = ["host", "secret", "configuration"]
    )]
    address: SocketAddr,
    /// The name by which the API server knows the webhook: SERVICE.NAMESPACE.svc.
    #[arg(long = "webhook-host", required = false, requires = "address", value_name = "HOST")]
    host: String,
    /// The Secret, in the operator's own namespace, for the authority of the webhook's certificates. The operator fills it.
    #[arg(long = "webhook-secret", required = false, requires = "address", value_name = "NAME")]
    secret: String,
    /// The MutatingWebhookConfiguration that the operator tells of this authority.
    #[arg(long = "webhook-configuration", required = false, requires = "address", value_name = "NAME")]
    configuration: String,
}

// An operator waits most of the time: two threads are enough, and a small machine has no more.
#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let Cli { relay_image, watch_namespace, monitor_key_file, lease, http, webhook, log_level } = Cli::parse();
    let filter = match EnvFilter::try_new(&log_level) {
        Ok(filter) => filter,
        Err(error) => {
            eprintln!("mailsluice-operator: --log-level {log_level}: {error}");
            return ExitCode::FAILURE;
        }
    };
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        // Which object a record is about, whatever wrote it.
        .with_current_span(true)
        .with_span_list(false)
        .with_env_filter(filter)
        .init();
    // One provider for the whole process; a second installation is the same one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let watch_namespace = Some(watch_namespace).filter(|namespace| !namespace.is_empty());
    let webhook = webhook.map(|Webhook { address, host, secret, configuration }| webhook::Options {
        address,
        host,
        secret,
        configuration,
    });
    let options = Options { relay_image, watch_namespace, lease, monitor_key_file, http, webhook };
    let stop = async {
        let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    match run::run(options, stop).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(%error, "the operator cannot run");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_webhook_is_said_whole_or_not_at_all() {
        let needed = ["mailsluice-operator", "--relay-image=relay", "--monitor-key-file=key"];
        let webhook = ["--webhook=[::]:9443", "--webhook-host=h", "--webhook-secret=s", "--webhook-configuration=c"];
        let parsed = |more: &[&str]| Cli::try_parse_from(needed.iter().chain(more));
        assert!(parsed(&[]).is_ok_and(|cli| cli.webhook.is_none()));
        assert!(parsed(&webhook).is_ok_and(|cli| cli.webhook.is_some()));
        for one in 0..webhook.len() {
            let mut some = webhook.to_vec();
            some.remove(one);
            assert!(parsed(&some).is_err(), "{some:?}");
        }
    }
}
