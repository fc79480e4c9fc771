//! Dry runs (`ctl test`), and what they say.

use mailsluice_ctl::words::test::{Step, StepKind, StepResult, Tested};

use crate::relay::Relay;

/// What a dry run for an address says, and whether its exit status is that of success.
pub fn of(relay: &Relay, address: &str, more: &[&str]) -> (Tested, bool) {
    let typed = relay.ctl(&[&["test", address, "--by", "alice", "-o", "json"], more].concat());
    let tested = serde_json::from_str(&typed.out).unwrap_or_else(|error| panic!("{error}: {typed:?}"));
    (tested, typed.success)
}

/// Its step of this kind.
pub fn step(tested: &Tested, kind: StepKind) -> &Step {
    tested.steps.iter().find(|step| step.step == kind).unwrap_or_else(|| panic!("no {kind:?}: {tested:#?}"))
}

/// The step's result and code.
pub fn told(tested: &Tested, kind: StepKind) -> (StepResult, Option<String>) {
    let step = step(tested, kind);
    (step.result, step.code.as_ref().map(ToString::to_string))
}

/// What [`told`] gives of a step that failed.
#[must_use]
pub fn failed(code: &str) -> (StepResult, Option<String>) {
    (StepResult::Failed, Some(code.to_owned()))
}
