//! Ready: the relay is as it was asked to be, all of it.

use super::{Facts, transition::Finding};

pub(super) fn find(facts: &Facts<'_>) -> Finding {
    if let Some(obstacle) = facts.obstacles.first() {
        return Finding::no(obstacle.reason(), obstacle.to_string());
    }
    if let Some((reason, message)) = facts.schedule_trouble() {
        return Finding::no(reason, message);
    }
    if let Some(problem) = facts.merged().and_then(|merged| merged.problems.first()) {
        return Finding::no(problem.reason.name(), problem.message.clone());
    }
    if facts.wanted == 0 {
        return Finding::yes("ScaledToZero", "no pods are asked for");
    }
    if facts.ready < facts.wanted {
        return Finding::no("PodsNotReady", format!("{} of {} pods are ready", facts.ready, facts.wanted));
    }
    match facts.unreadable.first() {
        Some(first) => Finding::no(
            "MonitorUnreadable",
            format!(
                "the Monitor of {} of {} pods cannot be read, so this status lacks their mail: {}: {}",
                facts.unreadable.len(),
                facts.wanted,
                first.pod,
                first.why
            ),
        ),
        None => Finding::yes("PodsReady", format!("{} of {} pods are ready", facts.ready, facts.wanted)),
    }
}
