//! Who wants to know where a session stands, and in what words.

use std::fmt;

use crate::smtp::reply::Reply;

/// Where a session stands: what is being sent or waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Waiting for the greeting.
    Banner,
    /// EHLO or HELO.
    Ehlo,
    /// STARTTLS, and the handshake.
    StartTls,
    /// AUTH.
    Auth,
    /// MAIL.
    MailFrom,
    /// RCPT.
    RcptTo,
    /// DATA, up to the 354.
    Data,
    /// Sending the message.
    Body,
    /// Waiting for the answer to the final dot.
    Reply,
    /// RSET.
    Rset,
    /// QUIT.
    Quit,
    /// Between messages.
    Idle,
}

impl Stage {
    /// The name that the Monitor shows.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Banner => "Banner",
            Self::Ehlo => "Ehlo",
            Self::StartTls => "StartTls",
            Self::Auth => "Auth",
            Self::MailFrom => "MailFrom",
            Self::RcptTo => "RcptTo",
            Self::Data => "Data",
            Self::Body => "Body",
            Self::Reply => "Reply",
            Self::Rset => "Rset",
            Self::Quit => "Quit",
            Self::Idle => "Idle",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Is told what a session does. What it does not care about costs nothing.
pub trait Observer {
    /// The session has come to another stage.
    fn stage(&mut self, stage: Stage) {
        let _ = stage;
    }

    /// The host has answered.
    fn reply(&mut self, reply: &Reply) {
        let _ = reply;
    }

    /// So many octets went out.
    fn sent(&mut self, octets: usize) {
        let _ = octets;
    }

    /// So many octets came in.
    fn received(&mut self, octets: usize) {
        let _ = octets;
    }

    /// A command goes out, here without its CRLF. Never holds a secret nor message content.
    fn command(&mut self, line: &str) {
        let _ = line;
    }
}

/// Nobody listens.
impl Observer for () {}

impl<O: Observer + ?Sized> Observer for &mut O {
    fn stage(&mut self, stage: Stage) {
        (**self).stage(stage);
    }
    fn reply(&mut self, reply: &Reply) {
        (**self).reply(reply);
    }
    fn command(&mut self, line: &str) {
        (**self).command(line);
    }
    fn sent(&mut self, octets: usize) {
        (**self).sent(octets);
    }
    fn received(&mut self, octets: usize) {
        (**self).received(octets);
    }
}
