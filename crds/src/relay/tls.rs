//! TLS of an SMTPRelay, inward and outward.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::schema;

/// TLS on a port where mail is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListenerTls {
    /// The Secret in the same namespace, of type kubernetes.io/tls, with the chain of certificates in `tls.crt` and its key
    /// in `tls.key`. Without a cluster, a folder of that name beside the manifests.
    #[schemars(schema_with = "schema::secret_name")]
    pub secret_name: String,
    /// When TLS begins.
    #[serde(default)]
    pub mode: TlsMode,
}

/// When TLS begins in a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsMode {
    /// When the client asks for it by STARTTLS (RFC 3207), as on ports 25 and 587.
    #[default]
    StartTls,
    /// At once (RFC 8314 section 3.3), as on port 465.
    Implicit,
}

/// What is asked of TLS on the way out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum TlsPolicy {
    /// Mail goes in clear, whatever the host offers.
    Off,
    /// Mail goes under TLS to a host that offers it, with any certificate, and in clear to others: against listeners only.
    #[default]
    Opportunistic,
    /// Mail goes under TLS or not at all, with any certificate.
    Required,
    /// Mail goes under TLS to a host whose certificate is valid for its name, or not at all. By MX, that is the exchanger's name.
    Verified,
    /// The host is known by its TLSA records, proved by DNSSEC (RFC 7672). Mail for a host that has none goes as with Opportunistic;
    /// where it cannot be learnt whether it has some, mail waits.
    Dane,
    /// By MX: what the domain's own policy says (RFC 8461). Mail for a domain that has none goes as with Opportunistic.
    MtaSts,
}

impl TlsPolicy {
    /// All of them.
    pub const ALL: [TlsPolicy; 6] = [
        TlsPolicy::Off,
        TlsPolicy::Opportunistic,
        TlsPolicy::Required,
        TlsPolicy::Verified,
        TlsPolicy::Dane,
        TlsPolicy::MtaSts,
    ];

    /// The policy as manifests, the log and the metrics spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            TlsPolicy::Off => "Off",
            TlsPolicy::Opportunistic => "Opportunistic",
            TlsPolicy::Required => "Required",
            TlsPolicy::Verified => "Verified",
            TlsPolicy::Dane => "Dane",
            TlsPolicy::MtaSts => "MtaSts",
        }
    }
}

/// Names a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// A Secret in the same namespace. Without a cluster, a folder of that name beside the manifests.
    #[schemars(schema_with = "schema::secret_name")]
    pub secret_name: String,
}
