//! While nothing changes, the operator writes nothing but its Lease; and what it wrote stays small.

use std::{thread, time::Duration};

use jiff::Timestamp;
use mailsluice_tests::{
    audit,
    cluster::{Namespace, OPERATOR, PATIENCE},
    pod::{self, SinkPod},
    setting, wait,
};

use crate::support;

#[test]
fn an_operator_whose_relays_do_not_change_writes_nothing() {
    let _turn = support::cluster();
    let namespace = Namespace::new("idle");
    let sink = SinkPod::start(&namespace, "north");
    namespace.apply(&support::schedule("office-hours", "Closed"));
    namespace.apply(&support::relay("outbound", "office-hours"));
    support::await_ready(&namespace, "outbound");
    let begun = Timestamp::UNIX_EPOCH;
    assert!(!audit::writes(OPERATOR, begun).is_empty(), "the audit log knows the operator as {OPERATOR}");
    pod::send(&namespace, "outbound", &[&sink.domain], 10);
    let waiting = "/status/monitor/0/messages";
    wait::until_equal(PATIENCE, "messages in the status", "10".to_owned(), || {
        namespace.at("smtprelay", "outbound", waiting)
    });
    // What follows from the last change is written at once, or within the two seconds that status is paced by.
    thread::sleep(Duration::from_secs(5));

    let seconds = setting("MAILSLUICE_TEST_IDLE_SECONDS", 60);
    let since = Timestamp::now();
    thread::sleep(Duration::from_secs(u64::from(seconds)));
    let (renewals, writes): (Vec<_>, Vec<_>) =
        audit::writes(OPERATOR, since).into_iter().partition(audit::Request::is_of_lease);
    let size = namespace.kubectl(&["get", "smtprelay", "outbound", "-o", "yaml"]).len();
    println!(
        "in {seconds} s without a change: {} writes, and {} renewals of the Lease; the SMTPRelay is {size} bytes of YAML",
        writes.len(),
        renewals.len()
    );
    assert!(writes.is_empty(), "{writes:#?}");
    assert!(!renewals.is_empty(), "a leader renews its Lease");
    assert!(size < 24 << 10, "the SMTPRelay is {size} bytes of YAML");
}
