//! The rules about what is laid over a relay's pods.

use kube::core::Rule;

use super::{form, rule};

/// Where the operator mounts what the relay reads and writes.
const OWN_FOLDERS: &str =
    "['/etc/mailsluice', '/etc/mailsluice-secrets', '/var/spool/mailsluice', '/var/run/mailsluice-siblings']";

/// The key of a label or an annotation.
pub(crate) fn key() -> Rule {
    rule(
        "self.all(key, !format.qualifiedName().validate(key).hasValue())",
        "write a name of at most 63 letters, digits, dots, underscores and hyphens, after a domain and / if you like, such as \
         example.org/team",
    )
}

pub(crate) fn label_value() -> Rule {
    rule(
        "!format.labelValue().validate(self).hasValue()",
        "write at most 63 letters, digits, dots, underscores and hyphens, with a letter or digit at each end",
    )
}

pub(crate) fn label_is_free() -> Rule {
    rule(
        "self.all(key, !(key in ['app.kubernetes.io/name', 'app.kubernetes.io/instance', 'app.kubernetes.io/managed-by']) && \
         !key.startsWith('mailsluice.dev/'))",
        "the operator selects a relay's pods by app.kubernetes.io/name, app.kubernetes.io/instance and \
         app.kubernetes.io/managed-by, and keeps mailsluice.dev/ for itself: write a label of your own domain",
    )
}

pub(crate) fn annotation_is_free() -> Rule {
    rule(
        "self.all(key, !key.startsWith('mailsluice.dev/'))",
        "mailsluice.dev/ is for the operator's own annotations: write one of your own domain",
    )
}

pub(crate) fn object_name_of(what: &str) -> Rule {
    rule(
        "!format.dns1123Subdomain().validate(self).hasValue()",
        &format!("write the name of a {what}: lower-case letters, digits, hyphens and dots"),
    )
}

pub(crate) fn volume_name() -> Rule {
    rule(
        "!format.dns1123Label().validate(self).hasValue()",
        "write at most 63 lower-case letters, digits and hyphens, with neither end a hyphen",
    )
}

pub(crate) fn volume_name_is_free() -> Rule {
    rule(
        format!("!(self in ['spool', 'config', 'siblings']) && !{}", form("^secret-[0-9]+$")),
        "the relay's own volumes are spool, config, siblings and secret-0 onwards: write another name",
    )
}

pub(crate) fn one_source(sources: &[&str]) -> Rule {
    let given: Vec<String> = sources.iter().map(|source| format!("has(self.{source})")).collect();
    let names: Vec<String> = sources.iter().map(|source| format!("`{source}`")).collect();
    rule(
        format!("[{}].filter(given, given).size() == 1", given.join(", ")),
        &format!("write exactly one of {}", names.join(", ")),
    )
}

pub(crate) fn mount_path() -> Rule {
    rule(
        format!("{} && !self.contains('/../') && !self.endsWith('/..')", form("^/[^:]*$")),
        "write the whole path of a folder or file in the container, such as /etc/ssl/corp, without a colon",
    )
}

/// Neither within a folder of the relay's, nor so that one of them is hidden.
pub(crate) fn mount_path_is_free() -> Rule {
    rule(
        format!(
            "{OWN_FOLDERS}.all(own, !(self + '/').startsWith(own + '/') && !(own + '/').startsWith(self.endsWith('/') ? self : self + '/'))"
        ),
        "the relay's own files are below /etc/mailsluice, /etc/mailsluice-secrets, /var/spool/mailsluice and \
         /var/run/mailsluice-siblings: write another path, and name Secrets of the relay's where it has a `secretName` for them",
    )
}

pub(crate) fn mounts_have_their_volumes() -> Rule {
    rule(
        "!has(self.containers) || self.containers.all(container, !has(container.volumeMounts) || \
         container.volumeMounts.all(mount, has(self.volumes) && self.volumes.exists(volume, volume.name == mount.name)))",
        "a mount names no volume of `volumes`: write the volume there too; the relay's own are mounted already",
    )
    .field_path(".containers")
}

pub(crate) fn container_name() -> Rule {
    rule(
        "self == 'relay'",
        "a relay's pods have one container, and its name is relay: write `name: relay`, and run other containers in pods of their own",
    )
}

pub(crate) fn image_is_the_operators() -> Rule {
    rule(
        "!has(self.image)",
        "all relays run the image that the operator is told: leave it out, and set `relay.image` among the chart's values",
    )
    .field_path(".image")
}

pub(crate) fn arguments_are_the_operators() -> Rule {
    rule(
        "!has(self.args)",
        "the operator makes the relay's arguments: leave them out, and write what the relay is to do into the `spec` of the SMTPRelay",
    )
    .field_path(".args")
}

pub(crate) fn ports_are_the_listeners() -> Rule {
    rule(
        "!has(self.ports)",
        "the container's ports are those of `spec.listeners`: leave them out here, and write them there",
    )
    .field_path(".ports")
}

pub(crate) fn resource_amount() -> Rule {
    rule(
        "isQuantity(string(self)) && !string(self).startsWith('-')",
        "write an amount with a unit if you like, such as 500m of cpu, or 256Mi of memory",
    )
}

pub(crate) fn requests_are_within_limits() -> Rule {
    let within = |name: &str| {
        let (asked, most) = (format!("string(self.requests.{name})"), format!("string(self.limits.{name})"));
        format!(
            "(!has(self.requests.{name}) || !has(self.limits.{name}) || !isQuantity({asked}) || !isQuantity({most}) || \
             quantity({asked}).compareTo(quantity({most})) <= 0)"
        )
    };
    // In CEL the name of a field has no hyphen.
    let all = ["cpu", "memory", "ephemeral__dash__storage"].map(within).join(" && ");
    rule(
        format!("!has(self.requests) || !has(self.limits) || ({all})"),
        "more is asked for than may be taken: make the limit larger or the request smaller",
    )
    .field_path(".requests")
}
