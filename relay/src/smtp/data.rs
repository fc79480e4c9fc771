//! The framing of DATA, and of BDAT ([`Chunks`]): from the wire to the stored text and back (RFC 5321 sections 4.1.1.4 and 4.5.2).
//!
//! The stored text is the message as its author means it: lines end in CRLF, no dot is stuffed, the closing dot is not there.
//! It ends in CRLF unless it is empty.
//!
//! Decisions:
//! - Only CRLF.CRLF ends a message, where the CRLF of the DATA command counts as the first: `.CRLF` at once is an empty message.
//!   Everything that some server somewhere takes for an end (`LF.LF`, `CR.CRLF`, `LF.CRLF`, `CRLF.LF`, `CRLF.CR`) ends
//!   nothing here, and marks the message as faulty, since each holds a bare CR or LF.
//! - A line that begins with a dot loses it, whatever follows (section 4.5.2).
//! - Where a client entry says so ([`BareLf::Normalize`]), a bare LF in DATA becomes a CRLF and faults nothing. It ends no message, and
//!   a line that is a dot alone is text then, wherever a bare LF stands on one side of it. A dot before other text is taken off, as
//!   Postfix does: who stuffs dots, does so by lines of its own. A bare CR stays a fault, for no program means a line's end by it
//!   any more; so does a bare LF in a command, and in BDAT, which no old program speaks.
//! - A faulty or oversized message is read to its end and not kept.
//! - NUL passes: RFC 5321 section 4.1.1.4 allows all 128 ASCII characters, and Postfix lets it pass too.
//! - Lines longer than 998 octets pass unchanged. Section 4.5.3.1.6 lets a server take longer ones, application mail is full of
//!   them, and breaking a line, as Postfix does when it sends, breaks signatures. They cost no memory: no line is buffered.
//! - Octets above 127 are taken whether or not BODY=8BITMIME was declared, as by Postfix; they are noted, for the next host
//!   may not take them.

mod chunks;
mod decoder;
mod encoder;
mod header;

pub use chunks::Chunks;
pub use decoder::{BareLf, Decoder, Fault, Progress};
pub use encoder::Encoder;
pub use header::HeaderScan;

#[cfg(test)]
mod tests;
