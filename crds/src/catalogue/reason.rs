//! Why mail waits: the reasons in a host's row, and what hinders a relay as a whole.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What waits for a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Scope {
    /// All mail of the relay.
    Everything,
    /// All mail for a host.
    Host,
    /// What would go over one address; other addresses of the host are tried.
    Address,
    /// Single messages.
    Message,
}

impl Scope {
    /// The scope as the catalogue shows it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Scope::Everything => "everything",
            Scope::Host => "host",
            Scope::Address => "address",
            Scope::Message => "message",
        }
    }
}

/// What the catalogue says of a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReasonEntry {
    /// What it means.
    pub meaning: &'static str,
    /// What waits for it, the widest first.
    pub scope: &'static [Scope],
    /// When it is tried again.
    pub retry: &'static str,
    /// What an administrator does about it.
    pub advice: &'static str,
    /// Words by which a sentence of the Monitor is known to be about it, where it names no code.
    pub words: Option<&'static str>,
}

/// Makes an enum whose every value has an entry; a value is shown by its own name.
macro_rules! reasons {
    (
        $(#[$about:meta])*
        pub enum $set:ident {
            $($reason:ident [$($scope:ident),+] $(, $words:literal)?: $meaning:literal; $retry:literal; $advice:literal,)+
        }
    ) => {
        $(#[$about])*
        pub enum $set {
            $(#[doc = $meaning] $reason,)+
        }

        impl $set {
            /// All of them, in their order.
            pub const ALL: [$set; [$($set::$reason,)+].len()] = [$($set::$reason,)+];

            /// The reason as the status, the log and the metrics spell it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $($set::$reason => stringify!($reason),)+
                }
            }

            /// What the catalogue says of it.
            #[must_use]
            pub const fn entry(self) -> ReasonEntry {
                match self {
                    $($set::$reason => ReasonEntry {
                        meaning: $meaning,
                        scope: &[$(Scope::$scope,)+],
                        retry: $retry,
                        advice: $advice,
                        words: words!($($words)?),
                    },)+
                }
            }
        }
    };
}

macro_rules! words {
    () => {
        None
    };
    ($words:literal) => {
        Some($words)
    };
}

reasons! {
    /// Why mail for a host waits. Few, stable, the same in the status, the log and the metrics.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
    pub enum Reason {
        TcpScheduleClosed [Everything], "TCP/IP link is down":
            "The TCP Schedule allows no connections now.";
            "When the schedule opens next, which is the Suspended Till; at once when the schedule is changed.";
            "Check the windows, exceptions and timeZone of the TCPSchedule; set its log to AllInfo to see each question and answer.",
        TcpSchedulePause [Everything], "allows a session every":
            "The TCP Schedule allows a session every so often, and the next one is not due yet.";
            "When the next session is due.";
            "Nothing is wrong; shorten the window's pause if mail has to go sooner.",
        ScheduleNotFound [Everything], "which does not exist":
            "The relay's scheduleRef names a TCP Schedule that does not exist.";
            "As soon as there is one.";
            "Create the TCPSchedule, or correct scheduleRef.",
        DnsFailed [Host]:
            "The host's addresses could not be looked up.";
            "After retry.first, then after twice as long each time up to retry.longest; what the DNS says is final goes back at once.";
            "Look the name up from the relay's network; the code says what the DNS answered.",
        ConnectionFailed [Everything, Host, Address]:
            "No connection could be made, or it broke.";
            "Each address after retry.first, then after twice as long each time up to retry.longest; after ten seconds where it is the relay that lacks something.";
            "Look at the stage: at Connect it is the network or a firewall; later it is the host. The code says more.",
        TlsFailed [Host, Address]:
            "TLS is asked for and could not be had: none is offered, the handshake failed, or the certificate is not to be trusted.";
            "As for ConnectionFailed; at once when the configuration or a Secret changes.";
            "The code says which; put the certificate, the route's tls or its ca right, rather than send in clear.",
        AuthFailed [Host, Address]:
            "The smarthost did not let the relay log in: the credentials are missing, it refused them, or they could not be shown to it.";
            "As for ConnectionFailed; at once when the configuration or a Secret changes.";
            "Put the Secret of the route's credentials right; the code says what was wrong with them or with the host.",
        HostRefused [Host, Address]:
            "The host answered a command with a temporary refusal, or broke the protocol.";
            "As for ConnectionFailed.";
            "Read the reply in the last error; the host's administrator can say why.",
        MessagesDeferred [Message], "put off":
            "Single messages were put off by the host; the host itself is not suspended.";
            "Each message for itself, after retry.first, then after twice as long each time up to retry.longest.";
            "Often greylisting, which passes by itself; otherwise the reply in the last error says why.",
        RateLimited [Host], "messagesPerHostPerMinute is":
            "messagesPerHostPerMinute is reached.";
            "When the minute is over.";
            "Nothing is wrong; raise limits.messagesPerHostPerMinute if the host takes more.",
        ConnectionsLimited [Everything], "limits.connections is":
            "As many connections are open as limits.connections allows, or this pod's part of it; or the pod has no part of the limits now.";
            "As soon as one of them ends.";
            "Look at the outgoing connections, those first that have been in their stage the longest; raise limits.connections if the machine bears more.",
        HeldBySender [Message], "(FUTURERELEASE)":
            "Nothing waits but messages that their senders want held till a moment (FUTURERELEASE, RFC 4865).";
            "At that moment.";
            "Nothing is wrong; limits.futureRelease says how long a sender may have mail held.",
        Held [Everything, Host, Message], "held by ":
            "An administrator holds the mail; who, since when and why is in the text.";
            "When it is released. It grows old meanwhile, and goes back to its sender when retry.expireAfter is over.";
            "`mailsluice-relay ctl release` lets it go; `ctl status` lists all holds.",
    }
}

reasons! {
    /// Why a relay as a whole does not do its work.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
    pub enum ProblemReason {
        SpoolFailing [Everything], "the spool cannot be written":
            "The spool cannot be written or synced: no mail is accepted.";
            "A disk that can be written again is used at once; a failed sync is final until the relay restarts.";
            "Look at the errno in the text and into the kernel's log; save the spool, replace the disk, restart the relay.",
        QueueFull [Everything], "the spool's disk is full":
            "The spool's disk is full: no mail is accepted until there is room.";
            "As soon as there is room.";
            "Enlarge the volume, or let the mail out that fills it; mail that waits is still delivered.",
        ScheduleNotFound [Everything], "all mail is held: TCP Schedule":
            "The scheduleRef names a TCP Schedule that the relay was not given: all mail is held.";
            "As soon as it is given.";
            "Create the TCPSchedule in the relay's namespace or file, or correct scheduleRef.",
        Held [Everything], "all mail is held by ":
            "An administrator holds all mail, what is there and what comes; who, since when and why is in the text.";
            "When it is released. It grows old meanwhile, and goes back to its sender when retry.expireAfter is over.";
            "`mailsluice-relay ctl release --all` lets it go.",
        SpoolDamaged [Message], "damaged and set aside":
            "Records of the spool are damaged and were set aside: their mail may be lost, all other mail is delivered.";
            "Never by itself.";
            "Run `mailsluice-relay spool check` with the relay stopped, see which messages it names, then remove the damaged-* files and restart.",
        ConfigurationInvalid [Everything], "the changed configuration is refused":
            "The last change of the configuration was refused; the one before it is in force.";
            "When it is changed again.";
            "Correct the manifest as the text says.",
        SecretInvalid [Host, Message]:
            "A Secret is missing, or holds nothing that can be used: what needs it does not work.";
            "As soon as the Secret is put right; the mail that waits for it goes then.";
            "Put right the keys of the Secret that the text names.",
        TokenKeysInvalid [Message]:
            "The keys of the cluster's service accounts are missing or cannot be read: their tokens let nobody in.";
            "As soon as they are there.";
            "Look whether the operator runs and may read the cluster's keys; standalone, put them into their file.",
    }
}
