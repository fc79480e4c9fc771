//! The reply to EHLO: which extensions are offered.

use jiff::Unit;

use super::config::{Config, FutureRelease};
use crate::smtp::{reply::Reply, xclient};

/// The reply to EHLO, in clear or under TLS.
pub(super) fn ehlo_reply(config: &Config, tls: bool, authenticated: bool) -> Reply {
    let Config { hostname, max_size, max_recipients, .. } = config;
    // Not under TLS any more (RFC 3207 section 4.2).
    let start_tls = if config.start_tls && !tls { "\nSTARTTLS" } else { "" };
    // Under TLS only (RFC 8689 section 2).
    let require_tls = if tls { "\nREQUIRETLS" } else { "" };
    let xclient = if config.xclient { format!("\nXCLIENT {}", xclient::ATTRIBUTES) } else { String::new() };
    let future_release = config.future_release.map_or_else(String::new, |FutureRelease { longest, latest }| {
        // Whole seconds, as the grammar of RFC 4865 section 3 has them.
        format!("\nFUTURERELEASE {} {:.0}", longest.as_secs(), latest.round(Unit::Second).unwrap_or(latest))
    });
    let etrn = if config.etrn { "\nETRN" } else { "" };
    let mut auth = String::new();
    // Once is enough (RFC 4954 section 4).
    if let Some(offer) = config.auth.filter(|_| !authenticated) {
        for mechanism in offer.mechanisms(tls) {
            auth.push_str(if auth.is_empty() { "\nAUTH " } else { " " });
            auth.push_str(mechanism.name());
        }
    }
    Reply::new(
        250,
        format!(
            "{hostname}\nPIPELINING\nSIZE {max_size}\n8BITMIME\nBINARYMIME\nCHUNKING\nSMTPUTF8\nDSN\nENHANCEDSTATUSCODES\n\
             LIMITS RCPTMAX={max_recipients}\nDELIVERBY\nMT-PRIORITY{etrn}{future_release}{require_tls}{auth}{start_tls}{xclient}"
        ),
    )
}
