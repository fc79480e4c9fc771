//! Asks the claims that are there to grow, and has the StatefulSet made anew with the larger template.

use std::time::{Duration, Instant};

use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::PersistentVolumeClaim};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, Preconditions, PropagationPolicy},
};
use serde_json::json;
use tracing::info;

use super::{
    Context, ReconcileError,
    apply::{Applied, is_refusal},
    dereference::Found,
};
use crate::{
    growth::{self, Cause, Change, Growth, Known, Smaller, Step},
    names,
    resources::Claim,
    scale::Scale,
    status,
};

/// What goes or has changed meanwhile shows in the cache by then.
const CACHE: Duration = Duration::from_secs(1);

/// How the claims stand, and when to look again.
pub(super) struct Grown {
    /// How they stand.
    pub(super) growth: Growth,
    /// When to look again.
    pub(super) again: Option<Duration>,
}

/// For a relay whose claims are left as they are.
pub(super) fn nothing() -> Grown {
    Grown { growth: Growth::Done, again: None }
}

/// Goes as far as it can be gone now.
pub(super) async fn grow(
    context: &Context,
    found: &Found,
    applied: &Applied,
    scale: &Scale,
) -> Result<Grown, ReconcileError> {
    // Without a StatefulSet of its own, claims of those names may be anybody's.
    let Some(stateful_set) = applied.stateful_set.as_deref() else { return Ok(nothing()) };
    let wanted = Claim::wanted(&found.relay.spec.storage);
    let present = found.stateful_set.as_deref().and_then(Claim::of);
    let change = present.as_ref().map(|present| growth::change(present, &wanted));
    let cause = match (change, present) {
        (Some(Change::Impossible), Some(present)) => {
            return Ok(Grown { growth: Growth::Impossible { present, wanted }, again: None });
        }
        (Some(Change::None), _) if tells_of_other_things(context, found) => Cause::None,
        (Some(Change::None), _) => Cause::Status,
        _ => Cause::Template,
    };
    let size = wanted.size;
    let grown = match context.growths.known(&found.key, &size, cause, Instant::now()) {
        Known::So(growth, again) => Grown { growth, again },
        Known::NotYet if is_new(found) => {
            let again = context.growths.put_off(&found.key, &size, Instant::now());
            Grown { growth: Growth::Done, again: Some(again) }
        }
        Known::NotYet => note(context, found, &size, look(context, found, &size, scale).await?),
    };
    match &grown.growth {
        Growth::Done | Growth::Growing { .. } if change == Some(Change::Larger) => {
            let_go(context, found, stateful_set, size, grown).await
        }
        _ => Ok(grown),
    }
}

/// Whether nobody has said anything of it yet. What an operator left in the middle has its conditions.
fn is_new(found: &Found) -> bool {
    found.stateful_set.is_none() && found.relay.status.as_ref().is_none_or(|status| status.conditions.is_empty())
}

/// Whether the status says by itself that the claims are as they should be.
fn tells_of_other_things(context: &Context, found: &Found) -> bool {
    let (before, _) = context.relay_statuses.stored(&found.key, found.relay.status.as_ref(), Instant::now());
    before.conditions.iter().any(status::has_its_storage)
}

fn note(context: &Context, found: &Found, size: &str, growth: Growth) -> Grown {
    let again = context.growths.found(&found.key, size, &growth, Instant::now());
    Grown { growth, again }
}

/// Looks at each claim, also at those that a scale-down has left behind, and asks those that are too small.
async fn look(context: &Context, found: &Found, size: &str, scale: &Scale) -> Result<Growth, ReconcileError> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(context.client.clone(), found.namespace());
    let stranded = scale.stranded.iter().filter_map(|mail| names::claim_number(found.name(), &mail.claim));
    let known = match &found.stateful_set {
        Some(_) => stranded.map(|number| number + 1).chain([scale.replicas]).max().unwrap_or_default(),
        // It was let go, so they are looked for up to the first that is missing.
        None => 0,
    };
    let mut claims = Vec::new();
    for number in 0.. {
        let has_pod = number < scale.replicas;
        let name = names::claim(found.name(), number);
        let Some(claim) = api.get_opt(&name).await.map_err(ReconcileError::Dereference)? else {
            // They are numbered from 0 and nobody but a person takes one away.
            if number >= known {
                break;
            }
            continue;
        };
        match growth::step(&claim, size, has_pod) {
            Step::Nothing => {}
            Step::Wait(smaller) => claims.push(smaller),
            Step::Ask(smaller) => match ask(context, found, &api, &claim, smaller, size).await? {
                Ok(smaller) if has_pod => claims.push(smaller),
                Ok(_) => {}
                Err(refused) => return Ok(refused),
            },
        }
    }
    match claims.is_empty() {
        true => Ok(Growth::Done),
        false => Ok(Growth::Growing { wanted: size.to_owned(), claims }),
    }
}

/// Asks a claim to grow: as it was seen, so that nobody's larger size is taken back.
async fn ask(
    context: &Context,
    found: &Found,
    api: &Api<PersistentVolumeClaim>,
    claim: &PersistentVolumeClaim,
    smaller: Smaller,
    size: &str,
) -> Result<Result<Smaller, Growth>, ReconcileError> {
    let patch = json!({
        "metadata": {"uid": claim.metadata.uid, "resourceVersion": claim.metadata.resource_version},
        "spec": {"resources": {"requests": {"storage": size}}},
    });
    let parameters = PatchParams { field_manager: Some(names::MANAGER.into()), ..PatchParams::default() };
    match api.patch(&smaller.name, &parameters, &Patch::Merge(&patch)).await {
        Ok(_) => {
            context.metrics.wrote("PersistentVolumeClaim");
            info!(relay = %found.key, claim = smaller.name, from = smaller.size, to = size, "asked to grow");
            Ok(Ok(smaller))
        }
        // It has changed, or is gone: the next look sees how.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(Ok(smaller)),
        Err(kube::Error::Api(status)) if is_refusal(status.code) => {
            let (wanted, message) = (size.to_owned(), status.message);
            Ok(Err(Growth::Refused { claim: smaller, wanted, message }))
        }
        Err(source) => Err(ReconcileError::Apply { kind: "PersistentVolumeClaim".into(), name: smaller.name, source }),
    }
}

/// Has the StatefulSet go without its pods; the reconcile that its end asks for makes the next one, which takes them over.
async fn let_go(
    context: &Context,
    found: &Found,
    stateful_set: &StatefulSet,
    size: String,
    grown: Grown,
) -> Result<Grown, ReconcileError> {
    let going = |again: Option<Duration>| {
        let claims = match grown.growth {
            Growth::Growing { claims, .. } => claims,
            _ => Vec::new(),
        };
        Grown { growth: Growth::Growing { wanted: size.clone(), claims }, again: again.or(grown.again) }
    };
    let present = &stateful_set.metadata;
    if present.deletion_timestamp.is_some() {
        return Ok(going(None));
    }
    let parameters = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Orphan),
        // This one as it is known: not another that has its name meanwhile, nor one that was changed since.
        preconditions: Some(Preconditions {
            uid: present.uid.clone(),
            resource_version: present.resource_version.clone(),
        }),
        ..DeleteParams::default()
    };
    let api: Api<StatefulSet> = Api::namespaced(context.client.clone(), found.namespace());
    match api.delete(found.name(), &parameters).await {
        Ok(_) => {
            context.metrics.wrote("StatefulSet");
            info!(relay = %found.key, size, "the StatefulSet goes, and its pods stay for the next one");
            Ok(going(None))
        }
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(going(Some(CACHE))),
        Err(kube::Error::Api(status)) if is_refusal(status.code) => {
            let kept = Growth::Kept { wanted: size.clone(), message: status.message };
            Ok(note(context, found, &size, kept))
        }
        Err(source) => {
            Err(ReconcileError::Remove { kind: "StatefulSet".into(), name: found.name().to_owned(), source })
        }
    }
}
