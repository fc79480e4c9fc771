//! Messages with a time by which they are to be delivered (RFC 2852).

use super::Capabilities;
use crate::smtp::{
    envelope::Envelope,
    extensions::timing::{DeliverBy, Late},
    reply::Reply,
};

/// Why the host cannot have the message: because it would not take it back in time.
pub(super) fn refusal(envelope: &Envelope, host: &Capabilities) -> Option<Reply> {
    let DeliverBy { seconds, late, .. } = envelope.time.as_ref()?.deliver_by?;
    if late != Late::Return {
        return None;
    }
    let text = match host.deliver_by {
        None => "The message is to be returned when it is late, which the host does not do (it offers no DELIVERBY)"
            .to_owned(),
        Some(least) if i64::from(seconds) < i64::from(least) => {
            format!("The message is to be delivered within {seconds} seconds, the host takes no less than {least}")
        }
        Some(_) => return None,
    };
    Some(Reply::enhanced(554, (4, 7), text))
}
