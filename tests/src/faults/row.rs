//! What a row says: how its fault is made, and what has to be seen of it.

use std::time::Duration;

use mailsluice_crds::{
    catalogue::reason::Scope,
    monitor::{ProblemReason, Reason, Stage},
};

use super::{refusing, world};

/// One way in which mail gets stuck.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Its name, which its domain has too.
    pub name: &'static str,
    /// Where it stands on the page.
    pub chapter: Chapter,
    /// What somebody notices, or would say of it.
    pub symptom: &'static str,
    /// How it is made.
    pub cause: Cause,
    /// What is seen of it.
    pub seen: Seen,
    /// A part of what `explain` advises to do.
    pub advice: &'static str,
    /// Words by any of which Postfix names the fault in its queue or log; none where it knows nothing of the kind.
    pub postfix: &'static [&'static str],
}

/// What faults have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chapter {
    /// When connections are allowed.
    Schedule,
    /// On the way to the host.
    Network,
    /// Where the way is looked up.
    Dns,
    /// Before a message is offered.
    Session,
    /// TLS, and logging in.
    Tls,
    /// Of a message.
    Message,
    /// Of the relay itself.
    Relay,
}

/// How a fault is made.
#[derive(Debug, Clone, Copy)]
pub enum Cause {
    /// A TCP Schedule, of a relay of its own.
    Schedule(Gate),
    /// A limit of a relay of its own.
    Own(Own),
    /// The kernel does not let packets through.
    Path(Path),
    /// The DNS server.
    Dns(Dns),
    /// A scripted host does this at that place.
    Peer(At, Act),
    /// A real Postfix with these options of its smtpd.
    Postfix(&'static str),
    /// TLS.
    Tls(Tls),
    /// An administrator holds it.
    Hold,
}

/// What a TCP Schedule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Closed, and open in a minute or two.
    OpensLater,
    /// Closed on this date, and on all that come soon.
    Holiday,
    /// Closed for ever.
    NeverOpens,
    /// A session every half an hour.
    Pause,
    /// There is none of the name that the relay refers to.
    Missing,
}

/// What is wrong with a relay of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    /// `limits.messagesPerHostPerMinute` is reached.
    Rate,
    /// `limits.connections` is reached.
    Connections,
    /// The disk of its spool is full.
    Full,
    /// Its mail expires after five seconds, and its host is away.
    Expires,
    /// Its DNS server is away.
    NoResolver,
}

/// What the kernel does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// There is no route.
    NoRoute,
    /// A route of this type.
    Route(&'static str),
    /// A rule of nftables for packets to the host.
    Rule(&'static str),
    /// Nobody listens.
    Nobody,
}

/// What the DNS server does with questions about the domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dns {
    /// There is no such name.
    NoName,
    /// There is no such name, and it is that of a smarthost.
    NoSmarthost,
    /// It could not find out.
    ServFail,
    /// It is silent.
    Silent,
    /// It does not know the zone that was delegated to it.
    Lame,
    /// The mail exchanger is this.
    Mx(&'static str),
    /// Somebody on the way denies records of a signed zone.
    Denied,
}

/// A place in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The greeting.
    Banner,
    /// EHLO and HELO.
    Ehlo,
    /// STARTTLS, and then the handshake.
    StartTls,
    /// AUTH.
    Auth,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA.
    Data,
    /// The text.
    Body,
    /// The answer to the text.
    End,
}

/// What a host does there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Says this.
    Say(&'static str),
    /// Nothing.
    Hang,
    /// What it should, after so many seconds.
    Slow(u64),
    /// Resets the connection.
    Reset,
    /// Closes the connection.
    Close,
}

/// What is wrong with TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// The host offers none, and the route asks for it.
    NotOffered,
    /// The certificate has expired.
    Expired,
    /// It has another name.
    WrongName,
    /// It is signed by itself.
    SelfSigned,
    /// The network resets the connection at its first octets.
    Reset,
    /// The TLSA record is about another one.
    Dane,
    /// The domain's policy is about another host.
    Sts,
    /// The password is wrong.
    Password,
}

/// What is seen.
#[derive(Debug, Clone, Copy)]
pub enum Seen {
    /// The host's mail waits.
    Waits(Waits),
    /// A connection is in this stage, and stays there; later the host's mail waits, or would after minutes with this code.
    Hangs(Stage, Ending),
    /// The mail goes back to its sender, with this status and words.
    Returned(&'static str, &'static str),
    /// The relay as a whole has a problem, whose text has these words.
    Problem(ProblemReason, &'static str),
}

/// What comes of a connection that hangs.
#[derive(Debug, Clone, Copy)]
pub enum Ending {
    /// This, after so long at most.
    Within(Duration, Waits),
    /// This code, after minutes for which nobody waits here.
    Minutes(u32, &'static str),
    /// It goes on by itself.
    GoesOn,
}

/// What the row of a host has.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// Its reason.
    pub reason: Reason,
    /// The code and stage of its last error; none where no attempt was made.
    pub error: Option<(&'static str, Stage)>,
    /// What waits for it.
    pub scope: Scope,
    /// Its Suspended Till.
    pub till: Till,
    /// What the problem says, besides code, stage, peer, attempts and moments.
    pub says: &'static str,
}

/// What a Suspended Till is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Till {
    /// `retry.first` after the error.
    Retry,
    /// When the schedule opens.
    Opens,
    /// Half an hour after the last session, or the end of a minute: in so many seconds at most.
    Within(u64),
    /// There is none, and mail is held.
    Held,
    /// There is none: the mail goes as soon as it may.
    Absent,
}

impl Chapter {
    /// Its heading.
    #[must_use]
    pub const fn heading(self) -> &'static str {
        match self {
            Chapter::Schedule => "The link is down",
            Chapter::Network => "No connection, or one that breaks",
            Chapter::Dns => "The way cannot be looked up",
            Chapter::Session => "The host does not let a session begin",
            Chapter::Tls => "TLS and logging in",
            Chapter::Message => "The host takes connections and no mail",
            Chapter::Relay => "The relay itself",
        }
    }
}

impl Row {
    /// The domain of its recipients.
    #[must_use]
    pub fn domain(&self) -> String {
        let zone = if self.is_signed() { "signed" } else { "test" };
        format!("{}.{zone}", self.name)
    }

    /// The host's name.
    #[must_use]
    pub fn exchanger(&self) -> String {
        format!("mx.{}", self.domain())
    }

    /// Whether its zone is signed.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        matches!(self.cause, Cause::Tls(Tls::Dane) | Cause::Dns(Dns::Denied))
    }

    /// Whether it has a relay of its own.
    #[must_use]
    pub fn has_own_relay(&self) -> bool {
        matches!(self.cause, Cause::Schedule(_) | Cause::Own(_))
    }

    /// The host as the Monitor names it.
    #[must_use]
    pub fn host(&self) -> String {
        match self.cause {
            Cause::Dns(Dns::NoSmarthost) => format!("{}:25", self.exchanger()),
            Cause::Tls(Tls::Password) => refusing::LOGIN.to_string(),
            Cause::Peer(At::Auth, _) => world::LOGIN.to_string(),
            _ => self.domain(),
        }
    }

    /// What waits for it, where that is the host's mail and more than a message of it.
    #[must_use]
    pub fn scope(&self) -> Option<Scope> {
        match self.seen {
            Seen::Waits(waits) | Seen::Hangs(_, Ending::Within(_, waits)) => Some(waits.scope),
            Seen::Hangs(..) | Seen::Returned(..) | Seen::Problem(..) => None,
        }
    }

    /// Whether mail for other hosts goes on: not where everything waits, or no way can be looked up.
    #[must_use]
    pub fn spares_neighbours(&self) -> bool {
        let all =
            matches!(self.cause, Cause::Own(Own::NoResolver | Own::Full)) || self.scope() == Some(Scope::Everything);
        !all
    }

    /// Its recipient.
    #[must_use]
    pub fn recipient(&self) -> String {
        format!("a@{}", self.domain())
    }

    /// Its sender, by whom what comes back is known.
    #[must_use]
    pub fn sender(&self) -> String {
        format!("{}@example.org", self.name)
    }
}
