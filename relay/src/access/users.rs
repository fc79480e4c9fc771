//! Users and what is kept of their passwords: the key `users` of a Secret, one `name:hash` a line.
//!
//! Decisions:
//! - A hash is argon2id in PHC's form (`$argon2id$v=19$…`), bcrypt as `htpasswd -B` writes it (`$2y$…`), or SCRAM's keys
//!   (`SCRAM-SHA-256$…`). PLAIN and LOGIN work with all of them; SCRAM cannot work with a hash, so it is offered where all users have
//!   keys: a client that knows SCRAM takes it, and would fail for a user without.
//! - A line that cannot be used is named by its number, and shuts out nobody but its user.
//! - Empty lines and lines that begin with `#` are passed over.
//! - Who asks for a user that does not exist waits as long as for one that does: some user's hash is worked out for nothing, the same
//!   one for the same name, so that neither the time nor its spread tells names.
//! - A hash that would take seconds or hundreds of megabytes is no hash but a way to stop the relay, and is refused.

use std::collections::BTreeMap;

use argon2::{Argon2, PasswordHash, PasswordHasher as _, PasswordVerifier as _};
use aws_lc_rs::{
    hmac,
    rand::{SecureRandom as _, SystemRandom},
};

use crate::{
    secrets::{SecretError, Secrets},
    smtp::sasl::scram::{self, StoredKeys},
};

/// The key of the Secret.
pub(super) const KEY: &str = "users";

/// The most memory that checking a password may take, in KiB: two of a strong profile's.
const MOST_MEMORY: u32 = 256 * 1024;
/// The most passes over that memory.
const MOST_PASSES: u32 = 16;
/// The highest cost of bcrypt: several seconds.
const MOST_COST: u32 = 15;
/// SCRAM's iterations for a new line: what OWASP recommends costs a client of PLAIN 200 ms of our time, this 5 ms.
const ITERATIONS: u32 = 16_384;
/// Octets of a new line's salt.
const SALT: usize = 16;

/// The users of one Secret.
pub(super) struct Users {
    by_name: BTreeMap<String, Kept>,
    all_scram: bool,
    /// What is wrong with lines, without what they hold.
    pub(super) faults: Vec<String>,
    /// What picks the user whose hash is worked out for a name that does not exist; random.
    seed: hmac::Key,
}

/// What is kept of a password.
#[derive(Debug, PartialEq, Eq)]
enum Kept {
    Argon2(String),
    Bcrypt(String),
    Scram(StoredKeys),
}

impl Kept {
    fn read(text: &str) -> Result<Kept, &'static str> {
        if text.starts_with(scram::PREFIX) {
            return StoredKeys::read(text).map(Kept::Scram).ok_or(
                "no SCRAM-SHA-256 keys: write SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey with 4096 to 1000000 iterations",
            );
        }
        if text.starts_with("$argon2id$") {
            let read = PasswordHash::new(text).ok().filter(|hash| hash.hash.is_some() && hash.salt.is_some());
            let hash = read.ok_or("no argon2id hash in PHC's form")?;
            let params = argon2::Params::try_from(&hash).map_err(|_| "no argon2id hash in PHC's form")?;
            let bounded = params.m_cost() <= MOST_MEMORY && params.t_cost() <= MOST_PASSES && params.p_cost() <= 16;
            return if bounded {
                Ok(Kept::Argon2(text.to_owned()))
            } else {
                Err("argon2id with more than 256 MiB, 16 passes or 16 lanes: make the hash with less")
            };
        }
        if ["$2y$", "$2b$", "$2a$"].iter().any(|prefix| text.starts_with(prefix)) {
            let parts: bcrypt::HashParts = text.parse().map_err(|_| "no bcrypt hash")?;
            return if parts.get_cost() <= MOST_COST {
                Ok(Kept::Bcrypt(text.to_owned()))
            } else {
                Err("bcrypt with a cost of more than 15: make the hash with less")
            };
        }
        Err(
            "no hash of a known kind: use argon2id, bcrypt (htpasswd -B) or SCRAM-SHA-256, as mailsluice-relay hash-password does",
        )
    }

    /// Whether it is that of this password. Takes milliseconds.
    fn is_of(&self, password: &str) -> bool {
        match self {
            Kept::Argon2(hash) => Argon2::default().verify_password(password.as_bytes(), hash.as_str()).is_ok(),
            Kept::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Kept::Scram(keys) => keys.are_of(password),
        }
    }
}

impl Users {
    /// Reads them.
    ///
    /// # Errors
    /// When the Secret or its key is not there.
    pub(super) fn load(secrets: &Secrets, name: &str) -> Result<Users, SecretError> {
        Ok(Users::read(name, &String::from_utf8_lossy(&secrets.read(name, KEY)?)))
    }

    fn read(secret: &str, text: &str) -> Users {
        let mut octets = [0; 32];
        // Without it the pick is the same in all processes, which is still no help to anybody who does not know the users.
        let _ = SystemRandom::new().fill(&mut octets);
        let mut users = Users {
            by_name: BTreeMap::new(),
            all_scram: false,
            faults: Vec::new(),
            seed: hmac::Key::new(hmac::HMAC_SHA256, &octets),
        };
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim_end();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let fault = match line.split_once(':') {
                None | Some(("", _)) => Some("write name:hash"),
                Some((name, _)) if users.by_name.contains_key(name) => Some("the name has a line before this one"),
                Some((name, hash)) => match Kept::read(hash) {
                    Ok(kept) => {
                        users.by_name.insert(name.to_owned(), kept);
                        None
                    }
                    Err(fault) => Some(fault),
                },
            };
            users.faults.extend(fault.map(|fault| format!("Secret {secret}: {KEY}: line {number}: {fault}")));
        }
        users.all_scram =
            !users.by_name.is_empty() && users.by_name.values().all(|kept| matches!(kept, Kept::Scram(_)));
        users
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Whether SCRAM works for all of them.
    pub(super) fn know_scram(&self) -> bool {
        self.all_scram
    }

    /// Whether that is the user's password; as slow for a user that does not exist. Takes milliseconds of a processor.
    pub(super) fn check(&self, name: &str, password: &str) -> bool {
        match self.by_name.get(name) {
            Some(kept) => kept.is_of(password),
            None => {
                // The work is not to be saved.
                std::hint::black_box(self.instead_of(name).is_some_and(|kept| kept.is_of(password)));
                false
            }
        }
    }

    /// What SCRAM needs to know of the user; of one that does not exist, something like it that nobody has the password of.
    pub(super) fn scram(&self, name: &str) -> Option<StoredKeys> {
        if let Some(Kept::Scram(keys)) = self.by_name.get(name) {
            return Some(keys.clone());
        }
        let (salt, iterations) = match self.instead_of(name)? {
            Kept::Scram(keys) => keys.shape(),
            Kept::Argon2(_) | Kept::Bcrypt(_) => (SALT, ITERATIONS),
        };
        Some(StoredKeys::of_nobody(hmac::sign(&self.seed, name.as_bytes()).as_ref(), salt, iterations))
    }

    /// Some user, the same one for the same name.
    fn instead_of(&self, name: &str) -> Option<&Kept> {
        let tag = hmac::sign(&self.seed, name.as_bytes());
        let (head, _) = tag.as_ref().split_first_chunk::<8>()?;
        let count = u64::try_from(self.by_name.len()).ok().filter(|count| *count > 0)?;
        self.by_name.values().nth(usize::try_from(u64::from_be_bytes(*head) % count).ok()?)
    }
}

/// What a new line keeps of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashKind {
    /// SCRAM's keys: with them every mechanism works.
    Scram,
    /// Argon2id with the parameters that OWASP recommends: the slowest to guess at, for PLAIN and LOGIN.
    Argon2id,
}

/// A line for a user, with a new salt.
///
/// # Errors
/// What is wrong with the name, or that the system has no random numbers.
pub fn line(name: &str, password: &str, kind: HashKind) -> Result<String, &'static str> {
    if name.is_empty() || name.starts_with('#') || name.contains(|c: char| c == ':' || c.is_control()) {
        return Err(
            "a user's name is not empty, does not begin with #, and has neither a colon nor control characters",
        );
    }
    if password.is_empty() || password.contains('\0') {
        return Err("the password is empty or holds a NUL");
    }
    let mut salt = [0; SALT];
    SystemRandom::new().fill(&mut salt).map_err(|_| "the system has no random numbers")?;
    let kept = match kind {
        HashKind::Scram => StoredKeys::of(password, &salt, ITERATIONS).line(),
        HashKind::Argon2id => {
            let hash: PasswordHash = Argon2::default()
                .hash_password_with_salt(password.as_bytes(), &salt)
                .map_err(|_| "the password cannot be hashed")?;
            hash.to_string()
        }
    };
    Ok(format!("{name}:{kept}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BCRYPT: &str = "$2y$05$m3Ul5l7gaxRNaD5Qa0dUr.9IobfTkKqrXpTm7SqFrSRPBSMvpANGu";

    fn users(text: &str) -> Users {
        Users::read("outbound-users", text)
    }

    #[test]
    fn a_line_that_is_made_is_read_and_knows_its_password() {
        for kind in [HashKind::Scram, HashKind::Argon2id] {
            let line = line("shop", "correct horse", kind).unwrap();
            let users = users(&format!("# comment\n\n{line}\r\n"));
            assert_eq!(users.faults, Vec::<String>::new(), "{line}");
            assert!(users.check("shop", "correct horse"), "{line}");
            assert!(!users.check("shop", "correct horse "), "{line}");
            assert!(!users.check("nobody", "correct horse"), "{line}");
            assert_eq!(users.know_scram(), kind == HashKind::Scram);
        }
        for name in ["", "#a", "a:b", "a\nb"] {
            assert!(line(name, "x", HashKind::Scram).is_err(), "{name:?}");
        }
        assert!(line("a", "", HashKind::Scram).is_err());
    }

    #[test]
    fn bcrypt_of_htpasswd_is_known() {
        let hash = bcrypt::hash_with_salt("x", 4, [7; 16]).unwrap().format_for_version(bcrypt::Version::TwoY);
        let users = users(&format!("a:{hash}\n"));
        assert!(users.check("a", "x"));
        assert!(!users.check("a", "y"));
        assert!(!users.know_scram());
    }

    #[test]
    fn a_bad_line_is_named_without_what_it_holds_and_shuts_out_nobody_else() {
        let good = line("good", "x", HashKind::Scram).unwrap();
        for (bad, fault) in [
            ("nothing", "write name:hash"),
            (":hash", "write name:hash"),
            ("a:plaintext", "no hash of a known kind"),
            ("a:$argon2id$v=19$m=19456,t=2,p=1$c2FsdA", "no argon2id hash"),
            (
                "a:$argon2id$v=19$m=4194304,t=2,p=1$c2FsdHNhbHRzYWx0$N2Y4ZTk3ZDY4ZTk3ZDY4ZTk3ZDY4ZTk3ZDY4ZTk3",
                "argon2id with more",
            ),
            (
                "a:$argon2i$v=19$m=4096,t=3,p=1$c2FsdHNhbHRzYWx0$iWh06vD8Fy27wf9npn6FXWiCX4K6pW6Ue1Bnzz07Z8A",
                "no hash of a known kind",
            ),
            ("a:$2y$31$m3Ul5l7gaxRNaD5Qa0dUr.9IobfTkKqrXpTm7SqFrSRPBSMvpANGu", "bcrypt with a cost"),
            ("a:$2y$05$short", "no bcrypt hash"),
            ("a:SCRAM-SHA-256$1:x$y:z", "no SCRAM-SHA-256 keys"),
            ("a:$apr1$abcdefgh$0123456789", "no hash of a known kind"),
            ("good:$2y$05$x", "the name has a line before"),
        ] {
            let users = users(&format!("{good}\n{bad}\n"));
            let [named] = users.faults.as_slice() else { panic!("{bad}: {:?}", users.faults) };
            assert!(named.starts_with("Secret outbound-users: users: line 2: "), "{named}");
            assert!(named.contains(fault), "{bad}: {named}");
            let held = bad.split_once(':').map_or(bad, |(_, hash)| hash);
            assert!(held.len() < 5 || !named.contains(held), "{named}");
            assert!(users.check("good", "x"), "{bad}");
        }
        assert!(Kept::read(BCRYPT).is_ok());
    }

    #[test]
    fn a_name_that_does_not_exist_gets_keys_like_the_others_and_always_the_same() {
        let users = users(&format!(
            "{}\n{}\n",
            line("a", "x", HashKind::Scram).unwrap(),
            line("b", "y", HashKind::Scram).unwrap()
        ));
        let keys = users.scram("nobody").unwrap();
        assert_eq!(users.scram("nobody"), Some(keys.clone()));
        assert_eq!(users.scram("a").unwrap().shape(), keys.shape());
        assert_ne!(users.scram("nobody else"), Some(keys));
        assert_eq!(Users::read("none", "").scram("a"), None);
    }
}
