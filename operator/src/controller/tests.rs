//! What validation promises, and when an object is as it should be.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::ConfigMap};
use mailsluice_crds::{
    SMTPAccess, SMTPRelay, SMTPRelaySpec, TCPSchedule,
    access::{self, Labels, Place},
    manifest,
    relay::{Listener, ScheduleRef},
    shares::{Division, Shares},
};
use serde_json::json;

use super::{
    apply,
    dereference::{Found, Reference},
    validate,
};
use crate::{credential::MonitorKey, names, resources, schedule::ScheduleUse, status::Obstacle, watch};

fn key() -> MonitorKey {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, &[b'k'; 32]).unwrap();
    MonitorKey::read(file.path().to_owned()).unwrap()
}

fn found(name: &str, spec: SMTPRelaySpec, schedule: Reference) -> Found {
    let mut relay = SMTPRelay::new(name, spec);
    relay.metadata.namespace = Some("shop".into());
    relay.metadata.uid = Some("u1".into());
    let key = watch::key(&relay);
    Found {
        relay: Arc::new(relay),
        key,
        schedule,
        granted: Vec::new(),
        stateful_set: None,
        config_map: None,
        token_keys: None,
        client_pods: None,
        pods: Vec::new(),
    }
}

fn scheduled() -> SMTPRelaySpec {
    SMTPRelaySpec { schedule_ref: Some(ScheduleRef { name: "day".into() }), ..SMTPRelaySpec::default() }
}

fn schedule(spec: serde_json::Value) -> Reference {
    Reference::To(Arc::new(TCPSchedule::new("day", serde_json::from_value(spec).unwrap())))
}

fn shares(among: u32) -> Shares {
    Shares::first(Division { among, turn: 0 }, 1)
}

fn planned(found: &Found) -> resources::Plan {
    let replicas = found.relay.spec.replicas;
    validate::validate(found, (replicas, shares(replicas)), "image", &key()).unwrap().unwrap()
}

#[test]
fn what_cannot_be_carried_out_is_refused_with_what_to_write() {
    let listener = |name: &str, port| SMTPRelaySpec {
        listeners: vec![Listener {
            name: name.into(),
            port,
            tls: None,
            role: None,
            proxy_protocol: None,
            xclient: None,
        }],
        ..SMTPRelaySpec::default()
    };
    for (name, spec, advice) in [
        ("outbound", SMTPRelaySpec::default(), None),
        ("out.bound", SMTPRelaySpec::default(), Some("use a-z, 0-9 and '-'")),
        ("1outbound", SMTPRelaySpec::default(), Some("begin with a letter")),
        (&*"o".repeat(53), SMTPRelaySpec::default(), Some("at most 52 characters")),
        ("outbound", listener("smtp", 8025), Some("on which the relay serves its Monitor: use another")),
        ("outbound", listener("http", 25), Some("taken by the port of the Monitor: use another")),
    ] {
        match (
            validate::validate(&found(name, spec, Reference::None), (1, shares(1)), "image", &key()).unwrap(),
            advice,
        ) {
            (Ok(_), None) => {}
            (Err(Obstacle::Invalid(message)), Some(advice)) => assert!(message.contains(advice), "{message}"),
            (result, _) => panic!("{name}: {result:?}"),
        }
    }
}

#[test]
fn a_relay_is_given_its_schedule_and_holds_its_mail_without_one() {
    let kinds = |text: &str| text.split("---\n").count();
    assert_eq!(kinds(&planned(&found("outbound", SMTPRelaySpec::default(), Reference::None)).manifests), 1);
    assert_eq!(kinds(&planned(&found("outbound", scheduled(), schedule(json!({})))).manifests), 2);
    let dangling = planned(&found("outbound", scheduled(), Reference::Dangling("day".into()))).manifests;
    assert_eq!(kinds(&dangling), 1);
    assert!(dangling.contains(r#""scheduleRef""#), "without it the relay would let its mail out");
}

#[test]
fn a_schedule_that_cannot_be_obeyed_is_not_given_to_relays() {
    let bad = || schedule(json!({"timeZone": "Europe/Roma"}));
    assert!(matches!(validate::schedule(&bad()), ScheduleUse::Invalid { .. }));
    let data = BTreeMap::from([(names::MANIFESTS_KEY.to_owned(), "what it runs\n".to_owned())]);
    let running = Found {
        config_map: Some(Arc::new(ConfigMap { data: Some(data), ..ConfigMap::default() })),
        ..found("outbound", scheduled(), bad())
    };
    assert_eq!(planned(&running).manifests, "what it runs\n", "it keeps what it had");
    let fresh = planned(&found("outbound", scheduled(), bad())).manifests;
    assert!(fresh.contains(r#""scheduleRef""#) && !fresh.contains("Europe/Roma"), "a new one holds its mail");
}

#[test]
fn what_is_granted_is_among_a_relays_clients_and_its_pods_come_to_the_same() {
    let spec: SMTPRelaySpec = serde_json::from_value(json!({
        "clients": [{"networks": ["192.0.2.0/24"]}],
        "access": {
            "namespaces": {"from": "Selector", "selector": {"matchLabels": {"mail": "yes"}}},
            "senders": ["@{namespace}.example.org"],
        },
        "networkPolicy": {},
    }))
    .unwrap();
    let ask: SMTPAccess = serde_json::from_value(json!({
        "apiVersion": "mailsluice.dev/v1alpha1",
        "kind": "SMTPAccess",
        "metadata": {"name": "own", "namespace": "team", "uid": "u2", "labels": {"a": "b"}},
        "spec": {
            "relayRef": {"name": "outbound", "namespace": "shop"},
            "serviceAccounts": ["*"],
            "senders": ["orders@team.example.org"],
        },
    }))
    .unwrap();
    let relay = found("outbound", spec.clone(), Reference::None);
    let judged = access::resolve(&ask.relay(), spec.access.as_ref(), [&ask], |_| {
        Labels::Known([("mail".to_owned(), "yes".to_owned())].into())
    });
    let client = judged[0].1.clone().unwrap();
    let without = planned(&relay);
    assert!(!without.manifests.contains("access"), "what nobody asks for is no change of a relay's configuration");
    let plan = planned(&Found { granted: vec![(Arc::new(ask), client.clone())], ..relay });
    assert_eq!(plan.spec.clients, [spec.clients[0].clone(), client.clone()]);
    let policy = serde_json::to_string(&resources::build(&plan).network_policy).unwrap();
    assert!(policy.contains(r#""kubernetes.io/metadata.name":"team""#), "{policy}");

    let loaded = manifest::load(&[manifest::Source { name: "relay.yaml", text: &plan.manifests }]).unwrap();
    let [relay] = &loaded.relays[..] else { panic!("{:?}", loaded.relays) };
    let place = Place::new(Some("shop".into()), "outbound");
    let judged = access::resolve(&place, relay.spec.access.as_ref(), &loaded.accesses, |_| Labels::Unseen);
    assert_eq!(judged, [(Place::new(Some("team".into()), "own"), Ok(client))], "a relay sees no labels");
}

#[test]
fn a_relay_is_given_the_clusters_keys_as_soon_as_they_are_known() {
    let keys = || Some("{}\n".to_owned());
    let with = |token_keys| Found { token_keys, ..found("outbound", SMTPRelaySpec::default(), Reference::None) };
    assert_eq!(planned(&with(None)).token_keys, None);
    let plan = planned(&with(keys()));
    assert_eq!(plan.token_keys, keys());
    let config_map = resources::build(&plan).config_map;
    assert_eq!(config_map.data.as_ref().and_then(|data| data.get(names::TOKEN_KEYS_KEY)), keys().as_ref());
    // An operator that has just started takes nothing away.
    let running = Found { config_map: Some(Arc::new(config_map)), ..with(None) };
    assert_eq!(planned(&running).token_keys, keys());
}

#[test]
fn a_change_of_storage_is_for_the_next_stateful_set() {
    let before = found("outbound", SMTPRelaySpec::default(), Reference::None);
    let stateful_set: StatefulSet = resources::build(&planned(&before)).stateful_set;
    let mut spec = SMTPRelaySpec::default();
    spec.storage.size = "20Gi".parse().unwrap();
    let after = Found { stateful_set: Some(Arc::new(stateful_set)), ..found("outbound", spec, Reference::None) };
    assert_eq!(planned(&after).claim.size, "10Gi", "an apply with another size would fail for ever");
    let anew = Found { stateful_set: None, ..after };
    assert_eq!(planned(&anew).claim.size, "20Gi");
}

#[test]
fn an_object_is_as_it_should_be_when_all_that_is_wanted_is_there() {
    for (name, present, wanted, there) in [
        ("the same", json!({"a": 1}), json!({"a": 1}), true),
        ("defaults were added", json!({"a": 1, "b": 2}), json!({"a": 1}), true),
        ("in a list too", json!({"l": [{"a": 1, "d": 0}]}), json!({"l": [{"a": 1}]}), true),
        ("another value", json!({"a": 2}), json!({"a": 1}), false),
        ("one more in a list", json!({"l": [1, 2]}), json!({"l": [1]}), false),
        ("missing", json!({}), json!({"a": {}}), false),
        ("null is nothing", json!({}), json!({"a": null}), true),
    ] {
        assert_eq!(apply::contains(&present, &wanted), there, "{name}");
    }
}
