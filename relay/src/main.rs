//! `mailsluice-relay`: the command line of the relay.

use std::{
    error::Error,
    fs,
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use mailsluice_ctl::{completion::Completion, with_examples};
use mailsluice_relay::{
    access::{HashKind, user_line},
    control::client::Ctl,
    dkim::tool::{MakeKey, ShowRecord},
    explain::Explain,
    handover::place::Pattern,
    hello,
    log::Log,
    route::TrustAnchors,
    run::{self, RunError},
    sink,
    spool_tool::{self, SpoolCommand},
    tls,
};
use rustls::RootCertStore;
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
};

/// An SMTP relay that keeps mail safe on disk, lets it out when it is allowed to go, and says why it waits.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a relay as SMTPRelay and TCPSchedule manifests declare it.
    Run(Run),
    /// Ask a relay that runs, or tell it: status, queues, retry, hold, release, reject, drop, log level, dry run; trace a message in its log.
    Ctl(Ctl),
    /// Run an SMTP server that accepts everything: where a first try and benchmarks deliver to.
    Sink(Sink),
    /// Make a line for a Secret of users: reads the password from standard input, and prints name:hash.
    HashPassword(HashPassword),
    /// Read a spool that no relay has open: check it, list or show what waits, export messages.
    #[command(subcommand)]
    Spool(SpoolCommand),
    /// Say what a reason or a code of the Monitor means, what usually causes it, and what to do.
    Explain(Explain),
    /// Print the DNS record of a key that signs mail by DKIM.
    DkimRecord(ShowRecord),
    /// Make a key that signs mail by DKIM, and print its DNS record.
    DkimKey(MakeKey),
    /// Write what a shell reads to complete words and options.
    #[command(after_help = "Examples:\n  source <(mailsluice-relay completion bash)\n  \
                            mailsluice-relay completion zsh > ~/.zfunc/_mailsluice-relay")]
    Completion(Completion),
}

#[derive(clap::Args)]
struct Run {
    /// Files with one SMTPRelay and the TCPSchedule it refers to; `-` is standard input. They are read again when they change.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The folder of the spool [default: `spool` beside the first file].
    #[arg(long, value_name = "DIR")]
    spool: Option<PathBuf>,
    /// The address on which mail is taken, at the ports that the SMTPRelay lists.
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// Where health, metrics and the Monitor are served.
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 8025)))]
    http: SocketAddr,
    /// The DNS server to ask [default: the system's].
    #[arg(long, value_name = "ADDRESS:PORT")]
    resolver: Option<SocketAddr>,
    /// A file with the DNSKEY records from which DNSSEC proves answers [default: those of the root of the Internet].
    #[arg(long, value_name = "FILE", value_parser = trust_anchors)]
    trust_anchor: Option<TrustAnchors>,
    /// A file with the certificates, in PEM, of the authorities that vouch for public hosts [default: Mozilla's list].
    #[arg(long, value_name = "FILE", value_parser = authorities)]
    authorities: Option<RootCertStore>,
    /// A file with the SHA-256, in lower-case hexadecimal, of the credential to which the Monitor answers off loopback.
    #[arg(long, value_name = "FILE")]
    monitor_credential: Option<PathBuf>,
    /// The folder in which each Secret is a folder of its name, with a file per key [default: that of the first file].
    #[arg(long, value_name = "DIR")]
    secrets: Option<PathBuf>,
    /// Where the other pods of the relay are, with {n} for their number, to hand this one's mail to when it is scaled away: when its number is not
    /// below the one in the file `replicas` beside the first file.
    #[arg(long, value_name = "HOST:PORT", requires = "sibling_token")]
    siblings: Option<Pattern>,
    /// A file with the token of the pod's service account, made for the audience `mailsluice-siblings`, by which siblings know each other.
    #[arg(long, value_name = "FILE", requires = "siblings")]
    sibling_token: Option<PathBuf>,
    /// The pod's name, which ends in its number [default: the machine's].
    #[arg(long, value_name = "NAME")]
    pod: Option<String>,
}

#[derive(clap::Args)]
struct HashPassword {
    /// The user's name.
    name: String,
    /// What is kept of the password. With scram all mechanisms work; argon2id is the slower to guess at, for PLAIN and LOGIN alone.
    #[arg(long, value_enum, default_value_t = Kind::Scram)]
    kind: Kind,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Kind {
    Scram,
    Argon2id,
}

#[derive(clap::Args)]
struct Sink {
    /// Where to listen.
    #[arg(value_name = "ADDRESS:PORT")]
    address: SocketAddr,
    /// Print totals instead of a line for each message.
    #[arg(long)]
    quiet: bool,
    /// Keep each message as N.eml, with its envelope in N.json.
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
}

fn main() -> ExitCode {
    tls::install();
    let matches = command_line().get_matches();
    let command = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()).command;
    let mut runtime = match &command {
        // What costs little, and waits most of the time for somebody else: one thread does.
        Command::Ctl(_) => runtime::Builder::new_current_thread(),
        _ => runtime::Builder::new_multi_thread(),
    };
    let result = match runtime.enable_all().build() {
        Ok(runtime) => runtime.block_on(carry_out(command)),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("mailsluice-relay: {error}");
            ExitCode::FAILURE
        }
    }
}

fn command_line() -> clap::Command {
    Cli::command().mut_subcommand("ctl", |ctl| with_examples(ctl, "mailsluice-relay ctl"))
}

async fn carry_out(command: Command) -> Result<ExitCode, Box<dyn Error>> {
    match command {
        Command::Run(run) => relay(run).await?,
        Command::Ctl(ctl) => {
            let success = ctl.run(&mut io::stdout()).await?;
            return Ok(if success { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Sink(sink) => sink_until_stopped(sink).await?,
        Command::HashPassword(asked) => hash_password(&asked)?,
        Command::DkimRecord(command) => command.run(&mut io::stdout())?,
        Command::DkimKey(command) => command.run(&mut io::stdout())?,
        Command::Explain(command) => command.run(&mut io::stdout())?,
        Command::Spool(command) => spool_tool::run(command, &mut io::stdout()).await?,
        Command::Completion(completion) => {
            io::stdout().write_all(&completion.script(command_line(), "mailsluice-relay"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Standard input holds the password, and perhaps the end of its line.
fn hash_password(HashPassword { name, kind }: &HashPassword) -> io::Result<()> {
    let mut password = String::new();
    io::stdin().read_to_string(&mut password)?;
    let password = password.strip_suffix('\n').unwrap_or(&password);
    let password = password.strip_suffix('\r').unwrap_or(password);
    let kind = match kind {
        Kind::Scram => HashKind::Scram,
        Kind::Argon2id => HashKind::Argon2id,
    };
    let line = user_line(name, password, kind).map_err(io::Error::other)?;
    writeln!(io::stdout(), "{line}")
}

async fn relay(run: Run) -> Result<(), RunError> {
    let Run {
        files,
        spool,
        bind,
        http,
        resolver,
        trust_anchor: trust_anchors,
        authorities,
        monitor_credential,
        secrets,
        siblings,
        sibling_token,
        pod,
    } = run;
    let family = siblings.zip(sibling_token).map(|(siblings, token)| {
        let pod = pod.unwrap_or_else(hello::machine);
        run::Family { siblings, token, pod }
    });
    let options = run::Options {
        files,
        spool,
        bind,
        http,
        resolver,
        trust_anchors,
        authorities,
        monitor_credential,
        secrets,
        family,
    };
    let log = Log::new(io::stdout())?;
    run::run(options, log).await
}

fn trust_anchors(file: &str) -> Result<TrustAnchors, String> {
    let anchors = TrustAnchors::from_file(Path::new(file)).map_err(|error| error.to_string())?;
    if anchors.is_empty() { Err("no DNSKEY record in it".to_owned()) } else { Ok(anchors) }
}

fn authorities(file: &str) -> Result<RootCertStore, String> {
    let text = fs::read(file).map_err(|error| error.to_string())?;
    tls::read_authorities(&text).map_err(|error| error.to_string())
}

async fn sink_until_stopped(sink: Sink) -> Result<(), RunError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stopped = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let Sink { address, quiet, save } = sink;
    sink::run(sink::Options { address, quiet, save }, stopped).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound_and_every_shell_completes_it() {
        command_line().debug_assert();
        for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
            let cli = Cli::try_parse_from(["mailsluice-relay", "completion", shell]).map(|cli| cli.command);
            let Ok(Command::Completion(completion)) = cli else { panic!("{shell} is not known") };
            let script = completion.script(command_line(), "mailsluice-relay");
            assert!(String::from_utf8_lossy(&script).contains("release"), "{shell}");
        }
    }
}
