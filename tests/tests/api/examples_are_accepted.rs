//! Every manifest under examples/ is what the API server takes, and it is given the defaults that the schema promises.

use mailsluice_tests::{api::ApiServer, workspace};
use serde_json::Value;

use crate::definitions;

#[test]
fn every_example_is_accepted_and_an_empty_relay_gets_its_defaults() {
    let server = ApiServer::start();
    server.install(&definitions::all());
    let examples = workspace().join("examples");
    let arguments = ["apply", "--dry-run=server", "-f", examples.to_str().expect("a path in UTF-8")];
    let output = server.kubectl(&arguments, "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let empty =
        r#"{"apiVersion": "mailsluice.dev/v1alpha1", "kind": "SMTPRelay", "metadata": {"name": "empty"}, "spec": {}}"#;
    let output = server.kubectl(&["create", "-f", "-", "-o", "json"], empty);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let relay: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for (pointer, expected) in [
        ("/spec/replicas", "1"),
        ("/spec/listeners/0/port", "25"),
        ("/spec/limits/connections", "200"),
        ("/spec/retry/first", "\"5m\""),
        ("/spec/log/level", "\"Problems\""),
    ] {
        let value = relay.pointer(pointer).map(Value::to_string);
        assert_eq!(value.as_deref(), Some(expected), "{pointer} of {relay:#}");
    }
}
