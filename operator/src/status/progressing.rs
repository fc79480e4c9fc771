//! Progressing: the cluster is on its way to what was asked for.

use super::{Facts, Rollout, paused, transition::Finding};

pub(super) fn find(facts: &Facts<'_>) -> Finding {
    if facts.paused {
        return Finding::no(paused::REASON, paused::sentence());
    }
    if let Some(obstacle) = facts.obstacles.first() {
        return Finding::no(obstacle.reason(), obstacle.to_string());
    }
    if let Some((present, wanted)) = facts.claims {
        return Finding::no(
            "StorageUnchanged",
            format!(
                "spec.storage asks for {}, and the claims were made with {}: a StatefulSet's claims cannot be changed, so \
                 they stay; set spec.storage back to what they are",
                words(wanted),
                words(present)
            ),
        );
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

fn words(claim: &crate::resources::Claim) -> String {
    match &claim.class {
        Some(class) => format!("{} of storage class {class}", claim.size),
        None => format!("{} of the default storage class", claim.size),
    }
}
