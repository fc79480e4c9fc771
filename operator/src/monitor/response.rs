//! An HTTP/1.1 response as its octets come in: its head, and its body without the framing. httparse reads both.
//!
//! A client would do as well, and hold its buffers for as long as the response lasts: some 12 KB for each of a thousand pods, most of it for
//! the head of a request that is long sent.

use http::{StatusCode, status::InvalidStatusCode};
use httparse::{EMPTY_HEADER, InvalidChunkSize, Status};

/// A relay sends five headers; what lies between may add some.
const HEADERS: usize = 32;
/// Octets of the longest head.
const LONGEST_HEAD: usize = 8 << 10;
/// Octets of the longest line between two chunks: a length, and what an extension may add.
const LONGEST_LINE: usize = 256;

/// Why octets are no response.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResponseError {
    /// The head makes no sense.
    #[error(transparent)]
    Head(#[from] httparse::Error),
    /// Its status is none.
    #[error(transparent)]
    Status(#[from] InvalidStatusCode),
    /// Where the body ends cannot be told.
    #[error("its length makes no sense")]
    Length,
    /// The length of a chunk makes no sense, or the chunk is longer.
    #[error("a chunk's length makes no sense")]
    Chunk,
    /// The head, or a line between two chunks, has no end.
    #[error("a line without an end")]
    Endless,
}

impl From<InvalidChunkSize> for ResponseError {
    fn from(_: InvalidChunkSize) -> Self {
        ResponseError::Chunk
    }
}

/// The head of a response.
#[derive(Debug)]
pub(super) struct Head {
    /// How the request was answered.
    pub(super) status: StatusCode,
    /// How the body comes.
    pub(super) body: Body,
    /// Octets of the head itself.
    pub(super) octets: usize,
}

/// What has yet to come of a body.
#[derive(Debug)]
pub(super) struct Body {
    state: State,
    /// The line between two chunks, as far as it has come.
    line: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Octets until the connection ends.
    ToEnd,
    /// So many octets, which are all.
    Rest(u64),
    /// The line with the length of a chunk.
    Size,
    /// So many octets of a chunk.
    Chunk(u64),
    /// The end of the line after a chunk.
    ChunkEnd,
    /// Nothing.
    Ended,
}

/// The head at the beginning of these octets; `None` while a part of it is missing.
///
/// # Errors
/// When it is none.
pub(super) fn head(octets: &[u8]) -> Result<Option<Head>, ResponseError> {
    let mut headers = [EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let Status::Complete(length) = response.parse(octets)? else {
        return if octets.len() > LONGEST_HEAD { Err(ResponseError::Endless) } else { Ok(None) };
    };
    let status = StatusCode::from_u16(response.code.unwrap_or_default())?;
    let header = |name: &str| response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    let state = match (header("transfer-encoding"), header("content-length")) {
        (Some(coding), _) if coding.value.eq_ignore_ascii_case(b"chunked") => State::Size,
        (Some(_), _) => return Err(ResponseError::Length),
        (None, Some(length)) => {
            let length = std::str::from_utf8(length.value).ok().and_then(|length| length.parse().ok());
            rest(length.ok_or(ResponseError::Length)?)
        }
        (None, None) => State::ToEnd,
    };
    Ok(Some(Head { status, body: Body { state, line: Vec::new() }, octets: length }))
}

impl Body {
    /// Whether nothing more comes.
    pub(super) fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Hands on what these octets have of the body.
    ///
    /// # Errors
    /// When they make no sense, or what `each` answers.
    pub(super) fn take<E: From<ResponseError>>(
        &mut self,
        mut octets: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while !octets.is_empty() {
            match self.state {
                State::Ended => return Ok(()),
                State::ToEnd => return each(octets),
                State::Rest(left) | State::Chunk(left) => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(octets.len());
                    let (data, after) = octets.split_at(here);
                    each(data)?;
                    octets = after;
                    // No more than were left.
                    let left = left - here as u64;
                    self.state = match self.state {
                        State::Chunk(_) if left == 0 => State::ChunkEnd,
                        State::Chunk(_) => State::Chunk(left),
                        _ => rest(left),
                    };
                }
                State::Size | State::ChunkEnd => octets = self.between(octets)?,
            }
        }
        Ok(())
    }

    /// Takes what there is of the line between two chunks; what follows it.
    fn between<'a>(&mut self, octets: &'a [u8]) -> Result<&'a [u8], ResponseError> {
        let end = octets.iter().position(|octet| *octet == b'\n').map(|end| end + 1);
        let (line, after) = octets.split_at(end.unwrap_or(octets.len()));
        if self.line.len() + line.len() > LONGEST_LINE {
            return Err(ResponseError::Endless);
        }
        self.line.extend_from_slice(line);
        if end.is_some() {
            let line = std::mem::take(&mut self.line);
            self.state = match self.state {
                State::ChunkEnd if line == b"\r\n" => State::Size,
                State::ChunkEnd => return Err(ResponseError::Chunk),
                _ => match httparse::parse_chunk_size(&line)? {
                    // What may follow the last one is no part of the body.
                    Status::Complete((_, 0)) => State::Ended,
                    Status::Complete((_, length)) => State::Chunk(length),
                    Status::Partial => return Err(ResponseError::Chunk),
                },
            };
        }
        Ok(after)
    }
}

fn rest(left: u64) -> State {
    if left == 0 { State::Ended } else { State::Rest(left) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The response's status, its body, and whether it has ended, out of octets that come so many at a time.
    fn read(octets: &[u8], at_a_time: usize) -> Result<(u16, String, bool), ResponseError> {
        let mut begun = Vec::new();
        let mut found: Option<(StatusCode, Body)> = None;
        let mut text = Vec::new();
        for part in octets.chunks(at_a_time) {
            let mut take = |body: &mut Body, part: &[u8]| {
                body.take(part, |data| {
                    text.extend_from_slice(data);
                    Ok::<_, ResponseError>(())
                })
            };
            if let Some((_, body)) = &mut found {
                take(body, part)?;
                continue;
            }
            begun.extend_from_slice(part);
            if let Some(Head { status, mut body, octets }) = head(&begun)? {
                take(&mut body, &begun[octets..])?;
                found = Some((status, body));
            }
        }
        let (status, body) = found.unwrap();
        Ok((status.as_u16(), String::from_utf8(text).unwrap(), body.has_ended()))
    }

    #[test]
    fn a_body_is_what_was_sent_however_it_is_framed_and_wherever_the_network_cuts_it() {
        let ok = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n";
        for (name, octets, status, body, ended) in [
            ("to the end", format!("{ok}\r\none\ntwo\n"), 200, "one\ntwo\n", false),
            ("counted", format!("{ok}Content-Length: 4\r\n\r\none\nmore"), 200, "one\n", true),
            ("not all yet", format!("{ok}content-length: 9\r\n\r\none\n"), 200, "one\n", false),
            ("nothing", "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n".into(), 401, "", true),
            (
                "in chunks",
                format!(
                    "{ok}Transfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n1;x=\"y\"\r\nt\r\n00A\r\nwo\nthree\r\n\r\n"
                ),
                200,
                "one\ntwo\nthree\r\n",
                false,
            ),
            (
                "in chunks to their end",
                format!("{ok}transfer-encoding: Chunked\r\n\r\n1\r\n\n\r\n0\r\nAfter: all\r\n\r\n"),
                200,
                "\n",
                true,
            ),
        ] {
            for at_a_time in [1, 2, 3, 7, octets.len()] {
                let read = read(octets.as_bytes(), at_a_time).unwrap();
                assert_eq!(read, (status, body.to_owned(), ended), "{name}, {at_a_time} at a time");
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_told_and_takes_no_memory() {
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        for (octets, why) in [
            ("SSH-2.0-OpenSSH_9.2\r\n".to_owned(), "invalid HTTP version"),
            ("HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n".into(), "its length makes no sense"),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n".into(), "its length makes no sense"),
            (format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(LONGEST_HEAD)), "a line without an end"),
            (format!("{chunked}many\r\n"), "a chunk's length makes no sense"),
            (format!("{chunked}1\r\nab\r\n"), "a chunk's length makes no sense"),
            (format!("{chunked}1;{}", "x".repeat(LONGEST_LINE)), "a line without an end"),
        ] {
            assert_eq!(read(octets.as_bytes(), octets.len()).unwrap_err().to_string(), why, "{octets:.60}");
        }
    }
}
