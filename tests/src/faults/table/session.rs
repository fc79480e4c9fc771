//! The conversation with the host, before a message and in one.

use mailsluice_crds::{
    catalogue::reason::Scope,
    monitor::{Reason, Stage},
};

use super::seen;
use crate::faults::row::{Act, At, Cause, Chapter, Ending, Row, Seen};

const fn hangs(stage: Stage, minutes: u32) -> Seen {
    Seen::Hangs(stage, Ending::Minutes(minutes, "ETIMEDOUT"))
}

const fn before(name: &'static str, symptom: &'static str, cause: Cause, seen: Seen) -> Row {
    Row { name, chapter: Chapter::Session, symptom, cause, seen, advice: "", postfix: &[] }
}

pub(super) const SESSION: &[Row] = &[
    Row {
        advice: "tried again",
        postfix: &["421 4.3.2"],
        ..before(
            "banner-421",
            "The host greets with 421",
            Cause::Postfix(
                "-o smtpd_delay_reject=no -o { smtpd_client_restrictions = check_client_access static:{421 4.3.2 this host shuts down} }",
            ),
            seen(Reason::HostRefused, "421 4.3.2", Stage::Banner, Scope::Address),
        )
    },
    Row {
        advice: "refus",
        postfix: &["554 5.7.1"],
        ..before(
            "banner-554",
            "The host greets with 554",
            Cause::Postfix(
                "-o smtpd_delay_reject=no -o { smtpd_client_restrictions = check_client_access static:{554 5.7.1 your network is on a list} }",
            ),
            seen(Reason::HostRefused, "554 5.7.1", Stage::Banner, Scope::Address),
        )
    },
    Row {
        advice: "port 25",
        postfix: &["timed out while receiving the initial server greeting"],
        ..before(
            "banner-never",
            "The host takes the connection and says nothing",
            Cause::Peer(At::Banner, Act::Hang),
            hangs(Stage::Banner, 5),
        )
    },
    Row {
        advice: "port 25",
        postfix: &["greeting"],
        ..before(
            "banner-slow",
            "The host greets only after a while",
            Cause::Peer(At::Banner, Act::Slow(15)),
            Seen::Hangs(Stage::Banner, Ending::GoesOn),
        )
    },
    Row {
        advice: "Something else than a mail server",
        postfix: &["HTTP/1.1", "Protocol error", "protocol"],
        ..before(
            "banner-garbage",
            "Something that is no mail server answers",
            Cause::Peer(At::Banner, Act::Say("HTTP/1.1 400 Bad Request")),
            seen(Reason::HostRefused, "PROTOCOL", Stage::Banner, Scope::Address),
        )
    },
    Row {
        advice: "refus",
        postfix: &["550 5.7.1"],
        ..before(
            "ehlo-refused",
            "The host refuses the relay's name",
            Cause::Postfix(
                "-o smtpd_delay_reject=no -o { smtpd_helo_restrictions = check_helo_access static:{550 5.7.1 this name has no address} }",
            ),
            seen(Reason::HostRefused, "550 5.7.1", Stage::Ehlo, Scope::Address),
        )
    },
];

const fn of_message(name: &'static str, symptom: &'static str, cause: Cause, seen: Seen) -> Row {
    Row { name, chapter: Chapter::Message, symptom, cause, seen, advice: "", postfix: &[] }
}

const fn deferred(code: &'static str, stage: Stage) -> Seen {
    seen(Reason::MessagesDeferred, code, stage, Scope::Message)
}

pub(super) const MESSAGE: &[Row] = &[
    Row {
        advice: "administrator",
        postfix: &["451 4.3.0"],
        ..of_message(
            "mail-451",
            "The host puts every sender off",
            Cause::Postfix(
                "-o smtpd_delay_reject=no -o { smtpd_sender_restrictions = check_sender_access inline:{ { mail-451@example.org = 451 4.3.0 the directory of users is away } } }",
            ),
            deferred("451 4.3.0", Stage::MailFrom),
        )
    },
    Row {
        advice: "reylist",
        postfix: &["450 4.2.0"],
        ..of_message(
            "greylist",
            "The host puts a recipient off: greylisting",
            Cause::Postfix(
                "-o { smtpd_recipient_restrictions = check_recipient_access inline:{ { a@greylist.test = 450 4.2.0 greylisted, come back in five minutes } }, permit_mynetworks, reject }",
            ),
            deferred("450 4.2.0", Stage::RcptTo),
        )
    },
    Row {
        advice: "room",
        postfix: &["452 4.2.2"],
        ..of_message(
            "mailbox-full",
            "The recipient's mailbox is full",
            Cause::Postfix(
                "-o { smtpd_recipient_restrictions = check_recipient_access inline:{ { a@mailbox-full.test = 452 4.2.2 the mailbox is full } }, permit_mynetworks, reject }",
            ),
            deferred("452 4.2.2", Stage::RcptTo),
        )
    },
    Row {
        advice: "address",
        postfix: &["550 5.1.1"],
        ..of_message(
            "one-of-many",
            "One recipient of many is refused",
            Cause::Postfix(
                "-o { smtpd_recipient_restrictions = check_recipient_access inline:{ { a@one-of-many.test = 550 5.1.1 nobody of that name } }, permit_mynetworks, reject }",
            ),
            Seen::Returned("5.1.1", "550 5.1.1 <a@one-of-many.test>: Recipient address rejected: nobody of that name"),
        )
    },
    Row {
        advice: "send a link in its place",
        postfix: &["exceeds size limit"],
        ..of_message(
            "too-large",
            "A message is larger than the host takes",
            Cause::Postfix("-o message_size_limit=4000"),
            Seen::Returned("5.3.4", "the host takes at most 4000"),
        )
    },
    Row {
        advice: "port 25",
        postfix: &["timed out while sending DATA command"],
        ..of_message(
            "data-never",
            "The host does not answer DATA",
            Cause::Peer(At::Data, Act::Hang),
            hangs(Stage::Data, 2),
        )
    },
    Row {
        advice: "port 25",
        postfix: &["timed out while sending message body"],
        ..of_message(
            "tarpit",
            "The host does not read the text",
            Cause::Peer(At::Body, Act::Hang),
            hangs(Stage::Body, 3),
        )
    },
    Row {
        advice: "wait for the next attempt",
        postfix: &["451 4.7.1"],
        ..of_message(
            "after-body",
            "The host puts the message off when it has it",
            Cause::Postfix(
                "-o { smtpd_end_of_data_restrictions = check_sender_access inline:{ { after-body@example.org = 451 4.7.1 the scanner of viruses is away } } }",
            ),
            deferred("451 4.7.1", Stage::Reply),
        )
    },
    Row {
        advice: "port 25",
        postfix: &["timed out while sending end of data"],
        ..of_message(
            "reply-never",
            "The host has the text and does not answer for it",
            Cause::Peer(At::End, Act::Hang),
            hangs(Stage::Reply, 10),
        )
    },
    Row {
        advice: "ask the host's administrator",
        postfix: &["lost connection with"],
        ..of_message(
            "lost-before-reply",
            "The host hangs up when it has the text",
            Cause::Peer(At::End, Act::Close),
            seen(Reason::ConnectionFailed, "CLOSED", Stage::Reply, Scope::Address),
        )
    },
    Row {
        advice: "ASCII",
        postfix: &["SMTPUTF8"],
        ..of_message(
            "smtputf8",
            "An address outside ASCII, and a host without SMTPUTF8",
            Cause::Postfix("-o smtputf8_enable=no"),
            Seen::Returned("5.6.7", "SMTPUTF8"),
        )
    },
];
