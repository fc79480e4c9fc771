//! Larger claims: what is to be done with each that a relay has, and what comes of it.
//!
//! The claims that a StatefulSet's pods have can grow where their storage class allows it; its template of claims cannot be changed. So the claims
//! that are there are asked to grow, and then the StatefulSet goes without its pods and is made anew with the larger template: it finds the
//! pods that it would make, and takes them over as they are.
//!
//! How far that came is told by the StatefulSet, the claims and the relay's status, so an operator that starts in the middle of it goes on with it. Claims
//! are not watched: they are looked at while they grow, and once, a minute after a relay was made. Else nobody asks for them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use k8s_openapi::{api::core::v1::PersistentVolumeClaim, apimachinery::pkg::api::resource::Quantity};
use kube::runtime::reflector::ObjectRef;
use mailsluice_crds::SMTPRelay;

use crate::resources::Claim;

/// Claims that grow are looked at so often: a resizer takes seconds, or minutes.
const LOOK: Duration = Duration::from_secs(5);
/// What was refused is asked for again after so long: a storage class or a quota is changed by a person.
const REFUSED: Duration = Duration::from_secs(60);
/// The claims that a new relay may find from one of its name before are looked at after so long: its pods come first.
const NEW: Duration = Duration::from_secs(60);

/// What a change of `spec.storage` comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing, however the sizes are spelled.
    None,
    /// More of the same.
    Larger,
    /// What no claim can become.
    Impossible,
}

/// What the claims that there are would have to become.
#[must_use]
pub fn change(present: &Claim, wanted: &Claim) -> Change {
    let (before, after) = (octets(&present.size), octets(&wanted.size));
    match present.class == wanted.class {
        true if before == after && (before.is_some() || present.size == wanted.size) => Change::None,
        true if before.is_some() && before < after => Change::Larger,
        _ => Change::Impossible,
    }
}

/// How the claims of a relay stand to what is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Growth {
    /// They are so, or larger.
    Done,
    /// They are on their way to it.
    Growing {
        /// The size that is asked for.
        wanted: String,
        /// Those that are not there yet; none, while only the StatefulSet has to be made anew.
        claims: Vec<Smaller>,
    },
    /// The API server refuses to let one grow.
    Refused {
        /// The claim as it is.
        claim: Smaller,
        /// The size that is asked for.
        wanted: String,
        /// The API server's words.
        message: String,
    },
    /// The API server refuses to let the StatefulSet go, so that pods to come would have claims of the old size.
    Kept {
        /// The size that is asked for.
        wanted: String,
        /// The API server's words.
        message: String,
    },
    /// What is asked for is no growth.
    Impossible {
        /// What the claims were made with.
        present: Claim,
        /// What is asked for.
        wanted: Claim,
    },
}

/// A claim that is smaller than it is asked to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Smaller {
    /// Its name.
    pub name: String,
    /// The size that it has, where it has one.
    pub size: Option<String>,
    /// What is said of its growth by those who see to it.
    pub says: Option<String>,
}

/// What is to be done with a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Nothing,
    /// It is asked to grow.
    Ask(Smaller),
    /// It is waited for.
    Wait(Smaller),
}

/// Decides; a claim that no pod has is asked and not waited for, since its file system grows when a pod has it again.
#[must_use]
pub fn step(claim: &PersistentVolumeClaim, wanted: &str, has_pod: bool) -> Step {
    let (spec, status) = (claim.spec.as_ref(), claim.status.as_ref());
    let requested = size(spec.and_then(|spec| spec.resources.as_ref()?.requests.as_ref()));
    let capacity = size(status.and_then(|status| status.capacity.as_ref()));
    let is_enough = |size: Option<&str>| size.and_then(octets).is_some_and(|size| Some(size) >= octets(wanted));
    let is_bound = status.and_then(|status| status.phase.as_deref()) == Some("Bound");
    let smaller = |size: Option<&str>, says| Smaller {
        name: claim.metadata.name.clone().unwrap_or_default(),
        size: size.map(str::to_owned),
        says,
    };
    match (is_enough(requested), is_enough(capacity)) {
        (true, true) => Step::Nothing,
        // It is being made, and with that size.
        (true, false) if !is_bound => Step::Nothing,
        (false, _) if is_bound => Step::Ask(smaller(requested, None)),
        _ if !has_pod => Step::Nothing,
        (false, _) => Step::Wait(smaller(requested, Some("it has no volume yet, and is asked when it has".into()))),
        (true, false) => Step::Wait(smaller(capacity, said(claim))),
    }
}

fn size(sizes: Option<&BTreeMap<String, Quantity>>) -> Option<&str> {
    sizes?.get("storage").map(|size| size.0.as_str())
}

/// What the resizer and the kubelet say.
fn said(claim: &PersistentVolumeClaim) -> Option<String> {
    let status = claim.status.as_ref()?;
    let conditions = status.conditions.iter().flatten().filter(|condition| condition.status == "True");
    let conditions: Vec<_> = conditions
        .map(|condition| match condition.message.as_deref().filter(|message| !message.is_empty()) {
            Some(message) => format!("{}: {message}", condition.type_),
            None => condition.type_.clone(),
        })
        .collect();
    match conditions.is_empty() {
        true => status.allocated_resource_statuses.as_ref()?.get("storage").cloned(),
        false => Some(conditions.join("; ")),
    }
}

/// A size in octets, as the API server writes it: a whole number with a unit, of thousandths too.
fn octets(size: &str) -> Option<u128> {
    const UNITS: [(&str, u128); 13] = [
        ("", 1),
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("Pi", 1 << 50),
        ("Ei", 1 << 60),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
        ("P", 1_000_000_000_000_000),
        ("E", 1_000_000_000_000_000_000),
    ];
    let (number, unit) = size.split_at(size.find(|character: char| !character.is_ascii_digit()).unwrap_or(size.len()));
    let number: u128 = number.parse().ok()?;
    if unit == "m" {
        return Some(number / 1_000);
    }
    let (_, octets) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*octets)
}

/// Why the claims of a relay may have to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// There is none.
    None,
    /// Its status does not say that they are as they should be.
    Status,
    /// Its StatefulSet has a smaller template, or was not there just now.
    Template,
}

/// What is known of a relay's claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// This, till then.
    So(Growth, Option<Duration>),
    /// They are to be looked at.
    NotYet,
}

/// What was found of each relay's claims at the last look.
#[derive(Default)]
pub struct Growths(Mutex<HashMap<ObjectRef<SMTPRelay>, Look>>);

struct Look {
    wanted: String,
    at: Instant,
    /// Nothing, where it was put off.
    found: Option<Growth>,
}

impl Growths {
    /// What is known of the claims that are to have that size.
    pub fn known(&self, relay: &ObjectRef<SMTPRelay>, wanted: &str, cause: Cause, now: Instant) -> Known {
        let looks = self.lock();
        match looks.get(relay).filter(|look| look.wanted == wanted) {
            None if cause == Cause::None => Known::So(Growth::Done, None),
            None => Known::NotYet,
            Some(Look { found: Some(Growth::Done), .. }) if cause != Cause::Template => Known::So(Growth::Done, None),
            Some(look) => {
                let pace = look.found.as_ref().map_or(NEW, pace);
                let left = pace.checked_sub(now.saturating_duration_since(look.at));
                match left.filter(|left| !left.is_zero()) {
                    Some(left) => {
                        let again = (look.found != Some(Growth::Done)).then_some(left);
                        Known::So(look.found.clone().unwrap_or(Growth::Done), again)
                    }
                    None => Known::NotYet,
                }
            }
        }
    }

    /// Puts off the first look at the claims of a relay that is new; till when.
    pub fn put_off(&self, relay: &ObjectRef<SMTPRelay>, wanted: &str, now: Instant) -> Duration {
        self.lock().insert(relay.clone(), Look { wanted: wanted.to_owned(), at: now, found: None });
        NEW
    }

    /// Notes what was found; when to look again.
    pub fn found(&self, relay: &ObjectRef<SMTPRelay>, wanted: &str, found: &Growth, now: Instant) -> Option<Duration> {
        let look = Look { wanted: wanted.to_owned(), at: now, found: Some(found.clone()) };
        self.lock().insert(relay.clone(), look);
        again(found)
    }

    /// Forgets relays that are not there any more.
    pub fn retain(&self, exists: impl Fn(&ObjectRef<SMTPRelay>) -> bool) {
        self.lock().retain(|relay, _| exists(relay));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectRef<SMTPRelay>, Look>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pace(found: &Growth) -> Duration {
    match found {
        Growth::Refused { .. } | Growth::Kept { .. } => REFUSED,
        Growth::Done | Growth::Growing { .. } | Growth::Impossible { .. } => LOOK,
    }
}

fn again(found: &Growth) -> Option<Duration> {
    (*found != Growth::Done).then(|| pace(found))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_change_is_growth_only_where_a_claim_can_follow_it() {
        let claim = |size: &str, class: Option<&str>| Claim { size: size.into(), class: class.map(str::to_owned) };
        for (present, wanted, found) in [
            (claim("10Gi", None), claim("10Gi", None), Change::None),
            (claim("10Gi", None), claim("10240Mi", None), Change::None),
            (claim("odd", None), claim("odd", None), Change::None),
            (claim("10Gi", None), claim("20Gi", None), Change::Larger),
            (claim("10Gi", Some("fast")), claim("10241Mi", Some("fast")), Change::Larger),
            (claim("10Gi", None), claim("10G", None), Change::Impossible),
            (claim("10Gi", None), claim("20Gi", Some("fast")), Change::Impossible),
            (claim("10Gi", Some("fast")), claim("20Gi", None), Change::Impossible),
            (claim("odd", None), claim("20Gi", None), Change::Impossible),
        ] {
            assert_eq!(change(&present, &wanted), found, "{present:?} {wanted:?}");
        }
    }

    #[test]
    fn sizes_are_read_as_the_api_server_writes_them() {
        for (size, octets_wanted) in [
            ("0", Some(0)),
            ("1073741824", Some(1 << 30)),
            ("1099511627776", Some(1 << 40)),
            ("10Gi", Some(10 << 30)),
            ("5k", Some(5_000)),
            ("2E", Some(2_000_000_000_000_000_000)),
            ("1500m", Some(1)),
            ("1.5Gi", None),
            ("1e3", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(octets(size), octets_wanted, "{size}");
        }
    }

    fn claim(requested: &str, status: Value) -> PersistentVolumeClaim {
        serde_json::from_value(json!({
            "metadata": {"name": "spool-outbound-0"},
            "spec": {"resources": {"requests": {"storage": requested}}},
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn each_claim_is_asked_once_and_waited_for_until_it_has_its_size() {
        let bound = |capacity: &str| json!({"phase": "Bound", "capacity": {"storage": capacity}});
        let pending = json!({"phase": "Pending"});
        let said = json!({
            "phase": "Bound",
            "capacity": {"storage": "10Gi"},
            "conditions": [
                {"type": "Resizing", "status": "False"},
                {"type": "FileSystemResizePending", "status": "True", "message": "waiting for the node"},
            ],
        });
        let under_way = json!({
            "phase": "Bound",
            "capacity": {"storage": "10Gi"},
            "allocatedResourceStatuses": {"storage": "ControllerResizeInProgress"},
        });
        let smaller = |says: Option<&str>| Smaller {
            name: "spool-outbound-0".into(),
            size: Some("10Gi".into()),
            says: says.map(str::to_owned),
        };
        for (name, requested, status, has_pod, wanted) in [
            ("as it should be", "20Gi", bound("20Gi"), true, Step::Nothing),
            ("larger", "30Gi", bound("30Gi"), true, Step::Nothing),
            ("too small", "10Gi", bound("10Gi"), true, Step::Ask(smaller(None))),
            ("too small, and nobody has it", "10Gi", bound("10Gi"), false, Step::Ask(smaller(None))),
            ("asked", "20Gi", bound("10Gi"), true, Step::Wait(smaller(None))),
            ("asked, and nobody has it", "20Gi", bound("10Gi"), false, Step::Nothing),
            ("on its way", "20Gi", under_way, true, Step::Wait(smaller(Some("ControllerResizeInProgress")))),
            (
                "nearly there",
                "20Gi",
                said,
                true,
                Step::Wait(smaller(Some("FileSystemResizePending: waiting for the node"))),
            ),
            (
                "without a volume",
                "10Gi",
                pending.clone(),
                true,
                Step::Wait(smaller(Some("it has no volume yet, and is asked when it has"))),
            ),
            ("just made", "20Gi", pending.clone(), true, Step::Nothing),
            ("without a volume, and nobody has it", "10Gi", pending, false, Step::Nothing),
        ] {
            assert_eq!(step(&claim(requested, status), "20Gi", has_pod), wanted, "{name}");
        }
        // A volume that was made by hand may be larger than its claim asks for.
        assert_eq!(step(&claim("10Gi", bound("100Gi")), "20Gi", true), Step::Ask(smaller(None)));
    }

    #[test]
    fn claims_are_looked_at_while_they_grow_and_else_not_at_all() {
        let (growths, start) = (Growths::default(), Instant::now());
        let relay = ObjectRef::new("outbound").within("shop");
        let known = |cause, after| growths.known(&relay, "20Gi", cause, start + after);
        let (none, soon) = (Duration::ZERO, Duration::from_secs(1));
        assert_eq!(known(Cause::None, none), Known::So(Growth::Done, None), "an idle relay costs nothing");
        assert_eq!(known(Cause::Status, none), Known::NotYet);
        assert_eq!(known(Cause::Template, none), Known::NotYet);

        let growing = Growth::Growing { wanted: "20Gi".into(), claims: Vec::new() };
        assert_eq!(growths.found(&relay, "20Gi", &growing, start), Some(LOOK));
        assert_eq!(known(Cause::None, soon), Known::So(growing.clone(), Some(LOOK - soon)));
        assert_eq!(known(Cause::None, LOOK), Known::NotYet);
        assert_eq!(growths.known(&relay, "30Gi", Cause::Template, start), Known::NotYet, "more is asked for");

        let kept = Growth::Kept { wanted: "20Gi".into(), message: "no".into() };
        assert_eq!(growths.found(&relay, "20Gi", &kept, start), Some(REFUSED));
        assert_eq!(known(Cause::Template, LOOK), Known::So(kept, Some(REFUSED - LOOK)));
        assert_eq!(known(Cause::Template, REFUSED), Known::NotYet, "it is asked for again");

        assert_eq!(growths.found(&relay, "20Gi", &Growth::Done, start), None);
        assert_eq!(known(Cause::Status, LOOK), Known::So(Growth::Done, None), "whatever the status says");
        assert_eq!(known(Cause::Template, soon), Known::So(Growth::Done, None));
        assert_eq!(
            known(Cause::Template, LOOK),
            Known::NotYet,
            "a StatefulSet that was made anew may have brought claims"
        );
        growths.retain(|_| false);
        assert_eq!(known(Cause::Status, soon), Known::NotYet);

        assert_eq!(growths.put_off(&relay, "20Gi", start), NEW);
        assert_eq!(known(Cause::Template, soon), Known::So(Growth::Done, Some(NEW - soon)));
        assert_eq!(known(Cause::None, NEW), Known::NotYet, "it may have found claims of one of its name before");
    }
}
