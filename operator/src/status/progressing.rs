//! Progressing: the cluster is on its way to what was asked for.

use super::{Facts, Rollout, paused, storage, transition::Finding};

pub(super) fn find(facts: &Facts<'_>) -> Finding {
    if facts.paused {
        return Finding::no(paused::REASON, paused::sentence());
    }
    if let Some(obstacle) = facts.obstacles.first() {
        return Finding::no(obstacle.reason(), obstacle.to_string());
    }
    if let Some(finding) = storage::find(facts.growth) {
        return finding;
    }
    match facts.rollout {
        Rollout::Creating => Finding::yes("Creating", "the StatefulSet is being made"),
        Rollout::UnderWay { updated } => {
            Finding::yes("RollingOut", format!("{updated} of {} pods are as they should be", facts.wanted))
        }
        Rollout::Leaving { pods } => {
            let (pods_hand, their) =
                if pods == 1 { ("1 pod hands".to_owned(), "its") } else { (format!("{pods} pods hand"), "their") };
            Finding::yes("HandingOver", format!("{pods_hand} {their} mail to those that stay"))
        }
        Rollout::Complete => Finding::no("Complete", "everything is as it should be"),
    }
}
