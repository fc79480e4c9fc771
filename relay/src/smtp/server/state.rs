//! Where a session stands, and what it waits for.

use super::event::CloseReason;
use crate::smtp::{
    data::{Decoder, HeaderScan},
    envelope::{Envelope, Recipient},
    reply::Reply,
};

/// A question that waits for the driver's answer.
#[derive(Debug)]
pub(super) enum Question {
    Sender,
    Recipient(Recipient),
    Body,
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
    /// A message is with the driver.
    Storing,
    /// In a message.
    Data(Envelope, Decoder, HeaderScan),
    /// Over.
    Closed(CloseReason),
}

/// An event before it borrows from the session.
pub(super) enum Step {
    NeedInput,
    NeedBody,
    Flush,
    Ask,
    MessageEnd(Envelope),
    MessageRefused(Reply),
    Close(CloseReason),
}
