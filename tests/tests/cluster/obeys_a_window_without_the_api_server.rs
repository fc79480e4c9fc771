//! With the API server and the operator gone, the relay still obeys a window that opens.

use std::time::Duration;

use jiff::{RoundMode, SignedDuration, Timestamp, TimestampRound, Unit};
use mailsluice_tests::{
    cluster::{self, Namespace, PATIENCE, RELEASE, StoppedApiServer},
    mail,
    pod::{self, SinkPod},
    wait,
};

use crate::support;

#[test]
fn a_window_opens_while_the_api_server_and_the_operator_are_stopped() {
    let _turn = support::cluster();
    let namespace = Namespace::new("alone");
    let sink = SinkPod::start(&namespace, "north");
    namespace.apply(&support::schedule("office-hours", "Closed"));
    namespace.apply(&support::relay("outbound", "office-hours"));
    support::await_ready(&namespace, "outbound");
    pod::send(&namespace, "outbound", &[&sink.domain], 3);

    let up = TimestampRound::new().smallest(Unit::Minute).mode(RoundMode::Ceil);
    let opens = (Timestamp::now() + SignedDuration::from_secs(25)).round(up).expect("a minute");
    namespace.apply(&support::opening_at("office-hours", opens));
    let what = "the relay knows when the window opens";
    wait::until_some(PATIENCE, what, || {
        let row = namespace.object("smtprelay", "outbound")?.pointer("/status/monitor/0/suspendedTill").cloned()?;
        (row == opens.to_string().as_str()).then_some(())
    });
    let operator = OperatorAway::stop();
    let server = StoppedApiServer::stop();
    assert!(Timestamp::now() < opens, "all is stopped before the window opens");
    assert!(sink.received().is_empty(), "nothing goes out before the window opens");

    let limit =
        Duration::try_from(opens.duration_since(Timestamp::now())).unwrap_or_default() + Duration::from_secs(10);
    let arrived = sink.await_messages(3, limit);
    let late = arrived[0].envelope.received_at.duration_since(opens);
    println!("the first message was over {late:#} after the opening");
    assert!(late >= SignedDuration::ZERO && late < SignedDuration::from_secs(2), "{late:#} after the opening");
    for message in &arrived {
        assert_eq!(message.text(), mail::text(&message.subject()));
    }
    drop(server);
    drop(operator);
    support::await_empty(&namespace, "outbound", PATIENCE);
}

/// The operator, scaled to nothing until this is dropped.
struct OperatorAway;

impl OperatorAway {
    fn stop() -> OperatorAway {
        scale("0");
        wait::until_equal(PATIENCE, "pods of the operator", 0, || {
            let pods = cluster::objects(RELEASE, "pod");
            pods.len()
        });
        OperatorAway
    }
}

impl Drop for OperatorAway {
    fn drop(&mut self) {
        scale("1");
    }
}

fn scale(replicas: &str) {
    cluster::kubectl(&["-n", RELEASE, "scale", "deployment", RELEASE, &format!("--replicas={replicas}")]);
}
