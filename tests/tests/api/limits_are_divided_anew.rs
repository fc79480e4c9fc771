//! The operator publishes how a relay's limits are divided among its pods, and gives nobody a new part while another may still use it.

use std::{thread, time::Duration};

use mailsluice_crds::shares::{self, Division, Shares};
use mailsluice_tests::{
    api::ApiServer,
    operator::{Operator, PATIENCE},
    wait,
};
use serde_json::json;

use crate::definitions;

#[test]
fn a_part_is_given_anew_when_the_pods_that_had_one_are_gone_also_by_another_operator() {
    let server = ApiServer::start();
    server.install(&definitions::all());
    let mut operator = Operator::start(&server, "first");
    server.apply(&relay(2));
    await_division(&server, (2, None));
    for number in 0..2 {
        server.apply(&pod(number));
    }
    server.apply(&relay(3));
    let waiting = await_division(&server, (2, Some(3)));
    // The pods are there and say nothing, so that they may send by the division that they knew.
    thread::sleep(Duration::from_secs(3));
    assert_eq!(published(&server), Some(waiting));

    operator.terminate();
    let _second = Operator::start(&server, "second");
    thread::sleep(Duration::from_secs(3));
    assert_eq!(published(&server), Some(waiting), "an operator that begins knows no more of them");
    take_away(&server, 0);
    thread::sleep(Duration::from_secs(2));
    assert_eq!(published(&server), Some(waiting), "the other one is still there");
    take_away(&server, 1);
    let settled = await_division(&server, (3, None));
    assert!(settled.version > waiting.version);
    let stateful_set = server.object("statefulset", "outbound").expect("the StatefulSet");
    assert_eq!(stateful_set["spec"]["replicas"], 3, "pods need not wait for that");
}

fn await_division(server: &ApiServer, (now, next): (u32, Option<u32>)) -> Shares {
    let among = |among| Division { among, turn: 0 };
    wait::until_some(PATIENCE, &format!("limits are divided among {now}, and then {next:?}"), || {
        published(server).filter(|shares| (shares.now, shares.next) == (among(now), next.map(among)))
    })
}

fn published(server: &ApiServer) -> Option<Shares> {
    let config_map = server.object("configmap", "outbound-config")?;
    serde_json::from_str(config_map["data"][shares::FILE].as_str()?).ok()
}

fn take_away(server: &ApiServer, number: u32) {
    let output = server.kubectl(&["delete", "pod", &format!("outbound-{number}"), "--force"], "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn relay(replicas: u32) -> String {
    let route = json!({"domains": ["*"], "mx": {}});
    json!({
        "apiVersion": "mailsluice.dev/v1alpha1",
        "kind": "SMTPRelay",
        "metadata": {"name": "outbound", "namespace": "default"},
        "spec": {"replicas": replicas, "routes": [route]},
    })
    .to_string()
}

/// A pod of the relay on no node: it is there, and nobody hears of it.
fn pod(number: u32) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": format!("outbound-{number}"),
            "namespace": "default",
            "labels": {
                "app.kubernetes.io/name": "mailsluice-relay",
                "app.kubernetes.io/instance": "outbound",
                "app.kubernetes.io/managed-by": "mailsluice-operator",
            },
        },
        "spec": {"containers": [{"name": "relay", "image": "relay"}]},
    })
    .to_string()
}
