//! The way of a TCPSchedule through the operator: its status is drawn (pure), and written where it differs.

use std::{sync::Arc, time::Instant};

use jiff::Timestamp;
use kube::{
    Api, Resource as _, ResourceExt as _,
    api::{Patch, PatchParams},
    runtime::controller::Action,
};
use mailsluice_crds::{SMTPRelay, TCPSchedule};
use serde_json::json;

use super::{Context, ReconcileError};
use crate::{events, names, schedule, watch};

pub(super) async fn reconcile(found: Arc<TCPSchedule>, context: Arc<Context>) -> Result<Action, ReconcileError> {
    if found.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let (name, key) = (found.name_any(), watch::key(&*found));
    let relays = context.stores.relays.state_filter(|relay| refers_to(relay, &found)).len();
    let (before, _) = context.schedule_statuses.stored(&key, found.status.as_ref(), Instant::now());
    let relays = u32::try_from(relays).unwrap_or(u32::MAX);
    let (drawn, again) =
        schedule::draw((&name, &found.spec), found.metadata.generation, relays, &before, Timestamp::now());
    if drawn != *before {
        let api: Api<TCPSchedule> =
            Api::namespaced(context.client.clone(), key.namespace.as_deref().unwrap_or_default());
        let patch = json!({
            "apiVersion": TCPSchedule::api_version(&()),
            "kind": TCPSchedule::kind(&()),
            "metadata": {"name": name, "uid": found.metadata.uid},
            "status": drawn,
        });
        let parameters = PatchParams::apply(names::MANAGER).force();
        api.patch_status(&name, &parameters, &Patch::Apply(&patch)).await.map_err(ReconcileError::Status)?;
        context.metrics.wrote("TCPSchedule/status");
        let transitions = events::transitions(&before.conditions, &drawn.conditions, None);
        context.schedule_statuses.wrote(&key, drawn, Instant::now());
        context.events.publish(&found.object_ref(&()), transitions).await;
    }
    Ok(again.map_or_else(Action::await_change, Action::requeue))
}

fn refers_to(relay: &SMTPRelay, schedule: &TCPSchedule) -> bool {
    let name = relay.spec.schedule_ref.as_ref().map(|reference| reference.name.as_str());
    name.is_some() && name == schedule.metadata.name.as_deref() && relay.namespace() == schedule.namespace()
}
