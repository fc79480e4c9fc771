//! The client's side of an exchange, whatever the mechanism: what is answered to a server's challenges. No I/O.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    Mechanism,
    bearer::{self, write_oauth_bearer, write_xoauth2},
    plain,
    scram::client::{Bind, ClientKeys, Opening, ScramFault, ServerProof},
};

/// Octets of a server's words about a token that are kept.
const SAID_MAX: usize = 512;

/// What a client shows.
pub struct Credentials {
    /// Who it is.
    pub user: String,
    /// What proves it.
    pub secret: Secret,
    /// The keys that a password was last hashed to: a server has the same salt for it every time.
    keys: Mutex<Option<(Vec<u8>, u32, ClientKeys)>>,
}

/// What proves who somebody is.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// A password.
    Password(String),
    /// An access token of OAuth, with the characters that such a token has.
    Token(String),
}

impl Credentials {
    /// Those of a user.
    #[must_use]
    pub fn new(user: impl Into<String>, secret: Secret) -> Credentials {
        Credentials { user: user.into(), secret, keys: Mutex::default() }
    }

    /// The mechanisms that can show them, the best first.
    #[must_use]
    pub fn mechanisms(&self) -> &'static [Mechanism] {
        match self.secret {
            Secret::Password(_) => {
                &[Mechanism::ScramSha256Plus, Mechanism::ScramSha256, Mechanism::Plain, Mechanism::Login]
            }
            Secret::Token(_) => &[Mechanism::OAuthBearer, Mechanism::XOAuth2],
        }
    }

    fn secret(&self) -> &str {
        match &self.secret {
            Secret::Password(secret) | Secret::Token(secret) => secret,
        }
    }

    /// The keys for this salt. Takes as long as the iterations say, the first time.
    fn keys(&self, salt: &[u8], iterations: u32) -> ClientKeys {
        let mut known = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some((known_salt, known_iterations, keys)) if known_salt == salt && *known_iterations == iterations => {
                keys.clone()
            }
            _ => {
                let keys = ClientKeys::of(self.secret(), salt, iterations);
                *known = Some((salt.to_owned(), iterations, keys.clone()));
                keys
            }
        }
    }
}

impl PartialEq for Credentials {
    fn eq(&self, other: &Credentials) -> bool {
        self.user == other.user && self.secret == other.secret
    }
}

impl Eq for Credentials {}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What an exchange depends on beside the credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The server's name, as it was called.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What SCRAM says of binding to the channel.
    pub bind: Bind,
    /// Printable without commas, and never twice the same.
    pub nonce: String,
}

/// Why a client does not go on with an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeFault {
    /// The server asks for more than the mechanism has.
    #[error("it asks for more than the mechanism has")]
    TooMuch,
    /// A challenge is not base64.
    #[error("its challenge is not base64")]
    NotBase64,
    /// It takes a client that it has not seen the whole exchange of: without its own proof, it may be anybody.
    #[error("it says yes before it has proved that it knows the password")]
    TooSoon,
    /// SCRAM went wrong.
    #[error(transparent)]
    Scram(#[from] ScramFault),
}

/// An exchange under way.
pub struct Exchange {
    credentials: Arc<Credentials>,
    state: State,
    said: Option<String>,
}

/// What is said next.
enum State {
    /// The only message.
    Only(Vec<u8>, Mechanism),
    /// LOGIN's name.
    User,
    /// LOGIN's password.
    Password,
    /// SCRAM's first message.
    First(Box<Opening>),
    /// SCRAM's proof.
    Proof(Box<Opening>),
    /// Nothing: SCRAM's server is to prove itself.
    Server(Box<ServerProof>),
    /// Nothing: a token was refused, which the server has said why.
    Refused(Mechanism),
    /// Nothing more.
    Done,
}

impl Exchange {
    /// Begins one. A mechanism that the credentials do not have says what it can.
    #[must_use]
    pub fn begin(mechanism: Mechanism, credentials: Arc<Credentials>, terms: Terms) -> Exchange {
        let (user, secret) = (credentials.user.as_str(), credentials.secret());
        let state = match mechanism {
            Mechanism::ScramSha256Plus | Mechanism::ScramSha256 => {
                State::First(Box::new(Opening::new(user, terms.bind, &terms.nonce)))
            }
            Mechanism::Plain => State::Only(plain::write(user, secret), mechanism),
            Mechanism::OAuthBearer => {
                State::Only(write_oauth_bearer(user, secret, (&terms.host, terms.port)), mechanism)
            }
            Mechanism::XOAuth2 => State::Only(write_xoauth2(user, secret), mechanism),
            Mechanism::Login => State::User,
        };
        Exchange { credentials, state, said: None }
    }

    /// What the client says first; none where the server does.
    #[must_use]
    pub fn initial(&mut self) -> Option<Vec<u8>> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::First(opening) => {
                let message = opening.message().into_bytes();
                self.state = State::Proof(opening);
                Some(message)
            }
            State::Only(message, mechanism) => {
                if matches!(mechanism, Mechanism::OAuthBearer | Mechanism::XOAuth2) {
                    self.state = State::Refused(mechanism);
                }
                Some(message)
            }
            other => {
                self.state = other;
                None
            }
        }
    }

    /// Answers a challenge. SCRAM's takes as long as the server's iterations say.
    ///
    /// # Errors
    /// See [`ExchangeFault`].
    pub fn respond(&mut self, challenge: &[u8]) -> Result<Vec<u8>, ExchangeFault> {
        match std::mem::replace(&mut self.state, State::Done) {
            // Whatever it asks in words: some say `Username:`, some `User Name`.
            State::User => {
                self.state = State::Password;
                Ok(self.credentials.user.clone().into_bytes())
            }
            State::Password => Ok(self.credentials.secret().as_bytes().to_vec()),
            State::Proof(opening) => {
                let keys = |salt: &[u8], iterations| self.credentials.keys(salt, iterations);
                let (message, server) = opening.prove(challenge, keys)?;
                self.state = State::Server(Box::new(server));
                Ok(message.into_bytes())
            }
            State::Server(server) => {
                server.judge(challenge)?;
                Ok(Vec::new())
            }
            State::Refused(mechanism) => {
                let said = String::from_utf8_lossy(challenge);
                self.said = Some(said.chars().filter(|c| !c.is_control()).take(SAID_MAX).collect());
                Ok(if mechanism == Mechanism::OAuthBearer { bearer::REFUSED.to_vec() } else { Vec::new() })
            }
            State::First(_) | State::Only(..) | State::Done => Err(ExchangeFault::TooMuch),
        }
    }

    /// Whether a yes of the server may be believed now.
    ///
    /// # Errors
    /// [`ExchangeFault::TooSoon`].
    pub fn end(&self) -> Result<(), ExchangeFault> {
        match &self.state {
            State::First(_) | State::Proof(_) | State::Server(_) => Err(ExchangeFault::TooSoon),
            _ => Ok(()),
        }
    }

    /// What the server said of a token before it refused it.
    #[must_use]
    pub fn said(&self) -> Option<&str> {
        self.said.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::sasl::{oauth_bearer, xoauth2};

    fn begin(mechanism: Mechanism, secret: Secret) -> Exchange {
        let terms = Terms { host: "h.example".into(), port: 587, bind: Bind::Cannot, nonce: "abc".into() };
        Exchange::begin(mechanism, Arc::new(Credentials::new("shop", secret)), terms)
    }

    fn password() -> Secret {
        Secret::Password("pencil".into())
    }

    #[test]
    fn each_mechanism_says_what_it_has_and_no_more() {
        let mut plain = begin(Mechanism::Plain, password());
        assert_eq!(plain.initial().as_deref(), Some(&b"\0shop\0pencil"[..]));
        assert_eq!(plain.end(), Ok(()));
        assert_eq!(plain.respond(b""), Err(ExchangeFault::TooMuch));

        let mut login = begin(Mechanism::Login, password());
        assert_eq!(login.initial(), None);
        assert_eq!(login.respond(b"User Name\0"), Ok(b"shop".to_vec()));
        assert_eq!(login.respond(b"Password\0"), Ok(b"pencil".to_vec()));
        assert_eq!(login.respond(b"Once more"), Err(ExchangeFault::TooMuch));

        let token = || Secret::Token("ya29.x".into());
        for (mechanism, read) in
            [(Mechanism::OAuthBearer, oauth_bearer as fn(&[u8]) -> Option<String>), (Mechanism::XOAuth2, xoauth2)]
        {
            let mut bearer = begin(mechanism, token());
            assert_eq!(bearer.initial().and_then(|message| read(&message)).as_deref(), Some("ya29.x"));
            assert_eq!(bearer.end(), Ok(()));
            let after: &[u8] = if mechanism == Mechanism::OAuthBearer { b"\x01" } else { b"" };
            assert_eq!(bearer.respond(b"{\"status\":\n\"401\"}").as_deref(), Ok(after));
            assert_eq!(bearer.said(), Some("{\"status\":\"401\"}"));
            assert_eq!(bearer.respond(b""), Err(ExchangeFault::TooMuch));
        }
    }

    #[test]
    fn scram_believes_a_yes_only_from_a_server_that_has_proved_itself() {
        let first = b"r=abcdef,s=c2FsdA==,i=4096";
        let mut scram = begin(Mechanism::ScramSha256, password());
        assert_eq!(scram.end(), Err(ExchangeFault::TooSoon));
        assert_eq!(scram.initial().as_deref(), Some(&b"n,,n=shop,r=abc"[..]));
        assert_eq!(scram.end(), Err(ExchangeFault::TooSoon));
        assert!(scram.respond(first).is_ok());
        assert_eq!(scram.end(), Err(ExchangeFault::TooSoon));
        assert_eq!(scram.respond(b"v=AAAA"), Err(ExchangeFault::Scram(ScramFault::Unproven)));
    }

    #[test]
    fn nothing_secret_is_shown_where_a_value_is_written_out() {
        let credentials = Credentials::new("shop", password());
        assert!(!format!("{credentials:?} {:?}", credentials.secret).contains("pencil"));
        assert!(credentials.keys(b"salt", 4096) == ClientKeys::of("pencil", b"salt", 4096));
        assert!(credentials.keys(b"other", 4096) == ClientKeys::of("pencil", b"other", 4096));
    }
}
