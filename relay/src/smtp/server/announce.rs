//! The reply to EHLO: which extensions are offered.

use super::config::Config;
use crate::smtp::{reply::Reply, xclient};

/// The reply to EHLO, in clear or under TLS.
pub(super) fn ehlo_reply(config: &Config, tls: bool) -> Reply {
    let Config { hostname, max_size, .. } = config;
    // Not under TLS any more (RFC 3207 section 4.2).
    let start_tls = if config.start_tls && !tls { "\nSTARTTLS" } else { "" };
    let xclient = if config.xclient { format!("\nXCLIENT {}", xclient::ATTRIBUTES) } else { String::new() };
    Reply::new(
        250,
        format!(
            "{hostname}\nPIPELINING\nSIZE {max_size}\n8BITMIME\nBINARYMIME\nCHUNKING\nSMTPUTF8\nDSN\nENHANCEDSTATUSCODES{start_tls}{xclient}"
        ),
    )
}
