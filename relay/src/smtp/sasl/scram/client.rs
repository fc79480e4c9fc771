//! SCRAM-SHA-256, the client's side: what it says, and what it believes.
//!
//! Decisions:
//! - The server is believed only when it has proved that it knows the password, too.
//! - Fewer iterations than RFC 7677 section 4 allows would make the password cheap to guess for whoever asks for them, and more than
//!   [`MOST_ITERATIONS`] would keep a processor busy for whoever asks.
//! - Where both sides can bind to the channel, the client does; where only it can, it says so, so that a server that can as well
//!   notices that somebody between has hidden that (RFC 5802 section 6).

use aws_lc_rs::constant_time;

use super::{
    Binding, LEAST_ITERATIONS, LENGTH, MOST_ITERATIONS, client_key, exclusive_or, from_base64, hash, is_nonce, mac,
    prepared, salted, server_key, text, to_base64,
};

/// What a connection has to bind to, and what of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Its kind.
    pub kind: Binding,
    /// Its octets.
    pub octets: Vec<u8>,
}

/// What a client says of binding to the channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bind {
    /// It does.
    To(Channel),
    /// It could, and the server offers nothing for it.
    Could,
    /// It cannot.
    Cannot,
}

/// Why a client does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScramFault {
    /// The server's message is none of this exchange.
    #[error("its answer is not what SCRAM has")]
    Malformed,
    /// It wants the password hashed too seldom, or too often.
    #[error("it wants {0} iterations, where {LEAST_ITERATIONS} to {MOST_ITERATIONS} are sound")]
    Iterations(u32),
    /// It has not proved that it knows the password.
    #[error("it does not prove that it knows the password")]
    Unproven,
}

/// The keys of a password, for one salt and number of iterations.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientKeys {
    client_key: [u8; LENGTH],
    server_key: [u8; LENGTH],
}

impl ClientKeys {
    /// Makes them of a password. Takes as long as `iterations` say.
    #[must_use]
    pub fn of(password: &str, salt: &[u8], iterations: u32) -> ClientKeys {
        let salted = salted(password, salt, iterations);
        ClientKeys { client_key: client_key(&salted), server_key: server_key(&salted) }
    }
}

/// An exchange that the client has begun.
pub struct Opening {
    gs2_header: String,
    bare: String,
    nonce: String,
    /// What the server is to have seen: the header, and what the channel is bound to.
    binding: Vec<u8>,
}

impl Opening {
    /// Begins one for this user; `nonce`: printable without commas, and never twice the same.
    #[must_use]
    pub fn new(user: &str, bind: Bind, nonce: &str) -> Opening {
        let (gs2_header, octets) = match bind {
            Bind::To(Channel { kind: Binding::Exporter, octets }) => ("p=tls-exporter,,", octets),
            Bind::To(Channel { kind: Binding::ServerEndPoint, octets }) => ("p=tls-server-end-point,,", octets),
            Bind::Could => ("y,,", Vec::new()),
            Bind::Cannot => ("n,,", Vec::new()),
        };
        let bare = format!("n={},r={nonce}", sasl_name(&prepared(user)));
        let binding = [gs2_header.as_bytes(), &octets].concat();
        Opening { gs2_header: gs2_header.to_owned(), bare, nonce: nonce.to_owned(), binding }
    }

    /// The client's first message.
    #[must_use]
    pub fn message(&self) -> String {
        format!("{}{}", self.gs2_header, self.bare)
    }

    /// Answers the server's first message: the client's final one, and what the server has to prove then. `keys` are those of the
    /// password with the salt and the iterations that the server names.
    ///
    /// # Errors
    /// See [`ScramFault`].
    pub fn prove(
        &self,
        server_first: &[u8],
        keys: impl FnOnce(&[u8], u32) -> ClientKeys,
    ) -> Result<(String, ServerProof), ScramFault> {
        let read = || {
            let message = text(server_first)?;
            let mut attributes = message.split(',');
            // `m=` would stand here: an extension that must be understood (RFC 5802 section 5.1). What comes last may be ignored.
            let nonce = attributes.next()?.strip_prefix("r=").filter(|nonce| is_nonce(nonce))?;
            let salt = from_base64(attributes.next()?.strip_prefix("s=")?.as_bytes())?;
            let iterations = attributes.next()?.strip_prefix("i=")?.parse::<u32>().ok()?;
            let both = nonce.strip_prefix(self.nonce.as_str()).is_some_and(|theirs| !theirs.is_empty());
            (both && !salt.is_empty()).then_some((message, nonce, salt, iterations))
        };
        let (server_first, nonce, salt, iterations) = read().ok_or(ScramFault::Malformed)?;
        if !(LEAST_ITERATIONS..=MOST_ITERATIONS).contains(&iterations) {
            return Err(ScramFault::Iterations(iterations));
        }
        let keys = keys(&salt, iterations);
        let without_proof = format!("c={},r={nonce}", to_base64(&self.binding));
        let signed = format!("{},{server_first},{without_proof}", self.bare);
        let signature = mac(&hash(&keys.client_key), signed.as_bytes());
        let proof = exclusive_or(keys.client_key, signature);
        let server = ServerProof(mac(&keys.server_key, signed.as_bytes()));
        Ok((format!("{without_proof},p={}", to_base64(&proof)), server))
    }
}

/// What the server says if it knows the password.
pub struct ServerProof([u8; LENGTH]);

impl ServerProof {
    /// Judges the server's final message.
    ///
    /// # Errors
    /// [`ScramFault::Unproven`].
    pub fn judge(&self, server_final: &[u8]) -> Result<(), ScramFault> {
        let said = || {
            let signature = text(server_final)?.split(',').next()?.strip_prefix("v=")?;
            from_base64(signature.as_bytes())
        };
        let proven = said().is_some_and(|said| constant_time::verify_slices_are_equal(&said, &self.0).is_ok());
        if proven { Ok(()) } else { Err(ScramFault::Unproven) }
    }
}

/// A name with `=2C` for a comma and `=3D` for an equals sign.
fn sasl_name(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Challenge, ClientFirst, Proof, StoredKeys},
        *,
    };

    /// The exchange of RFC 7677 section 3.
    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const SERVER_FIRST: &[u8] =
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    fn opening() -> Opening {
        Opening::new("user", Bind::Cannot, NONCE)
    }

    fn keys(salt: &[u8], iterations: u32) -> ClientKeys {
        ClientKeys::of("pencil", salt, iterations)
    }

    #[test]
    fn the_exchange_of_rfc_7677_is_said_and_its_end_believed_alone() {
        assert_eq!(opening().message(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let (last, server) = opening().prove(SERVER_FIRST, keys).unwrap();
        assert_eq!(
            last,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert_eq!(server.judge(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
        assert_eq!(server.judge(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=,x=y"), Ok(()));
        for other in [
            &b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G0="[..],
            b"v=",
            b"v=6rri",
            b"e=invalid-proof",
            b"x=y,v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
            b"",
        ] {
            assert_eq!(server.judge(other), Err(ScramFault::Unproven), "{}", other.escape_ascii());
        }
    }

    #[test]
    fn what_is_no_challenge_of_this_exchange_is_answered_by_no_proof() {
        for (challenge, fault) in [
            ("r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", None),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,x=later", None),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1", Some(ScramFault::Iterations(1))),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4095", Some(ScramFault::Iterations(4095))),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1000001", Some(ScramFault::Iterations(1_000_001))),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=99999999999", Some(ScramFault::Malformed)),
            // Another's nonce, and nothing of the server's own.
            ("r=another%hvYDpWUa2RaTCAfuxFIlj,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", Some(ScramFault::Malformed)),
            ("r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", Some(ScramFault::Malformed)),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=,i=4096", Some(ScramFault::Malformed)),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=W22,i=4096", Some(ScramFault::Malformed)),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==", Some(ScramFault::Malformed)),
            ("m=x,r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", Some(ScramFault::Malformed)),
            ("", Some(ScramFault::Malformed)),
        ] {
            assert_eq!(opening().prove(challenge.as_bytes(), keys).err(), fault, "{challenge}");
        }
    }

    #[test]
    fn both_sides_agree_about_any_name_and_about_the_channel_that_they_are_on() {
        let bound = |kind, octets: &[u8]| Bind::To(Channel { kind, octets: octets.into() });
        for (user, bind, server_binds_to, holds) in [
            ("shop", Bind::Cannot, &b""[..], true),
            ("a,b=c=2C\u{e9}", Bind::Could, b"", true),
            ("shop", bound(Binding::Exporter, b"this"), b"this", true),
            ("shop", bound(Binding::ServerEndPoint, b"this"), b"this", true),
            ("shop", bound(Binding::Exporter, b"this"), b"that", false),
        ] {
            let opening = Opening::new(user, bind, "abc");
            let first = ClientFirst::read(opening.message().as_bytes()).unwrap();
            assert_eq!(first.user, user);
            let challenge = Challenge::new(first, StoredKeys::of("pencil", b"salt", 4096), server_binds_to, "def");
            let (last, server) = opening.prove(challenge.message().as_bytes(), keys).unwrap();
            match challenge.judge(last.as_bytes()) {
                Proof::Holds(proof) => assert!(holds && server.judge(proof.as_bytes()).is_ok(), "{user}"),
                other => assert_eq!((other, holds), (Proof::Fails, false), "{user}"),
            }
        }
    }
}
