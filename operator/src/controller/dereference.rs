//! What a relay refers to, and what there is of it.

use std::{sync::Arc, time::Instant};

use k8s_openapi::{
    NamespaceResourceScope,
    api::{apps::v1::StatefulSet, core::v1::ConfigMap},
};
use kube::{
    Api, Resource, ResourceExt as _,
    runtime::reflector::{ObjectRef, Store},
};
use mailsluice_crds::{SMTPRelay, TCPSchedule, client_pods};
use serde::de::DeserializeOwned;

use super::{
    Context, ReconcileError,
    access::{self, Granted},
};
use crate::{names, packed::Packed, relay_pod::RelayPod, watch};

/// A relay with what it refers to and what there is of it.
pub(super) struct Found {
    /// The relay.
    pub(super) relay: Arc<SMTPRelay>,
    /// Its key in caches and queues.
    pub(super) key: ObjectRef<SMTPRelay>,
    /// Its TCP Schedule.
    pub(super) schedule: Reference,
    /// What it grants.
    pub(super) granted: Vec<Granted>,
    /// Its StatefulSet.
    pub(super) stateful_set: Option<Arc<StatefulSet>>,
    /// Its ConfigMap, with what its pods run now.
    pub(super) config_map: Option<Arc<ConfigMap>>,
    /// The cluster's keys of service account tokens, as far as they are known.
    pub(super) token_keys: Option<String>,
    /// The pods of the service accounts that it lets in.
    pub(super) client_pods: Option<String>,
    /// Its pods.
    pub(super) pods: Vec<Arc<RelayPod>>,
}

/// What a relay's `scheduleRef` comes to.
pub(super) enum Reference {
    /// It has none.
    None,
    /// This.
    To(Arc<TCPSchedule>),
    /// A name that nothing has.
    Dangling(String),
}

impl Found {
    pub(super) fn name(&self) -> &str {
        &self.key.name
    }

    pub(super) fn namespace(&self) -> &str {
        self.key.namespace.as_deref().unwrap_or_default()
    }

    /// Whether its objects are to be left as they are.
    pub(super) fn is_paused(&self) -> bool {
        self.relay.annotations().get(names::PAUSED_ANNOTATION).is_some_and(|value| value == "true")
    }

    pub(super) fn uid(&self) -> &str {
        self.relay.metadata.uid.as_deref().unwrap_or_default()
    }
}

pub(super) async fn dereference(context: &Context, relay: Arc<SMTPRelay>) -> Result<Found, ReconcileError> {
    let stores = &context.stores;
    let (name, namespace) = (relay.name_any(), relay.namespace().unwrap_or_default());
    let schedule = match &relay.spec.schedule_ref {
        None => Reference::None,
        Some(reference) => match stores.schedules.get(&ObjectRef::new(&reference.name).within(&namespace)) {
            Some(schedule) => Reference::To(schedule),
            None => Reference::Dangling(reference.name.clone()),
        },
    };
    let key = watch::key(&*relay);
    let (status, _) = context.relay_statuses.stored(&key, relay.status.as_ref(), Instant::now());
    let owner = Owner {
        namespace: &namespace,
        uid: relay.metadata.uid.as_deref().unwrap_or_default(),
        is_new: status.observed_generation.is_none(),
    };
    let stateful_set = owned(context, &stores.stateful_sets, &name, &owner).await?;
    let config_map = owned(context, &stores.config_maps, &names::config_map(&name), &owner).await?;
    let pods = stores.pods.state_filter(|pod| pod.is_of(&namespace, &name));
    let token_keys = context.token_keys.get();
    let granted = access::granted(context, &relay);
    let running = config_map.as_ref().and_then(|config_map| config_map.data.as_ref()?.get(client_pods::FILE));
    let client_pods = context.client_pods.file(&key, &access::with_granted(&relay, &granted).clients, running);
    Ok(Found { key, relay, schedule, granted, stateful_set, config_map, token_keys, client_pods, pods })
}

/// A relay whose objects are looked for.
struct Owner<'a> {
    namespace: &'a str,
    uid: &'a str,
    /// No status was written for it, so it has nothing yet.
    is_new: bool,
}

/// The object of that name, if it is that owner's. What the cache lacks may be there without its labels.
async fn owned<K>(
    context: &Context,
    store: &Store<Packed<K>>,
    name: &str,
    owner: &Owner<'_>,
) -> Result<Option<Arc<K>>, ReconcileError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug
        + 'static,
{
    let cached = store.get(&ObjectRef::new(name).within(owner.namespace));
    let found = match cached.and_then(|cached| cached.open()) {
        Some(cached) => Some(Arc::new(cached)),
        None if owner.is_new => None,
        None => {
            let api: Api<K> = Api::namespaced(context.client.clone(), owner.namespace);
            api.get_opt(name).await.map_err(ReconcileError::Dereference)?.map(Arc::new)
        }
    };
    Ok(found.filter(|object| super::apply::is_controlled_by(object.meta(), owner.uid)))
}
