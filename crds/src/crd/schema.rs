//! Fragments of the schema, where a Rust type alone does not say enough: bounds and admission rules.
//!
//! Every text and list has a bound. The API server multiplies the bounds to estimate what the rules cost at worst, and
//! refuses a definition that could cost too much.

use kube::core::Rule;
use schemars::{Schema, SchemaGenerator, json_schema};

use super::rules;

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

/// A text in the schema.
pub(crate) fn text(longest: usize, rules: &[Rule]) -> Schema {
    json_schema!({"type": "string", "maxLength": longest, "x-kubernetes-validations": rules})
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
