//! After a change of the routes: mail that waits goes where they say now.

use std::sync::Arc;

use mailsluice_crds::LogLevel;

use super::Courier;
use crate::{
    clock, intake,
    log::Tag,
    queue::{Settled, Work},
    spool::{Pending, Recovered},
};

/// Looks at all mail that no session has in hand. It is the one place that walks over all messages, and runs only when
/// an administrator changed the routes.
pub async fn run(courier: Arc<Courier>) {
    let mut moved = 0_u64;
    for host in courier.queue.read(crate::queue::Queue::hosts_with_mail) {
        for work in courier.queue.change(|queue| queue.take_all(host)) {
            moved += u64::from(reroute(&courier, work).await);
        }
    }
    courier
        .log
        .at(LogLevel::Major, Tag::Route)
        .number("messages", moved)
        .say("the routes have changed: mail that waited was moved to where it goes now");
}

/// True when the message goes elsewhere now.
async fn reroute(courier: &Courier, work: Work) -> bool {
    let in_hand = courier.queue.in_hand(work.clone());
    let Ok(envelope) = courier.spool.envelope(work.location).await else {
        in_hand.settle(Settled::Untried);
        return false;
    };
    let routes = courier.config.borrow().clone();
    let pending = work
        .recipients
        .iter()
        .map(|recipient| Pending { told: work.told, attempts: work.attempts, ..Pending::untried(*recipient) })
        .collect();
    let timing = envelope.timing();
    let parts = intake::recovered(&routes.routes, &Recovered { envelope, location: work.location, pending }).parts;
    let stays = courier
        .queue
        .read(|queue| matches!(parts.as_slice(), [only] if queue.host_name(work.host) == Some(only.host.as_str())));
    if stays {
        in_hand.settle(Settled::Untried);
    } else {
        let hosts: Vec<_> = parts.iter().map(|part| part.host.as_str()).collect();
        let record = courier.log.at(LogLevel::Major, Tag::Route).field("message", work.id);
        record.field("hosts", hosts.join(" ")).say("the routes have changed: it goes elsewhere now");
        in_hand.reassign(parts, &timing, clock::now());
    }
    !stays
}
