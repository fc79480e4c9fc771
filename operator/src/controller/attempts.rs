//! What came of applying an object, so that nothing is applied again in vain.
//!
//! Others may own parts of an object (a webhook that adds a container, a person who adds a port). Applying leaves those as
//! they are, so such an object never is just what is wanted; and what the API server refused, it refuses again.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::reflector::ObjectRef;
use mailsluice_crds::SMTPRelay;

/// After so long the API server is asked again: what it refuses may depend on more than the object.
const REFUSED: Duration = Duration::from_secs(30);

/// An object: its relay, its kind and its name.
pub(super) type Key = (ObjectRef<SMTPRelay>, String, String);

/// What came of the last attempt at each object.
#[derive(Default)]
pub(super) struct Attempts(Mutex<HashMap<Key, Attempt>>);

struct Attempt {
    /// The hash of what was applied.
    wanted: String,
    /// Which state of the object that led to, or was refused over.
    state: Option<String>,
    refused: Option<(String, Instant)>,
}

impl Attempts {
    /// Whether this was applied, and led to the state that the object is in.
    pub(super) fn is_settled(&self, key: &Key, wanted: &str, present: &ObjectMeta) -> bool {
        self.lock().get(key).is_some_and(|attempt| {
            attempt.refused.is_none() && attempt.wanted == wanted && attempt.state == Some(state(present))
        })
    }

    /// Why this was refused just now, for the object in the state that it is in.
    pub(super) fn refusal(
        &self,
        key: &Key,
        wanted: &str,
        present: Option<&ObjectMeta>,
        now: Instant,
    ) -> Option<String> {
        let attempts = self.lock();
        let attempt = attempts.get(key)?;
        let (message, at) = attempt.refused.as_ref()?;
        let again = attempt.wanted == wanted && attempt.state == present.map(state);
        (again && now.saturating_duration_since(*at) < REFUSED).then(|| message.clone())
    }

    /// Notes that it is just what is wanted, which anybody can see.
    pub(super) fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }

    /// Notes that this was applied, and did not lead to just what is wanted.
    pub(super) fn applied(&self, key: Key, wanted: String, present: &ObjectMeta) {
        self.lock().insert(key, Attempt { wanted, state: Some(state(present)), refused: None });
    }

    /// Notes that this was refused.
    pub(super) fn refused(
        &self,
        key: Key,
        wanted: String,
        present: Option<&ObjectMeta>,
        message: String,
        now: Instant,
    ) {
        self.lock().insert(key, Attempt { wanted, state: present.map(state), refused: Some((message, now)) });
    }

    /// Forgets relays that are not there any more.
    pub(super) fn retain(&self, exists: impl Fn(&ObjectRef<SMTPRelay>) -> bool) {
        self.lock().retain(|(relay, _, _), _| exists(relay));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Attempt>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Names the state of an object's specification. Kinds that have a generation change their version with their status too.
fn state(object: &ObjectMeta) -> String {
    let uid = object.uid.as_deref().unwrap_or_default();
    match object.generation {
        Some(generation) => format!("{uid}/generation {generation}"),
        None => format!("{uid}/version {}", object.resource_version.as_deref().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(generation: Option<i64>, version: &str) -> ObjectMeta {
        ObjectMeta {
            uid: Some("u".into()),
            generation,
            resource_version: Some(version.into()),
            ..ObjectMeta::default()
        }
    }

    fn key() -> Key {
        (ObjectRef::new("outbound"), "Service".into(), "outbound".into())
    }

    #[test]
    fn an_object_that_others_added_to_is_applied_once_and_again_when_it_changes() {
        let attempts = Attempts::default();
        assert!(!attempts.is_settled(&key(), "h", &object(None, "1")));
        attempts.applied(key(), "h".into(), &object(None, "2"));
        assert!(attempts.is_settled(&key(), "h", &object(None, "2")));
        assert!(!attempts.is_settled(&key(), "h", &object(None, "3")), "somebody changed it");
        assert!(!attempts.is_settled(&key(), "other", &object(None, "2")), "something else is wanted");
        attempts.applied(key(), "h".into(), &object(Some(4), "8"));
        assert!(attempts.is_settled(&key(), "h", &object(Some(4), "9")), "only its status changed");
    }

    #[test]
    fn what_was_refused_is_not_asked_for_again_at_once() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        let present = object(None, "1");
        attempts.refused(key(), "h".into(), Some(&present), "no".into(), start);
        for (name, wanted, present, after, refusal) in [
            ("at once", "h", Some(&present), Duration::ZERO, Some("no")),
            ("later", "h", Some(&present), REFUSED, None),
            ("something else", "other", Some(&present), Duration::ZERO, None),
            ("it is gone", "h", None, Duration::ZERO, None),
            ("it changed", "h", Some(&object(None, "2")), Duration::ZERO, None),
        ] {
            assert_eq!(attempts.refusal(&key(), wanted, present, start + after).as_deref(), refusal, "{name}");
        }
        assert!(!attempts.is_settled(&key(), "h", &present));
        attempts.retain(|_| false);
        assert_eq!(attempts.refusal(&key(), "h", Some(&present), start), None);
    }
}
