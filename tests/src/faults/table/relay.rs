//! What a relay does to its own mail: its TCP Schedule, its limits, its disk.

use mailsluice_crds::{
    catalogue::reason::Scope,
    monitor::{ProblemReason, Reason, Stage},
};

use super::{network::DNS_TIME, waits};
use crate::faults::row::{Cause, Chapter, Ending, Gate, Own, Row, Seen, Till, Waits};

pub(super) const SCHEDULE: &[Row] = &[
    Row {
        name: "opens-later",
        chapter: Chapter::Schedule,
        symptom: "All mail waits: the TCP Schedule is closed, and opens later",
        cause: Cause::Schedule(Gate::OpensLater),
        seen: closed(Till::Opens, "it opens"),
        advice: "Check the windows, exceptions and timeZone",
        postfix: &[],
    },
    Row {
        name: "holiday",
        chapter: Chapter::Schedule,
        symptom: "All mail waits: an exception closes the TCP Schedule for a day",
        cause: Cause::Schedule(Gate::Holiday),
        seen: closed(Till::Opens, "it opens"),
        advice: "Check the windows, exceptions and timeZone",
        postfix: &[],
    },
    Row {
        name: "never-opens",
        chapter: Chapter::Schedule,
        symptom: "All mail is held: the TCP Schedule never opens",
        cause: Cause::Schedule(Gate::NeverOpens),
        seen: closed(Till::Held, "it never opens again"),
        advice: "Check the windows, exceptions and timeZone",
        postfix: &[],
    },
    Row {
        name: "pause",
        chapter: Chapter::Schedule,
        symptom: "Mail goes only now and then: the TCP Schedule has a pause",
        cause: Cause::Schedule(Gate::Pause),
        seen: Seen::Waits(Waits {
            reason: Reason::TcpSchedulePause,
            error: None,
            scope: Scope::Everything,
            till: Till::Within(1_800),
            says: "allows a session every 30m; the next may begin",
        }),
        advice: "shorten the window's pause",
        postfix: &[],
    },
    Row {
        name: "no-schedule",
        chapter: Chapter::Schedule,
        symptom: "All mail is held: there is no TCP Schedule of the name in scheduleRef",
        cause: Cause::Schedule(Gate::Missing),
        seen: Seen::Waits(Waits {
            reason: Reason::ScheduleNotFound,
            error: None,
            scope: Scope::Everything,
            till: Till::Held,
            says: "the relay refers to TCP Schedule office-hours, which does not exist",
        }),
        advice: "Create the TCPSchedule, or correct scheduleRef",
        postfix: &[],
    },
];

const fn closed(till: Till, says: &'static str) -> Seen {
    let reason = Reason::TcpScheduleClosed;
    Seen::Waits(Waits { reason, error: None, scope: Scope::Everything, till, says })
}

pub(super) const OWN: &[Row] = &[
    Row {
        name: "rate",
        chapter: Chapter::Relay,
        symptom: "Mail for a busy host comes to a stop each minute",
        cause: Cause::Own(Own::Rate),
        seen: Seen::Waits(Waits {
            reason: Reason::RateLimited,
            error: None,
            scope: Scope::Host,
            till: Till::Within(60),
            says: "messagesPerHostPerMinute is 1, and 1 were sent in this minute",
        }),
        advice: "raise limits.messagesPerHostPerMinute",
        postfix: &[],
    },
    Row {
        name: "connections",
        chapter: Chapter::Relay,
        symptom: "Mail waits though its host is well: all connections are in use",
        cause: Cause::Own(Own::Connections),
        seen: Seen::Waits(Waits {
            reason: Reason::ConnectionsLimited,
            error: None,
            scope: Scope::Everything,
            till: Till::Absent,
            says: "limits.connections is 1, and so many are open",
        }),
        advice: "raise limits.connections",
        postfix: &[],
    },
    Row {
        name: "held",
        chapter: Chapter::Relay,
        symptom: "An administrator holds the mail",
        cause: Cause::Hold,
        seen: Seen::Waits(Waits {
            reason: Reason::Held,
            error: None,
            scope: Scope::Host,
            till: Till::Held,
            says: "their server moves",
        }),
        advice: "`mailsluice-relay ctl release` lets it go",
        postfix: &[],
    },
    Row {
        name: "spool-full",
        chapter: Chapter::Relay,
        symptom: "Clients are told 452 4.3.1: no mail is taken any more",
        cause: Cause::Own(Own::Full),
        seen: Seen::Problem(ProblemReason::QueueFull, "the spool's disk is full"),
        advice: "Enlarge the volume",
        postfix: &["Insufficient system storage", "not enough free space", "No space left"],
    },
    Row {
        name: "expires",
        chapter: Chapter::Relay,
        symptom: "Mail comes back after days: its time was over",
        cause: Cause::Own(Own::Expires),
        seen: Seen::Returned("5.4.7", "at the last: ConnectionFailed: ECONNREFUSED at Connect"),
        advice: "expireAfter",
        postfix: &["expired"],
    },
    Row {
        name: "no-resolver",
        chapter: Chapter::Relay,
        symptom: "No mail goes by MX: the DNS server of the relay is away",
        cause: Cause::Own(Own::NoResolver),
        seen: Seen::Hangs(
            Stage::Dns,
            Ending::Within(DNS_TIME, waits(Reason::DnsFailed, "DNS_TIMEOUT", Stage::Dns, Scope::Host)),
        ),
        advice: "else mend the resolver",
        postfix: &["Host or domain name not found", "name service error"],
    },
];
