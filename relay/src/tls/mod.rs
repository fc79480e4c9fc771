//! TLS: certificates from Secrets, connections with and without it, and what a handshake agreed on.
//!
//! - [`certificates`]: those that listeners show; [`outgoing`]: what is wanted of hosts, by policy; [`authorities`]: who vouches for them;
//! - [`dane`]: hosts that TLSA records name; [`verify`]: whom to believe; [`binding`]: what SCRAM binds to; [`fault`]: why a handshake came to nothing; [`stream`]: the connection.
//!
//! The one provider of cryptography is aws-lc-rs, which brings key exchange that outlasts quantum computers; [`install`] makes
//! it the process's own.

mod asking;
mod authorities;
mod binding;
mod certificates;
pub mod dane;
mod fault;
mod outgoing;
mod stream;
mod verify;

use std::{fmt, time::Duration};

use rustls::{CommonState, HandshakeKind, pki_types::CertificateDer};

pub use authorities::{AuthoritiesError, authorities_config, public_config, read_authorities};
pub use binding::Bindings;
pub use certificates::{Acceptor, Certificates};
pub use fault::{CertificateFault, Facts, TlsFault};
pub use outgoing::{Outgoing, Wanted, client_config};
pub use stream::Stream;
pub use verify::Witness;

/// How long a handshake may take, either way: some round trips over the slowest of links. Postfix waits five minutes, which helps
/// only those who hold connections open.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// Makes aws-lc-rs the process's provider of cryptography. To be called once, before anything else of TLS.
pub fn install() {
    // A second call changes nothing, and the provider is the same.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// What a handshake agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    /// Such as `TLSv1.3`.
    pub version: &'static str,
    /// By its name in the registry of IANA, such as `TLS_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// Such as `X25519MLKEM768`; none where a session was resumed without one.
    pub key_exchange: Option<String>,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
    /// What only the server's side knows.
    pub server: ServerSide,
}

/// What the server's side of a handshake knows beside.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerSide {
    /// What its client can have bound to.
    pub bindings: Bindings,
    /// The client's certificate and what is between it and its authority, where it was asked for and has shown one.
    pub chain: Vec<CertificateDer<'static>>,
}

impl Details {
    fn of(state: &CommonState) -> Details {
        let version = match state.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
            _ => "TLS",
        };
        let cipher = state.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite())).unwrap_or_default();
        // rustls tells the suites of TLS 1.3 from others by a name of its own.
        let cipher = cipher.replacen("TLS13_", "TLS_", 1);
        let key_exchange = state.negotiated_key_exchange_group().map(|group| format!("{:?}", group.name()));
        let resumed = state.handshake_kind() == Some(HandshakeKind::Resumed);
        Details { version, cipher, key_exchange, resumed, server: ServerSide::default() }
    }

    /// How the handshake is counted.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        if self.resumed { "resumed" } else { "full" }
    }
}

/// As Postfix writes it into a Received line, without the parentheses.
impl fmt::Display for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "using {} with cipher {}", self.version, self.cipher)?;
        match &self.key_exchange {
            Some(group) => write!(f, " key-exchange {group}"),
            None => Ok(()),
        }
    }
}
