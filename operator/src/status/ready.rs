//! Ready: the relay is as it was asked to be, all of it.

use mailsluice_crds::monitor::{ProblemReason, RelayProblem};

use super::{Facts, transition::Finding};

pub(super) fn find(facts: &Facts<'_>) -> Finding {
    if let Some(obstacle) = facts.obstacles.first() {
        return Finding::no(obstacle.reason(), obstacle.to_string());
    }
    if let Some((reason, message)) = facts.schedule_trouble() {
        return Finding::no(reason, message);
    }
    // A hold is what somebody asked for: the relay is ready, and Delivering says that nothing goes.
    let is_wrong = |problem: &&RelayProblem| problem.reason != ProblemReason::Held;
    if let Some(problem) = facts.merged().and_then(|merged| merged.problems.iter().find(is_wrong)) {
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
