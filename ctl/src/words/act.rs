//! `retry`, `hold`, `release`, `reject`, `drop`: by host, by message, or for all mail.

use std::collections::BTreeSet;

use clap::Args;
use jiff::Timestamp;
use mailsluice_crds::monitor::{HostRow, HostState};
use serde::{Deserialize, Serialize};

use super::{Answer, Examples, Question};
use crate::{
    Line, Said, Target,
    table::{counted, plain},
};

/// Hosts of a target that are named because their mail waits all the same.
pub const STILL_WAITING: usize = 10;

pub(super) const RETRY: Examples = &[
    ("example.com", "try a host at once, now that it works again"),
    ("00064A7B0C1D2E3F", "try one message, and its hosts"),
    ("--all --reason 'the network is back'", "try everything"),
];
pub(super) const HOLD: Examples = &[
    ("example.com --reason 'their server moves'", "hold what waits for a host, and what comes"),
    ("00064A7B0C1D2E3F", "hold one message"),
    ("--all", "hold everything; mail is still accepted"),
];
pub(super) const RELEASE: Examples = &[
    ("example.com", "let a host's mail go, and those of its messages that are held singly"),
    ("--all --reason 'checked'", "let everything go that is held"),
];
pub(super) const REJECT: Examples = &[
    ("00064A7B0C1D2E3F --reason 'sent by a program gone wild'", "return a message to its sender"),
    ("example.invalid --reason 'no such domain'", "return all that waits for a host"),
];
pub(super) const DROP: Examples = &[
    ("00064A7B0C1D2E3F --reason spam", "remove a message without a report"),
    ("example.invalid", "remove all that waits for a host"),
];

/// What is acted on, and why.
#[derive(Clone, Debug, Args)]
pub struct What {
    /// Hosts as the Monitor names them, and messages by their ids.
    #[arg(value_name = "HOST|MESSAGE-ID", required_unless_present = "all", conflicts_with = "all")]
    targets: Vec<Target>,
    /// All mail.
    #[arg(long)]
    all: bool,
    /// Why, for the log, the Monitor and, of a rejected message, its sender.
    #[arg(long, value_name = "TEXT")]
    reason: Option<Line>,
}

impl What {
    /// What is acted on, each once.
    fn targets(&self) -> Vec<Target> {
        if self.all {
            return vec![Target::All];
        }
        let mut known = BTreeSet::new();
        self.targets.iter().filter(|target| known.insert(*target)).cloned().collect()
    }

    pub(super) fn arguments(&self, verb: Verb) -> Vec<String> {
        let all = self.all.then(|| "--all".to_owned());
        let reason = self.reason.iter().flat_map(|reason| ["--reason".to_owned(), reason.to_string()]);
        let targets = self.targets.iter().map(ToString::to_string);
        std::iter::once(verb.word().to_owned()).chain(all).chain(reason).chain(targets).collect()
    }
}

/// What is done about mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verb {
    /// It is tried now.
    Retry,
    /// It waits till it is released.
    Hold,
    /// It is held no longer.
    Release,
    /// It goes back to its senders.
    Reject,
    /// It is removed.
    Drop,
}

impl Verb {
    /// As it is typed.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Verb::Retry => "retry",
            Verb::Hold => "hold",
            Verb::Release => "release",
            Verb::Reject => "reject",
            Verb::Drop => "drop",
        }
    }

    /// What has become of mail.
    #[must_use]
    pub const fn done(self) -> &'static str {
        match self {
            Verb::Retry => "due now",
            Verb::Hold => "held",
            Verb::Release => "released",
            Verb::Reject => "returned",
            Verb::Drop => "removed",
        }
    }
}

/// Does something about mail.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Act {
    /// What is done.
    pub verb: Verb,
    /// To which mail.
    pub targets: Vec<Target>,
    /// Who does it.
    pub by: Line,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Line>,
}

impl Act {
    pub(super) fn new(verb: Verb, what: &What, by: &Line) -> Act {
        Act { verb, targets: what.targets(), by: by.clone(), reason: what.reason.clone() }
    }
}

impl Question for Act {
    const PATH: &'static str = "/act";
    type Answer = Acted;
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acted {
    /// What the relay's clock shows.
    pub now: Timestamp,
    /// What was to be done.
    pub verb: Verb,
    /// What came of it, target by target.
    pub results: Vec<Done>,
}

/// What came of an action for one of its targets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    /// The target.
    pub target: Target,
    /// Whether there is such mail here, or what was to be released was held. A hold is always found: it also counts for what comes.
    pub found: bool,
    /// Messages to which it was done; one that goes to several hosts counts at each.
    pub messages: u64,
    /// Messages that were being sent at that moment. They are neither returned nor removed; a hold catches them if they come back.
    #[serde(default)]
    pub sending: u64,
    /// Messages that could not be returned or removed, because the spool has no room or cannot give them back. They wait as before.
    #[serde(default)]
    pub failed: u64,
    /// Hosts whose mail waits all the same, and why; at most [`STILL_WAITING`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<HostRow>,
    /// How many are left out of them.
    #[serde(default)]
    pub waiting_not_shown: u64,
}

impl Answer for Acted {
    fn table(said: &[Said<Self>]) -> String {
        let mut text = String::new();
        for Said { pod, answer } in said {
            for done in &answer.results {
                if done.found || !is_found(said, &done.target) && is_first(said, pod.as_ref()) {
                    let whose = pod.as_ref().filter(|_| done.found).map(|pod| format!("{pod}: ")).unwrap_or_default();
                    text.push_str(&whose);
                    text.push_str(&line(answer.verb, done));
                    text.push('\n');
                    text.extend(done.waiting.iter().map(still_waiting));
                    if done.waiting_not_shown > 0 {
                        text.push_str(&format!("  and {} more hosts wait\n", done.waiting_not_shown));
                    }
                }
            }
        }
        text
    }

    /// Every target was found somewhere, and nothing failed.
    fn is_success(said: &[Said<Self>]) -> bool {
        let mut all = said.iter().flat_map(|said| &said.answer.results);
        all.all(|done| done.failed == 0 && is_found(said, &done.target))
    }
}

fn is_found(said: &[Said<Acted>], target: &Target) -> bool {
    said.iter().flat_map(|said| &said.answer.results).any(|done| done.found && done.target == *target)
}

fn is_first(said: &[Said<Acted>], pod: Option<&String>) -> bool {
    said.first().is_some_and(|first| first.pod.as_ref() == pod)
}

fn line(verb: Verb, done: &Done) -> String {
    let Done { target, found, messages, sending, failed, .. } = done;
    if !found {
        return match (verb, target) {
            (Verb::Release, _) => format!("{target}: not held"),
            (_, Target::All) => "no mail waits".to_owned(),
            (_, Target::Host(host)) => format!("{host}: no mail waits for it"),
            (_, Target::Message(id)) => format!("{id}: no such message waits"),
        };
    }
    let mut line = format!("{target}: {} {}", counted(*messages, "message"), verb.done());
    if verb == Verb::Hold && !matches!(target, Target::Message(_)) {
        line.push_str(", and what comes");
    }
    if *sending > 0 {
        let is = if *sending == 1 { "is" } else { "are" };
        let what = match verb {
            Verb::Hold => "held if it comes back",
            Verb::Retry | Verb::Release => "going out already",
            Verb::Reject | Verb::Drop => "left alone",
        };
        line.push_str(&format!("; {} {is} being sent at this moment: {what}", counted(*sending, "message")));
    }
    if *failed > 0 {
        line.push_str(&format!("; {} could not be and waits as before: see the log", counted(*failed, "message")));
    }
    line
}

fn still_waiting(row: &HostRow) -> String {
    let state = if row.state == HostState::Held { "held" } else { "waiting" };
    let why = match (row.reason, &row.problem) {
        (Some(reason), Some(problem)) => format!(": {}: {problem}", reason.name()),
        _ => String::new(),
    };
    plain(&format!("  {} is still {state}{why}", row.host)) + "\n"
}
