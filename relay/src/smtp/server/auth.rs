//! AUTH (RFC 4954): the client shows who it is.
//!
//! Decisions:
//! - It is offered under TLS, and in clear only where the driver says so: on loopback. Elsewhere in clear AUTH gets 538 5.7.11.
//! - It needs EHLO before it, and gets 503 within a transaction and where the client is authenticated already.
//! - A line of an exchange has at most [`AUTH_LINE_MAX`] octets (section 4); a longer one ends the exchange with 500 5.5.6.
//! - `*` ends an exchange with 501 5.7.0, base64 that is none with 501 5.5.2, and a message that is not what the mechanism wants
//!   with 501 5.5.4. Whatever is wrong with a name, a password, a proof or a token is 535 5.7.8, in the same words.
//! - Each failed exchange counts as a junk command, so that a session cannot try for ever.
//! - To act for somebody else (an authorization identity) is refused: nobody here may.
//! - What the client has shown counts for nothing after STARTTLS (RFC 3207 section 4.2).

use bytes::BytesMut;

use super::{
    Session,
    event::{Credentials, ScramAnswer},
    line::Line,
    local_error,
    state::{Answer, State, Step},
};
use crate::smtp::{
    command::CommandError,
    reply::Reply,
    sasl::{
        self, Mechanism, Opaque, bearer_refusal, from_base64, oauth_bearer,
        scram::{Binding, Challenge, ClientFirst, Flag, Proof},
        to_base64, xoauth2,
    },
};

/// Octets of a line of an exchange, and of AUTH with an initial response (RFC 4954 section 4): 12,288 of base64.
pub const AUTH_LINE_MAX: usize = 12_288 + "AUTH SCRAM-SHA-256-PLUS \r\n".len();

/// Which mechanisms are offered, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthOffer {
    /// PLAIN and LOGIN.
    pub passwords: bool,
    /// SCRAM-SHA-256, and under TLS SCRAM-SHA-256-PLUS.
    pub scram: bool,
    /// OAUTHBEARER and XOAUTH2.
    pub tokens: bool,
    /// In clear, too.
    pub in_clear: bool,
}

impl AuthOffer {
    /// The mechanisms that are offered, in clear or under TLS.
    pub(super) fn mechanisms(self, tls: bool) -> impl Iterator<Item = Mechanism> {
        let offered = move |mechanism: &Mechanism| match mechanism {
            Mechanism::Plain | Mechanism::Login => self.passwords,
            Mechanism::ScramSha256 => self.scram,
            Mechanism::ScramSha256Plus => self.scram && tls,
            Mechanism::OAuthBearer | Mechanism::XOAuth2 => self.tokens,
        };
        Mechanism::ALL.into_iter().filter(move |_| tls || self.in_clear).filter(offered)
    }
}

/// What the next line of the client has to be.
#[derive(Debug)]
pub(super) enum Awaited {
    /// The first message of a mechanism.
    Initial(Mechanism),
    /// LOGIN's password.
    Password(String),
    /// SCRAM's proof.
    Proof(Box<Challenge>),
    /// Nothing: SCRAM is over, and the client has been told that the server knows its password, too.
    ScramEnd(String),
    /// Nothing: a token was refused, and this comes after.
    BearerEnd(Reply),
}

/// What the driver is asked.
#[derive(Debug)]
pub(super) enum Claim {
    Password { user: String, password: Opaque },
    Token(Opaque),
    ScramUser(Box<ClientFirst>),
    Scram { user: String, proven: bool },
}

impl Session {
    /// Carries out AUTH.
    pub(super) fn auth(&mut self, mechanism: &[u8], initial: Option<Opaque>, output: &mut BytesMut) -> Option<Step> {
        if !self.hello.as_ref().is_some_and(|hello| hello.extended) {
            return self.out_of_order("Send EHLO first", output);
        }
        let Some(offer) = self.config.auth else {
            return self.junk(&Reply::enhanced(502, (5, 1), "AUTH is not offered"), output);
        };
        if self.authenticated {
            return self.out_of_order("Authenticated already", output);
        }
        if matches!(self.state, State::Transaction(_) | State::BetweenChunks(_)) {
            return self.out_of_order("AUTH within a transaction; send RSET first", output);
        }
        if !self.tls && !offer.in_clear {
            return self.junk(&Reply::enhanced(538, (7, 11), "Encryption is needed first: send STARTTLS"), output);
        }
        let Some(mechanism) = Mechanism::read(mechanism).filter(|one| offer.mechanisms(self.tls).any(|o| o == *one))
        else {
            return self.junk(&Reply::enhanced(504, (5, 4), "Mechanism is not offered"), output);
        };
        match initial {
            // An empty response is written so (section 4).
            Some(Opaque(response)) if response == b"=" => self.response(Awaited::Initial(mechanism), &[], output),
            Some(Opaque(response)) => self.encoded(Awaited::Initial(mechanism), &response, output),
            None => {
                let challenge: &[u8] = if mechanism == Mechanism::Login { b"Username:" } else { b"" };
                self.challenge(challenge, Awaited::Initial(mechanism), output)
            }
        }
    }

    /// Takes the next line of an exchange.
    pub(super) fn auth_line(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Option<Step> {
        let line = self.lines.take(input, AUTH_LINE_MAX);
        if !matches!(line, Line::Missing) {
            self.transcript.hidden();
        }
        let line = match line {
            Line::Missing => return Some(Step::NeedInput),
            Line::Bad(CommandError::TooLong) => {
                self.state = State::Ready;
                return self.junk(&Reply::enhanced(500, (5, 6), "Authentication exchange line is too long"), output);
            }
            Line::Bad(error) => {
                self.state = State::Ready;
                return self.bad(error, output);
            }
            Line::Whole(line) => line,
        };
        let State::Auth(awaited) = std::mem::replace(&mut self.state, State::Ready) else { return None };
        let response = line.strip_suffix(b"\r\n").unwrap_or(&line);
        if response == b"*" && !matches!(*awaited, Awaited::BearerEnd(_)) {
            return self.junk(&Reply::enhanced(501, (7, 0), "Authentication is given up"), output);
        }
        self.encoded(*awaited, response, output)
    }

    fn encoded(&mut self, awaited: Awaited, response: &[u8], output: &mut BytesMut) -> Option<Step> {
        if let Awaited::BearerEnd(reply) = awaited {
            // Whatever it says, it has been refused (RFC 7628 section 3.2.3).
            return self.auth_refused(&reply, output);
        }
        match from_base64(response) {
            Some(response) => self.response(awaited, &response, output),
            None => self.junk(&Reply::enhanced(501, (5, 2), "Response is not base64"), output),
        }
    }

    fn response(&mut self, awaited: Awaited, response: &[u8], output: &mut BytesMut) -> Option<Step> {
        let plain_text = || std::str::from_utf8(response).ok().filter(|text| !text.is_empty()).map(str::to_owned);
        let claim = match awaited {
            Awaited::Initial(Mechanism::Plain) => sasl::plain(response).map(|shown| {
                let acts_for_itself = shown.act_for.is_none_or(|other| other == shown.user);
                if acts_for_itself {
                    Claim::Password { user: shown.user, password: Opaque(shown.password.into_bytes()) }
                } else {
                    Claim::Scram { user: shown.user, proven: false }
                }
            }),
            Awaited::Initial(Mechanism::Login) => match plain_text() {
                Some(user) => return self.challenge(b"Password:", Awaited::Password(user), output),
                None => None,
            },
            Awaited::Password(user) => {
                plain_text().map(|password| Claim::Password { user, password: Opaque(password.into_bytes()) })
            }
            Awaited::Initial(Mechanism::OAuthBearer) => {
                oauth_bearer(response).map(|token| Claim::Token(Opaque(token.into_bytes())))
            }
            Awaited::Initial(Mechanism::XOAuth2) => {
                xoauth2(response).map(|token| Claim::Token(Opaque(token.into_bytes())))
            }
            Awaited::Initial(Mechanism::ScramSha256) => self.scram_first(response, false),
            Awaited::Initial(Mechanism::ScramSha256Plus) => self.scram_first(response, true),
            Awaited::Proof(challenge) => match challenge.judge(response) {
                Proof::Holds(proof) => {
                    return self.challenge(proof.as_bytes(), Awaited::ScramEnd(challenge.user), output);
                }
                Proof::Fails => Some(Claim::Scram { user: challenge.user, proven: false }),
                Proof::Malformed => None,
            },
            Awaited::ScramEnd(user) if response.is_empty() => Some(Claim::Scram { user, proven: true }),
            Awaited::ScramEnd(_) | Awaited::BearerEnd(_) => None,
        };
        match claim {
            Some(claim) => {
                self.state = State::Authenticating(Box::new(claim));
                Some(Step::Authenticate)
            }
            None => self.junk(&Reply::enhanced(501, (5, 4), "Response is not what the mechanism wants"), output),
        }
    }

    /// SCRAM's first message, by itself or with PLUS behind the mechanism's name.
    fn scram_first(&self, response: &[u8], plus: bool) -> Option<Claim> {
        let first = ClientFirst::read(response)?;
        let acts_for_itself = first.act_for.as_ref().is_none_or(|other| *other == first.user);
        let sound = match first.flag {
            Flag::Cannot => !plus,
            // Where PLUS is offered, it would know.
            Flag::Could => !plus && !self.tls,
            Flag::Bound(_) => plus,
            Flag::BoundToUnknown => false,
        };
        Some(if sound && acts_for_itself {
            Claim::ScramUser(Box::new(first))
        } else {
            Claim::Scram { user: first.user, proven: false }
        })
    }

    fn challenge(&mut self, text: &[u8], awaited: Awaited, output: &mut BytesMut) -> Option<Step> {
        Reply::new(334, to_base64(text)).render(output);
        self.state = State::Auth(Box::new(awaited));
        None
    }

    /// Carries out the driver's answer to a claim.
    pub(super) fn settle_claim(&mut self, claim: Claim, answer: Answer, output: &mut BytesMut) {
        match (claim, answer) {
            (Claim::ScramUser(first), Answer::Accept(_)) => {
                let Some(answer) = self.scram.take() else {
                    return self.refused(&local_error(), output);
                };
                let ScramAnswer { keys, binding, nonce } = *answer;
                let challenge = Challenge::new(*first, keys, &binding, &nonce);
                let message = challenge.message().to_owned();
                let _ = self.challenge(message.as_bytes(), Awaited::Proof(Box::new(challenge)), output);
            }
            (Claim::Password { .. } | Claim::Token(_) | Claim::Scram { proven: true, .. }, Answer::Accept(_)) => {
                self.authenticated = true;
                Reply::enhanced(235, (7, 0), "Authenticated").render(output);
            }
            (Claim::Token(_), Answer::Refuse(reply)) if reply.code() == 535 => {
                let _ = self.challenge(bearer_refusal(), Awaited::BearerEnd(reply), output);
            }
            (_, Answer::Refuse(reply)) => {
                let _ = self.auth_refused(&reply, output);
            }
            // A yes to what is not proven.
            (Claim::Scram { .. }, Answer::Accept(_)) => {
                let _ = self.auth_refused(&Reply::enhanced(535, (7, 8), "Authentication failed"), output);
            }
        }
    }

    fn auth_refused(&mut self, reply: &Reply, output: &mut BytesMut) -> Option<Step> {
        if reply.closes() {
            self.refused(reply, output);
            None
        } else {
            self.junk(reply, output)
        }
    }

    /// What the driver is asked, as it is told.
    pub(super) fn credentials(claim: &Claim) -> Credentials<'_> {
        match claim {
            Claim::Password { user, password } => Credentials::Password { user, password: &password.0 },
            Claim::Token(token) => Credentials::Token(&token.0),
            Claim::ScramUser(first) => Credentials::ScramUser { user: &first.user, binding: binding(first.flag) },
            Claim::Scram { user, proven } => Credentials::Scram { user, proven: *proven },
        }
    }
}

fn binding(flag: Flag) -> Option<Binding> {
    match flag {
        Flag::Bound(binding) => Some(binding),
        Flag::Cannot | Flag::Could | Flag::BoundToUnknown => None,
    }
}
