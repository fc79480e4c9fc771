//! An uninstall leaves nothing that waits for an operator that is gone, and keeps what holds mail.

use std::time::Duration;

use mailsluice_tests::{
    cluster::{self, Namespace, PATIENCE, RELEASE},
    wait,
};

use crate::support;

#[test]
fn after_an_uninstall_everything_can_be_deleted_and_the_mail_is_kept() {
    let _turn = support::cluster();
    let namespace = Namespace::new("leaving");
    namespace.apply(&support::schedule("office-hours", "Closed"));
    namespace.apply(&support::relay("outbound", "office-hours"));
    support::await_ready(&namespace, "outbound");
    let relay = namespace.object("smtprelay", "outbound").expect("the relay");
    assert_eq!(relay.pointer("/metadata/finalizers"), None, "no finalizer");

    cluster::helm(&["uninstall", RELEASE, "-n", RELEASE, "--wait", "--timeout", "60s"]);
    assert!(namespace.object("smtprelay", "outbound").is_some(), "relays stay, with their mail");
    assert_eq!(namespace.at("smtprelay", "outbound", "/status/readyReplicas"), "1", "and work on");
    for webhook in ["validatingwebhookconfigurations", "mutatingwebhookconfigurations"] {
        let left = cluster::kubectl(&["get", webhook, "-o", "name"]);
        assert!(!left.contains("mailsluice"), "{left}");
    }

    namespace.kubectl(&["delete", "smtprelay", "outbound", "--timeout=30s"]);
    for kind in ["statefulset", "service", "configmap", "poddisruptionbudget", "pod"] {
        let ours = || {
            let objects = cluster::objects(namespace.name(), kind);
            let names = objects.iter().filter_map(|object| object["metadata"]["name"].as_str().map(str::to_owned));
            names.filter(|name| name.starts_with("outbound")).collect::<Vec<_>>()
        };
        wait::until_equal(PATIENCE, &format!("each {kind} that is left"), Vec::new(), ours);
    }
    assert_eq!(cluster::objects(namespace.name(), "pvc").len(), 1, "the claim with the mail is kept");

    cluster::kubectl(&["delete", "namespace", namespace.name(), "--timeout=60s"]);
    cluster::kubectl(&["delete", "namespace", RELEASE, "--timeout=60s"]);
    cluster::kubectl(&[
        "delete",
        "crd",
        "smtprelays.mailsluice.dev",
        "tcpschedules.mailsluice.dev",
        "smtpaccesses.mailsluice.dev",
        "--timeout=60s",
    ]);
    wait::until_some(Duration::from_secs(60), "no object of the operator is left", || {
        let left = cluster::kubectl(&["get", "clusterrole,clusterrolebinding", "-o", "name"]);
        (!left.contains("mailsluice")).then_some(())
    });
}
