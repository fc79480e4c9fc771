//! `mailsluice-sidecar`: the command line of the sidecar.
//!
//! A program of its own, and no word of the relay's: it stands in the pods of applications, whose memory its pages take, and the relay's program
//! has much that it does not need.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, Subcommand};
use mailsluice_crds::{
    LogLevel,
    relay::{LogFormat, TlsMode},
};
use mailsluice_relay::{
    log::Log,
    sidecar::{self, GatewayAddress, LoopbackAddress, Options, SidecarError},
    tls,
};
use rustls::pki_types::ServerName;
use tokio::runtime;

/// Where health and metrics are served, where nothing else is said.
const HTTP: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8025));

/// Takes an application's mail on loopback, and hands it to a relay elsewhere while the application waits; keeps nothing.
#[derive(Parser)]
#[command(name = "mailsluice-sidecar", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Take mail, until SIGTERM or SIGINT.
    Run(Run),
    /// Wait until a sidecar on this machine takes mail, for 5 seconds at most: the hook behind the start of its container.
    Await(Await),
}

#[derive(clap::Args)]
struct Run {
    /// The relay that the mail goes to; all addresses of its name are its replicas.
    #[arg(long, value_name = "HOST:PORT")]
    gateway: GatewayAddress,
    /// A file with the certificates, in PEM, of the authorities that vouch for the gateway; it is read again when it changes. While
    /// there is none, they are those of public hosts, by Mozilla's list.
    #[arg(long, value_name = "FILE")]
    authorities: PathBuf,
    /// A file with the token of the pod's service account, made for the gateway; it is read again when it changes.
    #[arg(long, value_name = "FILE")]
    token: PathBuf,
    /// Where the application's mail is taken: addresses of loopback, more of them by commas.
    #[arg(long, value_name = "ADDRESS:PORT", value_delimiter = ',', default_value = "127.0.0.1:2525,[::1]:2525")]
    listen: Vec<LoopbackAddress>,
    /// When TLS with the gateway begins [default: implicit on port 465, start-tls on others].
    #[arg(long, value_enum)]
    tls: Option<TlsBegins>,
    /// The name that the gateway's certificate must have [default: the gateway's host].
    #[arg(long, value_name = "NAME", value_parser = server_name)]
    tls_name: Option<ServerName<'static>>,
    /// Where health and metrics are served.
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = HTTP)]
    http: SocketAddr,
    /// How many seconds an application waits for a gateway that is away, before it is told to try again.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    wait: u16,
    /// How many messages are handed over at once, each by a connection of its own.
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// How many connections to the gateway are kept ready.
    #[arg(long, value_name = "NUMBER", default_value_t = 2)]
    warm: u16,
    /// How much is logged: CrashesOnly, Failures, Major, Problems, LowLevel or AllInfo.
    #[arg(long, value_name = "LEVEL", default_value = "Problems")]
    log_level: LogLevel,
    /// In what form.
    #[arg(long, value_enum, default_value_t = Format::Json)]
    log_format: Format,
}

#[derive(clap::Args)]
struct Await {
    /// Where it serves its health.
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = HTTP)]
    http: SocketAddr,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum TlsBegins {
    /// By the command STARTTLS.
    StartTls,
    /// At once.
    Implicit,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    Json,
    Text,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(run) => take_mail(run),
        Command::Await(Await { http }) => {
            // A hook that fails has its container killed, and a pod starts without its sidecar, too.
            if !sidecar::await_started(http, sidecar::PATIENCE) {
                eprintln!("mailsluice-sidecar: no sidecar has opened its ports yet");
            }
            Ok(())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mailsluice-sidecar: {error}");
            ExitCode::FAILURE
        }
    }
}

/// On one thread: it waits most of the time for somebody else.
fn take_mail(run: Run) -> Result<(), SidecarError> {
    tls::install();
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { sidecar::run(options(run), Log::new(io::stdout())?).await })
}

fn options(run: Run) -> Options {
    let tls = run.tls.map(|tls| match tls {
        TlsBegins::StartTls => TlsMode::StartTls,
        TlsBegins::Implicit => TlsMode::Implicit,
    });
    let log_format = match run.log_format {
        Format::Json => LogFormat::Json,
        Format::Text => LogFormat::Text,
    };
    Options {
        gateway: run.gateway,
        tls,
        tls_name: run.tls_name,
        authorities: run.authorities,
        token: run.token,
        listen: run.listen,
        http: run.http,
        wait: Duration::from_secs(run.wait.into()),
        connections: run.connections.into(),
        warm: run.warm.into(),
        log_level: run.log_level,
        log_format,
    }
}

fn server_name(name: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound_and_short_where_it_can_be() {
        Cli::command().debug_assert();
        let words =
            ["mailsluice-sidecar", "run", "--gateway=outbound.mail.svc:587", "--authorities=ca", "--token=token"];
        let Ok(Command::Run(run)) = Cli::try_parse_from(words).map(|cli| cli.command) else {
            panic!("it is not taken")
        };
        let options = options(run);
        assert_eq!((options.listen.len(), options.http, options.warm), (2, HTTP, 2));
        let Ok(Command::Await(hook)) = Cli::try_parse_from(["mailsluice-sidecar", "await"]).map(|cli| cli.command)
        else {
            panic!("the hook is not taken")
        };
        assert_eq!(hook.http, options.http, "the hook looks where a sidecar is by default");
    }
}
