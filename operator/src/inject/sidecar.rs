//! The sidecar's container, and the volume that it reads: the pod's token and the relay's authorities.

use serde_json::{Value, json};

use super::{NAME, wanted::Wanted};
use crate::names;

/// The program in the relay's image, beside the relay's own.
const PROGRAM: &str = "/mailsluice-sidecar";
/// Where the volume is mounted.
const FOLDER: &str = "/var/run/mailsluice";
/// The audience of the token, which the relay asks for.
const AUDIENCE: &str = "mailsluice";
/// How long the token is good for; the kubelet renews it before.
const TOKEN_SECONDS: u32 = 3_600;
/// The user and group of the process: nobody's, as the image has it, whatever the pod says of its own.
const NOBODY: u32 = 65_532;
/// Where health and metrics are served.
const HTTP_PORT: u16 = names::MONITOR_PORT;

/// The container: an init container that goes on running, so that those behind it can send mail, and Jobs end.
pub(super) fn container(wanted: &Wanted, image: &str) -> Value {
    json!({
        "name": NAME,
        "image": image,
        "restartPolicy": "Always",
        "command": [PROGRAM],
        "args": arguments(wanted),
        // Templates need not know the namespace of their pods.
        "env": [{"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}],
        // The next container starts behind this hook, which ends as soon as the process listens, whether the relay is there or not, and in any
        // case within seconds. A startup probe would do the same a second or two later.
        "lifecycle": {"postStart": {"exec": {"command": [PROGRAM, "await"]}}},
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": NOBODY,
            "runAsGroup": NOBODY,
            "readOnlyRootFilesystem": true,
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [{"name": NAME, "mountPath": FOLDER, "readOnly": true}],
    })
}

fn arguments(wanted: &Wanted) -> Vec<String> {
    let namespace = wanted.namespace.as_deref().unwrap_or("$(POD_NAMESPACE)");
    let mut arguments = vec![
        "run".to_owned(),
        format!("--gateway={}.{namespace}.svc:{}", wanted.relay, wanted.port),
        format!("--authorities={FOLDER}/ca.crt"),
        format!("--token={FOLDER}/token"),
        format!("--http=[::]:{HTTP_PORT}"),
    ];
    arguments.extend(wanted.tls_name.as_ref().map(|name| format!("--tls-name={name}")));
    arguments
}

/// The volume. A ConfigMap that is missing must not keep the pod from starting: the sidecar says what it misses, and takes one that comes.
pub(super) fn volume(wanted: &Wanted) -> Value {
    json!({
        "name": NAME,
        "projected": {"sources": [
            {"serviceAccountToken": {"audience": AUDIENCE, "expirationSeconds": TOKEN_SECONDS, "path": "token"}},
            {"configMap": {"name": wanted.authorities, "optional": true, "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        ]},
    })
}
