//! A message's text on its way in, by DATA or by BDAT, and the judgement at its end.

use bytes::{Buf, BytesMut};

use super::{
    Session,
    event::CloseReason,
    state::{Chunked, State, Step},
};
use crate::smtp::{
    command::CommandError,
    data::{Chunks, Fault, HeaderScan},
    envelope::{BodyType, Envelope},
    reply::Reply,
};

/// What was measured of a text that is complete.
struct Measured {
    fault: Option<Fault>,
    octets: u64,
    body: BodyType,
}

fn body_type(eight_bit: bool) -> BodyType {
    if eight_bit { BodyType::EightBitMime } else { BodyType::SevenBit }
}

impl Chunked {
    pub(super) fn new(envelope: Envelope, limit: u64) -> Self {
        let chunks = Chunks::new(limit, envelope.body == BodyType::BinaryMime);
        Self { envelope, chunks, header: HeaderScan::new() }
    }
}

impl Session {
    /// Takes in what there is of a text.
    pub(super) fn text(&mut self, input: &mut BytesMut, output: &mut BytesMut, body: &mut Vec<u8>) -> Step {
        let start = body.len();
        let ended = match &mut self.state {
            State::Data(_, decoder, header) => {
                let progress = decoder.decode(input, body);
                header.feed(body.get(start..).unwrap_or_default());
                input.advance(progress.consumed);
                progress.ended
            }
            _ => false,
        };
        if ended { self.message_ended(output) } else { Step::NeedBody }
    }

    /// Takes in what there is of a chunk; None when there is more to do at once.
    pub(super) fn chunk(&mut self, input: &mut BytesMut, output: &mut BytesMut, body: &mut Vec<u8>) -> Option<Step> {
        let State::Chunk { message, left, last, .. } = &mut self.state else { return None };
        let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
        let start = body.len();
        message.chunks.take(input.get(..taken).unwrap_or_default(), body);
        *left -= taken as u64;
        input.advance(taken);
        let (whole, last) = (*left == 0, *last);
        if whole && last {
            message.chunks.finish(body);
        }
        message.header.feed(body.get(start..).unwrap_or_default());
        if whole { self.chunk_ended(output) } else { Some(Step::NeedBody) }
    }

    /// Passes over a chunk that is refused: its octets are on their way, whatever it is answered (RFC 3030 section 2).
    pub(super) fn skip(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Option<Step> {
        let State::Skip { left, .. } = &mut self.state else { return None };
        let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
        input.advance(taken);
        *left -= taken as u64;
        if *left > 0 {
            return Some(Step::NeedInput);
        }
        if let State::Skip { reply, .. } = std::mem::replace(&mut self.state, State::Ready) {
            self.refused(&reply, output);
        }
        None
    }

    fn chunk_ended(&mut self, output: &mut BytesMut) -> Option<Step> {
        let State::Chunk { message, size, last, .. } = std::mem::replace(&mut self.state, State::Ready) else {
            return None;
        };
        let Chunked { chunks, .. } = &*message;
        if !last && chunks.fault().is_none() {
            Reply::enhanced(250, (0, 0), format!("{size} octets received")).render(output);
            self.state = State::BetweenChunks(message);
            return None;
        }
        let body = if chunks.is_binary() { BodyType::BinaryMime } else { body_type(chunks.eight_bit()) };
        let measured = Measured { fault: chunks.fault(), octets: chunks.octets(), body };
        let Chunked { envelope, header, .. } = *message;
        Some(self.judge(envelope, &measured, &header, output))
    }

    fn message_ended(&mut self, output: &mut BytesMut) -> Step {
        match std::mem::replace(&mut self.state, State::Ready) {
            State::Data(envelope, decoder, header) => {
                let (fault, octets) = (decoder.fault(), decoder.octets());
                self.judge(envelope, &Measured { fault, octets, body: body_type(decoder.eight_bit()) }, &header, output)
            }
            other => {
                self.state = other;
                Step::NeedInput
            }
        }
    }

    /// Judges a message whose last octet has come.
    fn judge(
        &mut self,
        mut envelope: Envelope,
        measured: &Measured,
        header: &HeaderScan,
        output: &mut BytesMut,
    ) -> Step {
        let reply = match measured.fault {
            None if header.hops() > self.config.max_hops => {
                Reply::enhanced(554, (4, 6), format!("Too many hops: {} Received lines", header.hops()))
            }
            None => {
                envelope.size = Some(measured.octets);
                envelope.body = measured.body;
                if let Some(asked) = &mut envelope.extensions {
                    asked.utf8_header = asked.smtp_utf8 && header.eight_bit();
                }
                // What MAIL says counts for more (RFC 8689 section 4.1).
                if header.tls_optional() && !envelope.requires_tls() {
                    envelope.extensions.get_or_insert_default().tls_optional = true;
                }
                self.state = State::Storing;
                return Step::MessageEnd(envelope);
            }
            Some(Fault::TooLarge) => self.too_large(),
            Some(Fault::BareNewline) => {
                let reply = CommandError::BareNewline.reply();
                self.close(CloseReason::BareNewline, &reply, output);
                return Step::MessageRefused(reply);
            }
        };
        reply.render(output);
        Step::MessageRefused(reply)
    }
}
