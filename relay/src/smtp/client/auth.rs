//! AUTH on the way out (RFC 4954): the client shows a host who it is.
//!
//! Decisions:
//! - Of the mechanisms that both sides know the strongest is taken. Another one is tried only where a host refuses a mechanism that it
//!   has offered (504), or the first message of SCRAM-SHA-256-PLUS, which holds a kind of binding that it may not know and nothing of
//!   the password: whoever refuses a secret would refuse it again, and may count that.
//! - What the client says first goes with AUTH where that fits into a command line, and after an empty challenge where it does not
//!   (section 4).
//! - `*` ends an exchange in which the host says what the client does not go on with. SCRAM's yes is believed only after the host has
//!   proved that it knows the password.
//! - The observer is told neither what is shown nor what is asked.
//!
//! Whether a host may be shown anything is the caller's to know: in clear, a password is everybody's.

use std::{io, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    task,
};

use super::{Client, ClientError, ErrorKind, Observer, Stage, wire::HIDDEN};
use crate::smtp::{
    reply::Reply,
    sasl::{
        Credentials, Exchange, ExchangeFault, Mechanism, Terms, from_base64,
        scram::{
            self,
            client::{Bind, Channel},
        },
        to_base64,
    },
};

/// Octets of a command line with its CRLF (RFC 5321 section 4.5.3.1.4).
const COMMAND_LINE_MAX: usize = 512;

/// Why a host does not let the client in.
#[derive(Debug, thiserror::Error)]
pub enum AuthFault {
    /// It does not ask who the client is.
    #[error("it offers no AUTH")]
    NotOffered,
    /// It offers AUTH by no mechanism that can show what there is to show.
    #[error("it offers AUTH by none of {}", names(.0))]
    NoMechanism(&'static [Mechanism]),
    /// It was not convinced, or would not look.
    #[error("{reply}")]
    Refused {
        /// What it said.
        reply: Reply,
        /// What it said of a token before.
        said: Option<String>,
    },
    /// The client does not go on.
    #[error("{0}")]
    Exchange(#[source] ExchangeFault),
}

fn names(mechanisms: &[Mechanism]) -> String {
    mechanisms.iter().map(|mechanism| mechanism.name()).collect::<Vec<_>>().join(", ")
}

/// Where the client is, as the mechanisms want to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called<'a> {
    /// The name that the host was called by.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
    /// What the connection has to bind to; none in clear.
    pub channel: Option<Channel>,
}

/// What a host says at an exchange's end.
enum Answer {
    Yes,
    No {
        reply: Reply,
        said: Option<String>,
        /// Whether it has seen something of the secret.
        seen: bool,
    },
}

impl<S, O> Client<S, O>
where
    S: AsyncRead + AsyncWrite + Unpin,
    O: Observer,
{
    /// Shows the host who the client is; says by which mechanism. To be called once, before any message.
    ///
    /// # Errors
    /// The host does not let the client in (see [`ErrorKind::Auth`]), or the connection is at its end. No message is to be sent over it.
    pub async fn authenticate(
        &mut self,
        credentials: &Arc<Credentials>,
        called: Called<'_>,
    ) -> Result<Mechanism, ClientError> {
        self.usable = false;
        self.wire.enter(Stage::Auth);
        let offered = self.capabilities.auth.ok_or_else(|| self.not_in(AuthFault::NotOffered))?;
        let known = credentials.mechanisms();
        let can = |mechanism: &Mechanism| {
            offered.contain(*mechanism) && (*mechanism != Mechanism::ScramSha256Plus || called.channel.is_some())
        };
        let mut left = known.iter().copied().filter(can).peekable();
        while let Some(mechanism) = left.next() {
            let bind = match &called.channel {
                Some(channel) if mechanism == Mechanism::ScramSha256Plus => Bind::To(channel.clone()),
                Some(_) if !offered.contain(Mechanism::ScramSha256Plus) => Bind::Could,
                _ => Bind::Cannot,
            };
            let no_nonce = || self.wire.error(ErrorKind::Io(io::Error::other("the system has no random numbers")));
            let nonce = scram::nonce().ok_or_else(no_nonce)?;
            let terms = Terms { host: called.host.to_owned(), port: called.port, bind, nonce };
            match self.exchange(mechanism, Exchange::begin(mechanism, credentials.clone(), terms)).await? {
                Answer::Yes => {
                    self.names_submitter = true;
                    self.usable = true;
                    self.wire.enter(Stage::Idle);
                    return Ok(mechanism);
                }
                Answer::No { reply, seen: false, .. }
                    if reply.is_permanent() && !reply.closes() && left.peek().is_some() => {}
                Answer::No { reply, said, .. } => return Err(self.not_in(AuthFault::Refused { reply, said })),
            }
        }
        Err(self.not_in(AuthFault::NoMechanism(known)))
    }

    async fn exchange(&mut self, mechanism: Mechanism, mut exchange: Exchange) -> Result<Answer, ClientError> {
        let timeouts = self.config.timeouts;
        let name = mechanism.name();
        // An empty one is written so.
        let write = |message: Vec<u8>| if message.is_empty() { "=".to_owned() } else { to_base64(&message) };
        let fits =
            |text: &String| "AUTH ".len() + name.len() + " ".len() + text.len() + "\r\n".len() <= COMMAND_LINE_MAX;
        let mut initial = exchange.initial().map(write);
        match initial.take_if(|text| fits(text)) {
            Some(text) => self.wire.secret(&["AUTH ", name, " ", &text], &format!("AUTH {name} {HIDDEN}")),
            None => self.wire.command(&["AUTH ", name]),
        }
        let mut seen = mechanism != Mechanism::ScramSha256Plus;
        loop {
            self.wire.flush(timeouts.block).await?;
            let reply = self.wire.challenge(timeouts.auth).await?;
            if reply.is_success() {
                exchange.end().map_err(|fault| self.not_in(AuthFault::Exchange(fault)))?;
                return Ok(Answer::Yes);
            }
            if reply.is_transient() || reply.is_permanent() {
                seen &= reply.code() != 504;
                return Ok(Answer::No { reply, said: exchange.said().map(str::to_owned), seen });
            }
            if reply.code() != 334 {
                return Err(self.wire.unexpected(reply));
            }
            let text = match initial.take() {
                // What did not fit behind AUTH.
                Some(text) => text,
                None => {
                    let Some(challenge) = from_base64(reply.text().as_bytes()) else {
                        return Err(self.cancel(ExchangeFault::NotBase64).await);
                    };
                    let (back, response) = respond(exchange, challenge).await.map_err(|kind| self.wire.error(kind))?;
                    exchange = back;
                    seen = true;
                    match response {
                        Ok(response) => to_base64(&response),
                        Err(fault) => return Err(self.cancel(fault).await),
                    }
                }
            };
            self.wire.secret(&[&text], HIDDEN);
        }
    }

    /// Ends an exchange that the client does not go on with; gives the error of it, or of the connection.
    async fn cancel(&mut self, fault: ExchangeFault) -> ClientError {
        let timeouts = self.config.timeouts;
        self.wire.command(&["*"]);
        let answered = match self.wire.flush(timeouts.block).await {
            Ok(()) => self.wire.reply(timeouts.auth).await,
            Err(error) => Err(error),
        };
        // Whatever it says to that: it should be 501.
        answered.err().unwrap_or_else(|| self.not_in(AuthFault::Exchange(fault)))
    }

    fn not_in(&self, fault: AuthFault) -> ClientError {
        self.wire.error(ErrorKind::Auth(fault))
    }
}

/// Answers a challenge on a thread of its own: to hash a password takes tens of milliseconds.
async fn respond(
    mut exchange: Exchange,
    challenge: Vec<u8>,
) -> Result<(Exchange, Result<Vec<u8>, ExchangeFault>), ErrorKind> {
    let answering = task::spawn_blocking(move || {
        let response = exchange.respond(&challenge);
        (exchange, response)
    });
    answering.await.map_err(|error| ErrorKind::Io(io::Error::other(error)))
}
