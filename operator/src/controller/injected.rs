//! The way of a pod that asks for a sidecar through the operator: what is wrong with it becomes an Event, once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Resource as _,
    runtime::{
        controller::Action,
        reflector::{ObjectRef, Store},
    },
};
use mailsluice_crds::SMTPRelaySpec;

use super::{Context, ReconcileError, access};
use crate::{
    events::{self, Notice},
    inject::fault::{self, Fault, Place, Sight},
    status::Injected,
    watch,
};

/// What an Event about a pod is about.
const ACTION: &str = "Injecting";

/// What has been told of each pod.
#[derive(Default)]
pub(super) struct Told(Mutex<HashMap<ObjectRef<Pod>, Vec<Fault>>>);

impl Told {
    /// Those that have not been told; the others that were told before are over.
    fn news(&self, pod: &ObjectRef<Pod>, faults: Vec<Fault>) -> Vec<Fault> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if faults.is_empty() {
            told.remove(pod);
            return faults;
        }
        let before = told.insert(pod.clone(), faults.clone()).unwrap_or_default();
        faults.into_iter().filter(|fault| !before.contains(fault)).collect()
    }

    /// Forgets the pods of which this is false.
    pub(super) fn retain(&self, keep: impl Fn(&ObjectRef<Pod>) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|pod, _| keep(pod));
    }
}

pub(super) async fn reconcile(pod: Arc<Pod>, context: Arc<Context>) -> Result<Action, ReconcileError> {
    let faults = if fault::is_alive(&pod) {
        let relay = fault::relay_of(&pod.metadata).and_then(|place| look_up(&context, &place));
        fault::find(&pod, |place| match &relay {
            Some(relay) => Sight::There(relay),
            None if context.watches(&place.namespace) => Sight::Absent,
            None => Sight::Unseen,
        })
    } else {
        Vec::new()
    };
    let news = context.told.news(&watch::key(&*pod), faults);
    let notices = news.into_iter().map(|fault| Notice {
        warning: true,
        condition: ACTION.to_owned(),
        reason: fault.reason().to_owned(),
        subject: events::wording(&fault.to_string()),
        note: fault.to_string(),
    });
    context.events.publish(&pod.object_ref(&()), notices.collect()).await;
    Ok(Action::await_change())
}

/// The relay, with what it grants.
fn look_up(context: &Context, place: &Place) -> Option<SMTPRelaySpec> {
    let relay = context.stores.relays.get(&ObjectRef::new(&place.name).within(&place.namespace))?;
    Some(access::with_granted(&relay, &access::granted(context, &relay)))
}

/// The pods that may use a relay and ask for a sidecar. Others are none of its business: it would be anybody's to spoil its status.
pub(super) fn of_relay(pods: &Store<Pod>, relay: &Place, spec: &SMTPRelaySpec) -> Injected {
    let asks = |pod: &Pod| fault::relay_of(&pod.metadata).as_ref() == Some(relay);
    let pods = pods.state_filter(|pod| asks(pod) && fault::is_alive(pod) && fault::may_use(spec, pod));
    let lacking = pods.iter().filter(|pod| !fault::is_injected(pod)).map(|pod| watch::key(&**pod));
    let mut lacking: Vec<_> =
        lacking.map(|pod| format!("{}/{}", pod.namespace.unwrap_or_default(), pod.name)).collect();
    lacking.sort();
    Injected { pods: pods.len(), lacking }
}
