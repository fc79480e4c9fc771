//! The words, a file for each: its arguments, its question to a relay, the answer, and how that is shown to people.

pub mod act;
mod clients;
pub mod explain;
pub mod level;
pub mod monitor;
pub mod queue;
pub mod status;
pub mod test;

use clap::{Command, Subcommand};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    Line, Output, Said, Shown,
    output::{NotUnderstood, show},
};
use act::{Act, Acted, Verb, What};
use explain::Explain;
use level::{LevelSet, SetLevel, Wanted};
use monitor::{MonitorAsked, MonitorSaid};
use queue::{QueueAsked, QueueSaid};
use status::{StatusAsked, StatusSaid};
use test::{Test, Tested};

/// What is asked of a relay, as JSON to a path of its control socket.
pub trait Question: Serialize + DeserializeOwned {
    /// The path.
    const PATH: &'static str;
    /// What comes back.
    type Answer: Answer;
}

/// What a relay answers.
pub trait Answer: Serialize + DeserializeOwned {
    /// The answers of one relay, or of several pods, as people read them: lines with their ends.
    fn table(said: &[Said<Self>]) -> String;

    /// Whether what was asked for was found and done.
    fn is_success(_said: &[Said<Self>]) -> bool {
        true
    }
}

/// A word.
#[derive(Clone, Debug, Subcommand)]
pub enum Word {
    /// A relay is asked or told.
    #[command(flatten)]
    Relay(RelayWord),
    /// Say what a reason or a code of the Monitor means, what usually causes it, and what to do.
    Explain(Explain),
}

/// What a relay can be asked and told.
#[derive(Clone, Debug, Subcommand)]
pub enum RelayWord {
    /// Show what support asks first: version, link, queue, log level, problems, holds, the worst hosts, and clients that were refused.
    Status,
    /// Show the SMTP Monitor: each host that mail waits for, and why.
    Monitor,
    /// List the queues, or the messages that wait for a host.
    Queue(QueueAsked),
    /// Try mail now: lifts suspensions after failures. What the TCP Schedule, a rate or a hold keeps waiting still waits.
    Retry(What),
    /// Hold mail till it is released; what comes in for a held host waits too.
    Hold(What),
    /// Let held mail go.
    Release(What),
    /// Return mail to its senders as undeliverable, with the reason.
    Reject(What),
    /// Remove mail without telling anybody.
    Drop(What),
    /// Change the Log Level while the relay works, till the time is over or the configuration is read again.
    Log(Wanted),
    /// Try how far mail for an address would come now: access, route, schedule, DNS, connection, TLS, login, recipient. Sends none.
    Test(test::Wanted),
}

impl RelayWord {
    /// The path and the question for a relay, on behalf of `by`.
    #[must_use]
    pub fn question(&self, by: &Line) -> (&'static str, Value) {
        let act = |verb, what| ask(&Act::new(verb, what, by));
        match self {
            RelayWord::Status => ask(&StatusAsked {}),
            RelayWord::Monitor => ask(&MonitorAsked {}),
            RelayWord::Queue(asked) => ask(asked),
            RelayWord::Retry(what) => act(Verb::Retry, what),
            RelayWord::Hold(what) => act(Verb::Hold, what),
            RelayWord::Release(what) => act(Verb::Release, what),
            RelayWord::Reject(what) => act(Verb::Reject, what),
            RelayWord::Drop(what) => act(Verb::Drop, what),
            RelayWord::Log(wanted) => ask(&SetLevel::new(wanted, by)),
            RelayWord::Test(wanted) => ask(&Test::new(wanted, by)),
        }
    }

    /// The word and its arguments as they are typed, for a relay elsewhere that is asked by the same words.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        match self {
            RelayWord::Status => vec!["status".to_owned()],
            RelayWord::Monitor => vec!["monitor".to_owned()],
            RelayWord::Queue(asked) => asked.arguments(),
            RelayWord::Retry(what) => what.arguments(Verb::Retry),
            RelayWord::Hold(what) => what.arguments(Verb::Hold),
            RelayWord::Release(what) => what.arguments(Verb::Release),
            RelayWord::Reject(what) => what.arguments(Verb::Reject),
            RelayWord::Drop(what) => what.arguments(Verb::Drop),
            RelayWord::Log(wanted) => wanted.arguments(),
            RelayWord::Test(wanted) => wanted.arguments(),
        }
    }

    /// The answers to this word's question as they are to be written.
    ///
    /// # Errors
    /// [`NotUnderstood`] where one of them is not what this version of the word expects.
    pub fn show(&self, said: Vec<Said<Value>>, output: Output) -> Result<Shown, NotUnderstood> {
        match self {
            RelayWord::Status => show::<StatusSaid>(said, output),
            RelayWord::Monitor => show::<MonitorSaid>(said, output),
            RelayWord::Queue(_) => show::<QueueSaid>(said, output),
            RelayWord::Retry(_)
            | RelayWord::Hold(_)
            | RelayWord::Release(_)
            | RelayWord::Reject(_)
            | RelayWord::Drop(_) => show::<Acted>(said, output),
            RelayWord::Log(_) => show::<LevelSet>(said, output),
            RelayWord::Test(_) => show::<Tested>(said, output),
        }
    }
}

fn ask<Q: Question>(question: &Q) -> (&'static str, Value) {
    // A question is plain data, which always has a JSON form.
    (Q::PATH, serde_json::to_value(question).unwrap_or_default())
}

/// What is typed after a word, and what it does.
type Examples = &'static [(&'static str, &'static str)];

const EXAMPLES: &[(&str, Examples)] = &[
    ("status", &[("", "how the relay does"), ("-o yaml", "the same for a file")]),
    ("monitor", &[("", "each host, and why its mail waits"), ("-o json", "the same for a program")]),
    ("queue", queue::EXAMPLES),
    ("retry", act::RETRY),
    ("hold", act::HOLD),
    ("release", act::RELEASE),
    ("reject", act::REJECT),
    ("drop", act::DROP),
    ("log", level::EXAMPLES),
    ("test", test::EXAMPLES),
    ("explain", explain::EXAMPLES),
];

/// Adds examples to the help of each word of `command`, which is typed as `program`.
#[must_use]
pub fn with_examples(mut command: Command, program: &str) -> Command {
    for (word, examples) in EXAMPLES {
        let line = |(typed, does): &(&str, &str)| {
            format!("  {program} {word} {typed}").trim_end().to_owned() + &format!("\n      {does}\n")
        };
        let text = format!("Examples:\n{}", examples.iter().map(line).collect::<String>());
        if command.find_subcommand(word).is_some() {
            command = command.mut_subcommand(*word, |subcommand| subcommand.after_help(text.trim_end().to_owned()));
        }
    }
    command
}

#[cfg(test)]
mod tests;
