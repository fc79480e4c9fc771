//! Of several operators one leads, another takes over quickly, and one that has lost its Lease writes nothing.

use std::{
    thread,
    time::{Duration, Instant},
};

use mailsluice_tests::{
    api::ApiServer,
    operator::{Operator, PATIENCE},
    wait,
};

use crate::definitions;

#[test]
fn another_operator_leads_soon_after_a_kill_and_at_once_after_an_orderly_stop() {
    let server = ApiServer::start();
    server.install(&definitions::all());
    let mut first = Operator::start(&server, "first");
    await_lead(&first);
    let mut second = Operator::start(&server, "second");
    assert!(second.is_ready() && !second.leads(), "one that stands by is ready");
    does_the_work(&server, "before");

    let killed = Instant::now();
    first.kill();
    await_lead(&second);
    println!("after a kill another operator leads in {:.1} s", killed.elapsed().as_secs_f64());
    does_the_work(&server, "killed");

    let third = Operator::start(&server, "third");
    assert!(!third.leads());
    let stopped = Instant::now();
    let (took, status) = second.terminate();
    await_lead(&third);
    println!(
        "after SIGTERM, which took {:.2} s, another operator leads in {:.2} s",
        took.as_secs_f64(),
        stopped.elapsed().as_secs_f64()
    );
    assert!(status.success());
    does_the_work(&server, "stopped");
    let lease = server.object("lease", "mailsluice-operator").expect("the Lease");
    assert_eq!(lease["spec"]["leaseTransitions"], 2, "{lease:#}");
    assert!(lease["spec"]["holderIdentity"].as_str().is_some_and(|holder| holder.starts_with("third_")), "{lease:#}");
}

#[test]
fn an_operator_that_has_lost_its_lease_writes_nothing() {
    let server = ApiServer::start();
    server.install(&definitions::all());
    let frozen = Operator::start(&server, "frozen");
    await_lead(&frozen);
    let other = Operator::start(&server, "other");
    does_the_work(&server, "before");
    let written = await_rest(&frozen);
    assert!(written > 0.0);

    frozen.freeze();
    await_lead(&other);
    // What it would carry out, had it not lost the Lease: another operator has done so already, and this one shall not again.
    server.apply(&relay("meanwhile", 1));
    await_carried_out(&server, "meanwhile", 1);
    frozen.thaw();
    server.apply(&relay("meanwhile", 2));
    await_carried_out(&server, "meanwhile", 2);
    wait::until_some(PATIENCE, "it knows that it does not lead", || (!frozen.leads()).then_some(()));
    thread::sleep(Duration::from_secs(3));
    assert!(frozen.log().contains("does not lead any more"), "{}", frozen.log());
    assert_eq!(written_by(&frozen), written, "{}", frozen.log());
    assert!(frozen.is_ready() && !frozen.leads() && other.leads(), "it stands by");
}

fn await_lead(operator: &Operator) {
    wait::until_some(PATIENCE, "it leads and is ready", || (operator.leads() && operator.is_ready()).then_some(()));
}

/// How much an operator has written to the API server.
fn written_by(operator: &Operator) -> f64 {
    operator.counted("mailsluice_operator_writes_total").unwrap_or_default()
}

/// Waits till an operator has written all that it has to, and says how much that was.
fn await_rest(operator: &Operator) -> f64 {
    let mut written = written_by(operator);
    wait::until_some(PATIENCE, "it has nothing more to write", || {
        thread::sleep(Duration::from_secs(2));
        let before = std::mem::replace(&mut written, written_by(operator));
        (before == written).then_some(written)
    })
}

fn does_the_work(server: &ApiServer, name: &str) {
    server.apply(&relay(name, 2));
    await_carried_out(server, name, 2);
}

fn await_carried_out(server: &ApiServer, name: &str, replicas: u32) {
    wait::until_some(PATIENCE, &format!("{name} is carried out"), || {
        (server.object("statefulset", name)?["spec"]["replicas"] == replicas).then_some(())
    });
}

fn relay(name: &str, replicas: u32) -> String {
    format!(
        "{{apiVersion: mailsluice.dev/v1alpha1, kind: SMTPRelay, metadata: {{name: {name}}}, spec: {{replicas: {replicas}}}}}"
    )
}
