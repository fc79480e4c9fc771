//! The status of a relay: drawn from what is applied and from the pods' Monitors, written where it differs.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::{
    Api, Resource as _,
    api::{Patch, PatchParams},
    runtime::controller::Action,
};
use mailsluice_crds::{SMTPRelay, SMTPRelayStatus, monitor::StrandedMail};
use serde_json::json;
use tracing::warn;

use super::{Context, ReconcileError, access, apply::Applied, dereference::Found, grow::Grown, injected, validate};
use crate::{
    events,
    inject::fault::Place,
    monitor::{Picture, Target, is_suspended},
    names,
    relay_pod::RelayPod,
    resources::Plan,
    scale::Scale,
    schedule::{self, ScheduleUse},
    status::{
        self, Facts, Rollout,
        pacing::{self, Pace},
        refusal,
    },
};

/// An object that is in the way is not watched, so its place is looked at again.
const OBSTACLE_WAIT: Duration = Duration::from_secs(30);

/// Draws the status, writes it where it differs, and says when to look again.
pub(super) async fn report(
    context: &Context,
    found: &Found,
    plan: Option<&Plan>,
    (applied, grown): (&Applied, &Grown),
    (scale, shares_change): (Scale, Option<Duration>),
) -> Result<Action, ReconcileError> {
    let now = (Timestamp::now(), Instant::now());
    context.monitors.follow(&found.key, &validate::token(found, &context.monitor_key), &targets(&found.pods), now.1);
    let (picture, unreadable, picture_changes) = context.monitors.picture(&found.key, now.1);
    let (before, since) = context.relay_statuses.stored(&found.key, found.relay.status.as_ref(), now.1);
    let wanted = found.relay.spec.replicas;
    let ready = count(found.pods.iter().filter(|pod| pod.ready));
    context.metrics.replicas(found.namespace(), found.name(), wanted, ready);
    context.metrics.stranded(found.namespace(), found.name(), &scale.stranded);
    context.metrics.paused(found.namespace(), found.name(), found.is_paused());
    let schedule = validate::schedule(&found.schedule);
    let place = Place { namespace: found.namespace().to_owned(), name: found.name().to_owned() };
    let drawn = Arc::new(status::draw(&Facts {
        relay: found.name(),
        generation: found.relay.metadata.generation,
        paused: found.is_paused(),
        wanted,
        pods: count(found.pods.iter().filter(|pod| !pod.ended)),
        ready,
        rollout: match scale.leaving {
            0 => rollout(applied.stateful_set.as_deref().filter(|_| plan.is_some()), wanted),
            pods => Rollout::Leaving { pods },
        },
        obstacles: applied.obstacle.as_slice(),
        growth: &grown.growth,
        schedule: &schedule,
        picture: &picture,
        unreadable: &unreadable,
        stranded: &scale.stranded,
        injected: &injected::of_relay(
            &context.stores.injected,
            &place,
            &access::with_granted(&found.relay, &found.granted),
        ),
        before: &before,
        now: now.0,
    }));
    // Of what is the same one copy is kept.
    let drawn = if drawn == before { before.clone() } else { drawn };
    let time_zone = match &schedule {
        ScheduleUse::Known(known) => Some(known.schedule.time_zone()),
        ScheduleUse::None | ScheduleUse::Missing(_) | ScheduleUse::Invalid { .. } => None,
    };
    context.board.post(&found.key, drawn.clone(), time_zone);
    let pace = pacing::decide(&before, &drawn, since);
    if pace == Pace::Now {
        write(context, found, &drawn).await?;
        context.relay_statuses.wrote(&found.key, drawn.clone(), Instant::now());
        let mut notices = events::transitions(&before.conditions, &drawn.conditions, waiting(&drawn));
        notices.extend(events::stranding(stranded(&before), stranded(&drawn)));
        notices.extend(events::growth(&before.conditions, &drawn.conditions));
        context.events.publish(&found.relay.object_ref(&()), notices).await;
    }
    let again = [
        match pace {
            Pace::In(wait) => Some(wait),
            Pace::Now | Pace::Nothing => None,
        },
        picture_changes,
        scale.again,
        grown.again,
        shares_change,
        applied.obstacle.as_ref().map(|_| OBSTACLE_WAIT),
        link_changes(&picture, &schedule, now.0),
    ];
    Ok(again.into_iter().flatten().min().map_or_else(Action::await_change, Action::requeue))
}

/// The host whose mail waits longest.
fn waiting(status: &SMTPRelayStatus) -> Option<&str> {
    status.monitor.first().filter(|row| is_suspended(row)).map(|row| row.host.as_str())
}

fn stranded(status: &SMTPRelayStatus) -> &[StrandedMail] {
    status.queue.as_ref().map_or(&[], |queue| &queue.stranded)
}

async fn write(context: &Context, found: &Found, status: &SMTPRelayStatus) -> Result<(), ReconcileError> {
    let api: Api<SMTPRelay> = Api::namespaced(context.client.clone(), found.namespace());
    let mut patch = json!({
        "apiVersion": SMTPRelay::api_version(&()),
        "kind": SMTPRelay::kind(&()),
        // With the uid, so that a status is never written to a relay that came after this one.
        "metadata": {"name": found.name(), "uid": found.uid()},
        "status": status,
    });
    let parameters = PatchParams::apply(names::MANAGER).force();
    loop {
        match api.patch_status(found.name(), &parameters, &Patch::Apply(&patch)).await {
            Ok(_) => break,
            Err(kube::Error::Api(status)) if refusal::take_out(&mut patch, &status) => warn!(
                relay = %found.key,
                refusal = status.message,
                "the installed definition of SMTPRelays is older than this operator, and what it does not know is left out of the status"
            ),
            Err(error) => return Err(ReconcileError::Status(error)),
        }
    }
    context.metrics.wrote("SMTPRelay/status");
    Ok(())
}

/// The pods whose Monitor can be read: also of those that are not ready, since it says why.
fn targets(pods: &[Arc<RelayPod>]) -> Vec<Target> {
    let there = pods.iter().filter(|pod| !pod.leaving);
    let mut targets: Vec<_> = there
        .filter_map(|pod| Some(Target { pod: pod.name().to_owned(), address: pod.address?, ready: pod.ready }))
        .collect();
    targets.sort_by(|a, b| a.pod.cmp(&b.pod));
    targets
}

fn rollout(stateful_set: Option<&StatefulSet>, wanted: u32) -> Rollout {
    let Some(stateful_set) = stateful_set else { return Rollout::Creating };
    let Some(status) = &stateful_set.status else { return Rollout::Creating };
    let seen = status.observed_generation >= stateful_set.metadata.generation;
    let positive = |number: Option<i32>| number.and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
    let updated = if seen { positive(status.updated_replicas).min(positive(status.ready_replicas)) } else { 0 };
    let settled = seen && u32::try_from(status.replicas).unwrap_or(0) == wanted && updated == wanted;
    // Pods that go are under way too, with none of them left to be counted as updated.
    if settled { Rollout::Complete } else { Rollout::UnderWay { updated } }
}

/// When the link changes, where no relay is there to say so.
fn link_changes(picture: &Picture, schedule: &ScheduleUse, now: Timestamp) -> Option<Duration> {
    match (picture, schedule) {
        (Picture::Nothing, ScheduleUse::Known(known)) => {
            known.schedule.verdict(now).changes_at.map(|changes| schedule::wait(now, changes))
        }
        _ => None,
    }
}

fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}
