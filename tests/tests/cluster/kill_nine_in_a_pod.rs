//! A message that was answered 250 arrives, though the pod's process is killed again and again.

use std::time::Duration;

use mailsluice_tests::{
    cluster::{Namespace, PATIENCE},
    pod::{self, Sender, SinkPod},
    setting, wait,
};

use crate::support;

#[test]
fn a_pod_whose_process_is_killed_under_load_loses_no_answered_message() {
    let _turn = support::cluster();
    let kills = setting("MAILSLUICE_TEST_POD_KILLS", 5);
    let namespace = Namespace::new("killed");
    let sink = SinkPod::start(&namespace, "north");
    namespace.apply(&support::schedule("office-hours", "Open"));
    namespace.apply(&support::relay("outbound", "office-hours"));
    support::await_ready(&namespace, "outbound");
    let senders: Vec<Sender> = (0..4)
        .map(|number| Sender::start(&namespace, &format!("sender-{number}"), &sink.domain, Duration::from_millis(10)))
        .collect();

    for kill in 1..=kills {
        let before = sink.count();
        wait::until_some(PATIENCE, "mail flows", || (sink.count() > before + 20).then_some(()));
        wait::until_some(PATIENCE, "the relay's process is killed", || {
            pod::kill(&namespace, "outbound-0").then_some(())
        });
        let restarts = |namespace: &Namespace| support::pod_life(namespace, "outbound").1.parse().unwrap_or(0);
        // The kubelet waits longer each time that a container fails; a pod that is made anew starts at once.
        if kill % 3 == 0 {
            namespace.kubectl(&["delete", "pod", "outbound-0", "--grace-period=1"]);
        } else {
            wait::until_some(PATIENCE, "the container is started again", || {
                (restarts(&namespace) >= kill % 3).then_some(())
            });
        }
        support::await_ready(&namespace, "outbound");
    }

    let answered: Vec<String> = senders.into_iter().flat_map(|sender| sender.stop(&namespace)).collect();
    support::await_empty(&namespace, "outbound", Duration::from_secs(120));
    // The status may be of before the last restart: what has not arrived is given a little time.
    let arrived = sink.await_subjects(&answered, Duration::from_secs(30));
    println!(
        "killed {kills} times: {} messages answered 250, {} lost, {} delivered twice",
        answered.len(),
        arrived.lost.len(),
        arrived.twice
    );
    assert!(!answered.is_empty() && arrived.lost.is_empty(), "lost: {:?}", arrived.lost);
}
