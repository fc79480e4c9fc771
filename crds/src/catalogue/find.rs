//! From what somebody types or pastes to the topics that it is about.

use super::{
    Alert, Code, Enhanced, Errno,
    explain::names,
    reason::{ProblemReason, Reason},
};
use crate::spelling;

/// Something that the catalogue explains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Why a host's mail waits.
    Reason(Reason),
    /// What hinders a relay as a whole.
    Problem(ProblemReason),
    /// A code.
    Code(Code),
    /// An enhanced status code without a reply.
    Enhanced(Enhanced),
}

/// The catalogue has nothing about some words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no reason or code is named {word:?}{}; without an argument, `explain` lists all", meant(.nearest))]
pub struct NotFound {
    /// What was asked for.
    pub word: String,
    /// The nearest names, the nearest first.
    pub nearest: Vec<String>,
}

fn meant(nearest: &[String]) -> String {
    if nearest.is_empty() { String::new() } else { format!("; did you mean {}?", nearest.join(" or ")) }
}

/// What the arguments are about, each topic once. An argument is a name, or a pasted line: a `problem` of the Monitor, a record of
/// the log, a host's reply. `451 4.7.1`, `TLS_ALERT 40` and `errno 111` may come in two arguments.
///
/// # Errors
/// [`NotFound`] for the first argument that is about nothing known.
pub fn topics(arguments: &[String]) -> Result<Vec<Topic>, NotFound> {
    let mut found = Vec::new();
    let mut left = arguments;
    while let Some((first, rest)) = left.split_first() {
        let pair = rest.first().and_then(|second| whole(&format!("{first} {second}")));
        left = if pair.is_some() { rest.get(1..).unwrap_or_default() } else { rest };
        let about = match pair.or_else(|| whole(first)) {
            Some(topics) => topics,
            None if first.contains(char::is_whitespace) || first.contains('"') => line(first),
            None => Vec::new(),
        };
        if about.is_empty() {
            return Err(NotFound { word: first.clone(), nearest: nearest(first) });
        }
        for topic in about {
            if !found.contains(&topic) {
                found.push(topic);
            }
        }
    }
    Ok(found)
}

/// Everything that can be asked for by its name.
pub(super) fn all() -> impl Iterator<Item = Topic> {
    let reasons = Reason::ALL.into_iter().map(Topic::Reason);
    let problems = ProblemReason::ALL.into_iter().map(Topic::Problem);
    reasons.chain(problems).chain(Code::all().map(Topic::Code))
}

/// What has this name, however it is capitalised: a reason may also be a relay's problem.
fn whole(name: &str) -> Option<Vec<Topic>> {
    let exact = exact(name);
    if !exact.is_empty() {
        return Some(exact);
    }
    let same: Vec<Topic> = all().filter(|topic| topic.explain().name.eq_ignore_ascii_case(name)).collect();
    // Numbers below those of replies are errnos.
    let errno = || name.parse().ok().filter(|number| (1..200).contains(number)).map(Errno::new);
    let alert = || Alert::all().find(|alert| alert.name().eq_ignore_ascii_case(name));
    if !same.is_empty() {
        return Some(same);
    }
    let code = errno().map(Code::System).or_else(|| alert().map(Code::Alert))?;
    Some(vec![Topic::Code(code)])
}

fn exact(name: &str) -> Vec<Topic> {
    let reason = Reason::ALL.into_iter().filter(|reason| reason.name() == name).map(Topic::Reason);
    let problem = ProblemReason::ALL.into_iter().filter(|problem| problem.name() == name).map(Topic::Problem);
    let code = Code::from_name(name).map(Topic::Code);
    let enhanced = Enhanced::from_name(name).map(Topic::Enhanced);
    reason.chain(problem).chain(code).chain(enhanced).collect()
}

/// What a line names: its reasons and codes, in their order. Numbers count only where they cannot be anything else.
fn line(text: &str) -> Vec<Topic> {
    let words: Vec<(&str, bool)> = words(text);
    let mut found = Vec::new();
    let mut at = 0;
    while let Some((word, leads)) = words.get(at).copied() {
        at += 1;
        let pair = words.get(at).map(|(next, _)| format!("{word} {next}")).unwrap_or_default();
        let number = word.bytes().all(|octet| octet.is_ascii_digit() || octet == b'.');
        if let Some(code) = Code::from_name(&pair) {
            found.push(Topic::Code(code));
            at += 1;
        } else if !number || leads {
            found.extend(exact(word));
        }
    }
    let says = |words: Option<&str>| words.is_some_and(|words| text.contains(words));
    found.extend(Reason::ALL.into_iter().filter(|reason| says(reason.entry().words)).map(Topic::Reason));
    found.extend(ProblemReason::ALL.into_iter().filter(|problem| says(problem.entry().words)).map(Topic::Problem));
    found
}

/// The words of a line; with each, whether it begins the line or what a colon leads to, and so may be a reply.
fn words(text: &str) -> Vec<(&str, bool)> {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let mut words = Vec::new();
    let mut gap = ":";
    let mut rest = text;
    while !rest.is_empty() {
        let start = rest.find(part).unwrap_or(rest.len());
        let (before, from) = rest.split_at(start);
        gap = if words.is_empty() { gap } else { before };
        let end = from.find(|c| !part(c)).unwrap_or(from.len());
        let (word, after) = from.split_at(end);
        let word = word.trim_end_matches(['.', '-']);
        if !word.is_empty() {
            // Not the port of an address, which has no blank before it.
            words.push((word, words.is_empty() || gap.ends_with(": ") || gap.ends_with(":\"")));
        }
        rest = after;
    }
    words
}

/// Names that are so near that they may have been meant.
fn nearest(word: &str) -> Vec<String> {
    const MOST: usize = 3;
    let names: Vec<String> = names().collect();
    let mut near = spelling::near(word, names.iter().map(String::as_str));
    near.dedup();
    near.into_iter().take(MOST).map(str::to_owned).collect()
}
