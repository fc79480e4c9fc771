//! The status of an SMTPRelay: drawn from what is so, as a pure function.
//!
//! A file for each condition; [`transition`] settles them against the ones before, [`pacing`] says when the result is
//! worth a write, and [`refusal`] what of it an older definition takes.

mod available;
mod clients;
mod delivering;
mod injected;
pub mod pacing;
mod paused;
mod problem;
mod progressing;
mod ready;
pub mod refusal;
mod storage;
pub mod transition;

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use mailsluice_crds::{
    SMTPRelayStatus,
    monitor::{Link, StrandedMail},
    schedule::LinkState,
};

use crate::{
    growth::Growth,
    monitor::{Merged, Picture, Unreadable, bound},
    names,
    schedule::ScheduleUse,
};
use transition::Finding;

pub use injected::Injected;
pub use storage::{GROWING, UNCHANGED, has_its_storage};

/// All that a status is drawn from.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The relay's name.
    pub relay: &'a str,
    /// The generation of the specification.
    pub generation: Option<i64>,
    /// Whether it is left as it is, and not carried out.
    pub paused: bool,
    /// How many pods there should be.
    pub wanted: u32,
    /// How many there are.
    pub pods: u32,
    /// How many of them are ready.
    pub ready: u32,
    /// How far the StatefulSet has come.
    pub rollout: Rollout,
    /// What keeps the specification from being carried out, the worst first.
    pub obstacles: &'a [Obstacle],
    /// How its claims stand to what is asked for.
    pub growth: &'a Growth,
    /// The TCP Schedule.
    pub schedule: &'a ScheduleUse,
    /// The pods' Monitor.
    pub picture: &'a Picture,
    /// Ready pods whose Monitor cannot be read.
    pub unreadable: &'a [Unreadable],
    /// The claims that hold mail of pods that are scaled away.
    pub stranded: &'a [StrandedMail],
    /// The pods that ask for a sidecar to it.
    pub injected: &'a Injected,
    /// The status before.
    pub before: &'a SMTPRelayStatus,
    /// The moment.
    pub now: Timestamp,
}

/// How far the StatefulSet has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rollout {
    /// It is not there yet.
    Creating,
    /// So many of its pods are as they should be.
    UnderWay {
        /// How many.
        updated: u32,
    },
    /// All are, but for some that are scaled away and still hand their mail over.
    Leaving {
        /// How many.
        pods: u32,
    },
    /// All are.
    Complete,
}

/// What keeps a specification from being carried out; the text says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// It cannot be carried out.
    #[error("{0}")]
    Invalid(String),
    /// An object that the relay needs is there already, and is not the relay's.
    #[error(
        "the {kind} {name:?} exists and {}: it is left alone; delete or rename it, or give this SMTPRelay another name",
        controlled(.controller.as_deref())
    )]
    NameTaken {
        /// The object's kind.
        kind: String,
        /// Its name.
        name: String,
        /// What controls it.
        controller: Option<String>,
    },
    /// The API server refused an object.
    #[error("the API server refused the {kind} {name:?}: {message}")]
    Refused {
        /// The object's kind.
        kind: String,
        /// Its name.
        name: String,
        /// The API server's words.
        message: String,
    },
}

impl Obstacle {
    /// The reason as conditions spell it.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Obstacle::Invalid(_) => "ConfigurationInvalid",
            Obstacle::NameTaken { .. } => "NameTaken",
            Obstacle::Refused { .. } => "ApplyRefused",
        }
    }
}

/// Draws the status.
#[must_use]
pub fn draw(facts: &Facts<'_>) -> SMTPRelayStatus {
    // Whoever waits for a specification to be carried out is not told that it was.
    let carried_out = if facts.paused { facts.before.observed_generation } else { facts.generation };
    let findings = [
        ("Ready", Some(ready::find(facts)), carried_out),
        ("Available", Some(available::find(facts)), carried_out),
        ("Progressing", Some(progressing::find(facts)), carried_out),
        ("Delivering", delivering::find(facts), carried_out),
        ("Injected", injected::find(facts), carried_out),
        ("Paused", paused::find(facts), facts.generation),
    ];
    let settle = |(kind, finding, generation): (&str, Option<Finding>, Option<i64>)| {
        transition::settle(kind, finding, &facts.before.conditions, generation, facts.now)
    };
    let mut status = SMTPRelayStatus {
        observed_generation: carried_out,
        conditions: findings.into_iter().filter_map(settle).collect(),
        replicas: facts.pods,
        ready_replicas: facts.ready,
        ready: Some(format!("{}/{}", facts.ready, facts.wanted)),
        selector: Some(names::pod_selector_text(facts.relay)),
        problem: problem::find(facts).map(|text| bound::shortened(&text, bound::TEXT)),
        ..SMTPRelayStatus::default()
    };
    match facts.picture {
        // Nothing is known yet: for the moment that it takes, what was known before stands.
        Picture::Pending => {
            let before = facts.before.clone();
            status = SMTPRelayStatus {
                version: before.version,
                link: before.link,
                queue: before.queue,
                monitor: before.monitor,
                hosts_not_shown: before.hosts_not_shown,
                clients: before.clients,
                clients_not_shown: before.clients_not_shown,
                ..status
            };
        }
        Picture::Nothing => status.link = facts.schedule_link(),
        Picture::Known(merged) => {
            status.version = Some(merged.version.clone());
            status.link = Some(merged.link.clone());
            status.queue = Some(merged.queue.clone());
            bound::fill_clients(&mut status, &merged.clients, merged.clients_known);
            bound::fill(&mut status, &merged.rows, merged.queue.hosts);
        }
    }
    if !facts.stranded.is_empty() || status.queue.is_some() {
        status.queue.get_or_insert_default().stranded = facts.stranded.to_vec();
    }
    status
}

impl Facts<'_> {
    fn merged(&self) -> Option<&Merged> {
        match self.picture {
            Picture::Known(merged) => Some(merged),
            Picture::Pending | Picture::Nothing => None,
        }
    }

    /// The link as the operator itself reads the TCP Schedule, for want of a relay that says so.
    fn schedule_link(&self) -> Option<Link> {
        match self.schedule {
            ScheduleUse::None => Some(Link { state: LinkState::Open, schedule: None, changes_at: None }),
            ScheduleUse::Known(known) => {
                let verdict = known.schedule.verdict(self.now);
                let schedule = Some(known.schedule.name().to_owned());
                Some(Link { state: verdict.link, schedule, changes_at: verdict.changes_at })
            }
            ScheduleUse::Missing(_) | ScheduleUse::Invalid { .. } => None,
        }
    }

    /// The sentence for a TCP Schedule that cannot be obeyed.
    fn schedule_trouble(&self) -> Option<(&'static str, String)> {
        match self.schedule {
            ScheduleUse::None | ScheduleUse::Known(_) => None,
            ScheduleUse::Missing(name) => Some((
                "ScheduleNotFound",
                format!(
                    "all mail is held: TCP Schedule {name} does not exist in this namespace; create it, or correct spec.scheduleRef"
                ),
            )),
            ScheduleUse::Invalid { name, error } => Some((
                "ScheduleInvalid",
                format!("TCP Schedule {name} cannot be obeyed, and the relay keeps what it had before: {error}"),
            )),
        }
    }
}

fn controlled(controller: Option<&str>) -> String {
    match controller {
        Some(controller) => format!("belongs to {controller}"),
        None => "is not this relay's".into(),
    }
}
