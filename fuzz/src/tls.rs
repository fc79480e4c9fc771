//! Stands in for the faults of TLS, which the client's errors name: so that a TLS library need not be built for these targets.

/// Why there is no TLS with a host.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// More than the reply to STARTTLS came in clear before the handshake.
    #[error("more than its reply to STARTTLS came in clear before the handshake")]
    Injection,
}
