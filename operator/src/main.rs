//! The operator's command line.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::Parser;
use mailsluice_operator::run::{self, Options};
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
    /// What the operator logs: error, warn, info, debug or trace, or directives such as `info,mailsluice_operator=debug`.
    #[arg(long, env = "MAILSLUICE_LOG_LEVEL", value_name = "LEVEL", default_value = "info")]
    log_level: String,
}

// An operator waits most of the time: two threads are enough, and a small machine has no more.
#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let Cli { relay_image, watch_namespace, monitor_key_file, lease, http, log_level } = Cli::parse();
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
        .with_current_span(false)
        .with_span_list(false)
        .with_env_filter(filter)
        .init();
    // One provider for the whole process; a second installation is the same one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let watch_namespace = Some(watch_namespace).filter(|namespace| !namespace.is_empty());
    let options = Options { relay_image, watch_namespace, lease, monitor_key_file, http };
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
