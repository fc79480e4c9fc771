//! A relay that asks for a NetworkPolicy has one that follows it, as long as it asks.

use mailsluice_tests::{
    cluster::{Namespace, PATIENCE},
    wait,
};

use crate::support;

#[test]
fn a_policy_follows_its_relay_and_goes_when_it_is_asked_for_no_more() {
    let _turn = support::cluster();
    let namespace = Namespace::new("fenced");
    let ask = |policy: &str| {
        let patch = format!(r#"{{"spec": {{"networkPolicy": {policy}}}}}"#);
        namespace.kubectl(&["patch", "smtprelay", "outbound", "--type=merge", "-p", &patch]);
    };
    // Its objects are all that this is about: no pod has to run.
    namespace.apply(
        "{apiVersion: mailsluice.dev/v1alpha1, kind: SMTPRelay, metadata: {name: outbound}, spec: {replicas: 0}}",
    );
    namespace.await_at("statefulset", "outbound", "/spec/replicas", "0");
    assert_eq!(namespace.object("networkpolicy", "outbound"), None);
    ask("{}");
    namespace.await_at("networkpolicy", "outbound", "/spec/egress/2/ports/0/port", "25");
    ask(r#"{"egress": [{"ports": [{"port": 2525}]}]}"#);
    namespace.await_at("networkpolicy", "outbound", "/spec/egress/3/ports/0/port", "2525");
    ask("null");
    wait::until_some(PATIENCE, "the policy goes", || {
        namespace.object("networkpolicy", "outbound").is_none().then_some(())
    });
}
