//! Whole sessions with a server that takes everything.

use std::sync::Arc;

use bytes::BytesMut;

use crate::smtp::{
    Envelope, Reply,
    server::{Config, Event, Session},
};

/// What a client has come to: what it was told, its messages, and whether it was shown out.
pub type Course = (Vec<u8>, Vec<(Envelope, Vec<u8>)>, bool);

/// Runs a session over these pieces of input. With STARTTLS it matters how they are cut: what comes with the command is refused, and
/// what comes later is the handshake.
pub fn run(pieces: &[&[u8]], start_tls: bool) -> Course {
    let mut config = Config::new("mail.test", crate::LIMIT);
    config.start_tls = start_tls;
    let mut session = Session::new(Arc::new(config));
    let (mut input, mut output, mut body) = (BytesMut::new(), BytesMut::new(), Vec::new());
    let (mut said, mut messages) = (Vec::new(), Vec::new());
    let mut pieces = pieces.iter();
    loop {
        match session.next(&mut input, &mut output, &mut body) {
            Event::NeedInput | Event::NeedBody => match pieces.next() {
                Some(piece) => input.extend_from_slice(piece),
                None => break,
            },
            Event::Flush => {}
            Event::CheckSender { .. } | Event::CheckRecipient { .. } | Event::StartTls => session.accept(),
            Event::BodyStart { .. } => {
                body.clear();
                session.accept();
            }
            Event::MessageEnd(envelope) => {
                messages.push((envelope, std::mem::take(&mut body)));
                session.accept();
            }
            Event::MessageRefused { .. } | Event::MessageDropped => body.clear(),
            Event::Handshake => {
                input.clear();
                break;
            }
            Event::Close { .. } => {
                said.extend_from_slice(&output);
                return (said, messages, true);
            }
            #[allow(unreachable_patterns, reason = "what else may be asked is refused")]
            _ => session.refuse(Reply::new(535, "not here")),
        }
        said.extend_from_slice(&output.split());
    }
    said.extend_from_slice(&output);
    (said, messages, false)
}
