//! The objects whose reconcile was asked for and has not begun, counted as a gauge.

use std::{
    collections::HashSet,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};

use prometheus::IntGauge;

/// Each object counts once, however often it was asked for.
pub(super) struct Waiting<K: Hash + Eq> {
    objects: Mutex<HashSet<K>>,
    shown: IntGauge,
}

impl<K: Hash + Eq> Waiting<K> {
    /// Nobody waits; shown there.
    pub(super) fn new(shown: IntGauge) -> Waiting<K> {
        shown.set(0);
        Waiting { objects: Mutex::default(), shown }
    }

    /// A reconcile is asked for.
    pub(super) fn asked(&self, object: K) {
        let mut objects = self.lock();
        objects.insert(object);
        self.show(&objects);
    }

    /// It begins, or there is nothing to reconcile any more.
    pub(super) fn begun(&self, object: &K) {
        let mut objects = self.lock();
        objects.remove(object);
        self.show(&objects);
    }

    fn show(&self, objects: &HashSet<K>) {
        self.shown.set(i64::try_from(objects.len()).unwrap_or(i64::MAX));
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<K>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq> Drop for Waiting<K> {
    fn drop(&mut self) {
        self.shown.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_waits_once_however_often_it_was_asked_for() {
        let gauge = IntGauge::new("waiting", "Objects that wait.").unwrap();
        let waiting = Waiting::new(gauge.clone());
        for object in ["a", "b", "a"] {
            waiting.asked(object);
        }
        assert_eq!(gauge.get(), 2);
        waiting.begun(&"a");
        waiting.begun(&"a");
        assert_eq!(gauge.get(), 1);
        drop(waiting);
        assert_eq!(gauge.get(), 0);
    }
}
