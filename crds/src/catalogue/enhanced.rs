//! Enhanced status codes (RFC 3463, and the registry of RFC 5248 that others add to).

use std::fmt;

use super::{Entry, Numbered, entry};

/// An enhanced status code, such as 4.7.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Enhanced {
    /// 2: done; 4: not now; 5: never like this.
    pub class: u8,
    /// What it is about.
    pub subject: u16,
    /// The detail.
    pub detail: u16,
}

impl Enhanced {
    /// What the catalogue says of subject and detail: the entry of the detail, or of its subject where nobody registered the detail.
    #[must_use]
    pub fn entry(self) -> Entry {
        let wanted = (self.subject, self.detail);
        let known = || KNOWN.iter().find(|(number, ..)| *number == wanted).map(|(_, _, entry)| *entry);
        known().unwrap_or_else(|| of_subject(self.subject))
    }

    /// The name that the registry gives it.
    #[must_use]
    pub fn title(self) -> Option<&'static str> {
        KNOWN.iter().find(|(number, ..)| *number == (self.subject, self.detail)).map(|(_, title, _)| *title)
    }

    /// Reads `4.7.1`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Enhanced> {
        let mut parts = name.split('.');
        let mut number = || {
            let part = parts.next()?;
            let plain = (1..=3).contains(&part.len()) && part.bytes().all(|octet| octet.is_ascii_digit());
            part.parse::<u16>().ok().filter(|_| plain)
        };
        let (class, subject, detail) = (number()?, number()?, number()?);
        let class = u8::try_from(class).ok().filter(|class| matches!(class, 2 | 4 | 5))?;
        parts.next().is_none().then_some(Enhanced { class, subject, detail })
    }

    /// Those that are registered, as subject and detail.
    pub fn all() -> impl Iterator<Item = (u16, u16)> {
        KNOWN.iter().map(|(number, ..)| *number)
    }
}

impl fmt::Display for Enhanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// What the subject alone says.
pub(super) const fn of_subject(subject: u16) -> Entry {
    match subject {
        1 => entry(
            "It is about an address.",
            "The sender's or the recipient's address.",
            "Read the reply's text, and look at the address.",
        ),
        2 => entry(
            "It is about the mailbox.",
            "A matter of the recipient's account.",
            "Tell the recipient by another way.",
        ),
        3 => entry("It is about the host's mail system.", "A matter of the host's.", "Ask the host's administrator."),
        4 => entry(
            "It is about the network or the routing.",
            "A matter of the way to the host.",
            "Look at DNS, routes and network.",
        ),
        5 => entry(
            "It is about the protocol.",
            "Host and relay do not agree about commands.",
            "Set the log of the host to LowLevel and look at the conversation.",
        ),
        6 => entry(
            "It is about the message's contents.",
            "The form of the message.",
            "Read the reply's text; send the message in another form.",
        ),
        7 => entry(
            "It is about security or a rule.",
            "A rule of the host's.",
            "Read the reply's text; ask the host's administrator about the rule.",
        ),
        _ => entry(
            "The host gives no further detail.",
            "A host that keeps its reasons to itself.",
            "Read the reply's text.",
        ),
    }
}

/// Subject and detail.
type Number = (u16, u16);

#[rustfmt::skip] // A row is a paragraph: title, then meaning, cause and advice.
const KNOWN: &[Numbered<Number>] = &[
    ((0, 0), "Other undefined status", entry("Something is wrong that the host has no status for.", "A host that gives everything the same status.", "Read the reply's text: it is all there is.")),
    ((1, 0), "Other address status", entry("Something is wrong with an address.", "A form or a rule about addresses.", "Look at the address in the text.")),
    ((1, 1), "Bad destination mailbox address", entry("The mailbox does not exist.", "A typing error, or an account that is gone.", "Tell the sender to correct the address.")),
    ((1, 2), "Bad destination system address", entry("The domain of the recipient does not exist, or takes no mail.", "A typing error behind the @, or a domain that has expired.", "Tell the sender to correct the domain.")),
    ((1, 3), "Bad destination mailbox address syntax", entry("The recipient's address is malformed.", "A program that makes addresses out of names.", "Correct the address where it is made.")),
    ((1, 4), "Destination mailbox address ambiguous", entry("The recipient's address is that of several mailboxes.", "Two accounts of the same name at the host.", "Ask the host's administrator.")),
    ((1, 5), "Destination address valid", entry("The recipient's address is good.", "It stands in replies that agree.", "Nothing is to be done.")),
    ((1, 6), "Destination mailbox has moved", entry("The mailbox has moved, and leaves no forwarding address.", "An account that was given up.", "Ask the recipient for the new address by another way.")),
    ((1, 7), "Bad sender's mailbox address syntax", entry("The sender's address is malformed.", "A program with a sender such as root@localhost.", "Correct the program's sender, or set senderDomain in the route.")),
    ((1, 8), "Bad sender's system address", entry("The sender's domain does not exist, or cannot be answered.", "A sender of a domain that is known inside only.", "Use a sender whose domain is in the DNS, or set senderDomain in the route.")),
    ((1, 9), "Message relayed to non-compliant mailer", entry("The message went on to a host that reports nothing back.", "A gateway to another mail system.", "Nothing is to be done.")),
    ((1, 10), "Recipient address has null MX", entry("The recipient's domain says that it takes no mail.", "A domain for the web alone.", "Tell the sender to use another address.")),
    ((2, 0), "Other or undefined mailbox status", entry("Something is wrong with the mailbox.", "A matter of the account that the host does not name.", "Ask the recipient by another way.")),
    ((2, 1), "Mailbox disabled, not accepting messages", entry("The mailbox takes no messages.", "An account that is locked, or not used any more.", "Ask the recipient by another way.")),
    ((2, 2), "Mailbox full", entry("The mailbox is full.", "The account is over its quota.", "The recipient must clear it; the mail is tried again till it expires.")),
    ((2, 3), "Message length exceeds administrative limit", entry("The message is longer than the mailbox may take.", "A limit of the account.", "Tell the sender to send a link in its place.")),
    ((2, 4), "Mailing list expansion problem", entry("The mailing list could not be expanded.", "A fault of the list's configuration.", "Tell the owner of the list.")),
    ((3, 0), "Other or undefined mail system status", entry("Something is wrong with the host.", "A fault that the host does not name.", "Ask the host's administrator.")),
    ((3, 1), "Mail system full", entry("The host has no room.", "A full disk at the host.", "Wait; tell the host's administrator if it lasts.")),
    ((3, 2), "System not accepting network messages", entry("The host takes no mail now.", "Maintenance, overload, or too many connections from the relay.", "Wait; lower limits.connectionsPerHost if only part of the connections is refused.")),
    ((3, 3), "System not capable of selected features", entry("The host lacks a feature that the message needs.", "An extension such as SMTPUTF8 or 8BITMIME that it does not know.", "Send the message in a plainer form.")),
    ((3, 4), "Message too big for system", entry("The message is larger than the host takes.", "The host's limit, which its EHLO names behind SIZE.", "Tell the sender to send a link in its place, or set limits.messageSize to what the host takes.")),
    ((3, 5), "System incorrectly configured", entry("The host is configured wrongly.", "Mail that would go in a circle, or a setting that contradicts another.", "Tell the host's administrator.")),
    ((3, 6), "Requested priority was changed", entry("The host took the message at another priority.", "Its rules about priorities.", "Nothing is to be done.")),
    ((4, 0), "Other or undefined network or routing status", entry("Something is wrong on the way on from the host.", "A fault of the host's network.", "Ask the host's administrator.")),
    ((4, 1), "No answer from host", entry("The next host did not answer.", "It is down, or a port is closed.", "Wait; see whether the host that said so can reach it.")),
    ((4, 2), "Bad connection", entry("The connection broke.", "Network faults, or a host that restarts.", "Wait; if it lasts, look at the network.")),
    ((4, 3), "Directory server failure", entry("A directory did not answer: the DNS, or the host's list of users.", "A name server or LDAP server that is down.", "Wait; look the domain up by hand if it lasts.")),
    ((4, 4), "Unable to route", entry("The host knows no way to the recipient.", "A missing MX, or a missing route at the host.", "Look at the domain's MX, and at the host's routes.")),
    ((4, 5), "Mail system congestion", entry("The host is overloaded.", "More mail than it can take.", "Wait; lower limits.messagesPerHostPerMinute if it is this relay's mail.")),
    ((4, 6), "Routing loop detected", entry("The message goes in a circle.", "Two hosts that hand it to each other, each taking the other for its destination.", "Follow its Received lines, and correct the route at which it turns back.")),
    ((4, 7), "Delivery time expired", entry("The message is too old to be tried on.", "The host could not deliver it in its time.", "See what delayed it, which the report says at its end; raise retry.expireAfter if hosts are known to be away for longer.")),
    ((5, 0), "Other or undefined protocol status", entry("Something is wrong in the conversation.", "A fault that the host does not name.", "Set the log of the host to LowLevel and look at the conversation.")),
    ((5, 1), "Invalid command", entry("The command is not valid here.", "Commands out of order, or authentication that is needed first.", "Set the log of the host to LowLevel and look at the reply before this one.")),
    ((5, 2), "Syntax error", entry("The host could not read the command.", "A firewall that changes commands, or too long a line.", "Look for inspection of SMTP on the way.")),
    ((5, 3), "Too many recipients", entry("The transaction has more recipients than the host takes at once.", "The host's limit.", "Nothing is to be done: the others are sent in the next transaction.")),
    ((5, 4), "Invalid command arguments", entry("The host does not take an argument of the command.", "An extension that it announces and does not have.", "Set the log of the host to LowLevel and compare with its EHLO.")),
    ((5, 5), "Wrong protocol version", entry("Host and relay speak different versions of the protocol.", "Something else than a mail server.", "Look at the route's host and port.")),
    ((5, 6), "Authentication exchange line is too long", entry("A line of the authentication is too long for the host.", "A very long token.", "Use another mechanism or a shorter credential.")),
    ((6, 0), "Other or undefined media error", entry("Something is wrong with the message's form.", "A filter of the host's.", "Read the reply's text.")),
    ((6, 1), "Media not supported", entry("The host does not take this kind of contents.", "A kind of attachment that is forbidden.", "Send it in another form, or as a link.")),
    ((6, 2), "Conversion required and prohibited", entry("The message would have to be converted on the way, and must not be.", "A signed message, or a rule against changes.", "Send it in a form that needs no conversion, such as quoted-printable.")),
    ((6, 3), "Conversion required but not supported", entry("The message would have to be converted, and the host cannot.", "8-bit or binary contents to a host without the extension.", "Send it as base64 or quoted-printable.")),
    ((6, 4), "Conversion with loss performed", entry("The message was converted, and something was lost.", "A gateway to another mail system.", "Look at what arrived; send it in a simpler form.")),
    ((6, 5), "Conversion failed", entry("Converting the message failed.", "Malformed MIME.", "Correct the program that makes the message.")),
    ((6, 6), "Message content not available", entry("The message's contents could not be had.", "A reference (BURL) that leads nowhere.", "Send the contents themselves.")),
    ((6, 7), "Non-ASCII addresses not permitted", entry("The host takes no addresses beyond ASCII.", "It lacks SMTPUTF8, or the recipient's part of it does.", "Use an ASCII address of sender and recipient.")),
    ((6, 8), "UTF-8 string reply is required", entry("The host's answer needs UTF-8, which was not allowed to it.", "A name beyond ASCII in the answer.", "Nothing is to be done.")),
    ((6, 9), "UTF-8 header message cannot be transferred", entry("The message's header has letters beyond ASCII, and a recipient's host cannot take them.", "A host without SMTPUTF8.", "Have the header encoded (RFC 2047), and use ASCII addresses.")),
    ((6, 10), "Duplicate of X.6.8, deprecated", entry("The host's answer needs UTF-8, and the host says so by a number that was withdrawn for 6.8.", "A host that was made before RFC 6531.", "Nothing is to be done.")),
    ((7, 0), "Other or undefined security status", entry("A rule of the host's forbids it.", "A rule that the host does not name.", "Read the reply's text; at stage StartTls the host's TLS is at fault.")),
    ((7, 1), "Delivery not authorized, message refused", entry("The host does not let the relay, its sender, or this message in.", "A list of unwanted senders, a missing SPF record, relaying that is denied; as 4.7.1 mostly greylisting.", "As 4.7.1 wait for the next attempt; as 5.7.1 read the text, and clear the relay's address, SPF and sender.")),
    ((7, 2), "Mailing list expansion prohibited", entry("The sender may not write to this list.", "The list is for its members.", "Have the sender subscribed.")),
    ((7, 3), "Security conversion required but not possible", entry("The message would have to change its protection on the way, and cannot.", "A gateway between security domains.", "Ask the host's administrator.")),
    ((7, 4), "Security features not supported", entry("The host lacks a security feature that is asked for.", "A mechanism of authentication that it does not have.", "Choose a mechanism that its EHLO names.")),
    ((7, 5), "Cryptographic failure", entry("A message under cryptography could not be deciphered or verified.", "A wrong or missing key at the host.", "Tell the recipient.")),
    ((7, 6), "Cryptographic algorithm not supported", entry("The host does not know an algorithm of the message.", "An old or very new algorithm.", "Use another one.")),
    ((7, 7), "Message integrity failure", entry("The message was changed on the way.", "A host before this one that changes messages.", "Find the host that changes it by its Received lines.")),
    ((7, 8), "Authentication credentials invalid", entry("The credentials are wrong.", "A password that was changed or has expired.", "Correct the Secret with the credentials.")),
    ((7, 9), "Authentication mechanism is too weak", entry("The mechanism of authentication is too weak for the host.", "A rule of the host's, such as that of application passwords.", "Use another mechanism, or an application password.")),
    ((7, 10), "Encryption needed", entry("The host wants TLS before it goes on.", "The session is in clear.", "Set the route's tls to Required.")),
    ((7, 11), "Encryption required for requested authentication mechanism", entry("The host takes this mechanism of authentication under TLS only.", "The credentials would have gone in clear.", "Set the route's tls to Required or Verified.")),
    ((7, 12), "A password transition is needed", entry("The account's password must be set anew before it can be used.", "It is stored in a form for other mechanisms.", "Set the password anew at the provider.")),
    ((7, 13), "User account disabled", entry("The account is disabled.", "It was locked by its provider, sometimes for sending too much.", "Ask the provider to unlock it.")),
    ((7, 14), "Trust relationship required", entry("The host does not trust the server that vouches for the user.", "A third party in the authentication that the host does not know.", "Ask the host's administrator.")),
    ((7, 15), "Priority level is too low", entry("The host takes only mail of higher priority now.", "Congestion.", "Wait; the mail is tried again.")),
    ((7, 16), "Message is too big for the specified priority", entry("The message is too large for its priority.", "The host's rules about priorities.", "Send it at a lower priority.")),
    ((7, 17), "Mailbox owner has changed", entry("The mailbox has another owner since the day that the sender named.", "An address that was given to somebody else (RRVS).", "Ask the recipient for the new address by another way.")),
    ((7, 18), "Domain owner has changed", entry("The domain has another owner since the day that the sender named.", "A domain that was sold (RRVS).", "Do not send there what is meant for the former owner.")),
    ((7, 19), "RRVS test cannot be completed", entry("The host cannot tell since when the mailbox has its owner.", "It keeps no such dates.", "Send without the demand, if that can be borne.")),
    ((7, 20), "No passing DKIM signature found", entry("No DKIM signature of the message is valid.", "The message is not signed, or was changed after that.", "Set up dkim for the sender's domain, and publish its record.")),
    ((7, 21), "No acceptable DKIM signature found", entry("No DKIM signature is one that the host takes.", "A signature with too short a key, or of a domain that it does not want.", "Sign with a key of 2048 bits in the sender's own domain.")),
    ((7, 22), "No valid author-matched DKIM signature found", entry("No valid DKIM signature is of the author's own domain.", "Signed by another domain than that in From.", "Set up dkim for the domain in From.")),
    ((7, 23), "SPF validation failed", entry("The sender's SPF record does not allow the relay's address.", "The record lacks the address by which the mail leaves.", "Add that address to the SPF record, or set the route's source to one that is in it.")),
    ((7, 24), "SPF validation error", entry("The sender's SPF record could not be evaluated.", "A malformed record, or one with more than ten look-ups.", "Correct the record.")),
    ((7, 25), "Reverse DNS validation failed", entry("The relay's address has no name, or none that leads back to it.", "A missing PTR record.", "Have the provider set the PTR record to the name in spec.hello, and that name to the address.")),
    ((7, 26), "Multiple authentication checks failed", entry("The message failed several checks of its sender: SPF, DKIM, or DMARC.", "A relay that the domain's records do not know.", "Add the relay to SPF, and sign with dkim.")),
    ((7, 27), "Sender address has null MX", entry("The sender's domain says that it takes no mail, so no answer could reach it.", "A sender of a domain with the null MX.", "Use a sender that takes answers.")),
    ((7, 28), "Mail flood detected", entry("The host takes the mail as a flood.", "Too much mail of the same kind in a short time.", "Lower limits.messagesPerHostPerMinute for a while, and look whether a program has gone wild.")),
    ((7, 29), "ARC validation failure", entry("The chain of ARC seals in the message is broken.", "A host before this one that changed the message.", "Find it by the seals and the Received lines.")),
    ((7, 30), "REQUIRETLS support required", entry("The message asks for TLS all the way, and the next host does not support that.", "REQUIRETLS (RFC 8689) with a host that lacks it.", "Send without it if the message may go without, or by another way.")),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The registry of IANA, as of its last change on 2024-12-06: the highest detail of each subject. None of them has a gap.
    const REGISTERED: [(u16, u16); 8] = [(0, 0), (1, 10), (2, 4), (3, 6), (4, 7), (5, 6), (6, 10), (7, 30)];

    #[test]
    fn every_status_of_the_registry_is_known_and_no_other() {
        let registered = REGISTERED.iter().flat_map(|(subject, most)| (0..=*most).map(|detail| (*subject, detail)));
        assert_eq!(Enhanced::all().collect::<Vec<_>>(), registered.collect::<Vec<_>>());
    }
}
