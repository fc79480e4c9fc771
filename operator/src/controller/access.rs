//! The way of an SMTPAccess through the operator: it is judged by what its relay's owner allows (pure), and its status written where it differs.
//! What is granted goes into its relay's configuration.

use std::{sync::Arc, time::Instant};

use jiff::Timestamp;
use kube::{
    Api, Resource as _, ResourceExt as _,
    api::{Patch, PatchParams},
    runtime::{controller::Action, reflector::ObjectRef},
};
use mailsluice_crds::{
    SMTPAccess, SMTPRelay, SMTPRelaySpec,
    access::{self, Labels, Place, Verdict},
    relay::Client,
};
use serde_json::json;

use super::{Context, ReconcileError};
use crate::{
    access::{Answer, draw},
    events, names, watch,
};

/// What a relay has granted: the ask, and the client that it is.
pub(super) type Granted = (Arc<SMTPAccess>, Client);

pub(super) async fn reconcile(found: Arc<SMTPAccess>, context: Arc<Context>) -> Result<Action, ReconcileError> {
    if found.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let (key, relay) = (watch::key(&*found), found.relay());
    let answer = answer(&context, &found, &relay);
    let (before, _) = context.access_statuses.stored(&key, found.status.as_ref(), Instant::now());
    let drawn = draw(&relay, answer, found.metadata.generation, &before, Timestamp::now());
    if drawn != *before {
        let (name, namespace) = (found.name_any(), found.namespace().unwrap_or_default());
        let api: Api<SMTPAccess> = Api::namespaced(context.client.clone(), &namespace);
        let patch = json!({
            "apiVersion": SMTPAccess::api_version(&()),
            "kind": SMTPAccess::kind(&()),
            "metadata": {"name": name, "uid": found.metadata.uid},
            "status": drawn,
        });
        let parameters = PatchParams::apply(names::MANAGER).force();
        api.patch_status(&name, &parameters, &Patch::Apply(&patch)).await.map_err(ReconcileError::Status)?;
        context.metrics.wrote("SMTPAccess/status");
        let transitions = events::transitions(&before.conditions, &drawn.conditions, None);
        context.access_statuses.wrote(&key, drawn, Instant::now());
        context.events.publish(&found.object_ref(&()), transitions).await;
    }
    Ok(Action::await_change())
}

fn answer(context: &Context, found: &SMTPAccess, place: &Place) -> Answer {
    let relay = context.stores.relays.get(&ObjectRef::new(&place.name).within(&place.namespace));
    match (relay, &context.watch_namespace) {
        (Some(relay), _) => {
            let own = found.place();
            match judged(context, &relay).into_iter().find(|(access, _)| access.place() == own) {
                Some((_, verdict)) => Answer::Judged(verdict),
                None => Answer::NoRelay,
            }
        }
        (None, Some(watched)) if *watched != place.namespace => Answer::Unseen(watched.clone()),
        (None, _) => Answer::NoRelay,
    }
}

/// What a relay grants.
pub(super) fn granted(context: &Context, relay: &SMTPRelay) -> Vec<Granted> {
    judged(context, relay).into_iter().filter_map(|(access, verdict)| Some((access, verdict.ok()?))).collect()
}

/// What a relay is asked to do, with what it grants among its `clients`.
pub(super) fn with_granted(relay: &SMTPRelay, granted: &[Granted]) -> SMTPRelaySpec {
    let mut spec = relay.spec.clone();
    spec.clients.extend(granted.iter().map(|(_, client)| client.clone()));
    spec
}

/// All that asks a relay, with what it comes to.
fn judged(context: &Context, relay: &SMTPRelay) -> Vec<(Arc<SMTPAccess>, Verdict)> {
    let place = Place::new(relay.namespace(), &relay.name_any());
    let stores = &context.stores;
    let asks =
        stores.accesses.state_filter(|access| access.relay() == place && access.metadata.deletion_timestamp.is_none());
    let labels = |namespace: &str| match &stores.namespaces {
        Some(known) => {
            Labels::Known(known.get(&ObjectRef::new(namespace)).map(|known| known.labels().clone()).unwrap_or_default())
        }
        None => Labels::Unseen,
    };
    let judged = access::resolve(&place, relay.spec.access.as_ref(), asks.iter().map(|ask| &**ask), labels);
    let known = |place: &Place| asks.iter().find(|ask| ask.place() == *place).cloned();
    judged.into_iter().filter_map(|(place, verdict)| Some((known(&place)?, verdict))).collect()
}
