//! What a pod asks for by its label and annotations.

use k8s_openapi::{api::core::v1::PodSpec, apimachinery::pkg::apis::meta::v1::ObjectMeta};

use super::{LABEL, NAME};

/// The annotation with the relay's namespace; the pod's own, where it is absent.
pub const NAMESPACE: &str = "mailsluice.dev/relay-namespace";
/// The annotation with the relay's port; [`DEFAULT_PORT`], where it is absent.
pub const PORT: &str = "mailsluice.dev/relay-port";
/// The annotation with the name that the relay's certificate has; that of its Service, where it is absent.
pub const TLS_NAME: &str = "mailsluice.dev/relay-tls-name";
/// The annotation with the ConfigMap, in the pod's namespace, whose `ca.crt` vouches for the relay; [`DEFAULT_AUTHORITIES`], where it is
/// absent.
pub const AUTHORITIES: &str = "mailsluice.dev/relay-authorities";

/// The port for submission (RFC 6409 section 3.1).
pub const DEFAULT_PORT: u16 = 587;
/// One for all relays, as a bundle of authorities is handed out.
pub const DEFAULT_AUTHORITIES: &str = "mailsluice-authorities";

/// Octets of a label of a DNS name.
const LABEL_MOST: usize = 63;
/// Octets of a DNS name.
const NAME_MOST: usize = 253;

/// What a pod asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The relay.
    pub relay: String,
    /// Its namespace; the pod's own, where it is absent.
    pub namespace: Option<String>,
    /// Its port.
    pub port: u16,
    /// The name that its certificate has; that of its Service, where it is absent.
    pub tls_name: Option<String>,
    /// The ConfigMap, in the pod's namespace, with the authorities that vouch for it.
    pub authorities: String,
}

/// Why a pod that asks for a sidecar gets none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A label or an annotation makes no sense.
    #[error("{key}: {value:?} is not {wanted}")]
    Value {
        /// Which.
        key: &'static str,
        /// What it is.
        value: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// The sidecar would be everybody's.
    #[error(
        "the pod is on its node's network, where all who are on it could send mail as this pod: leave hostNetwork out"
    )]
    HostNetwork,
    /// The sidecar's image is for Linux.
    #[error("the pod is for Windows, and the sidecar for Linux alone")]
    Windows,
    /// Something else has the sidecar's name.
    #[error("the pod has another {0} named {NAME}: rename it")]
    NameTaken(&'static str),
}

impl Wanted {
    /// What the pod asks for, if it does.
    ///
    /// # Errors
    /// A label or an annotation makes no sense.
    pub fn of(metadata: &ObjectMeta) -> Result<Option<Wanted>, Refusal> {
        let label = metadata.labels.as_ref().and_then(|labels| labels.get(LABEL));
        let Some(relay) = label else { return Ok(None) };
        let said = |key| metadata.annotations.as_ref().and_then(|annotations| annotations.get(key));
        let relay = checked(LABEL, relay, "the name of an SMTPRelay", is_service_name)?;
        let namespace = said(NAMESPACE).map(|name| checked(NAMESPACE, name, "the name of a namespace", is_label));
        let tls_name = said(TLS_NAME).map(|name| checked(TLS_NAME, name, "a host's name", is_host));
        let authorities = match said(AUTHORITIES) {
            Some(name) => checked(AUTHORITIES, name, "the name of a ConfigMap", is_object_name)?,
            None => DEFAULT_AUTHORITIES.to_owned(),
        };
        let port = match said(PORT) {
            Some(port) => parse_port(port).ok_or_else(|| unfit(PORT, port, "a port, from 1 to 65535"))?,
            None => DEFAULT_PORT,
        };
        Ok(Some(Wanted {
            relay,
            namespace: namespace.transpose()?,
            port,
            tls_name: tls_name.transpose()?,
            authorities,
        }))
    }
}

/// Whether a sidecar may come into such a pod.
pub(super) fn admits(spec: &PodSpec) -> Result<(), Refusal> {
    if spec.host_network == Some(true) {
        return Err(Refusal::HostNetwork);
    }
    if spec.os.as_ref().is_some_and(|os| os.name == "windows") {
        return Err(Refusal::Windows);
    }
    if spec.containers.iter().any(|container| container.name == NAME) {
        return Err(Refusal::NameTaken("container"));
    }
    if spec.volumes.iter().flatten().any(|volume| volume.name == NAME) {
        return Err(Refusal::NameTaken("volume"));
    }
    Ok(())
}

fn checked(
    key: &'static str,
    value: &str,
    wanted: &'static str,
    fits: impl Fn(&str) -> bool,
) -> Result<String, Refusal> {
    if fits(value) { Ok(value.to_owned()) } else { Err(unfit(key, value, wanted)) }
}

fn unfit(key: &'static str, value: &str, wanted: &'static str) -> Refusal {
    Refusal::Value { key, value: value.to_owned(), wanted }
}

/// As people write it, without a sign or a zero before it.
fn parse_port(text: &str) -> Option<u16> {
    if !text.starts_with(|first: char| matches!(first, '1'..='9')) {
        return None;
    }
    text.parse().ok()
}

/// A label of lower-case letters, digits and inner hyphens (RFC 1123 section 2.1).
fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=LABEL_MOST).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// A label that begins with a letter (RFC 1035 section 2.3.1), as the name of a Service does.
fn is_service_name(text: &str) -> bool {
    is_label(text) && text.starts_with(|first: char| first.is_ascii_lowercase())
}

fn is_object_name(text: &str) -> bool {
    text.len() <= NAME_MOST && text.split('.').all(is_label)
}

/// A DNS name in any case, whose last label begins with a letter: the sidecar would not start with what is neither a name nor an address.
fn is_host(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    is_object_name(&lower) && lower.rsplit('.').next().is_some_and(is_service_name)
}
