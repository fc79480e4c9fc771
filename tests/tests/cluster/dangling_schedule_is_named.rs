//! A relay whose schedule does not exist holds its mail, and says which schedule it looks for.

use mailsluice_tests::{
    cluster::{Namespace, PATIENCE},
    pod::{self, SinkPod},
    wait,
};

use crate::support;

#[test]
fn a_schedule_that_does_not_exist_is_named_and_its_mail_held_until_it_does() {
    let _turn = support::cluster();
    let namespace = Namespace::new("dangling");
    let sink = SinkPod::start(&namespace, "north");
    namespace.apply(&support::relay("outbound", "no-such-hours"));
    support::await_ready(&namespace, "outbound");
    pod::send(&namespace, "outbound", &[&sink.domain], 2);
    for kind in ["Ready", "Delivering"] {
        let condition = wait::until_some(PATIENCE, &format!("{kind} names it"), || {
            let relay = namespace.object("smtprelay", "outbound")?;
            let conditions = relay.pointer("/status/conditions")?.as_array()?.clone();
            conditions.into_iter().find(|c| c["type"] == kind && c["reason"] == "ScheduleNotFound")
        });
        assert!(condition["message"].as_str().is_some_and(|text| text.contains("no-such-hours")), "{condition:#}");
        assert_eq!(condition["status"], "False", "{kind}");
        assert!(condition["observedGeneration"].is_number(), "{condition:#}");
    }
    assert!(namespace.kubectl(&["get", "relay", "outbound"]).contains("no-such-hours"), "the PROBLEM column");
    assert!(sink.received().is_empty(), "mail is held rather than let out by a guess");

    namespace.apply(&support::schedule("no-such-hours", "Open"));
    let _ = sink.await_messages(2, PATIENCE);
    support::await_empty(&namespace, "outbound", PATIENCE);
}
