//! SMTPUTF8 on the way out (RFC 6531): what a host that offers it is told, and what one that does not cannot have.

use super::{Capabilities, DecidedBy, Refusal};
use crate::smtp::{address::Mailbox, envelope::Envelope, reply::Reply};

/// Whether MAIL says SMTPUTF8: where the host knows it, and the message came so or cannot go otherwise.
pub(super) fn is_said(envelope: &Envelope, host: &Capabilities) -> bool {
    host.smtp_utf8
        && (envelope.is_smtp_utf8()
            || !is_ascii(envelope.from.mailbox())
            || envelope.recipients.iter().any(|recipient| !is_ascii(recipient.path.mailbox())))
}

/// Why a host cannot have the message for any recipient. The code for the sender is that of RFC 6531 section 3.5.
pub(super) fn refusal(envelope: &Envelope, host: &Capabilities) -> Option<Reply> {
    if host.smtp_utf8 {
        return None;
    }
    if !is_ascii(envelope.from.mailbox()) {
        return Some(Reply::enhanced(
            553,
            (6, 7),
            "The sender's address is not ASCII, which the host does not take (it offers no SMTPUTF8)",
        ));
    }
    if envelope.extensions.as_ref().is_some_and(|asked| asked.utf8_header) {
        return Some(Reply::enhanced(
            554,
            (6, 9),
            "The message's header is not ASCII, which the host does not take (it offers no SMTPUTF8)",
        ));
    }
    let none_left = unsendable(envelope, host).len() == envelope.recipients.len();
    (none_left && !envelope.recipients.is_empty()).then(recipient_reply)
}

/// The recipients that the host cannot be asked for.
pub(super) fn unsendable(envelope: &Envelope, host: &Capabilities) -> Vec<usize> {
    if host.smtp_utf8 {
        return Vec::new();
    }
    let recipients = envelope.recipients.iter().enumerate();
    recipients.filter(|(_, recipient)| !is_ascii(recipient.path.mailbox())).map(|(index, _)| index).collect()
}

/// What becomes of one that cannot.
pub(super) fn recipient_refusal(recipient: usize) -> Refusal {
    Refusal { recipient, reply: recipient_reply(), decided_by: DecidedBy::Client }
}

fn recipient_reply() -> Reply {
    Reply::enhanced(
        553,
        (6, 7),
        "The recipient's address is not ASCII, which the host does not take (it offers no SMTPUTF8)",
    )
}

fn is_ascii(mailbox: Option<&Mailbox>) -> bool {
    mailbox.is_none_or(Mailbox::is_ascii)
}
