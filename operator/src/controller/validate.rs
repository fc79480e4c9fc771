//! Whether a relay can be carried out, and as what.

use kube::{Resource as _, ResourceExt as _};
use mailsluice_crds::{schedule::Schedule, shares::Shares};

use super::{
    ReconcileError, access,
    dereference::{Found, Reference},
};
use crate::{
    credential::{MonitorKey, Token},
    names,
    resources::{self, Claim, Plan},
    schedule::{Known, ScheduleUse},
    status::Obstacle,
};

/// A StatefulSet's pods bear its name with a hash of ten characters and a hyphen in a label, which takes 63.
const LONGEST_NAME: usize = 52;

/// The relay's TCP Schedule, as far as it can be obeyed.
pub(super) fn schedule(reference: &Reference) -> ScheduleUse {
    match reference {
        Reference::None => ScheduleUse::None,
        Reference::Dangling(name) => ScheduleUse::Missing(name.clone()),
        Reference::To(schedule) => match Schedule::new(&schedule.name_any(), &schedule.spec) {
            Ok(compiled) => ScheduleUse::Known(Box::new(Known { schedule: compiled, spec: schedule.spec.clone() })),
            Err(error) => ScheduleUse::Invalid { name: schedule.name_any(), error },
        },
    }
}

/// The relay's credential.
pub(super) fn token(found: &Found, key: &MonitorKey) -> Token {
    key.token(found.namespace(), found.name(), found.uid())
}

/// The claim of the StatefulSet's template: what it has it keeps, so another one takes another StatefulSet.
fn claim(found: &Found) -> Claim {
    let present = found.stateful_set.as_deref().and_then(Claim::of);
    present.unwrap_or_else(|| Claim::wanted(&found.relay.spec.storage))
}

/// Plans the relay's objects, with so many pods and its limits divided so now; or says what makes that impossible.
pub(super) fn validate(
    found: &Found,
    (replicas, shares): (u32, Shares),
    image: &str,
    key: &MonitorKey,
) -> Result<Result<Plan, Obstacle>, ReconcileError> {
    if let Err(obstacle) = sound(found) {
        return Ok(Err(obstacle));
    }
    let Some(owner) = found.relay.controller_owner_ref(&()) else {
        return Ok(Err(Obstacle::Invalid("the SMTPRelay has no uid: it does not come from an API server".into())));
    };
    Ok(Ok(Plan {
        namespace: found.namespace().to_owned(),
        name: found.name().to_owned(),
        owner,
        spec: access::with_granted(&found.relay, &found.granted),
        replicas,
        image: image.to_owned(),
        manifests: manifests(found)?,
        shares: serde_json::to_string(&shares)?,
        credential: token(found, key).hash(),
        token_keys: token_keys(found),
        client_pods: found.client_pods.clone(),
        claim: claim(found),
    }))
}

/// The cluster's keys, by which its pods know each other too; those that it has, while no others are known.
fn token_keys(found: &Found) -> Option<String> {
    let running = || found.config_map.as_ref()?.data.as_ref()?.get(names::TOKEN_KEYS_KEY).cloned();
    found.token_keys.clone().or_else(running)
}

/// The manifests that the relay's pods are to run.
fn manifests(found: &Found) -> Result<String, ReconcileError> {
    let relay = (found.name(), &found.relay.spec);
    let schedule = schedule(&found.schedule);
    let known = match &schedule {
        // Without its schedule's manifest a relay holds its mail, which is right for one that dangles.
        ScheduleUse::None | ScheduleUse::Missing(_) => None,
        ScheduleUse::Known(known) => Some((known.schedule.name(), &known.spec)),
        ScheduleUse::Invalid { .. } => {
            let running = found.config_map.as_ref().and_then(|config_map| config_map.data.as_ref());
            match running.and_then(|data| data.get(names::MANIFESTS_KEY)) {
                Some(running) => return Ok(running.clone()),
                None => None,
            }
        }
    };
    let granted = found.granted.iter().map(|(access, _)| &**access);
    Ok(resources::manifests(found.namespace(), relay, known, granted)?)
}

fn sound(found: &Found) -> Result<(), Obstacle> {
    let name = found.name();
    let letters = name.bytes().all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-');
    if !letters || !name.starts_with(|first: char| first.is_ascii_lowercase()) || name.len() > LONGEST_NAME {
        return Err(Obstacle::Invalid(format!(
            "the name {name:?} cannot be a Service's and a StatefulSet's: use a-z, 0-9 and '-', begin with a letter, and \
             use at most {LONGEST_NAME} characters"
        )));
    }
    for listener in &found.relay.spec.listeners {
        if listener.port == names::MONITOR_PORT {
            return Err(Obstacle::Invalid(format!(
                "spec.listeners: {} takes port {}, on which the relay serves its Monitor: use another",
                listener.name, listener.port
            )));
        }
        if listener.name == "http" {
            return Err(Obstacle::Invalid(
                "spec.listeners: the name \"http\" is taken by the port of the Monitor: use another".into(),
            ));
        }
    }
    Ok(())
}
