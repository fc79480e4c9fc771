//! The reply to EHLO: which extensions are offered.

use super::config::Config;
use crate::smtp::reply::Reply;

/// The reply to EHLO.
pub(super) fn ehlo_reply(config: &Config) -> Reply {
    let Config { hostname, max_size, .. } = config;
    Reply::new(
        250,
        format!(
            "{hostname}\nPIPELINING\nSIZE {max_size}\n8BITMIME\nBINARYMIME\nCHUNKING\nSMTPUTF8\nDSN\nENHANCEDSTATUSCODES"
        ),
    )
}
