//! Mail that the relay itself writes: bounces and warnings, delivery status notifications after RFC 3464, composed with lettre.
//!
//! It has three parts: words for people, fields for programs, and the header of the message that it is about, or all of that
//! message where its sender asked for it. But for such a message it
//! is ASCII with lines of at most 998 octets, so that it passes every host: addresses in UTF-8 stand in it as RFC 6533 section 3
//! writes them for such ways. Only a sender who is in UTF-8 gets a report in UTF-8, with the types of RFC 6533 section 4,
//! for no other would reach it.
//!
//! - [`advice`]: what the sender can do (pure);
//! - [`text`]: lines that fit, and characters that pass (pure).

mod advice;
mod text;

use std::fmt::Write as _;

use jiff::{Timestamp, fmt::rfc2822, tz::TimeZone};
use lettre::message::{
    Body, MultiPart, SinglePart,
    header::{ContentTransferEncoding, ContentType, ContentTypeErr, HeaderName, HeaderValue, MIME_VERSION_1_0},
};

use crate::{
    errors::shortened,
    smtp::{AddressError, Domain, Mailbox},
    spool::Timing,
};

/// Octets of the original's header that are returned: more than any sane header has.
const HEADERS_MAX: usize = 32 << 10;

/// Characters of a host's reply that are passed on.
const REPLY_MAX: usize = 2_000;

/// The message that could not be delivered.
#[derive(Debug)]
pub struct Original<'a> {
    /// Its envelope sender, to whom the bounce goes.
    pub sender: &'a str,
    /// When the relay took it.
    pub arrival: Timestamp,
    /// What the relay called it.
    pub message_id: &'a str,
    /// The sender's own name for its envelope (ENVID), in plain text.
    pub envelope_id: Option<&'a str>,
    /// What its sender wanted of the time of its delivery.
    pub timing: Timing,
    /// Whether its own header says `TLS-Required: No`.
    pub tls_optional: bool,
    /// Its header, or as much of it as could be read.
    pub headers: &'a [u8],
    /// The message as a whole, where it is to be returned so (RET=FULL).
    pub whole: Option<&'a [u8]>,
}

/// What a report tells (RFC 3464 section 2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// The message could not be delivered.
    Failed,
    /// The message went on to a host that sends no reports of success, so that nothing more will be heard of it.
    Relayed,
    /// The message waits, and is tried further.
    Delayed {
        /// When it is given up.
        until: Timestamp,
    },
}

impl Occasion {
    fn action(self) -> &'static str {
        match self {
            Occasion::Failed => "failed",
            Occasion::Relayed => "relayed",
            Occasion::Delayed { .. } => "delayed",
        }
    }

    /// What was done, for the log.
    #[must_use]
    pub fn done(self) -> &'static str {
        match self {
            Occasion::Failed => "returned a message to its sender",
            Occasion::Relayed => "told a sender that its message was passed on",
            Occasion::Delayed { .. } => "told a sender that its message is late",
        }
    }

    fn outcome(self) -> &'static str {
        match self {
            Occasion::Failed => "could not be delivered",
            Occasion::Relayed => "was passed on",
            Occasion::Delayed { .. } => "is delayed",
        }
    }
}

/// A recipient that the report is about.
#[derive(Debug, Clone, Copy)]
pub struct ReportedRecipient<'a> {
    /// The envelope recipient.
    pub recipient: &'a str,
    /// The recipient as the message's author named it (ORCPT): a type, a semicolon, and an address in plain text.
    pub original: Option<&'a str>,
    /// The status of RFC 3463.
    pub status: &'a str,
    /// The host's reply, where a host gave one.
    pub reply: Option<&'a str>,
    /// The host that gave it.
    pub remote: Option<&'a str>,
    /// Why, in words, where no host said so.
    pub text: &'a str,
}

/// Why a bounce cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// There is nobody to send it to: RFC 5321 section 6.1 forbids to answer a message without a sender.
    #[error("the sender {sender:?}: {source}")]
    Sender {
        /// The sender as it stands in the envelope.
        sender: String,
        /// What is wrong with it.
        source: AddressError,
    },
    /// The boundary cannot stand in a Content-Type.
    #[error("the content type: {0}")]
    ContentType(#[from] ContentTypeErr),
}

/// Writes the report about `failed`, from the relay `hostname` to the original's sender.
///
/// It is to be sent with a null reverse-path. `unique` is a text that only bounces of one message share.
///
/// # Errors
/// See [`ReportError`].
pub fn write(
    occasion: Occasion,
    original: &Original<'_>,
    failed: &[ReportedRecipient<'_>],
    hostname: &str,
    now: Timestamp,
    unique: &str,
) -> Result<Vec<u8>, ReportError> {
    let sender = Mailbox::parse(original.sender)
        .map_err(|source| ReportError::Sender { sender: original.sender.to_owned(), source })?;
    // A machine may call itself what no address can hold.
    let host = Domain::parse(hostname).map_or_else(|_| "localhost".to_owned(), |domain| domain.as_str().to_owned());
    let id = format!("{}.{}", text::token(unique), now.as_nanosecond());

    let header = text::whole_lines(original.headers, HEADERS_MAX);
    let form = Form { utf8: !original.sender.is_ascii() };

    let mut report = MultiPart::builder().build();
    let headers = report.headers_mut();
    let mut set = |name, value: String| {
        // Everything that comes here is without line ends: domains, checked addresses, and our own words.
        headers.insert_raw(HeaderValue::dangerous_new_pre_encoded(name, value.clone(), value));
    };
    set(HeaderName::new_from_ascii_str("Date"), date(now));
    set(HeaderName::new_from_ascii_str("From"), format!("Mail Delivery System <MAILER-DAEMON@{host}>"));
    set(HeaderName::new_from_ascii_str("To"), format!("<{sender}>"));
    set(HeaderName::new_from_ascii_str("Subject"), subject(occasion, failed));
    set(HeaderName::new_from_ascii_str("Message-ID"), format!("<{id}@{host}>"));
    // RFC 3834 section 5: so that no program answers it.
    set(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-replied".to_owned());
    if original.tls_optional {
        // A report is as its message in this (RFC 8689 section 6).
        set(HeaderName::new_from_ascii_str("TLS-Required"), "No".to_owned());
    }
    headers.set(MIME_VERSION_1_0);
    headers.set(content_type(&format!("multipart/report; report-type=delivery-status; boundary=\"{id}\""))?);

    report = report
        .singlepart(
            SinglePart::builder()
                .header(ContentType::TEXT_PLAIN)
                .body(passing(words(occasion, original, failed, &host))),
        )
        .singlepart(form.part(form.status_type(), fields(occasion, original, failed, &host, form))?);
    if let Some(whole) = original.whole.filter(|whole| !whole.is_empty()) {
        report = report.singlepart(whole_message(whole, form)?);
    } else if !header.is_empty() {
        report = report.singlepart(form.part(form.headers_type(), header)?);
    }
    Ok(report.formatted())
}

fn content_type(text: &str) -> Result<ContentType, ReportError> {
    Ok(ContentType::parse(text)?)
}

/// In what characters a report is written.
#[derive(Debug, Clone, Copy)]
struct Form {
    /// In UTF-8, with the types of RFC 6533; else in ASCII.
    utf8: bool,
}

impl Form {
    fn status_type(self) -> &'static str {
        if self.utf8 { "message/global-delivery-status" } else { "message/delivery-status" }
    }

    fn headers_type(self) -> &'static str {
        if self.utf8 { "message/global-headers" } else { "text/rfc822-headers" }
    }

    fn message_type(self) -> &'static str {
        if self.utf8 { "message/global" } else { "message/rfc822" }
    }

    fn part(self, kind: &str, text: impl Into<Vec<u8>>) -> Result<SinglePart, ReportError> {
        let text = text.into();
        let body = match std::str::from_utf8(&text) {
            // The types of RFC 6533 hold UTF-8 as it is.
            Ok(utf8) if self.utf8 && !utf8.is_ascii() => {
                Body::dangerous_pre_encoded(text, ContentTransferEncoding::EightBit)
            }
            _ => passing(text),
        };
        Ok(SinglePart::builder().header(content_type(kind)?).body(body))
    }

    fn put_field(self, out: &mut String, name: &str, value: &str) {
        if self.utf8 {
            text::put_utf8_field(out, name, value);
        } else {
            text::put_field(out, name, value);
        }
    }
}

/// The message as it is: what has lines and octets of its own must not be encoded anew (RFC 2046 section 5.2.1).
fn whole_message(text: &[u8], form: Form) -> Result<SinglePart, ReportError> {
    let encoding = if text.is_ascii() { ContentTransferEncoding::SevenBit } else { ContentTransferEncoding::EightBit };
    let body = Body::dangerous_pre_encoded(text.to_vec(), encoding);
    Ok(SinglePart::builder().header(content_type(form.message_type())?).body(body))
}

/// Text as it is where it passes every host, and else as quoted-printable.
fn passing(text: impl Into<Vec<u8>>) -> Body {
    let text = text.into();
    if text::passes(&text) {
        Body::dangerous_pre_encoded(text, ContentTransferEncoding::SevenBit)
    } else {
        // Quoted-printable takes any octets; it is other encodings that can be refused.
        Body::new_with_encoding(text, ContentTransferEncoding::QuotedPrintable).unwrap_or_else(Body::new)
    }
}

fn subject(occasion: Occasion, failed: &[ReportedRecipient<'_>]) -> String {
    let outcome = occasion.outcome();
    match failed {
        [only] => format!("Your message to\r\n {} {outcome}", text::ascii(only.recipient)),
        all => format!("Your message to {} recipients {outcome}", all.len()),
    }
}

/// The part for people.
fn words(occasion: Occasion, original: &Original<'_>, failed: &[ReportedRecipient<'_>], host: &str) -> String {
    let recipients = if failed.len() == 1 { "the recipient" } else { "the recipients" };
    let mut words = match occasion {
        Occasion::Failed => {
            format!("Your message could not be delivered to {recipients} below.\r\nIt will not be tried again.\r\n")
        }
        Occasion::Relayed => format!(
            "Your message was passed on for {recipients} below. This relay does not\r\nknow what comes of it there: you will \
             hear of it if it fails, or if the next host\r\nreports on it.\r\n"
        ),
        Occasion::Delayed { until } => format!(
            "Your message is not delivered yet to {recipients} below, and waits.\r\nYou need do nothing: it is tried again \
             until {},\r\nand returned to you if that is in vain. If it is urgent, tell {recipients}\r\nby another way.\r\n",
            date(until)
        ),
    };
    for ReportedRecipient { recipient, reply, remote, text, status, .. } in failed {
        let why = match (remote, reply) {
            (Some(remote), Some(reply)) => format!("the host {remote} answered: {reply}"),
            (None, Some(reply)) => format!("the answer was: {reply}"),
            (_, None) => (*text).to_owned(),
        };
        let _ = write!(words, "\r\n<{recipient}>\r\n    ");
        text::put_wrapped(&mut words, 4, &shortened(&why, REPLY_MAX), "\r\n    ");
        words.push_str("\r\n");
        if occasion == Occasion::Failed {
            words.push_str("    ");
            text::put_wrapped(&mut words, 4, advice::advice(status), "\r\n    ");
            words.push_str("\r\n");
        }
    }
    let Original { arrival, message_id, whole, .. } = original;
    let returned = if whole.is_some() {
        "Your message is returned behind it."
    } else {
        "Of your message only the header is returned."
    };
    let _ = write!(
        words,
        "\r\nThis is the mail relay {host}.\r\nIt took the message on {} as {message_id}.\r\n\
         What follows is for programs. {returned}\r\n",
        date(*arrival)
    );
    words
}

/// The part for programs: RFC 3464 section 2.
fn fields(
    occasion: Occasion,
    original: &Original<'_>,
    failed: &[ReportedRecipient<'_>],
    host: &str,
    form: Form,
) -> String {
    let put_field = |out: &mut String, name: &str, value: &str| form.put_field(out, name, value);
    let mut fields = String::new();
    if let Some(id) = original.envelope_id {
        put_field(&mut fields, "Original-Envelope-Id", id);
    }
    put_field(&mut fields, "Reporting-MTA", &format!("dns; {host}"));
    put_field(&mut fields, "Arrival-Date", &date(original.arrival));
    let Timing { hold_until, deliver_by, .. } = original.timing;
    if let Some(by) = deliver_by {
        // RFC 2852 section 5.
        put_field(&mut fields, "Deliver-By-Date", &date(by.at));
    }
    if let Some(until) = hold_until {
        // RFC 4865 section 5.1.2. What HOLDFOR said is kept as the moment that it meant.
        put_field(&mut fields, "Future-Release-Request", &format!("until;{until:.0}"));
    }
    put_field(&mut fields, "X-Mailsluice-Message", original.message_id);
    for ReportedRecipient { recipient, original, status, reply, remote, text } in failed {
        fields.push_str("\r\n");
        // RFC 6533 section 3.
        let kind = if recipient.is_ascii() { "rfc822" } else { "utf-8" };
        if let Some(original) = original {
            put_field(&mut fields, "Original-Recipient", original);
        }
        put_field(&mut fields, "Final-Recipient", &format!("{kind}; {recipient}"));
        put_field(&mut fields, "Action", occasion.action());
        put_field(&mut fields, "Status", status);
        if let Some(remote) = remote {
            put_field(&mut fields, "Remote-MTA", &format!("dns; {remote}"));
        }
        let diagnosis = match reply {
            Some(reply) => format!("smtp; {}", shortened(reply, REPLY_MAX)),
            None => format!("x-mailsluice; {}", shortened(text, REPLY_MAX)),
        };
        put_field(&mut fields, "Diagnostic-Code", &diagnosis);
        if let Occasion::Delayed { until } = occasion {
            put_field(&mut fields, "Will-Retry-Until", &date(until));
        }
    }
    fields
}

fn date(at: Timestamp) -> String {
    // It fails for years beyond 9999 only.
    rfc2822::to_string(&at.to_zoned(TimeZone::UTC)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
