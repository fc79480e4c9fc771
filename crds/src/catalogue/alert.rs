//! The alerts with which a host ends a TLS handshake (RFC 8446 section 6).

use std::fmt;

use super::{Entry, Numbered, entry};

/// An alert of TLS, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Alert(u8);

/// What stands before the number.
const WORD: &str = "TLS_ALERT ";

impl Alert {
    /// The alert of this number.
    #[must_use]
    pub const fn new(number: u8) -> Alert {
        Alert(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Its name as the standard spells it, such as `handshake_failure`; that of an unknown one is its number.
    #[must_use]
    pub fn name(self) -> String {
        known(self.0).map_or_else(|| self.0.to_string(), |(_, name, _)| (*name).to_owned())
    }

    /// What the catalogue says of it.
    #[must_use]
    pub fn entry(self) -> Entry {
        known(self.0).map_or(OTHER, |(_, _, entry)| *entry)
    }

    /// Reads `TLS_ALERT 40`, and `TLS_ALERT handshake_failure`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Alert> {
        let which = name.strip_prefix(WORD)?;
        let named = || KNOWN.iter().find(|(_, known, _)| *known == which).map(|(number, ..)| *number);
        which.parse().ok().or_else(named).map(Alert)
    }

    /// Those that the standards name.
    pub fn all() -> impl Iterator<Item = Alert> {
        KNOWN.iter().map(|(number, ..)| Alert(*number))
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{WORD}{}", self.0)
    }
}

fn known(number: u8) -> Option<&'static Numbered<u8>> {
    KNOWN.iter().find(|(known, ..)| *known == number)
}

/// For alerts that no standard names.
pub(super) const OTHER: Entry = entry(
    "The host ended the handshake with an alert that no standard names.",
    "A very new or a faulty TLS library at the host.",
    "Tell the host's administrator the number; its log may say more.",
);

const KNOWN: [Numbered<u8>; 28] = [
    (
        0,
        "close_notify",
        entry(
            "The host ended the connection in good order, in the middle of the handshake.",
            "A host that shuts down, or wants none of the relay.",
            "If it lasts, ask the host's administrator.",
        ),
    ),
    (
        10,
        "unexpected_message",
        entry(
            "The host got a message of the handshake that it did not expect.",
            "A faulty TLS library, or something in between that changes the handshake.",
            "Compare from another network; then ask the host's administrator to update its TLS library.",
        ),
    ),
    (
        20,
        "bad_record_mac",
        entry(
            "The host could not verify what it got.",
            "Octets that were changed on the way, by bad equipment or somebody in between.",
            "Compare from another network; look for memory or network faults.",
        ),
    ),
    (
        22,
        "record_overflow",
        entry(
            "The host got a record that is too long.",
            "A faulty TLS library at the host, or something else than TLS on that port.",
            "Look whether the host and port are the right ones.",
        ),
    ),
    (
        40,
        "handshake_failure",
        entry(
            "The host and the relay have no cipher or key exchange in common.",
            "The host knows only old ones, or wants a certificate from the relay.",
            "Ask the host's administrator to allow current ciphers; if it wants a certificate, set the route's clientCertificate.",
        ),
    ),
    (
        42,
        "bad_certificate",
        entry(
            "The host takes the relay's certificate as damaged.",
            "The route's clientCertificate is malformed, or signed by another key than it says.",
            "Make the certificate of the route's clientCertificate anew.",
        ),
    ),
    (
        43,
        "unsupported_certificate",
        entry(
            "The host cannot use the kind of certificate that the relay shows.",
            "An algorithm that the host does not know, or a certificate that is not for clients.",
            "Have a certificate for client authentication made, with a key that the host knows (RSA, or ECDSA P-256).",
        ),
    ),
    (
        44,
        "certificate_revoked",
        entry(
            "The host says that the relay's certificate is revoked.",
            "The certificate of the route's clientCertificate was replaced or withdrawn.",
            "Put the new certificate into the Secret of the route's clientCertificate.",
        ),
    ),
    (
        45,
        "certificate_expired",
        entry(
            "The host says that the relay's certificate has expired.",
            "The certificate of the route's clientCertificate was not renewed, or a clock is wrong.",
            "Renew it in its Secret; the relay reads it by itself.",
        ),
    ),
    (
        46,
        "certificate_unknown",
        entry(
            "The host does not take the relay's certificate, and does not say why.",
            "The host's own rules about the clients that it lets in.",
            "Ask the host's administrator which certificate is wanted.",
        ),
    ),
    (
        47,
        "illegal_parameter",
        entry(
            "The host takes something in the handshake as inconsistent.",
            "A faulty TLS library at the host, or something in between that changes the handshake.",
            "Ask the host's administrator to update its TLS library.",
        ),
    ),
    (
        48,
        "unknown_ca",
        entry(
            "The host does not know the authority behind the relay's certificate.",
            "The authority was not given to the host, or the Secret lacks the intermediate certificates.",
            "Put the whole chain into tls.crt of the Secret; give the authority's certificate to the host's administrator.",
        ),
    ),
    (
        49,
        "access_denied",
        entry(
            "The host knows the relay's certificate, and does not let its holder in.",
            "The host's list of clients lacks the relay.",
            "Ask the host's administrator to let this certificate in.",
        ),
    ),
    (
        50,
        "decode_error",
        entry(
            "The host could not read a message of the handshake.",
            "A host that cannot bear a current, longer handshake, or something in between.",
            "Ask the host's administrator to update its TLS library or the firewall in front.",
        ),
    ),
    (
        51,
        "decrypt_error",
        entry(
            "The host could not verify a signature or decipher a message of the handshake.",
            "The key in the route's clientCertificate does not go with its certificate, or a faulty library.",
            "Look whether tls.key and tls.crt of the Secret belong together.",
        ),
    ),
    (
        70,
        "protocol_version",
        entry(
            "The host and the relay have no version of TLS in common: the relay knows 1.2 and 1.3.",
            "The host knows only versions that are not safe any more.",
            "Ask the host's administrator for TLS 1.2 or later; where mail may go in clear, use Opportunistic.",
        ),
    ),
    (
        71,
        "insufficient_security",
        entry(
            "The host wants stronger ciphers than the relay offered.",
            "A host with very strict rules.",
            "Ask the host's administrator which ciphers it takes.",
        ),
    ),
    (
        80,
        "internal_error",
        entry(
            "Something failed inside the host.",
            "A fault of its configuration: often its certificate or key cannot be read.",
            "Tell the host's administrator; its log says more.",
        ),
    ),
    (
        86,
        "inappropriate_fallback",
        entry(
            "The host takes the handshake as one that was forced down to an older version.",
            "Something in between that breaks newer handshakes.",
            "Compare from another network.",
        ),
    ),
    (
        90,
        "user_canceled",
        entry(
            "The host gave the handshake up for a reason of its own.",
            "A host that shuts down.",
            "If it lasts, ask the host's administrator what its log says of it.",
        ),
    ),
    (
        100,
        "no_renegotiation",
        entry(
            "The host does not want the handshake repeated.",
            "A faulty TLS library.",
            "Ask the host's administrator to allow TLS 1.3.",
        ),
    ),
    (
        109,
        "missing_extension",
        entry(
            "The host misses a part of the handshake that it needs.",
            "A host with unusual demands, or something in between that takes parts away.",
            "Compare from another network; ask the host's administrator what it needs.",
        ),
    ),
    (
        110,
        "unsupported_extension",
        entry(
            "The host got a part of the handshake that it had not asked for.",
            "Something in between that adds parts, or a faulty library.",
            "Look for equipment that opens TLS connections on the way.",
        ),
    ),
    (
        112,
        "unrecognized_name",
        entry(
            "The host has no certificate for the name by which it was asked for.",
            "The route names the host by a name that it does not know itself by.",
            "Use the name of the host's certificate in the route, or have the host take this one.",
        ),
    ),
    (
        113,
        "bad_certificate_status_response",
        entry(
            "The host got a proof that a certificate is not revoked, and cannot use it.",
            "A faulty TLS library.",
            "Ask the host's administrator to update its TLS library.",
        ),
    ),
    (
        115,
        "unknown_psk_identity",
        entry(
            "The host does not know the session or key that was to be used again.",
            "A host that restarted, or several hosts behind one address that share no keys.",
            "It passes by itself: the next attempt begins a session anew.",
        ),
    ),
    (
        116,
        "certificate_required",
        entry(
            "The host wants a certificate from the relay, and got none.",
            "The host lets in only clients that it knows by certificate.",
            "Set the route's clientCertificate to a Secret with one that the host takes.",
        ),
    ),
    (
        120,
        "no_application_protocol",
        entry(
            "The host wants another protocol than SMTP on this port.",
            "A web server or a load balancer answers there.",
            "Correct the smarthost's host or port.",
        ),
    ),
];
