//! SCRAM-SHA-256 (RFC 5802, RFC 7677): its arithmetic, and the server's messages; [`client`] has the client's.
//!
//! Decisions:
//! - Names and passwords are prepared by SASLprep (RFC 4013) where that takes them, and are taken as they are where it does not.
//! - A client that says `y` (it can bind to the channel, and believes that the server cannot) where the server offers it has been
//!   lied to by somebody between, and is refused (RFC 5802 section 6).
//! - Why a proof is refused is not told by `e=`: the client gets the same 535 as for everything else.

pub mod client;

use aws_lc_rs::{
    constant_time, digest, hmac, pbkdf2,
    rand::{SecureRandom as _, SystemRandom},
};

use super::{from_base64, text, to_base64};

/// Octets of a nonce, before they are written in base64.
const NONCE: usize = 18;

/// Octets of SHA-256's output.
const LENGTH: usize = digest::SHA256_OUTPUT_LEN;

/// The least that RFC 7677 section 4 allows.
pub const LEAST_ITERATIONS: u32 = 4096;

/// More than that would take seconds to check when the password itself is shown.
pub const MOST_ITERATIONS: u32 = 1_000_000;

/// A nonce, printable and never twice the same; None where the system has no random numbers.
#[must_use]
pub fn nonce() -> Option<String> {
    let mut octets = [0; NONCE];
    SystemRandom::new().fill(&mut octets).ok()?;
    Some(to_base64(&octets))
}

/// What stands in front of keys in a file of users.
pub const PREFIX: &str = "SCRAM-SHA-256$";

/// What a server keeps of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredKeys {
    salt: Vec<u8>,
    iterations: u32,
    stored_key: [u8; LENGTH],
    server_key: [u8; LENGTH],
}

fn mac(key: &[u8], message: &[u8]) -> [u8; LENGTH] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    exactly(tag.as_ref())
}

fn hash(message: &[u8]) -> [u8; LENGTH] {
    exactly(digest::digest(&digest::SHA256, message).as_ref())
}

fn exactly(octets: &[u8]) -> [u8; LENGTH] {
    // SHA-256 gives no other number.
    octets.try_into().unwrap_or([0; LENGTH])
}

/// A password as SASLprep has it.
fn prepared(password: &str) -> std::borrow::Cow<'_, str> {
    stringprep::saslprep(password).unwrap_or(std::borrow::Cow::Borrowed(password))
}

/// A password as `Hi` of RFC 5802 section 2.2 has it. Takes as long as `iterations` say.
fn salted(password: &str, salt: &[u8], iterations: u32) -> [u8; LENGTH] {
    let mut salted = [0; LENGTH];
    let rounds = std::num::NonZeroU32::new(iterations).unwrap_or(std::num::NonZeroU32::MIN);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, prepared(password).as_bytes(), &mut salted);
    salted
}

/// One of the two keys of a salted password.
fn client_key(salted: &[u8; LENGTH]) -> [u8; LENGTH] {
    mac(salted, b"Client Key")
}

/// The other one.
fn server_key(salted: &[u8; LENGTH]) -> [u8; LENGTH] {
    mac(salted, b"Server Key")
}

/// Octet by octet: what proves a key, of the key and a signature, and the other way round.
fn exclusive_or(mut one: [u8; LENGTH], other: [u8; LENGTH]) -> [u8; LENGTH] {
    for (octet, mask) in one.iter_mut().zip(other) {
        *octet ^= mask;
    }
    one
}

impl StoredKeys {
    /// Makes them of a password. Takes as long as `iterations` say.
    #[must_use]
    pub fn of(password: &str, salt: &[u8], iterations: u32) -> StoredKeys {
        let salted = salted(password, salt, iterations);
        StoredKeys {
            salt: salt.to_owned(),
            iterations,
            stored_key: hash(&client_key(&salted)),
            server_key: server_key(&salted),
        }
    }

    /// Keys that no password has, for a user who does not exist: the same for the same `seed`, which is nobody else's to know.
    #[must_use]
    pub fn of_nobody(seed: &[u8], salt_length: usize, iterations: u32) -> StoredKeys {
        let salt = mac(seed, b"salt").repeat(1 + salt_length / LENGTH);
        let salt = salt.get(..salt_length).unwrap_or_default().to_owned();
        StoredKeys { salt, iterations, stored_key: mac(seed, b"stored"), server_key: mac(seed, b"server") }
    }

    /// Reads `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`, with salt and keys in base64; as PostgreSQL writes it.
    #[must_use]
    pub fn read(line: &str) -> Option<StoredKeys> {
        let (head, keys) = line.strip_prefix(PREFIX)?.split_once('$')?;
        let (iterations, salt) = head.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        let iterations =
            iterations.parse().ok().filter(|number| (LEAST_ITERATIONS..=MOST_ITERATIONS).contains(number))?;
        let key = |text: &str| from_base64(text.as_bytes())?.try_into().ok();
        let salt = from_base64(salt.as_bytes()).filter(|salt| !salt.is_empty())?;
        Some(StoredKeys { salt, iterations, stored_key: key(stored)?, server_key: key(server)? })
    }

    /// Writes what [`StoredKeys::read`] reads.
    #[must_use]
    pub fn line(&self) -> String {
        let StoredKeys { salt, iterations, stored_key, server_key } = self;
        let (salt, stored, server) = (to_base64(salt), to_base64(stored_key), to_base64(server_key));
        format!("{PREFIX}{iterations}:{salt}${stored}:{server}")
    }

    /// Whether they are those of this password, in the same time whatever the answer is. Takes as long as the iterations say.
    #[must_use]
    pub fn are_of(&self, password: &str) -> bool {
        let other = StoredKeys::of(password, &self.salt, self.iterations);
        constant_time::verify_slices_are_equal(&other.stored_key, &self.stored_key).is_ok()
    }

    /// Octets of the salt, and the iterations: what keys of nobody have to be like.
    #[must_use]
    pub fn shape(&self) -> (usize, u32) {
        (self.salt.len(), self.iterations)
    }
}

/// What TLS offers to bind to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// tls-exporter (RFC 9266).
    Exporter,
    /// tls-server-end-point (RFC 5929 section 4).
    ServerEndPoint,
}

/// What a client says of binding to the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    /// `n`: it cannot.
    Cannot,
    /// `y`: it could, and believes that the server cannot.
    Could,
    /// `p`: it does, to this.
    Bound(Binding),
    /// `p`: it does, to something that is not known here.
    BoundToUnknown,
}

/// The client's first message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFirst {
    /// What it says of binding to the channel.
    pub flag: Flag,
    /// For whom it wants to act, where it says so.
    pub act_for: Option<String>,
    /// Who it is.
    pub user: String,
    gs2_header: String,
    bare: String,
    nonce: String,
}

impl ClientFirst {
    /// Reads it; None where it is malformed or wants an extension.
    #[must_use]
    pub fn read(message: &[u8]) -> Option<ClientFirst> {
        let message = text(message)?;
        let mut parts = message.splitn(3, ',');
        let (flag, act_for, bare) = (parts.next()?, parts.next()?, parts.next()?);
        let gs2_header = message.get(..message.len() - bare.len())?.to_owned();
        let flag = match flag {
            "n" => Flag::Cannot,
            "y" => Flag::Could,
            "p=tls-exporter" => Flag::Bound(Binding::Exporter),
            "p=tls-server-end-point" => Flag::Bound(Binding::ServerEndPoint),
            _ if flag.starts_with("p=") => Flag::BoundToUnknown,
            _ => return None,
        };
        let act_for = match act_for {
            "" => None,
            name => Some(sasl_name(name.strip_prefix("a=")?)?),
        };
        let mut attributes = bare.split(',');
        // `m=` would stand here: an extension that must be understood (RFC 5802 section 5.1).
        let user = sasl_name(attributes.next()?.strip_prefix("n=")?)?;
        let nonce = attributes.next()?.strip_prefix("r=").filter(|nonce| is_nonce(nonce))?.to_owned();
        Some(ClientFirst { flag, act_for, user, gs2_header, bare: bare.to_owned(), nonce })
    }
}

/// Printable ASCII without commas.
fn is_nonce(nonce: &str) -> bool {
    !nonce.is_empty() && nonce.bytes().all(|octet| matches!(octet, b'!'..=b'+' | b'-'..=b'~'))
}

/// A name, with `=2C` for a comma and `=3D` for an equals sign.
fn sasl_name(text: &str) -> Option<String> {
    let mut pieces = text.split('=');
    let mut name = pieces.next()?.to_owned();
    for piece in pieces {
        let (octet, rest) = match (piece.strip_prefix("2C"), piece.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return None,
        };
        name.push(octet);
        name.push_str(rest);
    }
    if name.is_empty() { None } else { Some(prepared(&name).into_owned()) }
}

/// What the server has asked for, until the client proves that it knows the password.
#[derive(Clone)]
pub struct Challenge {
    /// Who is asked.
    pub user: String,
    keys: StoredKeys,
    bare: String,
    server_first: String,
    nonce: String,
    /// What the client has to repeat: its header, and what the channel is bound to.
    binding: Vec<u8>,
}

/// What a proof comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// The client knows the password; this is said to prove that the server does, too.
    Holds(String),
    /// It does not, or is not on the channel that it believes to be on.
    Fails,
    /// The message is malformed.
    Malformed,
}

impl Challenge {
    /// Asks for a proof. `binding`: what TLS has to bind to, where the client binds; `nonce`: printable, and never twice the same.
    #[must_use]
    pub fn new(first: ClientFirst, keys: StoredKeys, binding: &[u8], nonce: &str) -> Challenge {
        let nonce = format!("{}{nonce}", first.nonce);
        let server_first = format!("r={nonce},s={},i={}", to_base64(&keys.salt), keys.iterations);
        let binding = [first.gs2_header.as_bytes(), binding].concat();
        Challenge { user: first.user, keys, bare: first.bare, server_first, nonce, binding }
    }

    /// The server's first message.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.server_first
    }

    /// Judges the client's final message.
    #[must_use]
    pub fn judge(&self, client_final: &[u8]) -> Proof {
        let read = || {
            let (without_proof, proof) = text(client_final)?.rsplit_once(",p=")?;
            let proof: [u8; LENGTH] = from_base64(proof.as_bytes())?.try_into().ok()?;
            let mut attributes = without_proof.split(',');
            let binding = from_base64(attributes.next()?.strip_prefix("c=")?.as_bytes())?;
            let nonce = attributes.next()?.strip_prefix("r=")?;
            Some((without_proof, proof, binding, nonce))
        };
        let Some((without_proof, proof, binding, nonce)) = read() else { return Proof::Malformed };
        let signed = format!("{},{},{without_proof}", self.bare, self.server_first);
        let signature = mac(&self.keys.stored_key, signed.as_bytes());
        let client_key = exclusive_or(proof, signature);
        let proven = constant_time::verify_slices_are_equal(&hash(&client_key), &self.keys.stored_key).is_ok();
        if proven && binding == self.binding && nonce == self.nonce {
            Proof::Holds(format!("v={}", to_base64(&mac(&self.keys.server_key, signed.as_bytes()))))
        } else {
            Proof::Fails
        }
    }
}

impl std::fmt::Debug for Challenge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Challenge").field("user", &self.user).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for StoredKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoredKeys(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange of RFC 7677 section 3.
    const SALT: &[u8] = b"W22ZaJ0SNY7soEsUEjb6gQ==";
    const FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const FINAL: &[u8] =
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    fn keys(password: &str) -> StoredKeys {
        StoredKeys::of(password, &from_base64(SALT).unwrap(), 4096)
    }

    fn challenge(password: &str, first: &[u8], binding: &[u8]) -> Challenge {
        Challenge::new(ClientFirst::read(first).unwrap(), keys(password), binding, NONCE)
    }

    #[test]
    fn the_exchange_of_rfc_7677_holds_and_nothing_near_it_does() {
        let right = challenge("pencil", FIRST, b"");
        assert_eq!(
            right.message(),
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        assert_eq!(right.judge(FINAL), Proof::Holds("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=".into()));
        assert_eq!(challenge("pencils", FIRST, b"").judge(FINAL), Proof::Fails);
        // Bound to a channel, or said to be: what the client repeats is not what it said, or not what the channel is.
        assert_eq!(challenge("pencil", b"y,,n=user,r=rOprNGfwEbeRWgbNEkqO", b"").judge(FINAL), Proof::Fails);
        assert_eq!(challenge("pencil", FIRST, b"x").judge(FINAL), Proof::Fails);
        let other = Challenge::new(ClientFirst::read(FIRST).unwrap(), keys("pencil"), b"", "other");
        assert_eq!(other.judge(FINAL), Proof::Fails);
        for malformed in
            [&b""[..], b"c=biws", b"c=biws,p=", b"r=x,c=biws,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="]
        {
            assert_eq!(right.judge(malformed), Proof::Malformed, "{}", malformed.escape_ascii());
        }
    }

    #[test]
    fn a_first_message_is_read_as_rfc_5802_writes_it() {
        for (message, read) in [
            ("n,,n=user,r=abc", Some((Flag::Cannot, None, "user"))),
            ("y,a=boss,n=a=2Cb=3Dc,r=abc,x=y", Some((Flag::Could, Some("boss"), "a,b=c"))),
            ("p=tls-exporter,,n=user,r=abc", Some((Flag::Bound(Binding::Exporter), None, "user"))),
            ("p=tls-server-end-point,,n=user,r=abc", Some((Flag::Bound(Binding::ServerEndPoint), None, "user"))),
            ("p=tls-unique,,n=user,r=abc", Some((Flag::BoundToUnknown, None, "user"))),
            ("n,,m=x,n=user,r=abc", None),
            ("n,,n=us=er,r=abc", None),
            ("n,,n=,r=abc", None),
            ("n,,n=user,r=", None),
            ("n,,n=user", None),
            ("x,,n=user,r=abc", None),
            ("n,boss,n=user,r=abc", None),
            ("", None),
        ] {
            let first = ClientFirst::read(message.as_bytes());
            let first = first.as_ref().map(|first| (first.flag, first.act_for.as_deref(), first.user.as_str()));
            assert_eq!(first, read, "{message}");
        }
    }

    #[test]
    fn keys_are_read_as_they_are_written_and_know_their_password() {
        let keys = keys("pencil");
        assert_eq!(StoredKeys::read(&keys.line()), Some(keys.clone()));
        assert!(keys.are_of("pencil"));
        assert!(!keys.are_of("pencil "));
        // A soft hyphen is nothing to SASLprep.
        assert!(keys.are_of("pen\u{ad}cil"));
        let line = keys.line();
        for bad in [
            line.replace("4096", "4095"),
            line.replace("4096", "1000001"),
            line.replace(":W22", ":"),
            line.replace('$', "%"),
            line.replace("W22ZaJ0SNY7soEsUEjb6gQ==", ""),
            format!("{line}="),
            format!("{line}:"),
        ] {
            assert_eq!(StoredKeys::read(&bad), None, "{bad}");
        }
        let nobody = StoredKeys::of_nobody(b"seed", 40, 4096);
        assert_eq!(nobody, StoredKeys::of_nobody(b"seed", 40, 4096));
        assert_eq!(nobody.shape(), (40, 4096));
        assert_ne!(nobody, StoredKeys::of_nobody(b"other", 40, 4096));
    }
}
