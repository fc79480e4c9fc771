//! The first page of the archive: what is wrong, in the Monitor's words, and what to do.

use std::fmt::Write as _;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use mailsluice_crds::{
    SMTPRelayStatus,
    catalogue::Topic,
    monitor::{HostRow, HostState},
};
use mailsluice_operator::monitor::Merged;

use super::clock::Reading;
use crate::{
    error::PodError,
    text::{age, clean, counted, length, moment},
};

/// Hosts told of at most; the others are in the Monitors.
const HOSTS: usize = 25;
/// Clients told of at most.
const CLIENTS: usize = 25;
/// Events told of at most.
const EVENTS: usize = 15;

/// All that the page is drawn from.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// The relay's name.
    pub(crate) relay: String,
    /// Its namespace.
    pub(crate) namespace: String,
    /// When the archive is made.
    pub(crate) at: Timestamp,
    /// What the person who asks for support says about it.
    pub(crate) description: Option<String>,
    /// The relay's status.
    pub(crate) status: SMTPRelayStatus,
    /// The pods' Monitors as one, where any could be read.
    pub(crate) merged: Option<Merged>,
    /// Pods that do not run, with what they are instead.
    pub(crate) not_running: Vec<(String, String)>,
    /// What could not be read, and why.
    pub(crate) unread: Vec<String>,
    /// Pods whose Monitor could not be read.
    pub(crate) silent: Vec<PodError>,
    /// Names and versions.
    pub(crate) versions: Vec<(String, String)>,
    /// The clocks.
    pub(crate) clocks: Vec<Reading>,
    /// Events, the newest first, each as one line.
    pub(crate) events: Vec<String>,
    /// The paths of the other files.
    pub(crate) files: Vec<String>,
}

/// The page, in Markdown.
pub(crate) fn page(facts: &Facts) -> String {
    let mut page = String::new();
    let Facts { relay, namespace, at, .. } = facts;
    let _ = writeln!(page, "# Support for SMTPRelay {relay} in namespace {namespace}\n");
    let _ = writeln!(page, "Made at {} by kubectl mailsluice {}.\n", moment(*at), env!("CARGO_PKG_VERSION"));
    if let Some(description) = &facts.description {
        let _ = writeln!(page, "## As its administrator sees it\n\n{description}\n");
    }
    let _ = writeln!(page, "## What is wrong\n");
    let wrong: Vec<String> = wrong(facts);
    if wrong.is_empty() {
        let _ = writeln!(page, "Nothing that the Monitor, the conditions or the clocks would show.");
    }
    for item in wrong {
        let _ = writeln!(page, "- {item}");
    }
    if let Some(merged) = &facts.merged {
        waiting(&mut page, merged, *at);
    }
    let clients = facts.merged.iter().flat_map(|merged| crate::monitor::refused(merged, *at));
    section(&mut page, "Clients refused in the last day", clients.take(CLIENTS));
    section(&mut page, "Versions", facts.versions.iter().map(|(name, version)| format!("{name}: {version}")));
    section(&mut page, "Clocks, against this machine's", facts.clocks.iter().map(Reading::text));
    section(&mut page, "Events, the newest first", facts.events.iter().take(EVENTS).map(|event| clean(event)));
    section(&mut page, "What could not be read", facts.unread.iter().map(|what| clean(what)));
    section(&mut page, "In this archive", facts.files.iter().cloned());
    page.push_str(
        "\nIt has no Secret, no text of a message, and no value of an environment variable or of an annotation. It does have the\n\
         names of hosts and clients, and there and in the logs addresses of senders and recipients and what hosts answered.\n",
    );
    page
}

fn section(page: &mut String, heading: &str, items: impl Iterator<Item = String>) {
    let mut items = items.peekable();
    if items.peek().is_none() {
        return;
    }
    let _ = writeln!(page, "\n## {heading}\n");
    for item in items {
        let _ = writeln!(page, "- {item}");
    }
}

/// What is wrong with the relay as a whole, the worst first.
fn wrong(facts: &Facts) -> Vec<String> {
    let mut wrong = Vec::new();
    for problem in facts.merged.iter().flat_map(|merged| &merged.problems) {
        let for_how_long = age(problem.since, facts.at);
        let (reason, advice) = (problem.reason.name(), problem.reason.entry().advice);
        wrong.push(format!("**{reason}** (for {for_how_long}): {}. To do: {advice}", clean(&problem.message)));
    }
    for (pod, state) in &facts.not_running {
        wrong.push(format!("Pod {pod} does not run: {state}"));
    }
    for error in &facts.silent {
        wrong.push(format!("The Monitor of {}", clean(&error.to_string())));
    }
    for condition in facts.status.conditions.iter().filter(|condition| is_bad(condition)) {
        let Condition { type_, status, reason, message, .. } = condition;
        wrong.push(format!("Condition {type_} is {status}, {reason}: {}", clean(message)));
    }
    for reading in facts.clocks.iter().filter(|reading| reading.is_off()) {
        wrong.push(format!("Clock: {}", reading.text()));
    }
    wrong
}

fn is_bad(condition: &Condition) -> bool {
    !crate::status::is_well(condition)
}

/// The mail that waits, host by host.
fn waiting(page: &mut String, merged: &Merged, now: Timestamp) {
    let _ = writeln!(page, "\n## Mail that waits\n");
    let queue = &merged.queue;
    let hosts = counted(queue.hosts.into(), "host");
    let _ = writeln!(
        page,
        "{} for {hosts}, {} of them suspended.",
        counted(queue.messages, "message"),
        queue.suspended_hosts
    );
    let held = |row: &&HostRow| matches!(row.state, HostState::Suspended | HostState::Held) || row.last_error.is_some();
    for row in merged.rows.iter().filter(held).take(HOSTS) {
        let _ =
            writeln!(page, "\n### {}{}\n", if row.state == HostState::Suspended { "◷ " } else { "" }, clean(&row.host));
        let oldest = row.oldest.map(|oldest| format!(", the oldest for {}", age(oldest, now))).unwrap_or_default();
        let _ = writeln!(page, "- {:?}: {}{oldest}", row.state, counted(row.messages, "message"));
        if let Some(till) = row.suspended_till {
            let _ =
                writeln!(page, "- Suspended Till {}, in {}", moment(till), length(till.as_second() - now.as_second()));
        }
        if let Some(problem) = &row.problem {
            let _ = writeln!(page, "- Problem: {}", clean(problem));
        }
        if let Some(error) = &row.last_error {
            let said = format!("{}, {} ago: {}", error.place(), age(error.at, now), error.text);
            let _ = writeln!(page, "- Last error: {}", clean(&said));
            let _ = writeln!(page, "- To do: {}", Topic::Code(error.code.clone()).explain().advice);
        } else if let Some(reason) = row.reason {
            let _ = writeln!(page, "- To do: {}", reason.entry().advice);
        }
    }
    let shown = merged.rows.iter().filter(held).count();
    if shown > HOSTS {
        let _ = writeln!(page, "\n{} more are in monitor/.", counted((shown - HOSTS) as u64, "host"));
    }
}
