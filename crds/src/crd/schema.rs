//! Fragments of the schema, where a Rust type alone does not say enough: bounds and admission rules.
//!
//! Every text and list has a bound. The API server multiplies the bounds to estimate what the rules cost at worst, and
//! refuses a definition that could cost too much.

use k8s_openapi::{
    api::{
        core::v1,
        networking::v1::{NetworkPolicyEgressRule, NetworkPolicyPeer},
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::core::Rule;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::{kubernetes, rules};

/// Routes of a relay. Together with [`MOST_DOMAINS`] and [`LONGEST_ROUTED`], what the search for routes that are never reached
/// can afford.
pub(crate) const MOST_ROUTES: usize = 16;
/// Domains of a route.
const MOST_DOMAINS: usize = 20;
/// A domain of a route: half of what the DNS allows (RFC 1035 section 3.1), and more than any that gets mail has.
const LONGEST_ROUTED: usize = 128;
/// Listeners of a relay.
pub(crate) const MOST_LISTENERS: usize = 8;
/// Windows, exceptions, clients, a client's networks, hosts with a level: more than anyone writes by hand.
pub(crate) const MOST_ENTRIES: usize = 64;
/// Dates of an exception: some years of a country's holidays.
const MOST_DATES: usize = 64;
/// Senders of a client, and names of its certificates.
const MOST_SENDERS: usize = 32;
/// Selectors that sign a domain's mail: an old and a new key by each of two algorithms.
const MOST_SELECTORS: usize = 4;
/// A name in the DNS, with a port after it.
const LONGEST_HOST: usize = 260;
/// An address, as an envelope can hold it (RFC 5321 section 4.5.3.1.3).
const LONGEST_ADDRESS: usize = 254;
/// A name that a certificate bears; SPIFFE allows 2048 octets, and nobody uses them.
const LONGEST_NAME: usize = 512;
/// A text whose rule bounds it more narrowly: a mistake is to reach the rule, which says what to write.
const LONGEST_WORD: usize = 64;

/// Labels or annotations.
const MOST_LABELS: usize = 32;
/// What an annotation holds; Kubernetes bounds all of an object's together by 256 KiB.
const LONGEST_ANNOTATION: usize = 4096;
/// Secrets for pulling an image.
const MOST_PULL_SECRETS: usize = 8;

/// A text in the schema.
pub(crate) fn text(longest: usize, rules: &[Rule]) -> Schema {
    let mut text = json_schema!({"type": "string", "maxLength": longest});
    if !rules.is_empty() {
        text.insert("x-kubernetes-validations".into(), json!(rules));
    }
    text
}

/// A short text in the schema.
pub(crate) fn word(rules: &[Rule]) -> Schema {
    text(LONGEST_WORD, rules)
}

/// A list whose entries differ.
fn set(most: usize, entry: &Schema) -> Schema {
    json_schema!({"type": "array", "maxItems": most, "x-kubernetes-list-type": "set", "items": entry})
}

/// The same, with one entry at least.
fn filled(mut list: Schema) -> Schema {
    list.insert("minItems".into(), 1.into());
    list
}

/// A moment in RFC 3339, in a status.
pub(crate) fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time"})
}

/// A moment in RFC 3339, in a manifest. Without `format`, so that a wrong one is refused by the rule, with its message.
pub(crate) fn moment(_: &mut SchemaGenerator) -> Schema {
    word(&[rules::moment()])
}

pub(crate) fn time_zone(_: &mut SchemaGenerator) -> Schema {
    word(&[rules::time_zone()])
}

pub(crate) fn days(generator: &mut SchemaGenerator) -> Schema {
    set(crate::schedule::Day::ALL.len(), &generator.subschema_for::<crate::schedule::Day>())
}

pub(crate) fn dates(_: &mut SchemaGenerator) -> Schema {
    filled(set(MOST_DATES, &word(&[rules::date()])))
}

pub(crate) fn object_name(_: &mut SchemaGenerator) -> Schema {
    word(&[rules::object_name()])
}

pub(crate) fn secret_name(_: &mut SchemaGenerator) -> Schema {
    text(LONGEST_HOST, &[rules::secret_name()])
}

pub(crate) fn monitor_host(_: &mut SchemaGenerator) -> Schema {
    text(LONGEST_HOST, &[rules::monitor_host()])
}

pub(crate) fn listener_name(_: &mut SchemaGenerator) -> Schema {
    word(&[rules::listener_name(), rules::listener_name_is_free()])
}

pub(crate) fn networks(_: &mut SchemaGenerator) -> Schema {
    filled(set(MOST_ENTRIES, &word(&[rules::network(), rules::network_is_clean()])))
}

pub(crate) fn account_part(_: &mut SchemaGenerator) -> Schema {
    text(LONGEST_HOST, &[rules::account_part()])
}

/// A service account's name, or `*`.
fn account() -> Schema {
    text(LONGEST_HOST, &[rules::access::account()])
}

pub(crate) fn account_name(_: &mut SchemaGenerator) -> Schema {
    account()
}

pub(crate) fn own_accounts(_: &mut SchemaGenerator) -> Schema {
    filled(set(MOST_ENTRIES, &account()))
}

pub(crate) fn relay_name(_: &mut SchemaGenerator) -> Schema {
    word(&[rules::access::relay()])
}

pub(crate) fn namespace_name(_: &mut SchemaGenerator) -> Schema {
    text(LONGEST_HOST, &[rules::access::namespace()])
}

pub(crate) fn namespace_selector(generator: &mut SchemaGenerator) -> Schema {
    let mut selector = kubernetes::schema::<LabelSelector>(generator);
    let expressions = selector.pointer_mut("/properties/matchExpressions/items").and_then(Value::as_object_mut);
    if let Some(expression) = expressions {
        expression.insert("x-kubernetes-validations".into(), json!([rules::access::values_where_they_are_asked_for()]));
    }
    selector
}

pub(crate) fn sender_patterns(_: &mut SchemaGenerator) -> Schema {
    filled(set(MOST_SENDERS, &text(LONGEST_ADDRESS, &[rules::access::sender_pattern()])))
}

pub(crate) fn asked_senders(generator: &mut SchemaGenerator) -> Schema {
    filled(senders(generator))
}

pub(crate) fn certificate_names(_: &mut SchemaGenerator) -> Schema {
    set(MOST_SENDERS, &text(LONGEST_NAME, &[rules::certificate_name()]))
}

pub(crate) fn senders(_: &mut SchemaGenerator) -> Schema {
    set(MOST_SENDERS, &text(LONGEST_ADDRESS, &[rules::sender()]))
}

pub(crate) fn domains(_: &mut SchemaGenerator) -> Schema {
    filled(set(MOST_DOMAINS, &text(LONGEST_ROUTED, &[rules::domain()])))
}

pub(crate) fn smarthost(_: &mut SchemaGenerator) -> Schema {
    text(LONGEST_HOST, &[rules::smarthost()])
}

pub(crate) fn message_size(_: &mut SchemaGenerator) -> Schema {
    word(&[rules::byte_size(), rules::message_size_is_at_least_what_smtp_asks()])
}

pub(crate) fn byte_size(_: &mut SchemaGenerator) -> Schema {
    word(&[rules::byte_size()])
}

pub(crate) fn storage_class(_: &mut SchemaGenerator) -> Schema {
    text(LONGEST_HOST, &[rules::storage_class()])
}

pub(crate) fn hello(_: &mut SchemaGenerator) -> Schema {
    text(LONGEST_HOST, &[rules::hello()])
}

pub(crate) fn signing_domain(_: &mut SchemaGenerator) -> Schema {
    text(LONGEST_HOST, &[rules::own_domain()])
}

pub(crate) fn selectors(_: &mut SchemaGenerator) -> Schema {
    filled(set(MOST_SELECTORS, &word(&[rules::selector()])))
}

pub(crate) fn sender_domain(_: &mut SchemaGenerator) -> Schema {
    text(LONGEST_HOST, &[rules::own_domain()])
}

pub(crate) fn ipv4(_: &mut SchemaGenerator) -> Schema {
    word(&[rules::address_of_family(4, "an IPv4 address, such as 192.0.2.7")])
}

pub(crate) fn ipv6(_: &mut SchemaGenerator) -> Schema {
    word(&[rules::address_of_family(6, "an IPv6 address without brackets, such as 2001:db8::7")])
}

pub(crate) fn interface(_: &mut SchemaGenerator) -> Schema {
    word(&[rules::interface()])
}

// Of pods. Names and shapes are Kubernetes' own.

/// Texts by keys.
fn texts(most: usize, value: &Schema, rules: &[Rule]) -> Schema {
    json_schema!({
        "type": "object", "maxProperties": most, "additionalProperties": value, "x-kubernetes-validations": rules
    })
}

pub(crate) fn labels(_: &mut SchemaGenerator) -> Schema {
    texts(MOST_LABELS, &word(&[rules::pods::label_value()]), &[rules::pods::key(), rules::pods::label_is_free()])
}

pub(crate) fn annotations(_: &mut SchemaGenerator) -> Schema {
    texts(MOST_LABELS, &text(LONGEST_ANNOTATION, &[]), &[rules::pods::key(), rules::pods::annotation_is_free()])
}

pub(crate) fn node_selector(_: &mut SchemaGenerator) -> Schema {
    texts(MOST_LABELS, &word(&[rules::pods::label_value()]), &[rules::pods::key()])
}

pub(crate) fn affinity(generator: &mut SchemaGenerator) -> Schema {
    kubernetes::schema::<v1::Affinity>(generator)
}

pub(crate) fn tolerations(generator: &mut SchemaGenerator) -> Schema {
    kubernetes::list::<v1::Toleration>(generator)
}

pub(crate) fn topology_spread_constraints(generator: &mut SchemaGenerator) -> Schema {
    kubernetes::list::<v1::TopologySpreadConstraint>(generator)
}

pub(crate) fn priority_class(_: &mut SchemaGenerator) -> Schema {
    text(LONGEST_HOST, &[rules::pods::object_name_of("PriorityClass")])
}

pub(crate) fn image_pull_secrets(_: &mut SchemaGenerator) -> Schema {
    let mut name = text(LONGEST_HOST, &[rules::secret_name()]);
    name.insert("description".into(), "The Secret's name.".into());
    json_schema!({
        "type": "array", "maxItems": MOST_PULL_SECRETS, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
        "items": {"type": "object", "required": ["name"], "properties": {"name": name}}
    })
}

/// The kinds of volumes that the Pod Security Standard `restricted` allows and that hold files for a program.
const VOLUME_SOURCES: [&str; 6] = ["configMap", "csi", "emptyDir", "persistentVolumeClaim", "projected", "secret"];

pub(crate) fn volumes(generator: &mut SchemaGenerator) -> Schema {
    let mut list = kubernetes::map::<v1::Volume>(generator, "name");
    let name = word(&[rules::pods::volume_name(), rules::pods::volume_name_is_free()]);
    each_entry(&mut list, |volume| {
        kubernetes::keep(volume, &[&VOLUME_SOURCES[..], &["name"]].concat());
        volume.insert("x-kubernetes-validations".into(), json!([rules::pods::one_source(&VOLUME_SOURCES)]));
        restrict(volume, "name", &name);
    });
    list
}

pub(crate) fn volume_mounts(generator: &mut SchemaGenerator) -> Schema {
    let mut list = kubernetes::map::<v1::VolumeMount>(generator, "mountPath");
    let path = text(LONGEST_HOST, &[rules::pods::mount_path(), rules::pods::mount_path_is_free()]);
    each_entry(&mut list, |mount| {
        kubernetes::keep(mount, &["name", "mountPath", "readOnly", "subPath"]);
        restrict(mount, "mountPath", &path);
        restrict(mount, "name", &word(&[]));
    });
    list
}

pub(crate) fn container_name(_: &mut SchemaGenerator) -> Schema {
    word(&[rules::pods::container_name()])
}

pub(crate) fn resources(_: &mut SchemaGenerator) -> Schema {
    let amount =
        json!({"x-kubernetes-int-or-string": true, "x-kubernetes-validations": [rules::pods::resource_amount()]});
    let amount = |what: &str| {
        let mut amount = amount.clone();
        amount["description"] = what.into();
        amount
    };
    json_schema!({"type": "object", "properties": {
        "cpu": amount("Processors, such as 500m for half of one."),
        "memory": amount("Memory, such as 256Mi."),
        "ephemeral-storage": amount("Disk of the node, for logs and emptyDir volumes."),
    }})
}

/// Adds what a container has and this one may not be given, so that whoever writes it is told where it belongs.
pub(crate) fn with_what_is_the_operators(container: &mut Schema) {
    let text = json!({"type": "string", "maxLength": LONGEST_NAME});
    let mut ports = kubernetes::list::<v1::ContainerPort>(&mut SchemaGenerator::default());
    let mut image = text.clone();
    let mut arguments = json!({"type": "array", "maxItems": MOST_ENTRIES, "items": text});
    image["description"] = "The operator's, for all relays.".into();
    arguments["description"] = "The operator's, from the SMTPRelay.".into();
    ports.insert("description".into(), "The operator's: those of `spec.listeners`.".into());
    if let Some(properties) = container.get_mut("properties").and_then(Value::as_object_mut) {
        properties.extend([("image".into(), image), ("args".into(), arguments), ("ports".into(), ports.to_value())]);
    }
}

fn each_entry(list: &mut Schema, change: impl FnOnce(&mut Schema)) {
    if let Some(items) = list.get_mut("items")
        && let Ok(mut entry) = Schema::try_from(std::mem::take(items))
    {
        change(&mut entry);
        *items = entry.to_value();
    }
}

/// Puts a narrower schema in the place of a property's; its description stays.
fn restrict(object: &mut Schema, name: &str, narrower: &Schema) {
    let Some(property) = object.get_mut("properties").and_then(|properties| properties.get_mut(name)) else { return };
    let mut narrower = narrower.clone();
    if let Some(description) = property.get("description") {
        narrower.insert("description".into(), description.clone());
    }
    *property = narrower.to_value();
}

// Of the Service.

pub(crate) fn load_balancer_class(_: &mut SchemaGenerator) -> Schema {
    text(LONGEST_HOST, &[rules::service::load_balancer_class()])
}

pub(crate) fn source_ranges(_: &mut SchemaGenerator) -> Schema {
    set(MOST_ENTRIES, &word(&[rules::network(), rules::network_is_clean()]))
}

pub(crate) fn ip_families(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "minItems": 1, "maxItems": 2, "items": generator.subschema_for::<crate::relay::IpFamily>(),
        "x-kubernetes-validations": [rules::service::families_differ()]
    })
}

// Of the NetworkPolicy.

pub(crate) fn network_peers(generator: &mut SchemaGenerator) -> Schema {
    kubernetes::list::<NetworkPolicyPeer>(generator)
}

pub(crate) fn egress_rules(generator: &mut SchemaGenerator) -> Schema {
    kubernetes::list::<NetworkPolicyEgressRule>(generator)
}
