//! What is promised of access: nothing is granted but what is asked for and allowed.

use serde_json::{Value, json};

use super::{Labels, Place, Refusal, SMTPAccess, Verdict, pattern::Pattern, resolve};
use crate::relay::{Allowance, ServiceAccount};

fn relay() -> Place {
    Place::new(Some("mail".into()), "outbound")
}

fn ask(namespace: &str, name: &str, spec: &Value) -> SMTPAccess {
    serde_json::from_value(json!({
        "apiVersion": "mailsluice.dev/v1alpha1",
        "kind": "SMTPAccess",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }))
    .unwrap()
}

fn asking(namespace: &str, accounts: &[&str], senders: &[&str]) -> SMTPAccess {
    let relay = json!({"name": "outbound", "namespace": "mail"});
    ask(namespace, "own", &json!({"relayRef": relay, "serviceAccounts": accounts, "senders": senders}))
}

fn allowance(namespaces: &Value, senders: &[&str]) -> Allowance {
    serde_json::from_value(json!({"namespaces": namespaces, "senders": senders})).unwrap()
}

fn labelled(labels: &[(&str, &str)]) -> Labels {
    Labels::Known(labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect())
}

fn judge(allowance: Option<&Allowance>, ask: &SMTPAccess, labels: &Labels) -> Verdict {
    resolve(&relay(), allowance, [ask], |_| labels.clone()).pop().expect("it asks this relay").1
}

#[test]
fn a_sender_is_held_by_a_pattern_only_if_all_that_it_allows_is() {
    for (pattern, holds, holds_not) in [
        ("<>", &["<>"][..], &["@example.org", "a@example.org"][..]),
        (
            "a@example.org",
            &["a@example.org", "A@Example.ORG"],
            &["@example.org", "b@example.org", "a@x.example.org", "<>"],
        ),
        (
            "@example.org",
            &["@example.org", "a@example.org", "@EXAMPLE.org"],
            &["@x.example.org", "a@x.example.org", "@notexample.org", "@example.org.evil.test", "@org", "<>"],
        ),
        (
            "@*.example.org",
            &["@x.example.org", "@x.y.example.org", "a@X.example.ORG"],
            &["@example.org", "a@example.org", "@xexample.org", "@x.example.org.evil.test", "<>"],
        ),
        ("a@*.example.org", &["a@x.example.org"], &["@x.example.org", "b@x.example.org", "a@example.org"]),
        (
            "@{namespace}.example.org",
            &["@shop.example.org", "a@Shop.example.org"],
            &[
                "@example.org",
                "@bank.example.org",
                "@x.shop.example.org",
                "@{namespace}.example.org",
                "@shop.example.org.test",
            ],
        ),
        ("a@{namespace}.example.org", &["a@shop.example.org"], &["b@shop.example.org", "@shop.example.org"]),
    ] {
        let pattern = Pattern::new(pattern, "shop");
        for sender in holds {
            assert!(pattern.holds(sender), "{pattern} holds {sender}");
        }
        for sender in holds_not {
            assert!(!pattern.holds(sender), "{pattern} does not hold {sender}");
        }
    }
}

#[test]
fn who_may_ask_is_granted_what_it_asks_for_and_no_more() {
    let allowance = allowance(&json!({"from": "All"}), &["@{namespace}.example.org", "<>"]);
    let ask = asking("shop", &["checkout", "billing"], &["orders@shop.example.org"]);
    let client = judge(Some(&allowance), &ask, &Labels::Unseen).unwrap();
    let account = |name: &str| ServiceAccount { namespace: "shop".into(), name: name.into() };
    assert_eq!(client.service_accounts, [account("checkout"), account("billing")]);
    assert_eq!(client.senders, ["orders@shop.example.org"]);
    assert!(client.networks.is_empty() && client.users.is_none() && client.certificates.is_none());
}

#[test]
fn namespaces_are_let_in_by_what_the_owner_wrote_and_by_nothing_else() {
    let senders = ["@example.org"];
    let same = allowance(&json!({}), &senders);
    let all = allowance(&json!({"from": "All"}), &senders);
    let label = json!({"matchLabels": {"mail": "yes"}, "matchExpressions": [{"key": "stage", "operator": "NotIn", "values": ["test"]}]});
    let selector = allowance(&json!({"from": "Selector", "selector": label}), &senders);
    // What admission refuses grants nothing either.
    let empty = allowance(&json!({"from": "Selector", "selector": {}}), &senders);
    let none = allowance(&json!({"from": "Selector"}), &senders);
    let yes = labelled(&[("mail", "yes"), ("team", "shop")]);
    for (name, allowance, namespace, labels, reason) in [
        ("nothing is said", None, "mail", &yes, Some("NotAllowed")),
        ("its own", Some(&same), "mail", &Labels::Unseen, None),
        ("another", Some(&same), "shop", &yes, Some("NotAllowed")),
        ("all", Some(&all), "shop", &Labels::Unseen, None),
        ("labelled", Some(&selector), "shop", &yes, None),
        ("labelled otherwise", Some(&selector), "shop", &labelled(&[("mail", "no")]), Some("NotAllowed")),
        ("not labelled", Some(&selector), "shop", &labelled(&[]), Some("NotAllowed")),
        ("shut out", Some(&selector), "shop", &labelled(&[("mail", "yes"), ("stage", "test")]), Some("NotAllowed")),
        ("its own without the label", Some(&selector), "mail", &labelled(&[]), Some("NotAllowed")),
        ("unseen", Some(&selector), "shop", &Labels::Unseen, Some("NamespacesNotSeen")),
        ("an empty selector", Some(&empty), "shop", &yes, Some("NotAllowed")),
        ("no selector", Some(&none), "shop", &yes, Some("NotAllowed")),
    ] {
        let verdict = judge(allowance, &asking(namespace, &["checkout"], &["@example.org"]), labels);
        assert_eq!(verdict.as_ref().err().map(Refusal::reason), reason, "{name}: {verdict:?}");
        if let Err(refusal) = verdict {
            assert!(refusal.to_string().contains("write"), "{name}: {refusal}");
        }
    }
}

#[test]
fn one_sender_too_many_and_nothing_is_granted() {
    let allowance = allowance(&json!({"from": "All"}), &["@{namespace}.example.org", "news@example.org"]);
    let ask = asking("shop", &["*"], &["@shop.example.org", "boss@bank.example", "<>"]);
    let refused = judge(Some(&allowance), &ask, &Labels::Unseen).unwrap_err();
    assert_eq!(refused.reason(), "SendersNotAllowed");
    assert_eq!(
        refused.to_string(),
        "SMTPRelay mail/outbound does not let namespace shop use boss@bank.example, <>: write senders within @shop.example.org, \
         news@example.org, or have its owner allow more"
    );
    let any = judge(Some(&allowance), &asking("shop", &["*"], &[]), &Labels::Unseen).unwrap_err();
    assert_eq!(any.reason(), "SendersNotAllowed", "no senders would be any sender");
}

#[test]
fn a_namespace_that_is_not_said_is_the_asking_one_and_other_relays_are_passed_over() {
    let allowance = allowance(&json!({}), &["@example.org"]);
    let own = |namespace: &str| {
        let spec = json!({"relayRef": {"name": "outbound"}, "serviceAccounts": ["*"], "senders": ["@example.org"]});
        ask(namespace, "own", &spec)
    };
    let asks = [own("mail"), own("shop"), asking("mail", &["checkout"], &["@example.org"])];
    let judged = resolve(&relay(), Some(&allowance), &asks, |_| Labels::Unseen);
    assert_eq!(judged.len(), 2, "{judged:?}");
    assert!(judged.iter().all(|(place, verdict)| place.namespace == "mail" && verdict.is_ok()), "{judged:?}");
}

#[test]
fn who_came_first_has_the_room_and_no_namespace_takes_all_of_it() {
    let allowance = allowance(&json!({"from": "All"}), &["@example.org"]);
    let senders: Vec<String> = (0..32).map(|number| format!("{number:0>200}@example.org")).collect();
    let senders: Vec<&str> = senders.iter().map(String::as_str).collect();
    let made = |namespace: &str, name: &str, second: u32| {
        let mut ask = asking(namespace, &["*"], &senders);
        ask.metadata.name = Some(name.into());
        let time = json!(format!("2026-11-26T12:{:02}:{:02}Z", second / 60, second % 60));
        ask.metadata.creation_timestamp = Some(serde_json::from_value(time).unwrap());
        ask
    };
    let granted = |asks: &[SMTPAccess]| -> Vec<String> {
        let judged = resolve(&relay(), Some(&allowance), asks, |_| Labels::Unseen);
        assert!(
            judged.iter().filter_map(|(_, verdict)| verdict.as_ref().err()).all(|error| error.reason() == "RelayFull")
        );
        judged.into_iter().filter(|(_, verdict)| verdict.is_ok()).map(|(place, _)| place.to_string()).collect()
    };
    let greedy =
        [made("shop", "z", 1), made("shop", "a", 9), made("shop", "b", 2), made("shop", "c", 3), made("shop", "d", 4)];
    assert_eq!(granted(&greedy), ["shop/z", "shop/b", "shop/c", "shop/d"], "7.8 KB each, the oldest first");
    let mut many: Vec<_> = (0..90).map(|second| made(&format!("team-{second:02}"), "own", second)).collect();
    many.reverse();
    let taken = granted(&many);
    assert!(taken.len() > 60 && taken.len() < 90, "{}", taken.len());
    let oldest: Vec<_> = (0..taken.len()).map(|number| format!("team-{number:02}/own")).collect();
    assert_eq!(taken, oldest);
}
