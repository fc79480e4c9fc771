//! What a relay does among its siblings: takes over the mail of one that is scaled away, or hands over its own.

use std::sync::Arc;

use super::Relay;
use crate::{
    control::Holding,
    handover::{Giver, Kinship, Taker},
    spool::Recovery,
};

impl Relay {
    /// What takes siblings' mail.
    pub(super) fn taker(&self, kinship: Arc<Kinship>, holding: Arc<Holding>) -> Arc<Taker> {
        Arc::new(Taker {
            kinship,
            spool: self.spool.clone(),
            queue: self.queue.clone(),
            holding,
            config: self.config.subscribe(),
            leaves: !self.stays,
            under_way: Default::default(),
            metrics: self.metrics.clone(),
            log: self.log.clone(),
            stop: self.stop.clone(),
        })
    }

    /// Hands all mail to the siblings, until it is over or the relay stops.
    pub(super) fn leave(
        &self,
        recovery: Recovery,
        siblings: Vec<String>,
        kinship: Arc<Kinship>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let giver = Arc::new(Giver {
            siblings,
            kinship,
            spool: self.spool.clone(),
            queue: self.queue.clone(),
            config: self.config.subscribe(),
            monitor: self.monitor.clone(),
            metrics: self.metrics.clone(),
            log: self.log.clone(),
        });
        let stop = self.stop.clone();
        async move {
            tokio::select! {
                () = giver.give(recovery) => {}
                () = stop.cancelled() => {}
            }
        }
    }
}
