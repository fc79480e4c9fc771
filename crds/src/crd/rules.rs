//! The admission rules in CEL, each with what to write instead.
//!
//! They are the only definition of what is impossible or unsafe beyond a value's type and bounds: the API server evaluates
//! them from the generated YAML, and [`crate::manifest`] evaluates the same text for a relay that runs from files. What they
//! use is known to Kubernetes from 1.32 on.
//!
//! A rule about several fields holds back where one of them is malformed, since that one has been refused already.

pub(crate) mod access;
pub(crate) mod pods;
pub(crate) mod service;

use kube::core::Rule;

use crate::{
    quantity::Interval,
    schedule::{ClockTime, texts},
};

/// A DNS label in lower case (RFC 1123), without the limit to its length.
const LABEL: &str = "[a-z0-9]([a-z0-9-]*[a-z0-9])?";

/// A day of this millennium as it is written; whether its month has it is another question.
const DAY: &str = "2[0-9]{3}-[0-9]{2}-[0-9]{2}";

fn rule(condition: impl Into<String>, message: &str) -> Rule {
    Rule::new(condition).message(message)
}

/// The condition that a string is of that form.
fn form(pattern: &str) -> String {
    format!("self.matches({})", quoted(pattern))
}

/// A CEL string that holds a pattern.
fn quoted(pattern: &str) -> String {
    format!("\"{}\"", pattern.replace('\\', r"\\"))
}

// Times and sizes.

pub(crate) fn interval() -> Rule {
    rule(form(Interval::PATTERN), "write a whole number and a unit, such as 90s, 5m, 4h or 5d")
}

pub(crate) fn byte_size() -> Rule {
    rule(
        form(crate::quantity::ByteSize::PATTERN),
        "write a whole number of octets, with a unit if you like, such as 50Mi or 10Gi",
    )
}

pub(crate) fn clock_time() -> Rule {
    rule(
        form(ClockTime::PATTERN),
        r#"write hours and minutes in quotes, such as "08:00" or "19:30"; the end of the day is "24:00""#,
    )
}

pub(crate) fn date() -> Rule {
    rule(
        format!("{} && !format.date().validate(self).hasValue()", form(&format!("^{DAY}$"))),
        "write a day that the calendar has as year, month and day, such as 2026-12-25",
    )
}

pub(crate) fn moment() -> Rule {
    let offset = "(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])";
    let time = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?";
    rule(
        format!(
            "{} && !format.date().validate(self.substring(0, 10)).hasValue()",
            form(&format!("^{DAY}T{time}{offset}$"))
        ),
        "write a moment with its offset from UTC, such as 2026-12-01T18:00:00Z or 2026-12-01T19:00:00+01:00",
    )
}

pub(crate) fn time_zone() -> Rule {
    rule(
        form("^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$"),
        "write an IANA name, such as Europe/Rome, America/New_York or UTC",
    )
}

/// The seconds of the interval that a field holds: CEL's own durations know no days.
fn seconds(field: &str) -> String {
    format!(
        "int({field}.substring(0, {field}.size() - 1)) * ({field}.endsWith('d') ? 86400 : {field}.endsWith('h') ? 3600 : \
         {field}.endsWith('m') ? 60 : 1)"
    )
}

fn is_interval(field: &str) -> String {
    format!("{field}.matches({})", quoted(Interval::PATTERN))
}

fn not_longer(shorter: &str, longer: &str, message: &str) -> Rule {
    let sound = format!("{} && {}", is_interval(shorter), is_interval(longer));
    rule(format!("!({sound}) || {} <= {}", seconds(shorter), seconds(longer)), message)
}

// TCPSchedule.

pub(crate) fn schedule_name() -> Rule {
    rule(
        format!("self.metadata.name.matches(\"^{LABEL}$\") && self.metadata.name.size() <= 63"),
        "write at most 63 lower-case letters, digits and hyphens, with neither end a hyphen: every message \
         about the link shows it",
    )
    .field_path(".metadata.name")
}

/// Of a window or an exception.
pub(crate) fn times() -> [Rule; 4] {
    [lasts(), starts_within_the_day(), pause_is_of_an_open_link(), pause_is_within_a_week()]
}

fn lasts() -> Rule {
    rule("self.from != self.to", texts::EMPTY)
}

fn starts_within_the_day() -> Rule {
    rule("self.from != '24:00'", texts::STARTS_AT_END_OF_DAY).field_path(".from")
}

fn pause_is_of_an_open_link() -> Rule {
    rule("!has(self.pause) || self.link == 'Open'", texts::PAUSE_WHILE_CLOSED).field_path(".pause")
}

fn pause_is_within_a_week() -> Rule {
    let pause = "self.pause";
    let longest = crate::schedule::LONGEST_PAUSE.as_secs();
    rule(format!("!has({pause}) || !{} || {} <= {longest}", is_interval(pause), seconds(pause)), texts::PAUSE_TOO_LONG)
        .field_path(".pause")
}

// SMTPRelay.

pub(crate) fn relay_name() -> Rule {
    rule(
        "self.metadata.name.matches('^[a-z]([a-z0-9-]{0,48}[a-z0-9])?$')",
        "write at most 50 lower-case letters, digits and hyphens, a letter first and no hyphen last: the \
         relay's Services and pods are named after it",
    )
    .field_path(".metadata.name")
}

pub(crate) fn message_fits_into_the_spool() -> Rule {
    let (message, spool) = ("self.limits.messageSize", "self.storage.size");
    rule(
        format!(
            "!isQuantity({message}) || !isQuantity({spool}) || quantity({message}).compareTo(quantity({spool})) <= 0"
        ),
        "limits.messageSize is larger than storage.size, and no such message fits into the spool: make the one smaller or the \
         other larger",
    )
    .field_path(".limits.messageSize")
}

pub(crate) fn object_name() -> Rule {
    rule(
        form(&format!("^{LABEL}$")),
        "write the name of a TCPSchedule in the same namespace: lower-case letters, digits and hyphens",
    )
}

pub(crate) fn secret_name() -> Rule {
    rule(
        format!("{} && self.size() <= 253", form(&format!("^{LABEL}([.]{LABEL})*$"))),
        "write the name of a Secret in the same namespace: lower-case letters, digits, hyphens and dots",
    )
}

pub(crate) fn monitor_host() -> Rule {
    rule(
        form(r"^[a-z0-9._:\[\]-]+$"),
        "write the host in lower case as the Monitor names it, such as example.com, or mail.example.com:25 for a smarthost",
    )
}

pub(crate) fn listener_name() -> Rule {
    rule(
        "self.matches('^[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?$') && self.matches('[a-z]') && !self.contains('--')",
        "write at most 15 lower-case letters, digits and single hyphens, at least one letter, and neither end a hyphen, such as \
         smtp or submission: ports of pods are named so",
    )
}

pub(crate) fn listener_name_is_free() -> Rule {
    rule(
        "self != 'http'",
        "http is the name of the relay's own port, for health, metrics and the Monitor: write another",
    )
}

pub(crate) fn port_is_free() -> Rule {
    rule("self != 8025", "8025 is the relay's own port, for health, metrics and the Monitor: write another")
}

pub(crate) fn ports_differ() -> Rule {
    rule(
        "self.all(one, self.exists_one(other, other.port == one.port))",
        "two listeners have the same port: give each a port of its own",
    )
}

pub(crate) fn network() -> Rule {
    rule(
        // A number with a zero before it is octal to some, decimal to others, and an error to the API server.
        "isCIDR(self) && !self.matches('^([0-9]+[.])*0[0-9]+[.]|[.]0[0-9]|/0.')",
        "write an address and a prefix length, such as 198.18.0.0/24 or 2001:db8::/32; one address alone is 192.0.2.7/32 or \
         2001:db8::7/128",
    )
}

/// `192.0.2.7/24` can be meant as the address or as the network around it, and to guess would let strangers in.
pub(crate) fn network_is_clean() -> Rule {
    rule(
        "!isCIDR(self) || cidr(self) == cidr(self).masked()",
        "bits are set beyond the prefix length: write the first address of the network, such as 192.0.2.0/24, or, for one \
         address alone, 192.0.2.7/32 or 2001:db8::7/128",
    )
}

pub(crate) fn somebody() -> Rule {
    rule(
        "has(self.networks) || has(self.users) || has(self.certificates) || \
         (has(self.serviceAccounts) && self.serviceAccounts.size() > 0)",
        "the entry says nothing of who the clients are: write `networks`, `users`, `serviceAccounts` or `certificates`",
    )
}

/// They have to hold before anybody can show who it is.
pub(crate) fn terms_are_by_network() -> Rule {
    rule(
        "has(self.networks) || (!has(self.limits) && (!has(self.bareNewlines) || self.bareNewlines == 'Refuse'))",
        "`limits` and `bareNewlines` are for the clients of the entry's networks, whoever they are: write `networks`, or an entry of \
         their own for them",
    )
}

pub(crate) fn account_part() -> Rule {
    rule(
        format!("{} && self.size() <= 253", form(&format!("^{LABEL}([.]{LABEL})*$"))),
        "write a service account's namespace and name as the cluster has them: lower-case letters, digits, hyphens and dots",
    )
}

pub(crate) fn certificate_name() -> Rule {
    rule(
        form("^[!-~]+$"),
        "write a name as the certificate bears it: a DNS name, a URI such as spiffe://example.org/shop, or a mail address",
    )
}

/// No network of one's own is wider than an IPv4 `/8` or IPv6's `fc00::/7`; two halves of everything are everything, too.
/// A bounce needs no sender of one's own, so everybody who may send bounces may send anything.
pub(crate) fn no_open_relay() -> Rule {
    rule(
        "(has(self.senders) && self.senders.size() > 0 && !('<>' in self.senders)) || \
         has(self.users) || has(self.certificates) || (has(self.serviceAccounts) && self.serviceAccounts.size() > 0) || \
         !has(self.networks) || self.networks.all(network, !isCIDR(network) || \
         cidr(network).prefixLength() >= (cidr(network).ip().family() == 4 ? 8 : 7))",
        "an open relay, which anybody may use to send anything: list the networks of your own clients, or say in `senders` \
         which addresses may be used, without <>",
    )
    .field_path(".networks")
}

/// Whose word is taken about others' addresses can be anybody: no network of one's own is wider than these.
pub(crate) fn trusts_few() -> Rule {
    rule(
        "self.networks.all(network, !isCIDR(network) || \
         cidr(network).prefixLength() >= (cidr(network).ip().family() == 4 ? 8 : 7))",
        "whoever connects from there may pass for any client: list the networks of your own load balancers and filters alone",
    )
    .field_path(".networks")
}

pub(crate) fn sender() -> Rule {
    let atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
    let label = "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?";
    rule(
        form(&format!("^(<>|({atom}([.]{atom})*)?@{label}([.]{label})*)$")),
        "write an address, such as orders@shop.example.org, @ and a domain, such as @example.org, or <> for bounces",
    )
}

pub(crate) fn domain() -> Rule {
    rule(
        form(&format!(r"^([*]|([*][.])?{LABEL}([.]{LABEL})*|\[(IPv6:)?[0-9A-Fa-f.:]+\])$")),
        "write a domain in lower case, such as example.com, or *.example.com for everything below it, or * for every domain",
    )
}

pub(crate) fn one_way() -> Rule {
    rule(
        "has(self.smarthost) != has(self.mx)",
        "a route is either by `smarthost` or by `mx`: write exactly one of them; `mx: {}` is delivery by MX records",
    )
}

/// All mail for a host waits in one queue and goes over the same connections, whichever of the routes led there.
pub(crate) fn routes_to_a_host_agree() -> Rule {
    let name = |route: &str| {
        let host = format!("{route}.smarthost.host");
        format!("({host}.endsWith('.') ? {host} : {host} + '.').lowerAscii()")
    };
    let same = |field: &str| {
        format!("has(one.{field}) == has(other.{field}) && (!has(one.{field}) || one.{field} == other.{field})")
    };
    rule(
        format!(
            "self.all(one, !has(one.smarthost) || self.all(other, !has(other.smarthost) || \
             other.smarthost.port != one.smarthost.port || {} != {} || \
             (one.smarthost == other.smarthost && {} && {} && {})))",
            name("one"),
            name("other"),
            same("tls"),
            same("senderDomain"),
            same("source")
        ),
        "two routes to the same smarthost differ in how it is reached: write the same `smarthost`, `tls`, `senderDomain` and \
         `source` into both, or give one of them another name of the host",
    )
}

/// `{pod}` stands for what a label may hold.
pub(crate) fn hello() -> Rule {
    let (end, inner) = ("([A-Za-z0-9]|[{]pod[}])", "([A-Za-z0-9-]|[{]pod[}])");
    let label = format!("{end}({inner}*{end})?");
    rule(
        format!("{} && self.size() <= 200", form(&format!("^{label}([.]{label})*$"))),
        "write a host name, such as mail.example.org, or {pod}.mail.example.org, in which {pod} stands for the pod's name",
    )
}

pub(crate) fn own_domain() -> Rule {
    rule(
        format!("{} && self.size() <= 253", form(&format!("^{LABEL}([.]{LABEL})*$"))),
        "write a domain in lower case, such as example.org; one outside ASCII as its A-labels, such as xn--bcher-kva.example",
    )
}

pub(crate) fn selector() -> Rule {
    rule(
        form(&format!("^{LABEL}([.]{LABEL})*$")),
        "write a selector in lower case, such as s2026: the DNS has its key at s2026._domainkey.example.org",
    )
}

pub(crate) fn address_of_family(family: u8, example: &str) -> Rule {
    rule(format!("isIP(self) && ip(self).family() == {family}"), &format!("write {example}"))
}

pub(crate) fn interface() -> Rule {
    rule(
        "self.matches('^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$')",
        "write the name of a network interface of the pod, such as net1: at most 15 letters, digits, dots, underscores and hyphens",
    )
}

pub(crate) fn source_says_something() -> Rule {
    rule(
        "has(self.ipv4) || has(self.ipv6) || has(self.interface)",
        "an empty source says nothing: write `ipv4`, `ipv6` or `interface`, or leave `source` out",
    )
}

/// Of the list of routes.
pub(crate) fn routes() -> [Rule; 3] {
    let [once, covered] = routes_are_reachable();
    [once, covered, routes_to_a_host_agree()]
}

/// The first route that matches decides, so what an earlier pattern covers is never reached.
///
/// That is split in two for the API server's budget: that a domain is in another list costs little, and only patterns with a star
/// have to be compared with every domain after them.
fn routes_are_reachable() -> [Rule; 2] {
    // CEL has no index in its macros before Kubernetes 1.32, so the indices are written out, as many as there can be routes.
    let indices = |range: std::ops::Range<usize>| {
        format!("[{}]", range.map(|index| index.to_string()).collect::<Vec<_>>().join(", "))
    };
    let most = super::schema::MOST_ROUTES;
    [
        rule(
            "self.all(route, route.domains.all(domain, self.exists_one(other, domain in other.domains)))",
            "a domain is in two routes, and the first decides: take it out of the second",
        ),
        rule(
            format!(
                "{}.all(first, first >= self.size() || self[first].domains.all(pattern, !pattern.startsWith('*') || \
                 {}.all(later, later <= first || later >= self.size() || self[later].domains.all(domain, \
                 !domain.endsWith(pattern.substring(1))))))",
                indices(0..most - 1),
                indices(1..most)
            ),
            "a route is never reached, since a pattern of one before it covers its domains: put the route with the wider \
             pattern after it, and the one for * last",
        ),
    ]
}

/// The policy of a route in a rule about the whole spec.
const POLICY: &str = "(has(route.tls) ? route.tls : self.tls)";

pub(crate) fn tls_is_not_off_where_it_begins_at_once() -> Rule {
    rule(
        format!(
            "self.routes.all(route, !has(route.smarthost) || {POLICY} != 'Off' || \
             (route.smarthost.tlsMode != 'Implicit' && !has(route.smarthost.clientCertificate)))"
        ),
        "a smarthost with `tlsMode: Implicit` or a `clientCertificate` is reached under TLS: write another `tls` than Off into \
         its route",
    )
    .field_path(".routes")
}

pub(crate) fn policies_are_of_domains() -> Rule {
    rule(
        format!("self.routes.all(route, !has(route.smarthost) || {POLICY} != 'MtaSts')"),
        "MTA-STS is about a domain's own exchangers, and a smarthost has none: write another `tls` than MtaSts into its route",
    )
    .field_path(".routes")
}

pub(crate) fn authorities_are_of_use() -> Rule {
    rule(
        format!("self.routes.all(route, !has(route.smarthost) || !has(route.smarthost.ca) || {POLICY} == 'Verified')"),
        "a smarthost with a `ca` has its certificate verified: write `tls: Verified` into its route",
    )
    .field_path(".routes")
}

/// On this machine nobody listens. What the name of a host comes to is looked at again when there is a connection.
pub(crate) fn credentials_are_not_shown_in_clear() -> Rule {
    let host = "route.smarthost.host";
    rule(
        format!(
            "self.routes.all(route, !has(route.smarthost) || !has(route.smarthost.credentials) || {POLICY} != 'Off' || \
             {host}.lowerAscii() == 'localhost' || (isIP({host}) && ip({host}).isLoopback()))"
        ),
        "`credentials` are shown to a host whose certificate is verified: write another `tls` than Off into its route, such as Verified",
    )
    .field_path(".routes")
}

pub(crate) fn smarthost() -> Rule {
    let label = "[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?";
    rule(
        // What looks like an IPv4 address has to be one.
        format!(
            "isIP(self) || ({} && !{})",
            form(&format!("^{label}([.]{label})*[.]?$")),
            form("^(.*[.])?[0-9]+[.]?$")
        ),
        "write a host name or an IP address, such as mail.example.com or 192.0.2.1, without brackets; its port goes into `port`",
    )
}

pub(crate) fn message_size_is_at_least_what_smtp_asks() -> Rule {
    rule(
        "!isQuantity(self) || quantity(self).compareTo(quantity('64Ki')) >= 0",
        "write at least 64Ki: every SMTP server takes messages of that size (RFC 5321 section 4.5.3.1.7)",
    )
}

pub(crate) fn waits_grow() -> [Rule; 3] {
    [
        not_longer(
            "self.first",
            "self.longest",
            "`first` is longer than `longest`: write the shorter wait into `first`",
        )
        .field_path(".first"),
        not_longer(
            "self.longest",
            "self.expireAfter",
            "`longest` is longer than `expireAfter`: write a wait after which there is still time to try again",
        )
        .field_path(".longest"),
        {
            let (warn, expire) = ("self.warnAfter", "self.expireAfter");
            let sound = format!("{} && {}", is_interval(warn), is_interval(expire));
            rule(
                format!("!has({warn}) || !({sound}) || {} < {}", seconds(warn), seconds(expire)),
                "`warnAfter` is no shorter than `expireAfter`: write an age at which a message still waits",
            )
            .field_path(".warnAfter")
        },
    ]
}

pub(crate) fn storage_class() -> Rule {
    rule(
        form(&format!("^({LABEL}([.]{LABEL})*)?$")),
        "write the name of a StorageClass: lower-case letters, digits, hyphens and dots",
    )
}

pub(crate) fn storage_grows() -> Rule {
    rule(
        "!isQuantity(self.size) || !isQuantity(oldSelf.size) || quantity(self.size).compareTo(quantity(oldSelf.size)) >= 0",
        "a claim cannot shrink: leave `size` as it is or write a larger one",
    )
    .field_path(".size")
}

pub(crate) fn storage_class_stays() -> Rule {
    rule(
        "has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || \
         self.storageClassName == oldSelf.storageClassName)",
        "the storage class of claims that exist cannot change: leave it as it is, and make another SMTPRelay with the new one",
    )
    .field_path(".storageClassName")
}
