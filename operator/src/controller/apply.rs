//! Applies what differs, and nothing else.

use std::{fmt::Debug, sync::Arc, time::Instant};

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::StatefulSet,
        core::v1::{ConfigMap, Pod, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Resource, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
    runtime::reflector::{ObjectRef, Store},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tracing::info;

use super::{Context, ReconcileError, attempts::Key, dereference::Found};
use crate::{names, packed::Packed, relay_pod::RelayPod, resources::Resources, status::Obstacle};

/// What there is once everything is applied: a status is drawn from this and from nothing that was only wanted.
pub(super) struct Applied {
    /// The StatefulSet.
    pub(super) stateful_set: Option<Arc<StatefulSet>>,
    /// What stood in the way.
    pub(super) obstacle: Option<Obstacle>,
}

/// For a relay that cannot be carried out: what there is stays.
pub(super) fn nothing(found: &Found, obstacle: Obstacle) -> Applied {
    Applied { stateful_set: found.stateful_set.clone(), obstacle: Some(obstacle) }
}

/// For a relay that is paused: all stays as it is.
pub(super) fn untouched(found: &Found) -> Applied {
    Applied { stateful_set: found.stateful_set.clone(), obstacle: None }
}

/// Applies the objects in the order in which pods need them, up to the first that cannot be.
pub(super) async fn apply(context: &Context, found: &Found, wanted: Resources) -> Result<Applied, ReconcileError> {
    match in_order(context, found, wanted).await {
        Ok(stateful_set) => Ok(Applied { stateful_set, obstacle: None }),
        Err(Stop::Obstacle(obstacle)) => Ok(nothing(found, obstacle)),
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// Why the rest is not applied.
enum Stop {
    /// It would not help to try again at once.
    Obstacle(Obstacle),
    /// It may.
    Failed(ReconcileError),
}

async fn in_order(context: &Context, found: &Found, wanted: Resources) -> Result<Option<Arc<StatefulSet>>, Stop> {
    let stores = &context.stores;
    let config_hash = wanted.config_hash();
    ensure::<ServiceAccount>(context, found, &stores.service_accounts, wanted.service_account).await?;
    ensure::<ConfigMap>(context, found, &stores.config_maps, wanted.config_map).await?;
    for pod in &found.pods {
        tell(context, found, pod, &config_hash).await?;
    }
    ensure::<Service>(context, found, &stores.services, wanted.headless_service).await?;
    ensure::<Service>(context, found, &stores.services, wanted.service).await?;
    let stateful_set = ensure(context, found, &stores.stateful_sets, wanted.stateful_set).await?;
    ensure::<PodDisruptionBudget>(context, found, &stores.budgets, wanted.pod_disruption_budget).await?;
    match wanted.network_policy {
        Some(policy) => drop(ensure::<NetworkPolicy>(context, found, &stores.network_policies, policy).await?),
        None => remove::<NetworkPolicy>(context, found, &stores.network_policies, found.name()).await?,
    }
    Ok(stateful_set.or_else(|| found.stateful_set.clone()))
}

/// Takes the relay's own object of that name away, if it is there.
async fn remove<K>(context: &Context, found: &Found, store: &Store<Packed<K>>, name: &str) -> Result<(), Stop>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + 'static,
{
    let cached = store.get(&ObjectRef::new(name).within(found.namespace()));
    let cached = cached.and_then(|cached| cached.open());
    let Some(present) = cached.filter(|cached| is_controlled_by(cached.meta(), found.uid())) else { return Ok(()) };
    let kind = K::kind(&()).into_owned();
    let api: Api<K> = Api::namespaced(context.client.clone(), found.namespace());
    // Not another one that has its name meanwhile.
    let this = Preconditions { uid: present.meta().uid.clone(), resource_version: None };
    match api.delete(name, &DeleteParams { preconditions: Some(this), ..DeleteParams::default() }).await {
        Ok(_) => {
            context.metrics.wrote(&kind);
            info!(relay = %found.key, kind, name, "removed");
            Ok(())
        }
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(source) => Err(Stop::Failed(ReconcileError::Remove { kind, name: name.to_owned(), source })),
    }
}

/// Applies the object unless it is there as it should be. What there is then; `None` where that is what the cache has, and was seen before.
async fn ensure<K>(
    context: &Context,
    found: &Found,
    store: &Store<Packed<K>>,
    mut wanted: K,
) -> Result<Option<Arc<K>>, Stop>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
        + 'static,
{
    let (kind, name) = (K::kind(&()).into_owned(), wanted.name_any());
    let hash = names::sha256_hex(as_json(&wanted)?.to_string().as_bytes());
    let packed = store.get(&ObjectRef::new(&name).within(found.namespace()));
    if packed.as_ref().is_some_and(|packed| packed.was_found(&hash)) {
        return Ok(None);
    }
    wanted.annotations_mut().insert(names::APPLIED_ANNOTATION.into(), hash.clone());
    let wanted_json = as_json(&wanted)?;
    let key = (found.key.clone(), kind.clone(), name.clone());
    let attempts = &context.attempts;
    let is_as_wanted = |object: &K| {
        Ok::<_, Stop>(contains(&as_json(object)?, &wanted_json) || attempts.is_settled(&key, &hash, object.meta()))
    };

    let cached = packed.as_ref().and_then(|packed| packed.open());
    let is_known = cached.is_some();
    if let Some(cached) = cached.filter(|cached| is_controlled_by(cached.meta(), found.uid()))
        && is_as_wanted(&cached)?
    {
        if let Some(packed) = packed {
            packed.found(&hash);
        }
        return Ok(Some(Arc::new(cached)));
    }
    let api: Api<K> = Api::namespaced(context.client.clone(), found.namespace());
    if !is_known && attempts.refusal(&key, &hash, None, Instant::now()).is_none() {
        match make(&api, &wanted).await {
            // The cache lags behind, or somebody else made it.
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            result => return settle(context, key, hash, &wanted_json, None, result).map(Some),
        }
    }
    // The cache may lag behind, and it does not hold what others made: the API server decides.
    let present = api.get_opt(&name).await.map_err(|source| failed(&key, source))?;
    if let Some(present) = &present {
        if !is_controlled_by(present.meta(), found.uid()) {
            let controller = controller(present.meta());
            return Err(Stop::Obstacle(Obstacle::NameTaken { kind, name, controller }));
        }
        if is_as_wanted(present)? {
            return Ok(Some(Arc::new(present.clone())));
        }
    }
    let state = present.as_ref().map(Resource::meta);
    if let Some(message) = attempts.refusal(&key, &hash, state, Instant::now()) {
        return Err(Stop::Obstacle(Obstacle::Refused { kind, name, message }));
    }
    let result = put(&api, &wanted, present.is_some()).await;
    settle(context, key, hash, &wanted_json, state, result).map(Some)
}

/// Notes what came of applying an object, which was in that state before.
fn settle<K: Resource + Serialize>(
    context: &Context,
    key: Key,
    hash: String,
    wanted: &Value,
    state: Option<&ObjectMeta>,
    result: kube::Result<K>,
) -> Result<Arc<K>, Stop> {
    let (relay, kind, name) = &key;
    match result {
        Ok(applied) => {
            context.metrics.wrote(kind);
            info!(%relay, kind, name, "applied");
            if contains(&as_json(&applied)?, wanted) {
                context.attempts.forget(&key);
            } else {
                context.attempts.applied(key, hash, applied.meta());
            }
            Ok(Arc::new(applied))
        }
        Err(kube::Error::Api(status)) if is_refusal(status.code) => {
            let (kind, name, message) = (kind.clone(), name.clone(), status.message.clone());
            context.attempts.refused(key, hash, state, message.clone(), Instant::now());
            Err(Stop::Obstacle(Obstacle::Refused { kind, name, message }))
        }
        Err(error) => Err(failed(&key, error)),
    }
}

fn failed((_, kind, name): &Key, source: kube::Error) -> Stop {
    Stop::Failed(ReconcileError::Apply { kind: kind.clone(), name: name.clone(), source })
}

fn as_json(object: &impl Serialize) -> Result<Value, Stop> {
    serde_json::to_value(object).map_err(|error| Stop::Failed(error.into()))
}

/// Makes the object. One of that name that is there already, whosever it is, stays as it is, and is a conflict.
async fn make<K>(api: &Api<K>, wanted: &K) -> kube::Result<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
{
    let mut wanted = wanted.clone();
    // No object has this version, so applying conflicts with any that is there; looking first would take a request more, and
    // another one could come between.
    wanted.meta_mut().resource_version = Some("1".into());
    api.patch(&wanted.name_any(), &PatchParams::apply(names::MANAGER).force(), &Patch::Apply(&wanted)).await
}

async fn put<K>(api: &Api<K>, wanted: &K, exists: bool) -> kube::Result<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
{
    let name = wanted.name_any();
    match api.patch(&name, &PatchParams::apply(names::MANAGER).force(), &Patch::Apply(wanted)).await {
        // Applying leaves what others put into a list, and with that the list may make no sense, as when a Service's port
        // was given another number by hand. The relay's own object is put right by replacing such lists whole.
        Err(kube::Error::Api(status)) if exists && status.code == 422 => {
            let parameters = PatchParams { field_manager: Some(names::MANAGER.into()), ..PatchParams::default() };
            api.patch(&name, &parameters, &Patch::Merge(wanted)).await
        }
        result => result,
    }
}

/// Refused for what it is, and not for a moment's reason: a conflict, a timeout, too many requests.
pub(super) fn is_refusal(code: u16) -> bool {
    matches!(code, 400 | 403 | 413 | 422)
}

/// Sets the hash of its configuration on a pod, which makes the kubelet refresh what is mounted.
async fn tell(context: &Context, found: &Found, pod: &RelayPod, hash: &str) -> Result<(), Stop> {
    if pod.told() == Some(hash) || pod.leaving {
        return Ok(());
    }
    let name = pod.name().to_owned();
    let api: Api<Pod> = Api::namespaced(context.client.clone(), found.namespace());
    // The cache may lag behind: then this changes nothing, which costs the API server less than a look before each that does.
    let patch = json!({"metadata": {"annotations": {(names::CONFIG_ANNOTATION): hash}}});
    let parameters = PatchParams { field_manager: Some(names::MANAGER.into()), ..PatchParams::default() };
    match api.patch_metadata(&name, &parameters, &Patch::Merge(&patch)).await {
        Ok(_) => {
            context.metrics.wrote("Pod");
            info!(relay = %found.key, pod = name, "told of its configuration");
            Ok(())
        }
        // It went away meanwhile.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(source) => Err(Stop::Failed(ReconcileError::Apply { kind: "Pod".into(), name, source })),
    }
}

/// Whether that uid's object controls the object.
pub(super) fn is_controlled_by(object: &ObjectMeta, uid: &str) -> bool {
    object.owner_references.iter().flatten().any(|owner| owner.controller == Some(true) && owner.uid == uid)
}

fn controller(object: &ObjectMeta) -> Option<String> {
    let mut owners = object.owner_references.iter().flatten();
    owners.find(|owner| owner.controller == Some(true)).map(|owner| format!("the {} {:?}", owner.kind, owner.name))
}

/// Whether everything that is wanted is there; defaults that the API server added are no difference.
pub(super) fn contains(present: &Value, wanted: &Value) -> bool {
    match (present, wanted) {
        (Value::Object(present), Value::Object(wanted)) => wanted.iter().all(|(key, wanted)| match present.get(key) {
            Some(present) => contains(present, wanted),
            None => wanted.is_null(),
        }),
        (Value::Array(present), Value::Array(wanted)) => {
            present.len() == wanted.len()
                && present.iter().zip(wanted).all(|(present, wanted)| contains(present, wanted))
        }
        _ => present == wanted,
    }
}
