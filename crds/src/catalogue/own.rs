//! Codes of Mailsluice's own, for what no standard has a name.

use super::listed::listed;

listed! {
    /// What no standard has a name for.
    pub enum OwnCode {
        Closed = "CLOSED":
            "The host closed the connection without a word.";
            "A host that is overloaded or restarts, a firewall that ends connections, or a host that wants none of the relay.";
            "If it lasts, ask the host's administrator; at stage Banner or Ehlo it is often a list of unwanted senders.",
        Broken = "BROKEN":
            "The connection broke, and the system has no number for it.";
            "A stream under TLS that ends in the middle, or octets in it that cannot be deciphered.";
            "If it lasts, set the log of the host to AllInfo, and look for equipment in between that changes connections.",
        Protocol = "PROTOCOL":
            "What the host says is not SMTP, or not as it should be.";
            "Something else than a mail server listens there, TLS begins at once on that port, or a proxy interferes.";
            "Compare the text with a session by hand; for port 465 set the smarthost's tlsMode to Implicit.",
        DkimNoKey = "DKIM_NO_KEY":
            "The message is to be signed by DKIM, and no key of its domain can be used.";
            "The Secret of the domain's keys is missing, or lacks the key of a selector.";
            "Put the key into the Secret that the relay's problem SecretInvalid names; the mail then goes within five minutes.",
        Bounce = "BOUNCE":
            "The message was given up, and could not be returned to its sender now.";
            "The spool takes nothing: its disk is full or fails.";
            "Look at the relay's problems; the message is returned as soon as the spool can be written.",
        Late = "LATE":
            "The message is late, and nothing was wrong with its host when its sender was told so.";
            "It waits for its turn, behind much other mail for the same host.";
            "Look at the host's row; raise limits.connectionsPerHost or messagesPerHostPerMinute if the host bears more.",
    }
}
