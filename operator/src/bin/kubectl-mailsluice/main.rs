//! `kubectl-mailsluice`, which kubectl runs as `kubectl mailsluice`: why mail waits, and what to do about it.
//!
//! - [`options`]: what is typed; the words themselves are `mailsluice-ctl`'s, which a relay understands without a cluster too;
//! - [`access`]: the way to the cluster, and which right is missing; [`relay`]: the relay that is meant, and its pods;
//! - [`exec`]: runs a command in a pod; [`words`]: says a word in all of them; [`event`]: tells the cluster of what was done;
//! - [`status`]: what the resource says, where its pods may not be asked;
//! - [`monitor`]: the live table; [`trace`]: the life of a message, out of pods' logs ([`log`]); [`support`]: the archive for who is to help;
//! - [`inject`]: brings sidecars into manifests;
//! - [`error`]: what stops it, with what to do; [`text`]: how times and strangers' texts are shown.

mod access;
mod error;
mod event;
mod exec;
mod inject;
mod log;
mod monitor;
mod options;
mod relay;
mod status;
mod support;
mod text;
mod trace;
mod words;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use mailsluice_ctl::{Output, RelayWord, Shown, Word};

use access::Cluster;
use error::PluginError;
use options::{Cli, Command, NAME, PROGRAM, Where};
use relay::Found;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = options::parsed();
    // One provider for the whole process; a second installation is the same one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match run(cli).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{NAME}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Carries it out; says whether what was asked for was found and done.
async fn run(Cli { place, output, command }: Cli) -> Result<bool, PluginError> {
    let Shown { text, success } = match command {
        Command::Completion(completion) => {
            let script = completion.script(options::command(), PROGRAM);
            Shown { text: String::from_utf8_lossy(&script).into_owned(), success: true }
        }
        Command::Word(Word::Explain(explain)) => explain.show(output).map_err(PluginError::Unexplained)?,
        Command::Word(Word::Relay(RelayWord::Status)) => {
            let cluster = Cluster::connect(&place).await?;
            let relay = relay::find(&cluster, place.relay.as_deref()).await?;
            status::show(&cluster, relay, output).await?
        }
        Command::Word(Word::Relay(RelayWord::Monitor)) if output == Output::Table => {
            let (cluster, found) = found(&place).await?;
            monitor::watch(&cluster, found).await?;
            return Ok(true);
        }
        Command::Word(Word::Relay(word)) => {
            let (cluster, found) = found(&place).await?;
            words::say(&cluster, &found, &word, output).await?
        }
        Command::Trace(wanted) => {
            let (cluster, found) = found(&place).await?;
            trace::show(&cluster, &found, &wanted, output).await?
        }
        Command::Inject(wanted) => Shown { text: inject::injected(&wanted)?, success: true },
        Command::Support(wanted) => {
            let (cluster, found) = found(&place).await?;
            support::make(&cluster, &found, &wanted).await?
        }
    };
    write(&text)?;
    Ok(success)
}

async fn found(place: &Where) -> Result<(Cluster, Found), PluginError> {
    let cluster = Cluster::connect(place).await?;
    let relay = relay::find(&cluster, place.relay.as_deref()).await?;
    let found = relay::with_pods(&cluster, relay).await?;
    Ok((cluster, found))
}

/// Writes to standard output. One who reads no further, as `head` does, is no error.
fn write(text: &str) -> Result<(), PluginError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(PluginError::io("standard output")(error)),
        _ => Ok(()),
    }
}
