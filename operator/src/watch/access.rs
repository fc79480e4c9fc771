//! What changes of SMTPAccesses, of the relays that they ask, and of namespaces' labels ask for.

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{
    Resource, ResourceExt as _,
    runtime::{
        reflector::{ObjectRef, Store},
        watcher,
    },
};
use mailsluice_crds::{SMTPAccess, SMTPRelay, access::Place};

use super::{Queues, key};
use crate::inject::fault;

/// Of a namespace its name and its labels.
pub(super) fn slim_namespace(namespace: Namespace) -> Namespace {
    let mut slim = Namespace::default();
    slim.metadata.name = namespace.metadata.name;
    slim.metadata.labels = namespace.metadata.labels;
    slim
}

/// The generations that were seen, by which a change of a specification is told from one of a status: with the uid, since one may go and another
/// come of that name while nobody watches.
pub(super) struct Generations<K: Resource<DynamicType = ()>>(HashMap<ObjectRef<K>, (Option<String>, Option<i64>)>);

impl<K: Resource<DynamicType = ()>> Default for Generations<K> {
    fn default() -> Self {
        Generations(HashMap::new())
    }
}

impl<K: Resource<DynamicType = ()>> Generations<K> {
    /// Whether the object came, went, or has another specification.
    pub(super) fn changed(&mut self, object: &K, gone: bool) -> bool {
        let key = key(object);
        if gone {
            self.0.remove(&key);
            return true;
        }
        let now = (object.meta().uid.clone(), object.meta().generation);
        self.0.insert(key, now.clone()) != Some(now)
    }
}

/// An SMTPAccess asks for itself, and where what it asks for has changed, for the relay, for all others that ask it, since there may be room
/// for them, and for the pods that ask for a sidecar to it.
pub(super) fn on_access(injected: Store<Pod>, queues: Queues) -> impl FnMut(&watcher::Event<SMTPAccess>) + Send {
    let mut known: HashMap<ObjectRef<SMTPAccess>, Place> = HashMap::new();
    let mut listed: HashMap<ObjectRef<SMTPAccess>, Place> = HashMap::new();
    let mut generations = Generations::default();
    move |event| {
        let touched: Vec<Place> = match event {
            watcher::Event::Init => {
                listed.clear();
                return;
            }
            // A listing does not tell what went away since the one before.
            watcher::Event::InitDone => {
                let now = std::mem::take(&mut listed);
                let before = std::mem::replace(&mut known, now);
                before.into_iter().filter(|(access, _)| !known.contains_key(access)).map(|(_, relay)| relay).collect()
            }
            watcher::Event::Apply(access) | watcher::Event::InitApply(access) => {
                let (key, relay) = (key(access), access.relay());
                let _ = queues.accesses.unbounded_send(key.clone());
                if matches!(event, watcher::Event::InitApply(_)) {
                    listed.insert(key.clone(), relay.clone());
                }
                let before = known.insert(key, relay.clone());
                if !generations.changed(access, false) {
                    return;
                }
                before.into_iter().chain([relay]).collect()
            }
            watcher::Event::Delete(access) => {
                generations.changed(access, true);
                known.remove(&key(access)).into_iter().chain([access.relay()]).collect()
            }
        };
        for relay in touched {
            for (access, _) in known.iter().filter(|(_, asked)| **asked == relay) {
                let _ = queues.accesses.unbounded_send(access.clone());
            }
            ask_for(&relay, &injected, &queues);
        }
    }
}

/// A relay and the pods that ask for a sidecar to it.
fn ask_for(relay: &Place, injected: &Store<Pod>, queues: &Queues) {
    let _ = queues.relays.unbounded_send(ObjectRef::new(&relay.name).within(&relay.namespace));
    for pod in injected.state_filter(|pod| fault::relay_of(&pod.metadata).as_ref() == Some(relay)) {
        let _ = queues.injected.unbounded_send(key(&*pod));
    }
}

/// A relay whose specification has changed, or that came or went, asks for all that ask it.
pub(super) fn on_relay(accesses: &Store<SMTPAccess>, relay: &SMTPRelay, queues: &Queues) {
    let relay = Place::new(relay.namespace(), &relay.name_any());
    for access in accesses.state_filter(|access| access.relay() == relay) {
        let _ = queues.accesses.unbounded_send(key(&*access));
    }
}

/// A namespace whose labels have changed asks for the SMTPAccesses in it, for the relays that they ask, and for the pods that ask for a sidecar
/// to these.
pub(super) fn on_namespace(
    accesses: Store<SMTPAccess>,
    injected: Store<Pod>,
    queues: Queues,
) -> impl FnMut(&watcher::Event<Namespace>) + Send {
    let mut known: HashMap<String, BTreeMap<String, String>> = HashMap::new();
    move |event| {
        let (watcher::Event::Apply(namespace)
        | watcher::Event::InitApply(namespace)
        | watcher::Event::Delete(namespace)) = event
        else {
            return;
        };
        let name = namespace.name_any();
        let changed = match event {
            watcher::Event::Delete(_) => known.remove(&name).is_some(),
            _ => known.insert(name.clone(), namespace.labels().clone()).as_ref() != Some(namespace.labels()),
        };
        if !changed {
            return;
        }
        for access in accesses.state_filter(|access| access.place().namespace == name) {
            let _ = queues.accesses.unbounded_send(key(&*access));
            ask_for(&access.relay(), &injected, &queues);
        }
    }
}
