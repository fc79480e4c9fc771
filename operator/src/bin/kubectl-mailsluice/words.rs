//! The words that a relay understands, said in each of its pods, and their answers together.

use std::time::Duration;

use futures::future::join_all;
use mailsluice_ctl::{
    Line, Output, Question as _, RelayWord, Said, Shown,
    words::act::{Act, Acted, Done},
};
use serde_json::Value;

use crate::{
    access::Cluster,
    error::{PluginError, PodError},
    event::{self, Deed},
    exec::{self, ExecError},
    relay::Found,
};

/// The relay's program in its image, and the word by which it speaks to the relay that runs beside it.
const PROGRAM: [&str; 2] = ["/mailsluice-relay", "ctl"];

/// A word may take so long: a test of an address waits for hosts that do not answer.
const LIMIT: Duration = Duration::from_secs(300);

/// What the pods said.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// Answers.
    pub(crate) said: Vec<Said<Value>>,
    /// Pods without one.
    pub(crate) faults: Vec<PodError>,
}

/// Says a word in each pod whose relay runs, and shows what they answer. An action is told by an Event, too.
pub(crate) async fn say(
    cluster: &Cluster,
    found: &Found,
    word: &RelayWord,
    output: Output,
) -> Result<Shown, PluginError> {
    let who = event::user(cluster).await?;
    let answers = ask(cluster, found, word, &who, LIMIT).await?;
    if let Some(deed) = deed(word, &who, &answers.said) {
        // It is done, and in the relays' logs; an Event that cannot be made does not undo it.
        if let Err(error) = event::publish(cluster, &found.relay, &who, &deed).await {
            eprintln!("{}: done, but without an Event: {error}", crate::options::NAME);
        }
    }
    let complete = answers.faults.is_empty();
    report(&answers.faults);
    let shown = word.show(answers.said, output).map_err(|error| PluginError::Answer(error.to_string()))?;
    Ok(Shown { success: shown.success && complete, ..shown })
}

/// Asks all pods whose relay runs, at the same time.
///
/// # Errors
/// When no pod runs, when none gave an answer, or when they may not be asked.
pub(crate) async fn ask(
    cluster: &Cluster,
    found: &Found,
    word: &RelayWord,
    who: &Line,
    limit: Duration,
) -> Result<Answers, PluginError> {
    let (running, others) = found.running();
    if running.is_empty() {
        let (relay, namespace) = (found.name(), cluster.namespace.clone());
        return Err(PluginError::NoPodRuns { relay, namespace, pods: others });
    }
    let command = command(word, who);
    let asked = running.iter().map(|pod| exec::run(cluster, pod, &command, limit));
    let mut answers = Answers::default();
    let mut refused = None;
    for (pod, answer) in running.iter().zip(join_all(asked).await) {
        // Whether what was asked for is there is for the answers of all pods together to tell: an answer counts, however the
        // command ended.
        let answer = answer.and_then(|ended| {
            let none = |_| ExecError::Pod(PodError { pod: pod.clone(), said: ended.fault() });
            serde_json::from_slice(&ended.output).map_err(none)
        });
        match answer {
            Ok(answer) => answers.said.push(Said { pod: Some(pod.clone()), answer }),
            Err(ExecError::Refused(error)) => {
                answers.faults.push(PodError { pod: pod.clone(), said: error.to_string() });
                refused = Some(error);
            }
            Err(ExecError::Pod(fault)) => answers.faults.push(fault),
        }
    }
    if answers.said.is_empty() {
        return Err(refused.unwrap_or(PluginError::Pods { faults: answers.faults }));
    }
    let others = others.into_iter().map(|(pod, state)| PodError { pod, said: format!("does not run: {state}") });
    answers.faults.extend(others);
    Ok(answers)
}

/// What is run in a pod.
fn command(word: &RelayWord, who: &Line) -> Vec<String> {
    // A name that begins with a hyphen is no option.
    let options = [format!("--by={who}"), "--output=json".to_owned()];
    PROGRAM.map(ToOwned::to_owned).into_iter().chain(options).chain(word.arguments()).collect()
}

/// Writes to standard error which pods have no part in the answer.
pub(crate) fn report(faults: &[PodError]) {
    for fault in faults {
        eprintln!("{}: {fault}", crate::options::NAME);
    }
}

/// What an Event is to tell of the word, if it is an action and there was something to do.
fn deed(word: &RelayWord, who: &Line, said: &[Said<Value>]) -> Option<Deed> {
    let (path, question) = word.question(who);
    if path != Act::PATH {
        return None;
    }
    let Act { verb, targets, reason, .. } = serde_json::from_value(question).ok()?;
    let targets: Vec<String> = targets.iter().map(ToString::to_string).collect();
    let done: Vec<Done> = said.iter().flat_map(done).filter(|done| done.found).collect();
    let messages = done.iter().map(|done| done.messages).sum();
    let deed = Deed { verb, target: targets.join(", "), why: reason.map(String::from), messages };
    (!done.is_empty()).then_some(deed)
}

/// What came of an action in a pod.
fn done(Said { answer, .. }: &Said<Value>) -> Vec<Done> {
    serde_json::from_value(answer.clone()).map(|Acted { results, .. }| results).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use mailsluice_ctl::{Word, words::act::Verb};
    use serde_json::json;

    use super::*;
    use crate::options::{Cli, Command};

    fn word(typed: &str) -> RelayWord {
        match Cli::try_parse_from(format!("kubectl-mailsluice {typed}").split(' ')).unwrap().command {
            Command::Word(Word::Relay(word)) => word,
            other => panic!("{other:?}"),
        }
    }

    fn who() -> Line {
        "-ann".parse().unwrap()
    }

    fn acted(pod: &str, found: bool, messages: u64) -> Said<Value> {
        let answer = json!({"now": "2026-11-24T07:00:00Z", "verb": "Reject", "results":
            [{"target": {"host": "example.com"}, "found": found, "messages": messages}]});
        Said { pod: Some(pod.to_owned()), answer }
    }

    #[test]
    fn a_word_goes_to_a_pod_as_it_was_typed_with_who_typed_it() {
        assert_eq!(
            command(&word("hold example.com --reason moves"), &who()),
            ["/mailsluice-relay", "ctl", "--by=-ann", "--output=json", "hold", "--reason", "moves", "example.com"]
        );
    }

    #[test]
    fn an_action_that_was_done_is_told_and_nothing_else_is() {
        let rejected = Deed { verb: Verb::Reject, target: "example.com".into(), why: Some("spam".into()), messages: 5 };
        for (typed, said, wanted) in [
            ("reject example.com --reason spam", vec![acted("p-0", true, 2), acted("p-1", true, 3)], Some(&rejected)),
            ("reject example.com --reason spam", vec![acted("p-0", false, 0), acted("p-1", true, 5)], Some(&rejected)),
            ("reject example.com --reason spam", vec![acted("p-0", false, 0)], None),
            ("queue example.com", Vec::new(), None),
        ] {
            assert_eq!(deed(&word(typed), &who(), &said).as_ref(), wanted, "{typed}");
        }
    }
}
