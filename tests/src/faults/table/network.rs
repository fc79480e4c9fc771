//! The way to the host: the network, and the DNS.

use std::time::Duration;

use mailsluice_crds::{
    catalogue::reason::Scope,
    monitor::{Reason, Stage},
};

use super::{seen, waits};
use crate::faults::row::{Act, At, Cause, Chapter, Dns, Ending, Path, Row, Seen, Tls};

/// How long a connection may take to open, and a little more.
const CONNECT_TIME: Duration = Duration::from_secs(34);
/// How long a DNS server may be silent, till the relay gives it up.
pub(super) const DNS_TIME: Duration = Duration::from_secs(45);

const fn path(name: &'static str, symptom: &'static str, path: Path, code: &'static str) -> Row {
    Row {
        name,
        chapter: Chapter::Network,
        symptom,
        cause: Cause::Path(path),
        seen: seen(Reason::ConnectionFailed, code, Stage::Connect, Scope::Address),
        advice: "",
        postfix: &[],
    }
}

const fn reset(name: &'static str, symptom: &'static str, at: At, stage: Stage) -> Row {
    Row {
        name,
        chapter: Chapter::Network,
        symptom,
        cause: Cause::Peer(at, Act::Reset),
        seen: seen(Reason::ConnectionFailed, "ECONNRESET", stage, Scope::Address),
        advice: "See the stage",
        postfix: &["lost connection with", "Connection reset"],
    }
}

pub(super) const NETWORK: &[Row] = &[
    Row {
        advice: "ip route get",
        postfix: &["Network is unreachable"],
        ..path("no-route", "There is no route to the host", Path::NoRoute, "ENETUNREACH")
    },
    Row {
        advice: "reject",
        postfix: &["No route to host"],
        ..path(
            "unreachable",
            "A router says that the host cannot be reached",
            Path::Route("unreachable"),
            "EHOSTUNREACH",
        )
    },
    Row {
        advice: "blackhole",
        postfix: &["Invalid argument"],
        ..path("blackhole", "The node has a blackhole route for the host", Path::Route("blackhole"), "EINVAL")
    },
    Row {
        advice: "prohibit",
        postfix: &["Permission denied"],
        ..path("prohibited", "A rule of the node forbids connections to the host", Path::Route("prohibit"), "EACCES")
    },
    Row {
        advice: "reject",
        postfix: &["No route to host"],
        ..path(
            "rejected",
            "A firewall rejects port 25",
            Path::Rule("tcp dport 25 reject with icmp type admin-prohibited"),
            "EHOSTUNREACH",
        )
    },
    Row {
        advice: "start the server",
        postfix: &["Connection refused"],
        ..path("refused", "Nobody listens on the host's port", Path::Nobody, "ECONNREFUSED")
    },
    Row {
        seen: Seen::Hangs(
            Stage::Connect,
            Ending::Within(CONNECT_TIME, waits(Reason::ConnectionFailed, "ETIMEDOUT", Stage::Connect, Scope::Address)),
        ),
        advice: "port 25",
        postfix: &["Connection timed out"],
        ..path("blocked", "Port 25 is blocked: nothing answers", Path::Rule("tcp dport 25 drop"), "ETIMEDOUT")
    },
    Row {
        seen: Seen::Hangs(Stage::Body, Ending::Minutes(3, "ETIMEDOUT")),
        advice: "port 25",
        postfix: &["timed out while sending message body"],
        ..path(
            "large-packets",
            "Small messages go and large ones do not: the path loses large packets",
            Path::Rule("tcp dport 25 meta length > 600 drop"),
            "ETIMEDOUT",
        )
    },
    reset("reset-banner", "The connection is reset in place of a greeting", At::Banner, Stage::Banner),
    reset("reset-ehlo", "The connection is reset after EHLO", At::Ehlo, Stage::Ehlo),
    Row {
        cause: Cause::Tls(Tls::Reset),
        seen: seen(Reason::TlsFailed, "TLS_BROKEN", Stage::StartTls, Scope::Address),
        advice: "openssl s_client",
        ..reset("reset-starttls", "The connection is reset in the TLS handshake", At::StartTls, Stage::StartTls)
    },
    reset("reset-auth", "The connection is reset after AUTH", At::Auth, Stage::Auth),
    reset("reset-mail", "The connection is reset after MAIL", At::Mail, Stage::MailFrom),
    reset("reset-rcpt", "The connection is reset after RCPT", At::Rcpt, Stage::RcptTo),
    reset("reset-data", "The connection is reset after DATA", At::Data, Stage::Data),
    reset("reset-body", "The connection is reset in the text", At::Body, Stage::Body),
    reset("reset-reply", "The connection is reset in place of the last reply", At::End, Stage::Reply),
];

const fn dns(name: &'static str, symptom: &'static str, dns: Dns, code: &'static str) -> Row {
    Row {
        name,
        chapter: Chapter::Dns,
        symptom,
        cause: Cause::Dns(dns),
        seen: seen(Reason::DnsFailed, code, Stage::Dns, Scope::Host),
        advice: "",
        postfix: &[],
    }
}

pub(super) const DNS: &[Row] = &[
    Row {
        seen: Seen::Returned("5.1.2", "the domain nxdomain.test does not exist"),
        advice: "address",
        postfix: &["Domain not found", "Host not found", "Host or domain name not found"],
        ..dns("nxdomain", "Mail comes back: the recipient's domain does not exist", Dns::NoName, "NXDOMAIN")
    },
    Row {
        advice: "correct the address, the route's smarthost, or the zone",
        postfix: &["Host not found", "Host or domain name not found"],
        ..dns("no-smarthost", "The smarthost's name does not exist", Dns::NoSmarthost, "NXDOMAIN")
    },
    Row {
        advice: "Ask another resolver",
        postfix: &["try again"],
        ..dns("servfail", "The DNS server says SERVFAIL", Dns::ServFail, "SERVFAIL")
    },
    Row {
        seen: Seen::Hangs(
            Stage::Dns,
            Ending::Within(DNS_TIME, waits(Reason::DnsFailed, "DNS_TIMEOUT", Stage::Dns, Scope::Host)),
        ),
        advice: "Try the resolver with another name",
        postfix: &["try again"],
        ..dns("dns-timeout", "The DNS server is silent about the domain", Dns::Silent, "DNS_TIMEOUT")
    },
    Row {
        advice: "Allow the relay's network at the resolver",
        postfix: &["try again", "refused"],
        ..dns("lame", "The DNS server refuses to answer", Dns::Lame, "REFUSED")
    },
    Row {
        seen: Seen::Returned("5.1.10", "takes no mail: its MX record says so"),
        advice: "address",
        postfix: &["does not accept mail (nullMX)"],
        ..dns("null-mx", "Mail comes back: the domain has a null MX", Dns::Mx("."), "NULL_MX")
    },
    Row {
        seen: Seen::Returned("5.4.4", "no mail exchanger of mx-to-nowhere.test has an address: gone.test"),
        advice: "MX",
        postfix: &["Host not found", "Host or domain name not found"],
        ..dns(
            "mx-to-nowhere",
            "Mail comes back: the MX names a host that is not there",
            Dns::Mx("gone.test."),
            "NO_ADDRESS",
        )
    },
    Row {
        seen: Seen::Returned("5.4.6", "loops back to this relay"),
        advice: "route",
        postfix: &["loops back to myself"],
        ..dns("mx-loop", "Mail comes back: the MX is the relay itself", Dns::Mx("relay.test."), "MX_LOOP")
    },
    Row {
        advice: "Test the zone with a DNSSEC debugger",
        postfix: &[],
        ..dns("dnssec-bogus", "DNSSEC does not prove the answer", Dns::Denied, "DNSSEC_BOGUS")
    },
];
