//! What is done about a message's header on its way in: it is checked for senders that the client may not use, and on a port for
//! submission it is completed (RFC 6409 section 8). The text streams through; what is held is the name of a field, and the addresses
//! of From and Sender while they are read.
//!
//! Decisions:
//! - Nothing is touched but this, on a port for submission: Date and Message-ID are added behind the last field where they are missing,
//!   and Bcc and Resent-Bcc are taken out, since they would tell every reader of recipients who were not to be told (RFC 5322 section
//!   3.6.3). From, Sender, and all there is, stay as they are written, octet for octet: what a signature covers may be among it.
//! - On other ports not an octet changes. A message that a server passes on is its author's.
//! - From and Sender are those of a message's top header, each time they stand there, whatever the case of their letters and with or
//!   without blanks before the colon: readers differ in which of two they show. Resent-From and the like are nobody's to see.
//! - An address that cannot be read there is refused like one that is not allowed: nobody could say which one a reader will see.
//! - On a port for submission a line that is no field ends the header, as for Postfix, and is put behind an empty line. Elsewhere
//!   the header is read on up to the empty line, since readers do either.
//! - A field's name has at most [`NAME_MAX`] octets, as has a line (RFC 5322 section 2.1.1); From and Sender have at most [`VALUE_MAX`].

mod mailboxes;

use crate::smtp::{Mailbox, Reply};
use mailboxes::mailboxes;

/// Octets of a field's name.
const NAME_MAX: usize = 998;

/// Octets of From or Sender, line ends counted.
const VALUE_MAX: usize = 32 << 10;

/// What is asked of every address in From and Sender; an error refuses the message.
pub type Check = Box<dyn FnMut(&'static str, &Mailbox) -> Result<(), Reply> + Send>;

/// What is added where it is missing, on a port for submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Date's value (RFC 5322 section 3.6.1).
    pub date: String,
    /// Message-ID's value, in its angle brackets (RFC 5322 section 3.6.4).
    pub message_id: String,
}

/// The header of one message on its way in.
pub struct HeaderPass {
    /// On a port for submission.
    submission: Option<Missing>,
    check: Option<Check>,
    place: Place,
    /// The line so far, where it is not clear yet what it is.
    start: Vec<u8>,
    /// The value of a field that is checked.
    value: Vec<u8>,
    has_date: bool,
    has_message_id: bool,
    refusal: Option<Reply>,
}

/// Where in the header the text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the start of a line, within a field of this kind or before the first.
    LineStart(Option<Kind>),
    /// Within a line of a field.
    Line(Kind),
    /// Past it.
    Body,
}

/// What is done about a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Pass,
    Drop,
    Check(&'static str),
}

/// What the start of a line is.
enum Start {
    /// Too short to say.
    Open,
    /// More of the field before it.
    Folded,
    /// The empty line.
    End,
    /// A field's name and its colon.
    Field,
    /// Nothing that belongs into a header.
    Other,
}

impl HeaderPass {
    /// At the start of a text.
    #[must_use]
    pub fn new(submission: Option<Missing>, check: Option<Check>) -> HeaderPass {
        HeaderPass {
            submission,
            check,
            place: Place::LineStart(None),
            start: Vec::new(),
            value: Vec::new(),
            has_date: false,
            has_message_id: false,
            refusal: None,
        }
    }

    /// Takes the next piece of the text, cut anywhere, and appends what becomes of it.
    pub fn feed(&mut self, text: &[u8], out: &mut Vec<u8>) {
        let mut rest = text;
        while let Some((octet, after)) = rest.split_first() {
            match self.place {
                Place::Body => {
                    out.extend_from_slice(rest);
                    return;
                }
                Place::Line(kind) => {
                    let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
                    let (line, behind) = rest.split_at_checked(end).unwrap_or((rest, &[]));
                    self.put(kind, line, out);
                    if line.ends_with(b"\n") {
                        self.place = Place::LineStart(Some(kind));
                    }
                    rest = behind;
                }
                Place::LineStart(before) => {
                    self.start.push(*octet);
                    rest = after;
                    self.line_start(before, out);
                }
            }
        }
    }

    /// The text has ended: appends what is still held, and what is missing.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.place == Place::Body {
            return;
        }
        self.field_ended();
        let start = std::mem::take(&mut self.start);
        if start.is_empty() {
            self.complete(out);
        } else {
            // A last line without an end, which only BDAT can bring.
            if self.submission.is_some() {
                self.complete(out);
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(&start);
        }
        self.place = Place::Body;
    }

    /// What refuses the message, as soon as anything does.
    #[must_use]
    pub fn refusal(&self) -> Option<&Reply> {
        self.refusal.as_ref()
    }

    /// Whether nothing more will happen to the text.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.place == Place::Body
    }

    fn line_start(&mut self, before: Option<Kind>, out: &mut Vec<u8>) {
        match judge(&self.start, before.is_some()) {
            Start::Open => {}
            Start::Folded => {
                let kind = before.unwrap_or(Kind::Pass);
                let start = std::mem::take(&mut self.start);
                self.put(kind, &start, out);
                self.place = Place::Line(kind);
            }
            Start::Field => {
                self.field_ended();
                let kind = self.kind();
                let start = std::mem::take(&mut self.start);
                if kind != Kind::Drop {
                    out.extend_from_slice(&start);
                }
                self.place = Place::Line(kind);
            }
            Start::End => {
                self.field_ended();
                self.complete(out);
                out.append(&mut self.start);
                self.place = Place::Body;
            }
            Start::Other => {
                self.field_ended();
                let ended = self.start.ends_with(b"\n");
                if self.submission.is_some() {
                    self.complete(out);
                    out.extend_from_slice(b"\r\n");
                    self.place = Place::Body;
                } else {
                    self.place = if ended { Place::LineStart(Some(Kind::Pass)) } else { Place::Line(Kind::Pass) };
                }
                out.append(&mut self.start);
            }
        }
    }

    fn put(&mut self, kind: Kind, line: &[u8], out: &mut Vec<u8>) {
        match kind {
            Kind::Drop => return,
            Kind::Check(_) if self.value.len() <= VALUE_MAX => self.value.extend_from_slice(line),
            Kind::Check(_) | Kind::Pass => {}
        }
        out.extend_from_slice(line);
    }

    /// What is done about the field whose name and colon have just come.
    fn kind(&mut self) -> Kind {
        let name = self.start.strip_suffix(b":").unwrap_or(&self.start).trim_ascii_end();
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        self.has_date |= is("Date");
        self.has_message_id |= is("Message-ID");
        if self.submission.is_some() && (is("Bcc") || is("Resent-Bcc")) {
            Kind::Drop
        } else if self.check.is_some() && is("From") {
            Kind::Check("From")
        } else if self.check.is_some() && is("Sender") {
            Kind::Check("Sender")
        } else {
            Kind::Pass
        }
    }

    /// Judges the field that the text stood in, where it is one of those that are checked.
    fn field_ended(&mut self) {
        let (Place::LineStart(Some(Kind::Check(field))) | Place::Line(Kind::Check(field))) = self.place else { return };
        self.place = Place::LineStart(Some(Kind::Pass));
        let value = std::mem::take(&mut self.value);
        let Some(check) = self.check.as_mut().filter(|_| self.refusal.is_none()) else { return };
        let refuse = |fault: &str| Reply::enhanced(550, (7, 1), format!("{field} cannot be read: {fault}"));
        self.refusal = if value.len() > VALUE_MAX {
            Some(refuse("it is too long"))
        } else {
            match mailboxes(&String::from_utf8_lossy(&value)) {
                Ok(all) => all.iter().find_map(|mailbox| check(field, mailbox).err()),
                Err(fault) => Some(refuse(&fault.to_string())),
            }
        };
    }

    /// Adds what is missing.
    fn complete(&self, out: &mut Vec<u8>) {
        let Some(Missing { date, message_id }) = &self.submission else { return };
        if !self.has_date {
            out.extend_from_slice(format!("Date: {date}\r\n").as_bytes());
        }
        if !self.has_message_id {
            out.extend_from_slice(format!("Message-ID: {message_id}\r\n").as_bytes());
        }
    }
}

/// What the start of a line is, as far as it has come; `within`: there is a field before it.
fn judge(start: &[u8], within: bool) -> Start {
    match start {
        [] | [b'\r'] => Start::Open,
        [b'\n'] | [b'\r', b'\n'] => Start::End,
        [b' ' | b'\t', ..] if within => Start::Folded,
        [name @ .., b':'] => {
            let name = name.trim_ascii_end();
            let sound = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
            if sound { Start::Field } else { Start::Other }
        }
        [.., b'\n'] => Start::Other,
        _ if start.len() > NAME_MAX => Start::Other,
        _ => Start::Open,
    }
}

#[cfg(test)]
mod tests;
