//! Messages whose sender requires TLS all the way (RFC 8689): only for a host that promises as much.

use super::Capabilities;
use crate::smtp::{envelope::Envelope, reply::Reply};

/// Why the host cannot have the message. A bounce is not lost for want of the promise (RFC 8689 section 5).
pub(super) fn refusal(envelope: &Envelope, host: &Capabilities) -> Option<Reply> {
    let unmet = envelope.requires_tls() && !host.require_tls && envelope.from.mailbox().is_some();
    unmet.then(|| {
        Reply::enhanced(
            550,
            (7, 30),
            "The sender requires TLS all the way, which the host does not promise (it offers no REQUIRETLS)",
        )
    })
}
