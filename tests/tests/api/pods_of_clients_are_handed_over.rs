//! A relay is told which pods of the service accounts that it lets in may run, and from where: as they come and go, and of no others.

use std::collections::BTreeMap;

use mailsluice_crds::client_pods::{self, ClientPods};
use mailsluice_tests::{
    api::ApiServer,
    operator::{Operator, PATIENCE},
    wait,
};
use serde_json::{Value, json};

use crate::definitions;

fn relay(clients: &Value) -> String {
    json!({
        "apiVersion": "mailsluice.dev/v1alpha1",
        "kind": "SMTPRelay",
        "metadata": {"name": "outbound"},
        "spec": {"clients": clients},
    })
    .to_string()
}

/// A pod of that account which runs, as a kubelet would tell.
fn run(server: &ApiServer, name: &str, account: &str, address: &str) {
    server.apply(
        &json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {"serviceAccountName": account, "containers": [{"name": "app", "image": "app"}]},
        })
        .to_string(),
    );
    tell(server, name, &json!({"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}));
}

fn tell(server: &ApiServer, pod: &str, status: &Value) {
    let status = json!({"status": status}).to_string();
    let output = server.kubectl(&["patch", "pod", pod, "--subresource=status", "--type=merge", "-p", &status], "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The addresses that the relay is given, by account.
fn published(server: &ApiServer) -> BTreeMap<String, Vec<String>> {
    let text = server
        .object("configmap", "outbound-config")
        .and_then(|map| map["data"][client_pods::FILE].as_str().map(str::to_owned));
    let ClientPods(accounts) = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let addresses = |pods: client_pods::AccountPods| {
        let mut all: Vec<String> = pods.pods.into_values().flatten().map(|address| address.to_string()).collect();
        all.sort();
        all
    };
    accounts.into_iter().map(|(account, pods)| (account, addresses(pods))).collect()
}

fn await_published(server: &ApiServer, wanted: &[(&str, &[&str])]) {
    let wanted = wanted.iter().map(|(account, addresses)| {
        ((*account).to_owned(), addresses.iter().map(|address| (*address).to_owned()).collect())
    });
    wait::until_equal(PATIENCE, "the pods that are handed over", wanted.collect(), || published(server));
}

#[test]
fn the_pods_of_accounts_that_are_let_in_are_handed_over_and_no_others() {
    let server = ApiServer::start();
    server.install(&definitions::all());
    run(&server, "checkout-0", "checkout", "192.0.2.1");
    run(&server, "returns-0", "returns", "192.0.2.2");
    let operator = Operator::start(&server, "operator");
    wait::until_some(PATIENCE, "it leads", || operator.leads().then_some(()));
    server.apply(&relay(&json!([{"serviceAccounts": [{"namespace": "default", "name": "checkout"}]}])));
    await_published(&server, &[("default/checkout", &["192.0.2.1"])]);
    run(&server, "checkout-1", "checkout", "192.0.2.3");
    await_published(&server, &[("default/checkout", &["192.0.2.1", "192.0.2.3"])]);
    // One whose containers have ended sends nothing more; nor does one that is gone.
    tell(&server, "checkout-1", &json!({"phase": "Succeeded"}));
    await_published(&server, &[("default/checkout", &["192.0.2.1"])]);
    let output = server.kubectl(&["delete", "pod", "checkout-0", "--grace-period=0", "--force"], "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    await_published(&server, &[("default/checkout", &[])]);

    let both = json!([{"serviceAccounts": [
        {"namespace": "default", "name": "checkout"}, {"namespace": "default", "name": "returns"},
    ]}]);
    server.apply(&relay(&both));
    await_published(&server, &[("default/checkout", &[]), ("default/returns", &["192.0.2.2"])]);
    server.apply(&relay(&json!([{"networks": ["192.0.2.0/24"]}])));
    await_published(&server, &[]);
}
