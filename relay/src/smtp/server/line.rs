//! From input to command lines: whole ones, and what is wrong with others.

use bytes::{Buf, BytesMut};

use crate::smtp::command::CommandError;

/// What stands at the start of the input.
pub(crate) enum Line {
    /// A line, its CRLF included.
    Whole(BytesMut),
    /// The rest of it is to come.
    Missing,
    /// None that can be taken.
    Bad(CommandError),
}

/// Finds the lines in the input, wherever the network cut it.
#[derive(Debug, Default)]
pub(crate) struct LineReader {
    /// Whether the input stands inside a line that was too long.
    skipping: bool,
}

impl LineReader {
    /// Takes what stands at the start of the input; a line has at most so many octets.
    pub(crate) fn take(&mut self, input: &mut BytesMut, longest: usize) -> Line {
        if self.skipping {
            return self.skip_line(input);
        }
        match input.first() {
            None => return Line::Missing,
            // A TLS handshake or another binary protocol may never send a line end.
            Some(b'\r' | b'\n' | b'\t' | b' '..=b'~') => {}
            Some(_) => return Line::Bad(CommandError::NotSmtp),
        }
        let window = input.get(..longest).unwrap_or(input);
        match memchr::memchr(b'\n', window) {
            Some(end) => {
                let line = input.split_to(end + 1);
                if line.ends_with(b"\r\n") { Line::Whole(line) } else { Line::Bad(CommandError::BareNewline) }
            }
            None if input.len() < longest => Line::Missing,
            None => {
                self.skipping = true;
                self.skip_line(input)
            }
        }
    }

    /// Drops the rest of a line that is too long.
    fn skip_line(&mut self, input: &mut BytesMut) -> Line {
        match memchr::memchr(b'\n', input) {
            Some(end) => {
                self.skipping = false;
                let line = input.split_to(end + 1);
                Line::Bad(if line.ends_with(b"\r\n") { CommandError::TooLong } else { CommandError::BareNewline })
            }
            None => {
                // A CR at the end may be half of the line's end.
                let keep = usize::from(input.last() == Some(&b'\r'));
                input.advance(input.len() - keep);
                Line::Missing
            }
        }
    }
}
