//! TLS, and logging in.

use mailsluice_crds::{
    catalogue::reason::Scope,
    monitor::{Reason, Stage},
};

use super::seen;
use crate::faults::row::{Act, At, Cause, Chapter, Ending, Row, Seen, Tls};

const fn tls(name: &'static str, symptom: &'static str, tls: Tls, code: &'static str) -> Row {
    Row {
        name,
        chapter: Chapter::Tls,
        symptom,
        cause: Cause::Tls(tls),
        seen: seen(Reason::TlsFailed, code, Stage::StartTls, Scope::Address),
        advice: "",
        postfix: &[],
    }
}

pub(super) const TLS: &[Row] = &[
    Row {
        advice: "set the route's tls to Opportunistic",
        postfix: &["TLS is required, but was not offered"],
        ..tls(
            "no-starttls",
            "The host offers no STARTTLS, and the route asks for TLS",
            Tls::NotOffered,
            "TLS_NOT_OFFERED",
        )
    },
    Row {
        advice: "renew the certificate",
        postfix: &["certificate has expired"],
        ..tls("cert-expired", "The host's certificate has expired", Tls::Expired, "CERT_EXPIRED")
    },
    Row {
        advice: "Use one of the names in the text",
        postfix: &["hostname mismatch"],
        ..tls("cert-name", "The host's certificate has another name", Tls::WrongName, "CERT_WRONG_NAME")
    },
    Row {
        advice: "name it as the route's ca",
        postfix: &["self-signed certificate"],
        ..tls("cert-self-signed", "The host's certificate is signed by itself", Tls::SelfSigned, "CERT_UNKNOWN_ISSUER")
    },
    Row {
        cause: Cause::Peer(At::StartTls, Act::Hang),
        seen: Seen::Hangs(Stage::StartTls, Ending::Minutes(5, "TLS_TIMEOUT")),
        advice: "MTU",
        postfix: &["TLS"],
        ..tls("handshake", "The TLS handshake hangs", Tls::NotOffered, "")
    },
    Row {
        advice: "publish records for the certificate",
        postfix: &[],
        ..tls("dane", "The host's certificate is not the one of its TLSA record (DANE)", Tls::Dane, "DANE_MISMATCH")
    },
    Row {
        seen: seen(Reason::TlsFailed, "STS_OTHER_HOST", Stage::Dns, Scope::Host),
        advice: "Compare the MX with",
        postfix: &[],
        ..tls("sts", "The domain's MTA-STS policy names another host", Tls::Sts, "")
    },
    Row {
        seen: seen(Reason::AuthFailed, "535 5.7.8", Stage::Auth, Scope::Host),
        advice: "Secret",
        postfix: &["535 5.7.8"],
        ..tls("password", "The smarthost does not take the password", Tls::Password, "")
    },
];
