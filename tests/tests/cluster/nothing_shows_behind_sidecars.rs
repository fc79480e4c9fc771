//! What befalls the gateway and the cluster shows to no application behind a sidecar: a rolling update of the gateway, and the rotation of
//! the key that the cluster signs service accounts' tokens with.

use std::time::{Duration, Instant};

use mailsluice_tests::{
    cluster::{self, Namespace, PATIENCE, RELEASE, kubectl},
    rotation::Rotation,
    wait,
};

use crate::{applications::Applications, gateway::Gateway, support};

/// How many applications send while the gateway is rolled.
const MANY: usize = 20;
/// The pause of each behind a message.
const PAUSE: Duration = Duration::from_millis(500);
/// For what waits in the end.
const LIMIT: Duration = Duration::from_secs(180);

/// Waits until each group has had so many more messages answered.
fn await_more(groups: &[&Applications<'_>], more: usize) {
    let answered = |group: &&Applications<'_>| group.seen().answered.len();
    let goals: Vec<usize> = groups.iter().map(|group| answered(group) + more).collect();
    wait::until_some(PATIENCE, "mail flows on", || {
        groups.iter().zip(&goals).all(|(group, goal)| answered(group) >= *goal).then_some(())
    });
}

#[test]
fn a_rolling_update_and_a_rotation_of_keys_show_to_no_application() {
    let _turn = support::cluster();
    let shop = Namespace::new("rolled-shop");
    let gateway = Gateway::start("rolled-mail", 2, &shop, &["checkout"]);
    let keys = |wanted: &[&str]| {
        let text = gateway.keys();
        wanted.iter().all(|key| text.contains(key)) && text.matches("\"kid\"").count() == wanted.len()
    };
    let begun = Instant::now();
    let mut table = Vec::new();
    let mut note = |what: &str, groups: &[&Applications<'_>]| {
        let seen: Vec<_> = groups.iter().map(|group| group.seen()).collect();
        let answered: usize = seen.iter().map(|seen| seen.answered.len()).sum();
        let errors: usize = seen.iter().map(|seen| seen.errors.len()).sum();
        table.push(format!("| {:.0} s | {what} | {answered} | {errors} |", begun.elapsed().as_secs_f64()));
    };
    let old = Applications::start(&gateway, &shop, "old-key", (MANY, PAUSE));
    await_more(&[&old], 20);
    note("20 sidecars send", &[&old]);

    let rotation = Rotation::begin(&shop, "checkout");
    rotation.publish();
    wait::until_some(PATIENCE, "the new key is handed over beside the old", || {
        keys(&[rotation.old(), rotation.new_one()]).then_some(())
    });
    note("the new key is published, and handed over to the gateway", &[&old]);
    rotation.sign();
    let new = Applications::start(&gateway, &shop, "new-key", (3, PAUSE));
    await_more(&[&old, &new], 10);
    note("tokens are signed with the new key; 3 pods more, which have such", &[&old, &new]);

    // Every sidecar logs in anew, by a token of either key.
    let uids = || [0, 1].map(|pod| gateway.namespace.at("pod", &format!("outbound-{pod}"), "/metadata/uid"));
    let before = uids();
    gateway.namespace.kubectl(&["rollout", "restart", "statefulset", "outbound"]);
    gateway.namespace.kubectl(&["rollout", "status", "statefulset", "outbound", "--timeout=180s"]);
    assert!(before.iter().zip(uids()).all(|(before, now)| *before != now), "both pods are new");
    await_more(&[&old, &new], 20);
    note("both pods of the gateway were rolled", &[&old, &new]);

    // What still goes by old tokens of its own has to have new ones before they are worth nothing.
    kubectl(&["-n", RELEASE, "rollout", "restart", "deployment", RELEASE]);
    let old = old.stop();
    kubectl(&["-n", RELEASE, "rollout", "status", "deployment", RELEASE, "--timeout=120s"]);
    cluster::await_up();
    rotation.withdraw();
    wait::until_some(PATIENCE, "the old key is taken away", || keys(&[rotation.new_one()]).then_some(()));
    let last = Applications::start(&gateway, &shop, "last", (1, PAUSE));
    await_more(&[&new, &last], 10);
    note("the old key is withdrawn; of the first 20 none is left, and one more has come", &[&new, &last]);
    let (new, last) = (new.stop(), last.stop());
    drop(rotation);

    let errors: Vec<&String> = [&old, &new, &last].into_iter().flat_map(|seen| &seen.errors).collect();
    let answered: Vec<String> = [&old, &new, &last].into_iter().flat_map(|seen| seen.answered.clone()).collect();
    let arrived = gateway.sink.await_subjects(&answered, LIMIT);
    println!(
        "| after | what | answered 250 so far | errors seen by applications |\n| --- | --- | --- | --- |\n{}\n\
         {} messages answered 250, {} lost, {} delivered twice, {} errors seen by applications",
        table.join("\n"),
        answered.len(),
        arrived.lost.len(),
        arrived.twice,
        errors.len()
    );
    assert!(arrived.lost.is_empty(), "lost: {:?}", arrived.lost);
    assert!(errors.is_empty(), "{errors:#?}");
}
