//! Injected: the pods that may use the relay and ask for a sidecar have one. There is no such condition until some do.

use super::{Facts, transition::Finding};

/// So many pods are named; a message has its bound, and people theirs.
const NAMED: usize = 5;

/// Pods that may use the relay and ask for a sidecar.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Injected {
    /// How many.
    pub pods: usize,
    /// Those that lack it, as `namespace/name`, in order.
    pub lacking: Vec<String>,
}

pub(super) fn find(facts: &Facts<'_>) -> Option<Finding> {
    let Injected { pods, lacking } = facts.injected;
    if let Some(named) = lacking.get(..NAMED.min(lacking.len())).filter(|named| !named.is_empty()) {
        let more = if lacking.len() > named.len() { ", …" } else { "" };
        let named = named.join(", ");
        return Some(Finding::no(
            "SidecarMissing",
            format!("{} of {pods} pods that ask for a sidecar lack it: {named}{more}", lacking.len()),
        ));
    }
    // Whether there are any just now is no news: Jobs come and go.
    let known = *pods > 0 || facts.before.conditions.iter().any(|condition| condition.type_ == "Injected");
    known.then(|| Finding::yes("SidecarsPresent", "no pod lacks the sidecar that it asks for"))
}
