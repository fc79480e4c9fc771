//! An object that has the name of one of a relay's own, and is another's.

use mailsluice_tests::{
    api::ApiServer,
    operator::{Operator, PATIENCE},
    wait,
};
use serde_json::Value;

use crate::definitions;

#[test]
fn what_others_made_stays_as_it_is_until_they_take_it_away() {
    let server = ApiServer::start();
    server.install(&definitions::all());
    server.apply("{apiVersion: v1, kind: ServiceAccount, metadata: {name: outbound-relay}}");
    let operator = Operator::start(&server, "operator");
    wait::until_some(PATIENCE, "it leads", || operator.leads().then_some(()));
    server.apply("{apiVersion: mailsluice.dev/v1alpha1, kind: SMTPRelay, metadata: {name: outbound}, spec: {}}");
    wait::until_some(PATIENCE, "the relay says that the name is taken", || {
        let relay = server.object("smtprelay", "outbound")?;
        let taken = |condition: &Value| condition["reason"] == "NameTaken";
        relay["status"]["conditions"].as_array()?.iter().any(taken).then_some(())
    });
    let account = || server.object("serviceaccount", "outbound-relay");
    let metadata = account().expect("it is there")["metadata"].clone();
    assert_eq!((&metadata["ownerReferences"], &metadata["labels"]), (&Value::Null, &Value::Null), "{metadata}");
    assert_eq!(server.object("statefulset", "outbound"), None, "nothing that needs it is made");

    assert!(server.kubectl(&["delete", "serviceaccount", "outbound-relay"], "").status.success());
    // It is looked for every 30 s.
    wait::until_some(PATIENCE, "the relay's own", || {
        (account()?["metadata"]["ownerReferences"][0]["name"] == "outbound").then_some(())
    });
    wait::until_some(PATIENCE, "what needs it", || server.object("statefulset", "outbound"));
}
