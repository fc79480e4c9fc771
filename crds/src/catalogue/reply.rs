//! Replies of SMTP (RFC 5321 section 4.2 and the extensions that add to them), with their enhanced status codes.

use std::fmt;

use super::{Enhanced, Entry, Numbered, entry};

/// The codes of a reply: `451 4.7.1`, or `421` where the host gives no enhanced one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplyCode {
    code: u16,
    /// Subject and detail; the class is always the reply's first digit.
    enhanced: Option<(u16, u16)>,
}

impl ReplyCode {
    /// The codes of a reply, with subject and detail of its enhanced status code.
    #[must_use]
    pub const fn new(code: u16, enhanced: Option<(u16, u16)>) -> ReplyCode {
        ReplyCode { code, enhanced }
    }

    /// The three digits.
    #[must_use]
    pub const fn code(self) -> u16 {
        self.code
    }

    /// The enhanced status code.
    #[must_use]
    pub fn enhanced(self) -> Option<Enhanced> {
        let (subject, detail) = self.enhanced?;
        Some(Enhanced { class: self.class(), subject, detail })
    }

    /// The first digit.
    #[must_use]
    pub fn class(self) -> u8 {
        u8::try_from(self.code / 100).unwrap_or(5)
    }

    /// What the catalogue says of the three digits.
    #[must_use]
    pub fn entry(self) -> Entry {
        let known = KNOWN.iter().find(|(code, ..)| *code == self.code);
        known.map_or_else(|| of_class(self.class()), |(_, _, entry)| *entry)
    }

    /// Reads `451`, and `451 4.7.1`; an enhanced code of another class than the reply's is none.
    #[must_use]
    pub fn from_name(name: &str) -> Option<ReplyCode> {
        let (digits, enhanced) = match name.split_once(' ') {
            Some((digits, enhanced)) => (digits, Some(Enhanced::from_name(enhanced)?)),
            None => (name, None),
        };
        let plain = digits.len() == 3 && digits.bytes().all(|octet| octet.is_ascii_digit());
        let code = digits.parse().ok().filter(|code| plain && (200..600).contains(code))?;
        let reply = ReplyCode { code, enhanced: enhanced.map(|enhanced| (enhanced.subject, enhanced.detail)) };
        (reply.enhanced() == enhanced).then_some(reply)
    }

    /// Those that have an entry of their own, without enhanced codes.
    pub fn all() -> impl Iterator<Item = ReplyCode> {
        KNOWN.iter().map(|(code, ..)| ReplyCode { code: *code, enhanced: None })
    }
}

impl fmt::Display for ReplyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}", self.code)?;
        self.enhanced().map_or(Ok(()), |enhanced| write!(f, " {enhanced}"))
    }
}

/// What the first digit says, which is all that may be relied on for a code that is not known (RFC 5321 section 4.2.1).
pub(super) const fn of_class(class: u8) -> Entry {
    match class {
        2 => entry(
            "The host agrees.",
            "All is well; where this is an error, the host said yes to what it was not asked.",
            "Read the reply's text.",
        ),
        3 => entry(
            "The host waits for more.",
            "It answered with this where another reply was due.",
            "Set the log of the host to LowLevel and look at the conversation.",
        ),
        4 => entry(
            "The host refuses for now; the mail is tried again.",
            "Something at the host that passes: load, greylisting, a full disk.",
            "Wait, and read the reply's text; if it lasts, ask the host's administrator.",
        ),
        _ => entry(
            "The host refuses for good; the mail goes back to its sender.",
            "The address, the message or the relay is not to the host's liking.",
            "Read the reply's text; it is the host's administrator who knows the rule.",
        ),
    }
}

const KNOWN: [Numbered<u16>; 41] = [
    (220, "220", entry("The host is ready.", "It greets, or agrees to begin TLS.", "Nothing is to be done.")),
    (221, "221", entry("The host ends the session.", "The relay said QUIT.", "Nothing is to be done.")),
    (235, "235", entry("The host takes the credentials.", "Authentication succeeded.", "Nothing is to be done.")),
    (
        250,
        "250",
        entry("The host did what it was asked.", "A command or a message was taken.", "Nothing is to be done."),
    ),
    (
        251,
        "251",
        entry(
            "The recipient is elsewhere, and the host passes the message on.",
            "The mailbox has moved.",
            "Tell the sender the new address, which the text names.",
        ),
    ),
    (
        252,
        "252",
        entry(
            "The host cannot say whether the recipient exists, and takes the message.",
            "A host that answers no questions about its users.",
            "Nothing is to be done.",
        ),
    ),
    (
        334,
        "334",
        entry("The host asks for more of the credentials.", "Authentication is under way.", "Nothing is to be done."),
    ),
    (354, "354", entry("The host waits for the text.", "DATA was accepted.", "Nothing is to be done.")),
    (
        421,
        "421",
        entry(
            "The host is not available now, and closes the connection.",
            "It shuts down, is overloaded, or has enough connections from the relay.",
            "Wait; if it comes with many messages, lower limits.connectionsPerHost or messagesPerHostPerMinute.",
        ),
    ),
    (
        422,
        "422",
        entry(
            "The host wants the account's password set anew.",
            "The password is stored in a form for other mechanisms.",
            "Set the password anew at the provider.",
        ),
    ),
    (
        432,
        "432",
        entry(
            "The host wants the password changed to another form first.",
            "The account's password is stored in a form that this mechanism cannot use.",
            "Have the account's password set anew at the host.",
        ),
    ),
    (
        450,
        "450",
        entry(
            "The mailbox is not available now.",
            "It is locked or busy, or the host greylists: it refuses the first attempt of whom it does not know.",
            "Wait for the next attempt; greylisting ends within minutes.",
        ),
    ),
    (
        451,
        "451",
        entry(
            "The host failed at the message, through a fault of its own or a rule.",
            "Greylisting, a filter or a directory that does not answer, a limit of its own.",
            "Wait for the next attempt; if it lasts, ask the host's administrator.",
        ),
    ),
    (
        452,
        "452",
        entry(
            "The host has no room now, or too many recipients were named at once.",
            "A full disk or mailbox; recipients beyond its limit are sent in the next transaction.",
            "Wait; a mailbox that stays full is the recipient's to clear.",
        ),
    ),
    (
        454,
        "454",
        entry(
            "TLS or authentication is not available now.",
            "The host's certificate or its directory of users cannot be read.",
            "Tell the host's administrator.",
        ),
    ),
    (
        455,
        "455",
        entry(
            "The host cannot grant a parameter of MAIL or RCPT now.",
            "A resource that it needs for it is missing.",
            "Wait for the next attempt.",
        ),
    ),
    (
        458,
        "458",
        entry("The host cannot queue messages for the node.", "Its answer to ETRN.", "Ask the host's administrator."),
    ),
    (
        459,
        "459",
        entry("The host does not allow the node.", "Its answer to ETRN.", "Ask the host's administrator to allow it."),
    ),
    (
        500,
        "500",
        entry(
            "The host does not know the command.",
            "A very old server, or a firewall that masks commands with XXXX.",
            "Switch the inspection of SMTP off at the firewall.",
        ),
    ),
    (
        501,
        "501",
        entry(
            "The host takes the command's argument as wrong.",
            "An address that it cannot read, or a HELO name that is not to its liking.",
            "Look at spec.hello, which must be a full host name, and at the address in the text.",
        ),
    ),
    (
        502,
        "502",
        entry(
            "The host knows the command and does not implement it.",
            "A server with few features, or one that has them switched off.",
            "Set the log of the host to LowLevel to see which command it was.",
        ),
    ),
    (
        503,
        "503",
        entry(
            "The host takes the commands to be in the wrong order.",
            "It refused the command before, or wants authentication first.",
            "Set the log of the host to LowLevel and look at the replies before this one.",
        ),
    ),
    (
        504,
        "504",
        entry(
            "The host does not implement the command's parameter.",
            "A mechanism of authentication, or an extension, that it lacks.",
            "Read the text; choose another mechanism if it is about authentication.",
        ),
    ),
    (
        511,
        "511",
        entry(
            "The address does not exist at the host; no standard has this code.",
            "A typing error, or an account that is gone.",
            "Tell the sender to correct the address.",
        ),
    ),
    (
        521,
        "521",
        entry(
            "The host takes no mail at all (RFC 7504).",
            "The address belongs to a machine that is no mail server.",
            "Correct the domain's MX or the route.",
        ),
    ),
    (
        523,
        "523",
        entry(
            "The host wants encryption before it goes on.",
            "The session is in clear, or under TLS that is too weak for it.",
            "Set the route's tls to Required.",
        ),
    ),
    (
        524,
        "524",
        entry(
            "The host takes this mechanism of authentication only under encryption.",
            "The credentials would have gone in clear.",
            "Set the route's tls to Required or Verified.",
        ),
    ),
    (
        525,
        "525",
        entry(
            "The host has disabled the account.",
            "It was locked at the host.",
            "Have the account unlocked by its provider.",
        ),
    ),
    (
        530,
        "530",
        entry(
            "The host wants authentication or TLS first.",
            "It is a submission server, and the route gives no credentials or does without TLS.",
            "Give the route credentials, or set its tls to Required.",
        ),
    ),
    (
        534,
        "534",
        entry(
            "The mechanism of authentication is too weak for this account.",
            "The host's rules ask for another mechanism, or for an application password.",
            "Make an application password at the provider.",
        ),
    ),
    (
        535,
        "535",
        entry(
            "The host does not take the credentials.",
            "A wrong user or password, or an account that may not send by SMTP.",
            "Correct the Secret of the route's credentials; try them with another client.",
        ),
    ),
    (
        538,
        "538",
        entry(
            "The mechanism of authentication is allowed under TLS only.",
            "The session is in clear.",
            "Set the route's tls to Required or Verified.",
        ),
    ),
    (
        541,
        "541",
        entry(
            "The host's filter refuses the message; no standard has this code.",
            "A filter takes the message as spam.",
            "Ask the recipient to allow the sender, and look at the message's contents.",
        ),
    ),
    (
        550,
        "550",
        entry(
            "The mailbox does not exist, or the host refuses it by a rule.",
            "A typing error, an account that is gone, or a list of unwanted senders with the relay's address on it.",
            "Read the text: if it is about the relay's address, clear its reputation, reverse DNS and SPF; else the address.",
        ),
    ),
    (
        551,
        "551",
        entry(
            "The recipient is not at this host, and the host does not pass it on.",
            "The mailbox has moved, or the wrong host is asked.",
            "Use the address in the text, or correct the route.",
        ),
    ),
    (
        552,
        "552",
        entry(
            "The mailbox or the host has no room for this message.",
            "A mailbox over its quota, or a message over the host's limit.",
            "Compare the message's size with the host's SIZE; else the recipient must clear the mailbox.",
        ),
    ),
    (
        553,
        "553",
        entry(
            "The host does not allow this address.",
            "A sender that the account may not use, or an address that it cannot read.",
            "Use a sender of the account's own domain, or senderDomain in the route.",
        ),
    ),
    (
        554,
        "554",
        entry(
            "The host refuses the transaction, or any mail from the relay.",
            "At stage Banner the relay's address is on a list of unwanted senders; after the text a filter takes it as spam.",
            "Look the relay's address up in blocklists; look at SPF, DKIM and DMARC of the sender's domain.",
        ),
    ),
    (
        555,
        "555",
        entry(
            "The host does not know a parameter of MAIL or RCPT.",
            "It announces an extension that it does not have, or a firewall hides its EHLO.",
            "Set the log of the host to LowLevel and compare its EHLO with the command.",
        ),
    ),
    (
        556,
        "556",
        entry(
            "The recipient's domain takes no mail (RFC 7504, RFC 7505).",
            "The host found its null MX.",
            "Tell the sender to use another address.",
        ),
    ),
    (
        571,
        "571",
        entry(
            "The host blocks the message or its sender by a rule; no standard has this code.",
            "A filter that keeps lists of senders or of addresses.",
            "Read the text; ask the host's administrator to take the relay off the list.",
        ),
    ),
];
