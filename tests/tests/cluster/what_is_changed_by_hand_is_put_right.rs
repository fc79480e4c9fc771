//! A relay's objects whose labels somebody takes off, so that the operator's caches lack them, are found and put right.

use mailsluice_tests::cluster::Namespace;

use crate::support;

#[test]
fn labels_that_were_taken_off_come_back() {
    let _turn = support::cluster();
    let namespace = Namespace::new("handmade");
    // Its objects are all that this is about: no pod has to run.
    namespace.apply(
        "{apiVersion: mailsluice.dev/v1alpha1, kind: SMTPRelay, metadata: {name: outbound}, spec: {replicas: 0, networkPolicy: {}}}",
    );
    let label = "/metadata/labels/app.kubernetes.io~1managed-by";
    // The last one that is made.
    namespace.await_at("networkpolicy", "outbound", label, "mailsluice-operator");
    for (kind, name) in [
        ("serviceaccount", "outbound-relay"),
        ("configmap", "outbound-config"),
        ("service", "outbound-pods"),
        ("service", "outbound"),
        ("statefulset", "outbound"),
        ("poddisruptionbudget", "outbound"),
        ("networkpolicy", "outbound"),
    ] {
        namespace.kubectl(&["label", kind, name, "app.kubernetes.io/managed-by-"]);
        namespace.await_at(kind, name, label, "mailsluice-operator");
    }
}
