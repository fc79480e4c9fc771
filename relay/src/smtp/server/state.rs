//! Where a session stands, and what it waits for.

use super::{
    auth::{Awaited, Claim},
    event::CloseReason,
};
use crate::smtp::{
    command::Site,
    data::{Chunks, Decoder, HeaderScan},
    envelope::{Envelope, Recipient},
    reply::Reply,
    xclient::XClient,
};

/// A question that waits for the driver's answer.
#[derive(Debug)]
pub(super) enum Question {
    Sender,
    Recipient(Recipient),
    Body,
    /// The first chunk of BDAT.
    Chunk {
        size: u64,
        last: bool,
    },
}

#[derive(Debug)]
pub(super) enum Answer {
    Accept(Option<Reply>),
    Refuse(Reply),
}

#[derive(Debug)]
pub(super) enum State {
    /// Nothing said yet.
    Greeting,
    /// No transaction.
    Ready,
    /// MAIL was accepted.
    Transaction(Envelope),
    /// A question is with the driver.
    Asked(Envelope, Question),
    /// ETRN is with the driver.
    Turn(Site),
    /// STARTTLS is with the driver.
    StartTls,
    /// XCLIENT is with the driver.
    XClient(Box<XClient>),
    /// The 220 to STARTTLS is on its way, and TLS comes next.
    Handshake,
    /// Within AUTH: the client's next line belongs to it.
    Auth(Box<Awaited>),
    /// What AUTH came to is with the driver.
    Authenticating(Box<Claim>),
    /// A message is with the driver.
    Storing,
    /// In a message.
    Data(Envelope, Decoder, HeaderScan),
    /// In a chunk of BDAT, of which `left` octets are to come.
    Chunk { message: Box<Chunked>, size: u64, left: u64, last: bool },
    /// After a chunk that was not the last.
    BetweenChunks(Box<Chunked>),
    /// In a chunk that is refused.
    Skip { left: u64, reply: Reply },
    /// Over.
    Closed(CloseReason),
}

/// A message that comes by BDAT.
#[derive(Debug)]
pub(super) struct Chunked {
    pub(super) envelope: Envelope,
    pub(super) chunks: Chunks,
    pub(super) header: HeaderScan,
}

/// An event before it borrows from the session.
pub(super) enum Step {
    NeedInput,
    NeedBody,
    Flush,
    Ask,
    Turn,
    StartTls,
    Handshake,
    Authenticate,
    MessageEnd(Envelope),
    MessageRefused(Reply),
    MessageDropped,
    Close(CloseReason),
}
