//! What was written last, for the moment until the cache shows it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use kube::runtime::reflector::{Lookup, ObjectRef};

/// A cache that does not show a write after this long never will: somebody else wrote since.
const STALE: Duration = Duration::from_secs(10);

/// The statuses that were written last.
pub(super) struct Memory<K: Lookup<DynamicType = ()>, S> {
    written: Mutex<Written<K, S>>,
}

/// The status that was written last, and when, of each object.
type Written<K, S> = HashMap<ObjectRef<K>, (Arc<S>, Instant)>;

impl<K: Lookup<DynamicType = ()>, S> Default for Memory<K, S> {
    fn default() -> Self {
        Memory { written: Mutex::default() }
    }
}

impl<K: Lookup<DynamicType = ()>, S: Clone + Default + PartialEq> Memory<K, S> {
    /// The status that is stored: what the cache shows, or what was written and the cache may not show yet; and how long
    /// ago that was.
    pub(super) fn stored(&self, object: &ObjectRef<K>, cached: Option<&S>, now: Instant) -> (Arc<S>, Option<Duration>) {
        let mut written = self.lock();
        if let Some((status, at)) = written.get(object) {
            let since = now.saturating_duration_since(*at);
            if since < STALE {
                return (status.clone(), Some(since));
            }
            written.remove(object);
        }
        (Arc::new(cached.cloned().unwrap_or_default()), None)
    }

    /// Notes a write.
    pub(super) fn wrote(&self, object: &ObjectRef<K>, status: impl Into<Arc<S>>, now: Instant) {
        self.lock().insert(object.clone(), (status.into(), now));
    }

    /// Forgets objects that are not there any more.
    pub(super) fn retain(&self, exists: impl Fn(&ObjectRef<K>) -> bool) {
        self.lock().retain(|object, _| exists(object));
    }

    fn lock(&self) -> MutexGuard<'_, Written<K, S>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use mailsluice_crds::SMTPRelay;

    use super::*;

    #[test]
    fn a_cache_that_lags_behind_does_not_cause_a_second_write() {
        let memory: Memory<SMTPRelay, u32> = Memory::default();
        let relay = ObjectRef::new("outbound").within("shop");
        let start = Instant::now();
        assert_eq!(memory.stored(&relay, Some(&1), start), (Arc::new(1), None));
        memory.wrote(&relay, 2_u32, start);
        let soon = start + Duration::from_secs(1);
        assert_eq!(memory.stored(&relay, Some(&1), soon), (Arc::new(2), Some(Duration::from_secs(1))));
        assert_eq!(memory.stored(&relay, Some(&7), start + STALE), (Arc::new(7), None), "what others wrote is seen");
        memory.retain(|_| false);
        assert_eq!(memory.stored(&relay, None, soon), (Arc::new(0), None));
    }
}
