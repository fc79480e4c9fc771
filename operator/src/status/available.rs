//! Available: somebody takes mail.

use super::{Facts, transition::Finding};

pub(super) fn find(facts: &Facts<'_>) -> Finding {
    match (facts.wanted, facts.ready) {
        (0, 0) => Finding::no("ScaledToZero", "nobody takes mail: no pods are asked for; set spec.replicas"),
        (wanted, 0) => Finding::no("NoPodReady", format!("nobody takes mail: none of {wanted} pods is ready")),
        // How many there are is Ready's news; here it would only be a message that changes.
        _ => Finding::yes("PodReady", "mail is taken"),
    }
}
