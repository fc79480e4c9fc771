//! What a dry run has come through, as it is told to whoever asked for it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mailsluice_crds::{
    catalogue::{Code, Errno},
    monitor::{LastError, Reason, Stage},
};
use mailsluice_ctl::words::test::{Step, StepKind, StepResult};
use tokio::time::Instant;

use super::fault::{self, Fault};
use crate::{
    clock,
    errors::shortened,
    smtp::{Reply, client},
};

/// The longest text of a step, in characters: a whole reply to EHLO fits, mostly.
const TEXT_LENGTH: usize = 1_000;

/// Steps, in their order. What happens on the way is noted by whoever does it.
#[derive(Debug)]
pub(super) struct Steps(Mutex<State>);

#[derive(Debug)]
struct State {
    done: Vec<Step>,
    /// Whether what comes of the last one's stage may still take its place: so far there is the host's reply alone.
    open: bool,
    at: client::Stage,
    peer: Option<String>,
    /// When the last one ended.
    since: Instant,
}

impl Default for Steps {
    fn default() -> Self {
        let state = State { done: Vec::new(), open: false, at: client::Stage::Idle, peer: None, since: Instant::now() };
        Steps(Mutex::new(state))
    }
}

impl Steps {
    /// What follows is with this address, which is being connected to.
    pub(super) fn connecting(&self, peer: &str) {
        let mut state = self.lock();
        state.peer = Some(peer.to_owned());
        state.at = client::Stage::Idle;
        state.since = Instant::now();
    }

    /// The conversation has come to a stage.
    pub(super) fn stage(&self, stage: client::Stage) {
        self.lock().at = stage;
    }

    /// The host has answered. What it says to AUTH may hold secrets, and what comes of that, as of TLS, is told by who knows more.
    pub(super) fn reply(&self, reply: &Reply) {
        let mut state = self.lock();
        let stage = state.at;
        let kind = match stage {
            client::Stage::Banner => StepKind::Banner,
            client::Stage::Ehlo => StepKind::Ehlo,
            client::Stage::MailFrom => StepKind::MailFrom,
            client::Stage::RcptTo => StepKind::RcptTo,
            client::Stage::Quit => StepKind::Quit,
            client::Stage::StartTls
            | client::Stage::Auth
            | client::Stage::Data
            | client::Stage::Body
            | client::Stage::Reply
            | client::Stage::Rset
            | client::Stage::Idle => return,
        };
        let peer = state.peer.clone().unwrap_or_default();
        let step = match reply.is_success() {
            true => plain(kind, StepResult::Ok, &reply.to_string()),
            false => failed(kind, &fault::refusal(reply, stage, &peer, clock::now())),
        };
        state.put(step);
        state.open = true;
    }

    /// A step is as it should be.
    pub(super) fn ok(&self, kind: StepKind, text: &str) {
        self.lock().put(plain(kind, StepResult::Ok, text));
    }

    /// Something to know about a step, which ends nothing.
    pub(super) fn note(&self, kind: StepKind, reason: Option<Reason>, text: &str) {
        self.lock().put(with_reason(kind, StepResult::Note, reason, text));
    }

    /// It is not gone on from here.
    pub(super) fn stopped(&self, kind: StepKind, reason: Reason, text: &str) {
        self.lock().put(with_reason(kind, StepResult::Stopped, Some(reason), text));
    }

    /// A step failed for what the relay itself knows, without a code.
    pub(super) fn refused(&self, kind: StepKind, text: &str, advice: &str) {
        let advice = Some(advice.to_owned());
        self.lock().put(Step { advice, ..plain(kind, StepResult::Failed, text) });
    }

    /// An attempt has come to its end here.
    pub(super) fn fault(&self, fault: &Fault) {
        self.error(kind_of(fault.error.stage), &fault.error);
    }

    /// The same, where the step is known.
    pub(super) fn error(&self, kind: StepKind, error: &LastError) {
        self.lock().put(failed(kind, error));
    }

    /// The time for all of it is over.
    pub(super) fn cut_short(&self, limit: Duration) {
        let mut state = self.lock();
        let kind = state.under_way();
        let text = format!("no end within the {} s of this dry run; mail waits longer for a host", limit.as_secs());
        let code = Code::from(Errno::TIMED_OUT);
        let advice = Some(code.entry().advice.to_owned());
        state.put(Step { code: Some(code), advice, ..plain(kind, StepResult::Failed, &text) });
    }

    /// All of them.
    pub(super) fn take(&self) -> Vec<Step> {
        std::mem::take(&mut self.lock().done)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put(&mut self, mut step: Step) {
        let from_connection = is_of_connection(step.step);
        step.peer = self.peer.clone().filter(|_| from_connection);
        let took = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let waited = from_connection || matches!(step.step, StepKind::Dns | StepKind::MtaSts);
        step.milliseconds = waited.then_some(took);
        self.since = Instant::now();
        let replaces = |last: &Step| self.open && last.step == step.step && last.peer == step.peer;
        if let Some(last) = self.done.last_mut().filter(|last| replaces(last)) {
            step.milliseconds = last.milliseconds.map(|before| before + took);
            *last = step;
        } else {
            self.done.push(step);
        }
        self.open = false;
    }

    /// The step that has not come to its end.
    fn under_way(&self) -> StepKind {
        let last = self.done.last().map(|step| step.step);
        let stage = match (self.at, last) {
            // A connection that is being opened, or the look-up before it.
            (client::Stage::Idle, _) if self.peer.is_some() => return StepKind::Connect,
            (client::Stage::Idle, Some(StepKind::Dns)) => return StepKind::MtaSts,
            (client::Stage::Idle, _) => return StepKind::Dns,
            (stage, _) => stage,
        };
        kind_of(fault::stage(stage))
    }
}

/// Whether a step belongs to the address that is being tried.
fn is_of_connection(kind: StepKind) -> bool {
    match kind {
        StepKind::Address
        | StepKind::Access
        | StepKind::Route
        | StepKind::Schedule
        | StepKind::Queue
        | StepKind::Dns
        | StepKind::MtaSts => false,
        StepKind::Connect
        | StepKind::Banner
        | StepKind::Ehlo
        | StepKind::StartTls
        | StepKind::Auth
        | StepKind::MailFrom
        | StepKind::RcptTo
        | StepKind::Quit => true,
    }
}

/// The step in which a stage of delivery is.
fn kind_of(stage: Stage) -> StepKind {
    match stage {
        Stage::Dns => StepKind::Dns,
        Stage::Connect => StepKind::Connect,
        Stage::Banner => StepKind::Banner,
        Stage::Ehlo => StepKind::Ehlo,
        Stage::StartTls => StepKind::StartTls,
        Stage::Auth => StepKind::Auth,
        Stage::MailFrom => StepKind::MailFrom,
        Stage::RcptTo | Stage::Data | Stage::Body | Stage::Reply => StepKind::RcptTo,
        Stage::Idle | Stage::Quit => StepKind::Quit,
    }
}

fn plain(step: StepKind, result: StepResult, text: &str) -> Step {
    let text = shortened(text, TEXT_LENGTH);
    Step { step, result, peer: None, milliseconds: None, text, reason: None, code: None, advice: None }
}

fn with_reason(kind: StepKind, result: StepResult, reason: Option<Reason>, text: &str) -> Step {
    let advice = reason.map(|reason| reason.entry().advice.to_owned());
    Step { reason, advice, ..plain(kind, result, text) }
}

fn failed(kind: StepKind, error: &LastError) -> Step {
    let advice = Some(error.code.entry().advice.to_owned());
    Step { code: Some(error.code.clone()), advice, ..plain(kind, StepResult::Failed, &error.text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(steps: &Steps) -> Vec<(StepKind, StepResult, Option<String>)> {
        let shown = |step: Step| (step.step, step.result, step.code.map(|code| code.to_string()));
        steps.take().into_iter().map(shown).collect()
    }

    #[tokio::test]
    async fn what_is_known_in_the_end_takes_the_place_of_the_reply_alone() {
        let steps = Steps::default();
        steps.connecting("192.0.2.1:25");
        steps.ok(StepKind::Connect, "mx.test 192.0.2.1:25");
        for (stage, reply) in [
            (client::Stage::Banner, Reply::new(220, "mx.test")),
            // EHLO is not known, and HELO is.
            (client::Stage::Ehlo, Reply::new(502, "what")),
            (client::Stage::Ehlo, Reply::new(250, "mx.test")),
            (client::Stage::StartTls, Reply::new(220, "go")),
            (client::Stage::Auth, Reply::new(334, "c2VjcmV0")),
            (client::Stage::MailFrom, Reply::enhanced(451, (7, 1), "later")),
        ] {
            steps.stage(stage);
            steps.reply(&reply);
        }
        let error = fault::refusal(&Reply::enhanced(451, (7, 1), "later"), client::Stage::MailFrom, "", clock::now());
        steps.error(StepKind::MailFrom, &error);
        // Another address has steps of its own.
        steps.connecting("192.0.2.2:25");
        steps.error(StepKind::Connect, &error);
        let code = || Some("451 4.7.1".to_owned());
        assert_eq!(
            shown(&steps),
            [
                (StepKind::Connect, StepResult::Ok, None),
                (StepKind::Banner, StepResult::Ok, None),
                (StepKind::Ehlo, StepResult::Ok, None),
                (StepKind::MailFrom, StepResult::Failed, code()),
                (StepKind::Connect, StepResult::Failed, code()),
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn where_the_time_is_over_is_told_with_how_long_was_waited() {
        let late = Some("ETIMEDOUT".to_owned());
        let connecting = |steps: &Steps| steps.connecting("192.0.2.1:25");
        let silent = |steps: &Steps| {
            connecting(steps);
            steps.ok(StepKind::Connect, "mx.test");
            steps.stage(client::Stage::Banner);
        };
        let looking_up = |_: &Steps| {};
        for (begun, kind) in [
            (&looking_up as &dyn Fn(&Steps), StepKind::Dns),
            (&connecting, StepKind::Connect),
            (&silent, StepKind::Banner),
        ] {
            let steps = Steps::default();
            begun(&steps);
            tokio::time::sleep(Duration::from_secs(7)).await;
            steps.cut_short(Duration::from_secs(7));
            let done = steps.take();
            let last = done.last().expect("a step");
            let code = last.code.as_ref().map(ToString::to_string);
            assert_eq!((last.step, code), (kind, late.clone()));
            assert!(last.milliseconds.is_some_and(|waited| (7_000..7_005).contains(&waited)), "{last:?}");
        }
    }
}
