//! What there is in the cluster, and the reconciles that its changes ask for.
//!
//! One watcher per kind, of the operator's own objects only, without what nothing here reads, and packed where a reconcile alone
//! looks at them.

mod access;

use std::{borrow::Cow, collections::HashMap, fmt::Debug};

use futures::{
    StreamExt as _,
    channel::mpsc::UnboundedSender,
    future::{self, BoxFuture, FutureExt as _},
};
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{ConfigMap, Container, Namespace, Pod, PodSpec, PodStatus, Service, ServiceAccount, Volume},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    core::{DeserializeGuard, error_boundary::InvalidObject},
    runtime::{
        WatchStreamExt as _,
        reflector::{self, ObjectRef, Store, reflector, store::WriterDropped},
        watcher::{self, watcher},
    },
};
use mailsluice_crds::{SMTPAccess, SMTPRelay, TCPSchedule};
use serde::{Serialize, de::DeserializeOwned};
use tracing::warn;

use crate::{
    inject::{self, fault},
    names,
    packed::{Packed, Packer},
    relay_pod::RelayPod,
};

/// kubectl keeps a copy of the manifest there, which nothing here reads.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Objects that are listed at a time: what a page takes while it is read is memory that the process keeps.
const PAGE: u32 = 50;

/// What there is, as the API server last told.
#[derive(Clone)]
pub struct Stores {
    /// All relays.
    pub relays: Store<SMTPRelay>,
    /// All TCP Schedules.
    pub schedules: Store<TCPSchedule>,
    /// All SMTPAccesses.
    pub accesses: Store<SMTPAccess>,
    /// All namespaces, with their names and labels; none where a single one is watched, since nothing but itself is to be seen then.
    pub namespaces: Option<Store<Namespace>>,
    /// Relays' pods.
    pub pods: Store<RelayPod>,
    /// Relays' StatefulSets.
    pub stateful_sets: Store<Packed<StatefulSet>>,
    /// Relays' Services.
    pub services: Store<Packed<Service>>,
    /// Relays' ConfigMaps.
    pub config_maps: Store<Packed<ConfigMap>>,
    /// Relays' ServiceAccounts.
    pub service_accounts: Store<Packed<ServiceAccount>>,
    /// Relays' PodDisruptionBudgets.
    pub budgets: Store<Packed<PodDisruptionBudget>>,
    /// Relays' NetworkPolicies.
    pub network_policies: Store<Packed<NetworkPolicy>>,
    /// Pods of others that ask for a sidecar: metadata, account, phase, and what tells whether they have one.
    pub injected: Store<Pod>,
}

/// Where reconciles are asked for.
#[derive(Clone)]
pub struct Queues {
    /// Of relays.
    pub relays: UnboundedSender<ObjectRef<SMTPRelay>>,
    /// Of TCP Schedules.
    pub schedules: UnboundedSender<ObjectRef<TCPSchedule>>,
    /// Of SMTPAccesses.
    pub accesses: UnboundedSender<ObjectRef<SMTPAccess>>,
    /// Of pods that ask for a sidecar.
    pub injected: UnboundedSender<ObjectRef<Pod>>,
}

/// The key of an object in caches and queues.
pub fn key<K: Resource<DynamicType = ()>>(object: &K) -> ObjectRef<K> {
    let mut key = ObjectRef::new(&object.name_any());
    key.namespace = object.namespace();
    key
}

impl Stores {
    /// Returns when everything that there is has been listed.
    ///
    /// # Errors
    /// When a watcher has ended before that.
    pub async fn ready(&self) -> Result<(), WriterDropped> {
        self.relays.wait_until_ready().await?;
        self.schedules.wait_until_ready().await?;
        self.accesses.wait_until_ready().await?;
        if let Some(namespaces) = &self.namespaces {
            namespaces.wait_until_ready().await?;
        }
        self.pods.wait_until_ready().await?;
        self.stateful_sets.wait_until_ready().await?;
        self.services.wait_until_ready().await?;
        self.config_maps.wait_until_ready().await?;
        self.service_accounts.wait_until_ready().await?;
        self.budgets.wait_until_ready().await?;
        self.network_policies.wait_until_ready().await?;
        self.injected.wait_until_ready().await
    }
}

/// The stores of a namespace, or of all, and what has to run to keep them.
#[must_use]
pub fn watch(client: &Client, namespace: Option<&str>, queues: &Queues) -> (Stores, BoxFuture<'static, ()>) {
    let all = watcher::Config::default().page_size(PAGE);
    let asking = watcher::Config::default().labels(inject::LABEL).page_size(PAGE);
    let (injected, watch_injected) = one(api(client, namespace), asking, slim_injected, on_injected(queues.clone()));
    let on_access = access::on_access(injected.clone(), queues.clone());
    let (accesses, watch_accesses) = kept(api(client, namespace), all.clone(), whole, on_access, Unserved::IsNone);
    let (namespaces, watch_namespaces) = match namespace {
        Some(_) => (None, None),
        None => {
            let each = access::on_namespace(accesses.clone(), injected.clone(), queues.clone());
            let (store, watch) = one(Api::all(client.clone()), all.clone(), access::slim_namespace, each);
            (Some(store), Some(watch))
        }
    };
    let on_relay = on_relay(injected.clone(), accesses.clone(), queues.clone());
    let (relays, watch_relays) = one(api(client, namespace), all.clone(), whole, on_relay);
    let on_schedule = on_schedule(relays.clone(), queues.clone());
    let (schedules, watch_schedules) = one(api(client, namespace), all, whole, on_schedule);
    let (pods, watch_pods) = one(
        api(client, namespace),
        own(),
        <RelayPod as From<Pod>>::from,
        on_owned(queues.clone(), relays.clone(), RelayPod::relay),
    );
    let (stateful_sets, watch_stateful_sets) = owned(client, namespace, queues, &relays);
    let (services, watch_services) = owned(client, namespace, queues, &relays);
    let (config_maps, watch_config_maps) = owned(client, namespace, queues, &relays);
    let (service_accounts, watch_service_accounts) = owned(client, namespace, queues, &relays);
    let (budgets, watch_budgets) = owned(client, namespace, queues, &relays);
    let (network_policies, watch_network_policies) = owned(client, namespace, queues, &relays);
    let watches = [
        watch_relays,
        watch_schedules,
        watch_accesses,
        watch_pods,
        watch_stateful_sets,
        watch_services,
        watch_config_maps,
        watch_service_accounts,
        watch_budgets,
        watch_network_policies,
        watch_injected,
    ];
    let stores = Stores {
        relays,
        schedules,
        accesses,
        namespaces,
        pods,
        stateful_sets,
        services,
        config_maps,
        service_accounts,
        budgets,
        network_policies,
        injected,
    };
    (stores, future::join_all(watches.into_iter().chain(watch_namespaces)).map(|_| ()).boxed())
}

fn own() -> watcher::Config {
    watcher::Config::default().labels(names::SELECTOR).page_size(PAGE)
}

fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

fn owned<K>(
    client: &Client,
    namespace: Option<&str>,
    queues: &Queues,
    relays: &Store<SMTPRelay>,
) -> (Store<Packed<K>>, BoxFuture<'static, ()>)
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + Serialize
        + DeserializeOwned
        + Debug
        + Send
        + Sync
        + 'static,
{
    let each = on_owned(queues.clone(), relays.clone(), Packed::relay);
    let packer = Packer::default();
    one(api(client, namespace), own(), move |object: K| packer.pack(&object), each)
}

/// What it means that the API server does not serve a kind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unserved {
    /// Nothing can be done before it does.
    Waits,
    /// Its definition is not installed yet, as after an upgrade of the operator alone: there is none of it.
    IsNone,
}

/// A store of objects of the kind K, each kept as an S, and what has to run to keep it.
fn one<K, S>(
    api: Api<DeserializeGuard<K>>,
    config: watcher::Config,
    keep: impl Fn(K) -> S + Send + 'static,
    each: impl FnMut(&watcher::Event<S>) + Send + 'static,
) -> (Store<S>, BoxFuture<'static, ()>)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    S: reflector::Lookup<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    kept(api, config, keep, each, Unserved::Waits)
}

fn kept<K, S>(
    api: Api<DeserializeGuard<K>>,
    config: watcher::Config,
    keep: impl Fn(K) -> S + Send + 'static,
    mut each: impl FnMut(&watcher::Event<S>) + Send + 'static,
    unserved: Unserved,
) -> (Store<S>, BoxFuture<'static, ()>)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    S: reflector::Lookup<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let known = store.clone();
    let watch = async move {
        let mut listed = false;
        let events = watcher(api, config)
            .default_backoff()
            .map(move |event| match event {
                // Only at first: what was there once is not taken for gone.
                Err(watcher::Error::InitialListFailed(kube::Error::Api(status)))
                    if status.code == 404 && !listed && unserved == Unserved::IsNone =>
                {
                    listed = true;
                    warn!(kind = %K::kind(&()), "its definition is not installed: install those of this version");
                    Ok(watcher::Event::InitDone)
                }
                event => {
                    listed |= matches!(event, Ok(watcher::Event::InitDone));
                    event
                }
            })
            .filter_map(move |event| future::ready(event.map(|event| readable(event, &keep, &known)).transpose()));
        let mut events = std::pin::pin!(reflector(writer, events));
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => each(&event),
                Err(error) => warn!(kind = %K::kind(&()), %error, "watching failed and will be repeated"),
            }
        }
    };
    (store, watch.boxed())
}

/// The event, unless it is of an object that cannot be read: one of those must not stop the reconciles of all others, and
/// what was known of it before stands.
fn readable<K, S>(
    event: watcher::Event<DeserializeGuard<K>>,
    keep: impl Fn(K) -> S,
    known: &Store<S>,
) -> Option<watcher::Event<S>>
where
    K: Resource<DynamicType = ()>,
    S: reflector::Lookup<DynamicType = ()> + Clone + 'static,
{
    let read = |guard: DeserializeGuard<K>| match guard.0 {
        Ok(object) => Some(keep(without_bookkeeping(object))),
        Err(InvalidObject { error, metadata }) => {
            let (namespace, name) = (metadata.namespace.unwrap_or_default(), metadata.name.unwrap_or_default());
            warn!(kind = %K::kind(&()), namespace, name, error, "it makes no sense and is left out until it is corrected");
            None
        }
    };
    Some(match event {
        watcher::Event::Apply(guard) => watcher::Event::Apply(read(guard)?),
        watcher::Event::InitApply(guard) => watcher::Event::InitApply(read(guard)?),
        watcher::Event::Delete(guard) => {
            let mut object = ObjectRef::new(&guard.name_any());
            object.namespace = guard.namespace();
            let known = known.get(&object);
            let read = guard.0.ok().map(|object| keep(without_bookkeeping(object)));
            watcher::Event::Delete(read.or_else(|| known.map(|known| (*known).clone()))?)
        }
        watcher::Event::Init => watcher::Event::Init,
        watcher::Event::InitDone => watcher::Event::InitDone,
    })
}

/// The object without what only others read.
fn without_bookkeeping<K: Resource>(mut object: K) -> K {
    object.meta_mut().managed_fields = None;
    if let Some(annotations) = &mut object.meta_mut().annotations {
        annotations.remove(LAST_APPLIED);
    }
    object
}

fn whole<K>(object: K) -> K {
    object
}

/// Of a pod that asks for a sidecar only what tells whether it has one, and whose it is.
fn slim_injected(mut pod: Pod) -> Pod {
    let named = |container: Container| Container { name: container.name, ..Container::default() };
    pod.metadata.owner_references = None;
    pod.spec = pod.spec.take().map(|spec| PodSpec {
        service_account_name: spec.service_account_name,
        host_network: spec.host_network,
        os: spec.os,
        init_containers: spec.init_containers.map(|containers| containers.into_iter().map(named).collect()),
        containers: spec.containers.into_iter().map(named).collect(),
        volumes: spec.volumes.map(|volumes| {
            volumes.into_iter().map(|volume| Volume { name: volume.name, ..Volume::default() }).collect()
        }),
        ..PodSpec::default()
    });
    pod.status = pod.status.take().map(|status| PodStatus { phase: status.phase, ..PodStatus::default() });
    pod
}

/// A pod that asks for a sidecar asks for itself and for its relay, whose status counts it.
fn on_injected(queues: Queues) -> impl FnMut(&watcher::Event<Pod>) + Send {
    move |event| {
        let (watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) | watcher::Event::Delete(pod)) = event else {
            return;
        };
        let _ = queues.injected.unbounded_send(key(pod));
        if let Some(relay) = fault::relay_of(&pod.metadata) {
            let _ = queues.relays.unbounded_send(ObjectRef::new(&relay.name).within(&relay.namespace));
        }
    }
}

/// A relay asks for itself; for what asks it for access, and the pods that ask for a sidecar to it; and, where what it refers to may have changed, for its namespace's
/// TCP Schedules, which count the relays that refer to them.
fn on_relay(
    injected: Store<Pod>,
    accesses: Store<SMTPAccess>,
    queues: Queues,
) -> impl FnMut(&watcher::Event<SMTPRelay>) + Send {
    let mut references: HashMap<ObjectRef<SMTPRelay>, Option<String>> = HashMap::new();
    let mut generations = access::Generations::default();
    move |event| {
        let (relay, gone) = match event {
            watcher::Event::Apply(relay) | watcher::Event::InitApply(relay) => (relay, false),
            watcher::Event::Delete(relay) => (relay, true),
            watcher::Event::Init | watcher::Event::InitDone => return,
        };
        let key = key(relay);
        let _ = queues.relays.unbounded_send(key.clone());
        if generations.changed(relay, gone) {
            access::on_relay(&accesses, relay, &queues);
        }
        let asks = |pod: &Pod| {
            fault::relay_of(&pod.metadata)
                .is_some_and(|place| place.name == key.name && Some(&place.namespace) == key.namespace.as_ref())
        };
        for pod in injected.state_filter(|pod| asks(pod)) {
            let _ = queues.injected.unbounded_send(self::key(&*pod));
        }
        let now = relay.spec.schedule_ref.as_ref().map(|reference| reference.name.clone()).filter(|_| !gone);
        let before = if gone { references.remove(&key) } else { references.insert(key.clone(), now.clone()) };
        let before = before.flatten();
        if before != now {
            for name in [before, now].into_iter().flatten() {
                let mut schedule = ObjectRef::new(&name);
                schedule.namespace.clone_from(&key.namespace);
                let _ = queues.schedules.unbounded_send(schedule);
            }
        }
    }
}

/// A TCP Schedule asks for itself and for the relays that refer to it.
fn on_schedule(relays: Store<SMTPRelay>, queues: Queues) -> impl FnMut(&watcher::Event<TCPSchedule>) + Send {
    move |event| {
        let (watcher::Event::Apply(schedule) | watcher::Event::InitApply(schedule) | watcher::Event::Delete(schedule)) =
            event
        else {
            return;
        };
        let key = key(schedule);
        let refers = |relay: &SMTPRelay| {
            relay.namespace() == key.namespace
                && relay.spec.schedule_ref.as_ref().is_some_and(|reference| reference.name == key.name)
        };
        for relay in relays.state_filter(|relay| refers(relay)) {
            let _ = queues.relays.unbounded_send(self::key(&*relay));
        }
        let _ = queues.schedules.unbounded_send(key);
    }
}

/// An object asks for its relay; and after a new listing, which does not tell what went away since the one before, all
/// relays are asked for.
fn on_owned<S: reflector::Lookup>(
    queues: Queues,
    relays: Store<SMTPRelay>,
    relay_of: fn(&S) -> Option<&str>,
) -> impl FnMut(&watcher::Event<S>) + Send {
    move |event| match event {
        watcher::Event::Apply(object) | watcher::Event::Delete(object) => {
            if let Some(name) = relay_of(object) {
                let mut relay = ObjectRef::new(name);
                relay.namespace = object.namespace().map(Cow::into_owned);
                let _ = queues.relays.unbounded_send(relay);
            }
        }
        watcher::Event::InitDone => {
            for relay in relays.state() {
                let _ = queues.relays.unbounded_send(key(&*relay));
            }
        }
        watcher::Event::Init | watcher::Event::InitApply(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_that_makes_no_sense_is_left_out_and_stops_nobody_else() {
        let relay = |interval: &str| {
            let relay = json!({
                "apiVersion": "mailsluice.dev/v1alpha1",
                "kind": "SMTPRelay",
                "metadata": {"name": "outbound", "namespace": "shop"},
                "spec": {"retry": {"first": interval}},
            });
            serde_json::from_value::<DeserializeGuard<SMTPRelay>>(relay).unwrap()
        };
        let (known, _writer) = reflector::store();
        // The schema's pattern takes 99999d, which is more seconds than the type holds.
        for (interval, seen) in [("5m", true), ("99999d", false)] {
            assert_eq!(readable(watcher::Event::Apply(relay(interval)), whole, &known).is_some(), seen, "{interval}");
            assert_eq!(
                readable(watcher::Event::InitApply(relay(interval)), whole, &known).is_some(),
                seen,
                "{interval}"
            );
        }
        assert!(readable(watcher::Event::<DeserializeGuard<SMTPRelay>>::InitDone, whole, &known).is_some());
    }
}
