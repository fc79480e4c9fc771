//! Paused: somebody has the operator leave the relay's objects as they are. There is no such condition until somebody does.

use super::{Facts, transition::Finding};
use crate::names;

/// The reason while it is so, of this condition and of Progressing.
pub(super) const REASON: &str = "PausedByAnnotation";

pub(super) fn find(facts: &Facts<'_>) -> Option<Finding> {
    if facts.paused {
        return Some(Finding::yes(REASON, sentence()));
    }
    let known = facts.before.conditions.iter().any(|condition| condition.type_ == "Paused");
    known.then(|| Finding::no("Resumed", "what is asked for is carried out"))
}

/// What it means, and how it ends.
pub(super) fn sentence() -> String {
    format!(
        "nothing of what is asked for is carried out while the annotation {} says so; remove it to go on",
        names::PAUSED_ANNOTATION
    )
}
