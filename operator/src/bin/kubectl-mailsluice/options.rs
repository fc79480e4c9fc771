//! What is typed.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use mailsluice_ctl::{Output, Word, completion::Completion, with_examples};

use crate::{inject, support, trace};

/// As people type it.
pub(crate) const NAME: &str = "kubectl mailsluice";

/// The program's file, by which kubectl finds it and shells complete it.
pub(crate) const PROGRAM: &str = "kubectl-mailsluice";

/// Asks and tells the relays of an SMTPRelay: why mail waits, and what to do about it.
///
/// The words go to the relay in each of its pods, by the API server: what you may do is what RBAC lets you do there.
#[derive(Debug, Parser)]
#[command(name = PROGRAM, bin_name = NAME, version)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) place: Where,
    /// How the answer is written.
    #[arg(short, long, value_enum, default_value_t, global = true)]
    pub(crate) output: Output,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which relay is meant, and how its cluster is reached.
#[derive(Debug, Clone, Args)]
pub(crate) struct Where {
    /// The SMTPRelay; need not be said where its namespace has only one.
    #[arg(short, long, value_name = "NAME", global = true)]
    pub(crate) relay: Option<String>,
    /// The SMTPRelay's namespace [default: the context's].
    #[arg(short, long, value_name = "NAMESPACE", global = true)]
    pub(crate) namespace: Option<String>,
    /// The context of the kubeconfig [default: its current one].
    #[arg(long, value_name = "NAME", global = true)]
    pub(crate) context: Option<String>,
    /// The kubeconfig [default: that of kubectl].
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) kubeconfig: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Word(Word),
    /// Tell the whole life of a message, from the logs of all pods.
    Trace(trace::Wanted),
    /// Write an archive for who is to help: a summary, the Monitor, logs around the last changes, resources, versions, clocks.
    Support(support::Wanted),
    /// Write manifests with the sidecar in all pods that have the label mailsluice.dev/inject.
    Inject(inject::Wanted),
    /// Write what a shell reads to complete words and options.
    Completion(Completion),
}

/// Examples of the words that are the plugin's own.
const TRACE: &str = "\
Examples:
  kubectl mailsluice trace 00064A7B0C1D2E3F
      how a message came, what was tried, and what became of it";

const SUPPORT: &str = "\
Examples:
  kubectl mailsluice support
      writes mailsluice-support-RELAY-TIME.tar.gz
  kubectl mailsluice support -n shop --describe 'mail to example.com is hours late'
      with what you see, on its first page
  kubectl mailsluice support --mail support@example.org --smtp mail.example.org
      sends it as well; only the summary can be read without opening the archive";

const INJECT: &str = "\
Examples:
  kubectl mailsluice inject --image registry.example/mailsluice-relay:0.1.0 -f checkout.yaml | kubectl apply -f -
      all documents are written again; those without the label as they are";

const COMPLETION: &str = "\
Examples:
  source <(kubectl mailsluice completion bash)
      completes `kubectl-mailsluice`
  kubectl mailsluice completion zsh > ~/.zfunc/_kubectl-mailsluice";

/// The command line, with examples in the help of each word.
pub(crate) fn command() -> clap::Command {
    with_examples(Cli::command(), NAME)
        .mut_subcommand("trace", |trace| trace.after_help(TRACE))
        .mut_subcommand("support", |support| support.after_help(SUPPORT))
        .mut_subcommand("inject", |inject| inject.after_help(INJECT))
        .mut_subcommand("completion", |completion| completion.after_help(COMPLETION))
}

/// What was typed; ends the process with help or an error where it makes no sense.
pub(crate) fn parsed() -> Cli {
    let matches = command().get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound_and_each_word_has_examples() {
        command().debug_assert();
        for word in command().get_subcommands() {
            let help = word.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(NAME), "{}: {help}", word.get_name());
        }
    }

    #[test]
    fn the_place_may_be_said_before_and_after_the_word() {
        for typed in [
            "kubectl-mailsluice -n shop -r outbound queue example.com -o json",
            "kubectl-mailsluice queue example.com -n shop -r outbound -o json",
        ] {
            let cli = Cli::try_parse_from(typed.split(' ')).unwrap();
            assert_eq!((cli.place.namespace.as_deref(), cli.place.relay.as_deref()), (Some("shop"), Some("outbound")));
            assert_eq!(cli.output, Output::Json);
        }
    }
}
