//! From the wire to the stored text.

/// What is wrong with a message as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A CR or LF that is not part of a CRLF: sender and receiver may disagree on where the message ends.
    #[error("bare CR or LF in the message")]
    BareNewline,
    /// More octets than the limit.
    #[error("message is larger than the limit")]
    TooLarge,
}

/// What is done about a bare LF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BareLf {
    /// It is a fault.
    #[default]
    Refuse,
    /// It becomes a CRLF.
    Normalize,
}

/// What one call of [`Decoder::decode`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Octets of the input that were taken; all of them unless the message ended.
    pub consumed: usize,
    /// Whether the message has ended.
    pub ended: bool,
}

/// Where in a line the input stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// After a CRLF.
    LineStart,
    /// After a dot at the start of a line, which is not yet known to be the closing one.
    Dot,
    /// After a dot at the start of a line and a CR.
    DotCr,
    /// After a bare LF that became a CRLF.
    BareStart,
    /// After a dot behind a bare LF: it ends nothing, and is text if the line has nothing else.
    BareDot,
    /// In a line.
    Text,
    /// In a line, after a CR.
    TextCr,
    /// After the closing dot's line.
    End,
}

/// Decodes one message; the input may be cut anywhere, the result is the same.
#[derive(Debug)]
pub struct Decoder {
    at: At,
    limit: u64,
    bare_lf: BareLf,
    octets: u64,
    eight_bit: bool,
    fault: Option<Fault>,
}

impl Decoder {
    /// A decoder at the start of a message that may have `limit` octets.
    #[must_use]
    pub fn new(limit: u64, bare_lf: BareLf) -> Self {
        Self { at: At::LineStart, limit, bare_lf, octets: 0, eight_bit: false, fault: None }
    }

    /// Takes from `input` up to the end of the message and appends the text to `text`.
    ///
    /// Once there is a fault nothing more is appended; what was appended before is to be thrown away.
    pub fn decode(&mut self, input: &[u8], text: &mut Vec<u8>) -> Progress {
        let mut run = Run { input, start: 0, text };
        let mut next = 0;
        while self.at != At::End
            && let Some(&octet) = input.get(next)
        {
            match (self.at, octet) {
                (At::LineStart, b'.') => {
                    self.keep(&mut run, next);
                    run.start = next + 1;
                    next += 1;
                    self.at = At::Dot;
                }
                (At::Dot, b'\r') => {
                    // Not kept: if this is not the end it is a bare CR, and the message is not kept at all.
                    next += 1;
                    run.start = next;
                    self.at = At::DotCr;
                }
                (At::DotCr, b'\n') => {
                    next += 1;
                    run.start = next;
                    self.at = At::End;
                }
                (At::TextCr, b'\n') => {
                    next += 1;
                    self.at = At::LineStart;
                }
                (At::DotCr | At::TextCr, _) => {
                    self.fault = Some(Fault::BareNewline);
                    self.at = At::Text;
                }
                (At::BareStart, b'.') => {
                    self.keep(&mut run, next);
                    run.start = next + 1;
                    next += 1;
                    self.at = At::BareDot;
                }
                // The line is a dot alone, and not the closing one.
                (At::BareDot, b'\r' | b'\n') => {
                    self.insert(b".", &mut run);
                    self.at = At::Text;
                }
                (At::Dot, b'\n') if self.bare_lf == BareLf::Normalize => {
                    self.insert(b".", &mut run);
                    self.at = At::Text;
                }
                (At::LineStart | At::Dot | At::Text | At::BareStart | At::BareDot, _) => {
                    next = self.rest_of_line(next, &mut run);
                }
                (At::End, _) => break,
            }
        }
        self.keep(&mut run, next);
        Progress { consumed: next, ended: self.at == At::End }
    }

    /// Goes through text up to and including the next CR or LF; gives where the input goes on.
    fn rest_of_line(&mut self, from: usize, run: &mut Run<'_>) -> usize {
        let input = run.input;
        let rest = input.get(from..).unwrap_or_default();
        match memchr::memchr2(b'\r', b'\n', rest) {
            None => {
                self.at = At::Text;
                input.len()
            }
            Some(length) => {
                if rest.get(length) == Some(&b'\r') {
                    self.at = At::TextCr;
                } else if self.bare_lf == BareLf::Normalize {
                    self.keep(run, from + length);
                    self.insert(b"\r\n", run);
                    run.start = from + length + 1;
                    self.at = At::BareStart;
                } else {
                    self.fault = Some(Fault::BareNewline);
                    self.at = At::Text;
                }
                from + length + 1
            }
        }
    }

    /// Counts and appends the input from the run's start up to `end`.
    fn keep(&mut self, run: &mut Run<'_>, end: usize) {
        let piece = run.input.get(run.start..end).unwrap_or_default();
        self.octets += piece.len() as u64;
        if self.octets > self.limit && self.fault.is_none() {
            self.fault = Some(Fault::TooLarge);
        }
        self.eight_bit = self.eight_bit || !piece.is_ascii();
        if self.fault.is_none() {
            run.text.extend_from_slice(piece);
        }
    }

    /// Counts and appends octets that are not in the input. What the run held before them has been kept.
    fn insert(&mut self, octets: &[u8], run: &mut Run<'_>) {
        let mut inserted = Run { input: octets, start: 0, text: run.text };
        self.keep(&mut inserted, octets.len());
    }

    /// Octets of the text so far, as RFC 1870 counts them: CRLF counted, stuffed dots and the closing line not. Goes on
    /// counting where nothing is kept any more.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// Whether the text so far holds an octet above 127.
    #[must_use]
    pub fn eight_bit(&self) -> bool {
        self.eight_bit
    }

    /// What is wrong with the message so far. A bare newline hides that it is too large.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }
}

/// A stretch of input that is to be kept as it is, and where to.
struct Run<'a> {
    input: &'a [u8],
    start: usize,
    text: &'a mut Vec<u8>,
}
