//! The StatefulSet: the relay's pods, each with a spool on a claim of its own.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::{StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec},
        core::v1::{
            Capabilities, ConfigMapVolumeSource, Container, ContainerPort, HTTPGetAction, PersistentVolumeClaim,
            PersistentVolumeClaimSpec, PodSecurityContext, PodSpec, Probe, ProjectedVolumeSource, ResourceRequirements,
            SeccompProfile, SecretVolumeSource, SecurityContext, ServiceAccountTokenProjection, Sysctl, Volume,
            VolumeMount, VolumeProjection, VolumeResourceRequirements,
        },
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};
use mailsluice_crds::relay::Storage;

use super::{Plan, metadata, pod_template};
use crate::names;

/// The user and group of the relay's process: nobody's, as distroless images have it.
const NOBODY: i64 = 65_532;
/// How long a pod may take to stop; the relay is done well inside 10 s.
const GRACE_SECONDS: i64 = 30;
/// A spool of many gigabytes is read through at the start: so many looks, two seconds apart, before that counts as stuck.
const STARTUP_LOOKS: i32 = 300;

const SPOOL_PATH: &str = "/var/spool/mailsluice";
const CONFIG_VOLUME: &str = "config";
const CONFIG_PATH: &str = "/etc/mailsluice";
/// Where Secrets are mounted, each in a folder of its name.
const SECRETS_PATH: &str = "/etc/mailsluice-secrets";
/// Where the token is by which the relay's pods know each other.
const SIBLINGS_VOLUME: &str = "siblings";
const SIBLINGS_PATH: &str = "/var/run/mailsluice-siblings";
const TOKEN_FILE: &str = "token";
/// The kubelet renews it long before.
const TOKEN_SECONDS: i64 = 3_600;
/// Octal 0440: a Secret's files are for the relay's group alone.
const SECRET_MODE: i32 = 0o440;

/// The size and the class of each pod's claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The size, as a Kubernetes quantity.
    pub size: String,
    /// The storage class; the cluster's default, where it is absent.
    pub class: Option<String>,
}

impl Claim {
    /// The claim that a specification asks for.
    #[must_use]
    pub fn wanted(storage: &Storage) -> Claim {
        Claim { size: storage.size.to_string(), class: storage.storage_class_name.clone() }
    }

    /// The claim that a StatefulSet makes for its pods, which cannot be changed while it exists.
    #[must_use]
    pub fn of(stateful_set: &StatefulSet) -> Option<Claim> {
        let templates = stateful_set.spec.as_ref()?.volume_claim_templates.as_ref()?;
        let spec = templates.first()?.spec.as_ref()?;
        let size = spec.resources.as_ref()?.requests.as_ref()?.get("storage")?;
        Some(Claim { size: size.0.clone(), class: spec.storage_class_name.clone() })
    }
}

pub(super) fn build(plan: &Plan) -> StatefulSet {
    StatefulSet {
        metadata: metadata(plan, plan.name.clone()),
        spec: Some(StatefulSetSpec {
            replicas: Some(i32::try_from(plan.replicas).unwrap_or(i32::MAX)),
            service_name: Some(names::pods_service(&plan.name)),
            // Relays do not need each other: one that cannot start must not hold back the rest.
            pod_management_policy: Some("Parallel".into()),
            selector: names::pod_selector(&plan.name),
            template: pod_template::build(plan, pod(plan)),
            volume_claim_templates: Some(vec![claim(&plan.claim)]),
            // There may be mail on a claim: only a person may throw it away.
            persistent_volume_claim_retention_policy: Some(StatefulSetPersistentVolumeClaimRetentionPolicy {
                when_deleted: Some("Retain".into()),
                when_scaled: Some("Retain".into()),
            }),
            ..StatefulSetSpec::default()
        }),
        status: None,
    }
}

fn pod(plan: &Plan) -> PodSpec {
    PodSpec {
        service_account_name: Some(names::service_account(&plan.name)),
        automount_service_account_token: Some(false),
        // The environment of a process is no place for the addresses of all the namespace's Services.
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(NOBODY),
            run_as_group: Some(NOBODY),
            fs_group: Some(NOBODY),
            // A large spool is not walked through at every start.
            fs_group_change_policy: Some("OnRootMismatch".into()),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".into(), localhost_profile: None }),
            // Port 25 without a capability.
            sysctls: Some(vec![Sysctl { name: "net.ipv4.ip_unprivileged_port_start".into(), value: "0".into() }]),
            ..PodSecurityContext::default()
        }),
        containers: vec![container(plan)],
        volumes: Some(volumes(plan)),
        ..PodSpec::default()
    }
}

/// The configuration, and each Secret by its name: the operator never reads one.
fn volumes(plan: &Plan) -> Vec<Volume> {
    let config = Volume {
        name: CONFIG_VOLUME.into(),
        config_map: Some(ConfigMapVolumeSource {
            name: names::config_map(&plan.name),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    };
    let secrets = plan.spec.secret_names().into_iter().enumerate().map(|(index, name)| Volume {
        name: secret_volume(index),
        secret: Some(SecretVolumeSource {
            secret_name: Some(name.to_owned()),
            // A Secret that is missing must not keep the pod from starting: the relay says what it misses, and does the rest.
            optional: Some(true),
            default_mode: Some(SECRET_MODE),
            items: None,
        }),
        ..Volume::default()
    });
    let siblings = Volume {
        name: SIBLINGS_VOLUME.into(),
        projected: Some(ProjectedVolumeSource {
            sources: Some(vec![VolumeProjection {
                service_account_token: Some(ServiceAccountTokenProjection {
                    audience: Some(names::SIBLINGS_AUDIENCE.into()),
                    expiration_seconds: Some(TOKEN_SECONDS),
                    path: TOKEN_FILE.into(),
                }),
                ..VolumeProjection::default()
            }]),
            ..ProjectedVolumeSource::default()
        }),
        ..Volume::default()
    };
    [config, siblings].into_iter().chain(secrets).collect()
}

/// A Secret's name may be longer than a volume's.
fn secret_volume(index: usize) -> String {
    format!("secret-{index}")
}

fn volume_mounts(plan: &Plan) -> Vec<VolumeMount> {
    let spool =
        VolumeMount { name: names::SPOOL_VOLUME.into(), mount_path: SPOOL_PATH.into(), ..VolumeMount::default() };
    let read_only =
        |name, mount_path| VolumeMount { name, mount_path, read_only: Some(true), ..VolumeMount::default() };
    let config = read_only(CONFIG_VOLUME.into(), CONFIG_PATH.into());
    let secrets = plan.spec.secret_names().into_iter().enumerate();
    let secrets = secrets.map(|(index, name)| read_only(secret_volume(index), format!("{SECRETS_PATH}/{name}")));
    let siblings = read_only(SIBLINGS_VOLUME.into(), SIBLINGS_PATH.into());
    [spool, config, siblings].into_iter().chain(secrets).collect()
}

fn container(plan: &Plan) -> Container {
    let listeners = plan.spec.listeners.iter().map(|listener| (listener.name.as_str(), listener.port));
    let ports = listeners.chain([("http", names::MONITOR_PORT)]).map(|(name, port)| ContainerPort {
        name: Some(name.to_owned()),
        container_port: i32::from(port),
        protocol: Some("TCP".into()),
        ..ContainerPort::default()
    });
    Container {
        name: "relay".into(),
        image: Some(plan.image.clone()),
        args: Some(arguments(plan)),
        ports: Some(ports.collect()),
        startup_probe: Some(Probe { failure_threshold: Some(STARTUP_LOOKS), ..probe("/healthz", 2) }),
        liveness_probe: Some(Probe { failure_threshold: Some(3), ..probe("/healthz", 10) }),
        readiness_probe: Some(Probe { failure_threshold: Some(2), ..probe("/readyz", 5) }),
        // Asking for something keeps the pod from being the first that a full node throws out.
        resources: Some(ResourceRequirements {
            requests: Some(BTreeMap::from([
                ("cpu".to_owned(), Quantity("50m".into())),
                ("memory".to_owned(), Quantity("64Mi".into())),
            ])),
            ..ResourceRequirements::default()
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            run_as_non_root: Some(true),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".into()]), add: None }),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".into(), localhost_profile: None }),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(volume_mounts(plan)),
        ..Container::default()
    }
}

fn arguments(plan: &Plan) -> Vec<String> {
    [
        "run".to_owned(),
        format!("{CONFIG_PATH}/{}", names::MANIFESTS_KEY),
        "--spool".to_owned(),
        SPOOL_PATH.to_owned(),
        "--bind".to_owned(),
        "::".to_owned(),
        "--http".to_owned(),
        format!("[::]:{}", names::MONITOR_PORT),
        "--monitor-credential".to_owned(),
        format!("{CONFIG_PATH}/{}", names::CREDENTIAL_KEY),
        "--secrets".to_owned(),
        SECRETS_PATH.to_owned(),
        "--siblings".to_owned(),
        names::siblings(&plan.name),
        "--sibling-token".to_owned(),
        format!("{SIBLINGS_PATH}/{TOKEN_FILE}"),
    ]
    .into()
}

fn probe(path: &str, period_seconds: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.into()),
            port: IntOrString::String("http".into()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(5),
        ..Probe::default()
    }
}

fn claim(claim: &Claim) -> PersistentVolumeClaim {
    PersistentVolumeClaim {
        metadata: ObjectMeta { name: Some(names::SPOOL_VOLUME.into()), ..ObjectMeta::default() },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".into()]),
            storage_class_name: claim.class.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".to_owned(), Quantity(claim.size.clone()))])),
                limits: None,
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}
