//! What the sender can do, by the status of RFC 3463. Pure.

/// What to do about a recipient that was given up.
pub(super) fn advice(status: &str) -> &'static str {
    let mut parts = status.split('.').skip(1);
    let number = |part: Option<&str>| part.and_then(|part| part.parse::<u16>().ok()).unwrap_or(0);
    let subject = number(parts.next());
    match (subject, number(parts.next())) {
        (1, 1 | 3 | 6) => "Look whether the address is right, and send the message again to the right one.",
        (1, 2 | 10) => "Look whether the part of the address behind the @ is right, and send the message again.",
        (1, 7 | 8) => "The sender's address was not accepted: look whether it is right, or ask whoever runs your mail.",
        (2, 2) => "The mailbox is full: send the message again later, or tell the recipient by another way.",
        (2, 3) | (3, 4) => "The message is too large for the recipient: send it in parts, or a link in its place.",
        (2, _) => "The mailbox takes no mail now: ask the recipient by another way.",
        (4, 6) => "The message runs in a circle: show this report to whoever runs your mail.",
        (4, 7) => "Send the message again if it is still of use; if it is urgent, tell the recipient by another way.",
        (3 | 4, _) => "Send the message again later; if that fails too, show this report to whoever runs your mail.",
        (6, 7 | 9) => "Send the message again to an address without letters beyond ASCII, if the recipient has one.",
        (6, _) => "The recipient's host does not take a message of this form: send it again as plain text.",
        (7, 10 | 30) => {
            "The message was to go under TLS all the way, which is not to be had: send it without REQUIRETLS if that may be, \
             or encrypt it."
        }
        (7, _) => "The message is refused by rules, for the reason above: show this report to whoever runs your mail.",
        _ => "The host's answer says why; if it does not help, show this report to whoever runs your mail.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_failure_has_its_advice() {
        for (status, says) in [
            ("5.1.1", "address is right"),
            ("5.1.2", "behind the @"),
            ("5.1.8", "sender's address"),
            ("5.2.2", "full"),
            ("5.2.1", "takes no mail"),
            ("5.3.4", "too large"),
            ("5.4.7", "still of use"),
            ("5.4.6", "circle"),
            ("5.4.1", "later"),
            ("5.6.7", "ASCII"),
            ("5.6.3", "plain text"),
            ("5.7.1", "rules"),
            ("5.7.30", "without REQUIRETLS"),
            ("5.7.10", "without REQUIRETLS"),
            ("5.0.0", "answer says why"),
            ("", "answer says why"),
        ] {
            assert!(advice(status).contains(says), "{status}: {}", advice(status));
        }
    }
}
