//! What the objects of a relay promise.

mod network_policy;
mod pod_template;
mod service;

use k8s_openapi::api::core::v1::PodSpec;
use mailsluice_crds::{
    SMTPRelaySpec, TCPScheduleSpec,
    quantity::ByteSize,
    relay::{Listener, ListenerTls, ScheduleRef, Storage, TlsMode},
};

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::*;

fn plan() -> Plan {
    let spec = SMTPRelaySpec {
        replicas: 2,
        schedule_ref: Some(ScheduleRef { name: "office-hours".into() }),
        listeners: vec![
            Listener { name: "smtp".into(), port: 25, tls: None, role: None, proxy_protocol: None, xclient: None },
            Listener {
                name: "submission".into(),
                port: 587,
                tls: None,
                role: None,
                proxy_protocol: None,
                xclient: None,
            },
        ],
        ..SMTPRelaySpec::default()
    };
    Plan {
        namespace: "shop".into(),
        name: "outbound".into(),
        owner: OwnerReference {
            api_version: "mailsluice.dev/v1alpha1".into(),
            kind: "SMTPRelay".into(),
            name: "outbound".into(),
            uid: "u1".into(),
            controller: Some(true),
            block_owner_deletion: None,
        },
        manifests: manifests("shop", ("outbound", &spec), None, []).unwrap(),
        claim: Claim::wanted(&spec.storage),
        replicas: spec.replicas,
        spec,
        image: "registry.example/mailsluice-relay:1".into(),
        shares: r#"{"version":1,"now":{"among":2,"turn":0}}"#.into(),
        credential: "c0ffee".into(),
        token_keys: None,
        client_pods: None,
    }
}

fn pod(resources: &Resources) -> &PodSpec {
    resources.stateful_set.spec.as_ref().unwrap().template.spec.as_ref().unwrap()
}

#[test]
fn every_object_is_the_relays_own_and_says_so() {
    let built = build(&plan());
    for (metadata, name) in [
        (&built.service_account.metadata, "outbound-relay"),
        (&built.config_map.metadata, "outbound-config"),
        (&built.headless_service.metadata, "outbound-pods"),
        (&built.service.metadata, "outbound"),
        (&built.stateful_set.metadata, "outbound"),
        (&built.pod_disruption_budget.metadata, "outbound"),
    ] {
        assert_eq!(metadata.name.as_deref(), Some(name));
        assert_eq!(metadata.namespace.as_deref(), Some("shop"), "{name}");
        assert_eq!(metadata.labels, Some(names::labels("outbound")), "{name}");
        let owners = metadata.owner_references.as_deref().unwrap();
        assert_eq!((owners.len(), owners[0].controller), (1, Some(true)), "{name}");
        assert_eq!(owners[0].block_owner_deletion, None, "{name}: would need a right on finalizers");
        assert_eq!(metadata.finalizers, None, "{name}: a finalizer can be stuck after an uninstall");
    }
}

#[test]
fn pods_meet_the_restricted_pod_security_standard() {
    let built = build(&plan());
    let pod = pod(&built);
    let context = pod.security_context.as_ref().unwrap();
    assert_eq!(context.run_as_non_root, Some(true));
    assert_eq!(
        (context.run_as_user, context.run_as_group, context.fs_group),
        (Some(65_532), Some(65_532), Some(65_532))
    );
    assert_eq!(context.seccomp_profile.as_ref().unwrap().type_, "RuntimeDefault");
    // The one sysctl that both gives port 25 to a process without capabilities and counts as safe.
    let sysctls: Vec<_> = context.sysctls.iter().flatten().map(|s| (s.name.as_str(), s.value.as_str())).collect();
    assert_eq!(sysctls, [("net.ipv4.ip_unprivileged_port_start", "0")]);
    assert_eq!((pod.host_network, pod.host_pid, pod.host_ipc), (None, None, None));
    assert_eq!(pod.automount_service_account_token, Some(false), "a relay holds no API token");
    for volume in pod.volumes.iter().flatten() {
        assert!(volume.config_map.is_some() || volume.projected.is_some(), "{}", volume.name);
    }
    assert_eq!(pod.containers.len(), 1);
    let context = pod.containers[0].security_context.as_ref().unwrap();
    assert_eq!(context.allow_privilege_escalation, Some(false));
    assert_eq!(context.read_only_root_filesystem, Some(true));
    assert_eq!(context.privileged, None);
    assert_eq!(context.capabilities.as_ref().unwrap().drop, Some(vec!["ALL".to_owned()]));
    assert_eq!(context.capabilities.as_ref().unwrap().add, None);
}

#[test]
fn pods_run_the_relay_as_its_command_line_is_agreed() {
    let built = build(&plan());
    let container = &pod(&built).containers[0];
    assert_eq!(
        (container.name.as_str(), container.image.as_deref()),
        ("relay", Some("registry.example/mailsluice-relay:1"))
    );
    assert_eq!(
        container.args.as_ref().unwrap().join(" "),
        "run /etc/mailsluice/relay.yaml --spool /var/spool/mailsluice --bind :: --http [::]:8025 \
         --monitor-credential /etc/mailsluice/monitor-credential --secrets /etc/mailsluice-secrets \
         --siblings outbound-{n}.outbound-pods:8025 --sibling-token /var/run/mailsluice-siblings/token"
    );
    let ports: Vec<_> =
        container.ports.iter().flatten().map(|port| (port.name.as_deref().unwrap(), port.container_port)).collect();
    assert_eq!(ports, [("smtp", 25), ("submission", 587), ("http", 8025)]);
    let mounts: Vec<_> =
        container.volume_mounts.iter().flatten().map(|m| (m.name.as_str(), m.mount_path.as_str())).collect();
    let siblings = ("siblings", "/var/run/mailsluice-siblings");
    assert_eq!(mounts, [("spool", "/var/spool/mailsluice"), ("config", "/etc/mailsluice"), siblings]);
    for (probe, path) in [
        (&container.startup_probe, "/healthz"),
        (&container.liveness_probe, "/healthz"),
        (&container.readiness_probe, "/readyz"),
    ] {
        let get = probe.as_ref().unwrap().http_get.as_ref().unwrap();
        assert_eq!(get.path.as_deref(), Some(path));
    }
}

#[test]
fn each_pod_keeps_its_spool_on_a_claim_that_outlives_it() {
    let built = build(&plan());
    let spec = built.stateful_set.spec.as_ref().unwrap();
    assert_eq!(spec.replicas, Some(2));
    assert_eq!(spec.pod_management_policy.as_deref(), Some("Parallel"));
    assert_eq!(spec.service_name.as_deref(), Some("outbound-pods"));
    let kept = spec.persistent_volume_claim_retention_policy.as_ref().unwrap();
    assert_eq!((kept.when_deleted.as_deref(), kept.when_scaled.as_deref()), (Some("Retain"), Some("Retain")));
    let templates = spec.volume_claim_templates.as_ref().unwrap();
    assert_eq!(templates[0].metadata.name.as_deref(), Some("spool"));
    assert_eq!(Claim::of(&built.stateful_set), Some(Claim { size: "10Gi".into(), class: None }));
}

#[test]
fn the_client_service_has_the_listeners_and_the_headless_one_every_pod() {
    let built = build(&plan());
    let client = built.service.spec.as_ref().unwrap();
    let ports: Vec<_> = client.ports.iter().flatten().map(|port| (port.name.as_deref().unwrap(), port.port)).collect();
    assert_eq!(ports, [("smtp", 25), ("submission", 587)]);
    assert_eq!(client.type_.as_deref(), Some("ClusterIP"));
    let headless = built.headless_service.spec.as_ref().unwrap();
    assert_eq!(headless.cluster_ip.as_deref(), Some("None"));
    assert_eq!(headless.publish_not_ready_addresses, Some(true));
    assert_eq!(headless.selector, client.selector);
}

#[test]
fn a_drain_takes_one_pod_at_a_time_and_is_never_blocked_for_good() {
    let built = build(&plan());
    let spec = built.pod_disruption_budget.spec.unwrap();
    assert_eq!((spec.max_unavailable, spec.min_available), (Some(IntOrString::Int(1)), None));
}

#[test]
fn manifests_hold_the_specifications_and_nothing_that_changes_by_itself() {
    let plan = plan();
    let schedule: TCPScheduleSpec = serde_json::from_str(r#"{"timeZone": "Europe/Rome"}"#).unwrap();
    let text = manifests("shop", ("outbound", &plan.spec), Some(("office-hours", &schedule)), []).unwrap();
    assert_eq!(text, manifests("shop", ("outbound", &plan.spec), Some(("office-hours", &schedule)), []).unwrap());
    let documents: Vec<serde_json::Value> =
        text.split("---\n").map(|document| serde_json::from_str(document).unwrap()).collect();
    let shape: Vec<_> =
        documents.iter().map(|d| (d["kind"].as_str().unwrap(), d["metadata"]["name"].as_str().unwrap())).collect();
    assert_eq!(shape, [("SMTPRelay", "outbound"), ("TCPSchedule", "office-hours")]);
    for document in &documents {
        assert_eq!(document["apiVersion"], "mailsluice.dev/v1alpha1");
        assert_eq!(document["metadata"].as_object().unwrap().len(), 2, "more than name and namespace");
        assert!(document.get("status").is_none());
    }
    let own = SMTPRelaySpec { replicas: 1, ..plan.spec.clone() };
    assert_eq!(serde_json::from_value::<SMTPRelaySpec>(documents[0]["spec"].clone()).unwrap(), own);
    assert_eq!(serde_json::from_value::<TCPScheduleSpec>(documents[1]["spec"].clone()).unwrap(), schedule);
}

#[test]
fn pods_are_told_how_many_stay_before_any_is_taken_away() {
    let leaving = Plan { replicas: 2, spec: SMTPRelaySpec { replicas: 1, ..plan().spec }, ..plan() };
    let built = build(&leaving);
    assert_eq!(built.stateful_set.spec.as_ref().unwrap().replicas, Some(2));
    assert_eq!(built.config_map.data.as_ref().unwrap()[names::REPLICAS_KEY], "1\n");
    assert_eq!(built.config_map.data.as_ref().unwrap()["shares"], format!("{}\n", plan().shares));
    assert_ne!(built.config_hash(), build(&plan()).config_hash());
    assert_eq!(names::claim_number("outbound", &names::claim("outbound", 7)), Some(7));
    assert_eq!(names::claim_number("out", &names::claim("outbound", 7)), None);
    let volume = pod(&built).volumes.iter().flatten().find_map(|volume| volume.projected.as_ref()).unwrap();
    let token = volume.sources.as_ref().unwrap()[0].service_account_token.as_ref().unwrap();
    assert_eq!(
        token.audience.as_deref(),
        Some(names::SIBLINGS_AUDIENCE),
        "a token of the API server's would be one too many"
    );
}

#[test]
fn scaling_and_storage_are_no_change_of_a_relays_configuration() {
    let plan = plan();
    let storage = Storage { size: ByteSize::from_bytes(5 << 30), storage_class_name: Some("fast".into()) };
    let grown = SMTPRelaySpec { replicas: 7, storage, ..plan.spec };
    assert_eq!(manifests("shop", ("outbound", &grown), None, []).unwrap(), plan.manifests);
}

#[test]
fn pods_are_told_of_each_change_of_what_is_mounted_and_of_nothing_else() {
    let base = build(&plan()).config_hash();
    assert_eq!(base, build(&plan()).config_hash());
    let other_credential = Plan { credential: "decaf".into(), ..plan() };
    let other_manifests = Plan { manifests: "{}\n".into(), ..plan() };
    let other_image = Plan { image: "another".into(), ..plan() };
    assert_ne!(base, build(&other_credential).config_hash());
    assert_ne!(base, build(&other_manifests).config_hash());
    assert_eq!(base, build(&other_image).config_hash());
}

#[test]
fn claims_are_as_large_as_asked_for_and_of_that_class() {
    let storage = Storage { size: ByteSize::from_bytes(5 << 30), storage_class_name: Some("fast".into()) };
    assert_eq!(Claim::wanted(&storage), Claim { size: "5Gi".into(), class: Some("fast".into()) });
}

#[test]
fn secrets_are_mounted_by_name_and_a_missing_one_holds_no_pod_back() {
    let mut plan = plan();
    let has_secret = |plan: &Plan| pod(&build(plan)).volumes.iter().flatten().any(|volume| volume.secret.is_some());
    assert!(!has_secret(&plan), "no Secret is asked for");
    for listener in &mut plan.spec.listeners {
        listener.tls = Some(ListenerTls { secret_name: "outbound-tls".into(), mode: TlsMode::StartTls });
    }
    let built = build(&plan);
    let pod = pod(&built);
    let secrets: Vec<_> =
        pod.volumes.iter().flatten().filter_map(|v| Some((v.name.as_str(), v.secret.as_ref()?))).collect();
    let [(volume, secret)] = secrets.as_slice() else { panic!("one Secret, once: {secrets:?}") };
    assert_eq!((secret.secret_name.as_deref(), secret.optional), (Some("outbound-tls"), Some(true)));
    let mounts = pod.containers[0].volume_mounts.as_deref().unwrap();
    let mount = mounts.iter().find(|mount| mount.name == *volume).unwrap();
    assert_eq!((mount.mount_path.as_str(), mount.read_only), ("/etc/mailsluice-secrets/outbound-tls", Some(true)));
    let arguments = pod.containers[0].args.as_deref().unwrap();
    assert!(arguments.windows(2).any(|two| two == ["--secrets", "/etc/mailsluice-secrets"]), "{arguments:?}");
}
