//! An upgrade of the chart, operator and relays together, while mail flows and mail is held: all of it is still there after it.
//!
//! In CI the upgrade is to the same programs under another tag, which rolls everything just so. `MAILSLUICE_TEST_UPGRADE_FROM` names a
//! checkout of another commit, whose images have the tag `previous`: then it is from that one, on a cluster with nothing installed.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use mailsluice_tests::{
    cluster::{self, Namespace, PATIENCE},
    pod::{self, Sender, SinkPod},
    wait, workspace,
};

use crate::support;

const HELD: usize = 10;

#[test]
fn an_upgrade_loses_no_mail_that_flows_and_none_that_is_held() {
    let from = std::env::var_os("MAILSLUICE_TEST_UPGRADE_FROM").map(PathBuf::from);
    let _turn = support::turn();
    match &from {
        Some(checkout) => cluster::install_from(checkout, "previous"),
        None => cluster::install(),
    }
    let namespace = Namespace::new("upgraded");
    let sinks = [SinkPod::start(&namespace, "north"), SinkPod::start(&namespace, "south")];
    namespace.apply(&support::schedule("always", "Open"));
    namespace.apply(&support::schedule("never", "Closed"));
    namespace.apply(&support::relay("outbound", "always"));
    namespace.apply(&support::relay("held", "never"));
    namespace.kubectl(&["scale", "smtprelay", "outbound", "--replicas=2"]);
    namespace.await_at("smtprelay", "outbound", "/status/readyReplicas", "2");
    namespace.await_at("smtprelay", "held", "/status/readyReplicas", "1");
    pod::send(&namespace, "held", &[&sinks[1].domain], HELD);
    namespace.await_at("smtprelay", "held", "/status/queue/messages", &HELD.to_string());
    let senders: Vec<Sender> = (0..2)
        .map(|number| {
            Sender::start(&namespace, &format!("sender-{number}"), &sinks[0].domain, Duration::from_millis(20))
        })
        .collect();
    wait::until_some(PATIENCE, "mail flows", || (sinks[0].count() > 20).then_some(()));

    let begun = Instant::now();
    cluster::tag_images("next");
    cluster::install_from(&workspace(), "next");
    for (relay, pods) in [("outbound", 2), ("held", 1)] {
        await_rolled(&namespace, relay, pods);
    }
    let took = begun.elapsed();
    namespace.await_at("smtprelay", "held", "/status/queue/messages", &HELD.to_string());
    assert_eq!(sinks[1].count(), 0, "what is held stays held");
    namespace.apply(&support::schedule("never", "Open"));
    assert_eq!(sinks[1].await_messages(HELD, PATIENCE).len(), HELD);

    let answered: Vec<String> = senders.into_iter().flat_map(|sender| sender.stop(&namespace)).collect();
    let arrived = sinks[0].await_subjects(&answered, PATIENCE);
    println!(
        "upgraded in {:.0} s: {} messages answered 250 meanwhile, {} lost, {} delivered twice; {HELD} held before it went out after it",
        took.as_secs_f64(),
        answered.len(),
        arrived.lost.len(),
        arrived.twice
    );
    cluster::install();
    assert!(!answered.is_empty() && arrived.lost.is_empty(), "lost: {:?}", arrived.lost);
}

/// Waits until that many pods of a relay run the new image and are ready.
fn await_rolled(namespace: &Namespace, relay: &str, pods: usize) {
    wait::until_some(2 * PATIENCE, &format!("{relay} is rolled"), || {
        let rolled = cluster::objects(namespace.name(), "pod").into_iter().filter(|pod| {
            let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
            pod["metadata"]["labels"]["app.kubernetes.io/instance"] == relay
                && pod["spec"]["containers"][0]["image"] == "localhost/mailsluice-relay:next"
                && conditions.into_iter().any(|one| one["type"] == "Ready" && one["status"] == "True")
        });
        (rolled.count() == pods).then_some(())
    });
}
