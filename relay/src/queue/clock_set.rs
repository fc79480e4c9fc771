//! The clock on the wall was set back: what waits till a moment of the old one would wait that much longer.

use super::{Queue, Wake};

impl Queue {
    /// Ends every suspension, every wait after a failure and every counted minute: who has to wait is told so anew, by the clock as it is
    /// now. What somebody holds stays, and what its sender wants held till a moment.
    pub fn clock_was_set_back(&mut self, why: &str) -> Vec<Wake> {
        let hosts: Vec<_> = self.hosts.keys().copied().collect();
        let mut wakes = Vec::with_capacity(hosts.len());
        for id in hosts {
            let Some(host) = self.hosts.get_mut(&id) else { continue };
            host.suspension = None;
            host.forget_minute();
            host.release_deferred();
            self.changes.extend(host.change(Some(why)));
            wakes.push(self.refresh(id));
            self.forget_if_empty(id);
        }
        wakes
    }
}
