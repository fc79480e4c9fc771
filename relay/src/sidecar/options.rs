//! What the command line says of a sidecar.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use mailsluice_crds::{
    LogLevel,
    relay::{LogFormat, TlsMode},
};
use rustls::pki_types::ServerName;

/// The port on which TLS begins at once (RFC 8314 section 3.3).
const IMPLICIT_PORT: u16 = 465;

/// What the command line says.
pub struct Options {
    /// Where the gateway is.
    pub gateway: GatewayAddress,
    /// When TLS with it begins; by default at once on port 465, by STARTTLS on others.
    pub tls: Option<TlsMode>,
    /// The name of its certificate; by default the gateway's.
    pub tls_name: Option<ServerName<'static>>,
    /// A file with the certificates of the authorities that vouch for it.
    pub authorities: PathBuf,
    /// A file with the token that it is shown.
    pub token: PathBuf,
    /// Where the application is served; on loopback.
    pub listen: Vec<LoopbackAddress>,
    /// Where health and metrics are served.
    pub http: SocketAddr,
    /// For so long an application waits for a gateway that is away.
    pub wait: Duration,
    /// As many messages are handed over at once.
    pub connections: usize,
    /// As many connections are kept ready.
    pub warm: usize,
    /// How much is logged.
    pub log_level: LogLevel,
    /// In what form.
    pub log_format: LogFormat,
}

/// A host, by name or address, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayAddress {
    /// The name, or the address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The host, as certificates name it.
    pub name: ServerName<'static>,
}

/// An address of this machine that nobody else reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoopbackAddress(pub(super) SocketAddr);

/// What an argument should have been.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// No gateway.
    #[error("write HOST:PORT")]
    Gateway,
    /// No address.
    #[error("write ADDRESS:PORT")]
    Address,
    /// An address that others reach.
    #[error("a sidecar serves its own pod alone: write an address of loopback, such as 127.0.0.1:25 or [::1]:25")]
    NotLoopback,
}

impl GatewayAddress {
    /// When TLS begins where nothing else is said.
    pub(super) fn usual_tls(&self) -> TlsMode {
        if self.port == IMPLICIT_PORT { TlsMode::Implicit } else { TlsMode::StartTls }
    }
}

impl FromStr for GatewayAddress {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<GatewayAddress, OptionError> {
        let (host, port) = text.rsplit_once(':').ok_or(OptionError::Gateway)?;
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').ok_or(OptionError::Gateway)?,
            None if host.contains(':') => return Err(OptionError::Gateway),
            None => host,
        };
        let port = port.parse().ok().filter(|port| *port > 0).ok_or(OptionError::Gateway)?;
        let name = ServerName::try_from(host.trim_end_matches('.').to_owned()).map_err(|_| OptionError::Gateway)?;
        Ok(GatewayAddress { host: host.to_owned(), port, name })
    }
}

impl FromStr for LoopbackAddress {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<LoopbackAddress, OptionError> {
        let address: SocketAddr = text.parse().map_err(|_| OptionError::Address)?;
        if address.ip().to_canonical().is_loopback() {
            Ok(LoopbackAddress(address))
        } else {
            Err(OptionError::NotLoopback)
        }
    }
}

impl fmt::Display for LoopbackAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_a_name_or_an_address_with_a_port() {
        for (text, read) in [
            ("outbound.mail.svc:587", Some(("outbound.mail.svc", 587, TlsMode::StartTls))),
            ("mail.example.org.:465", Some(("mail.example.org.", 465, TlsMode::Implicit))),
            ("192.0.2.1:25", Some(("192.0.2.1", 25, TlsMode::StartTls))),
            ("[2001:db8::1]:587", Some(("2001:db8::1", 587, TlsMode::StartTls))),
            ("2001:db8::1:587", None),
            ("mail.example.org", None),
            ("mail.example.org:0", None),
            ("mail.example.org:smtp", None),
            (":587", None),
            ("[::1:587", None),
            ("bad name:587", None),
        ] {
            let found = text.parse::<GatewayAddress>().ok();
            let found = found.as_ref().map(|found| (found.host.as_str(), found.port, found.usual_tls()));
            assert_eq!(found, read, "{text}");
        }
    }

    #[test]
    fn a_sidecar_listens_on_loopback_alone() {
        for text in ["127.0.0.1:25", "127.1.2.3:2525", "[::1]:25", "[::ffff:127.0.0.1]:25"] {
            assert!(text.parse::<LoopbackAddress>().is_ok(), "{text}");
        }
        for text in ["0.0.0.0:25", "[::]:25", "192.0.2.1:25", "[::ffff:192.0.2.1]:25"] {
            assert_eq!(text.parse::<LoopbackAddress>(), Err(OptionError::NotLoopback), "{text}");
        }
        assert_eq!("localhost:25".parse::<LoopbackAddress>(), Err(OptionError::Address));
    }
}
