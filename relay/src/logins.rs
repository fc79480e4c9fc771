//! What the relay logs in with at smarthosts: read from Secrets, and again when they change.

use std::{
    io::ErrorKind,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use mailsluice_crds::relay::{SMTPRelaySpec, Smarthost};

use crate::{
    secrets::{Faulty, Kept, SecretError, Secrets},
    smtp::sasl::{Credentials, Secret, is_token},
};

/// The keys of the Secret: the name, and one of the two that prove it.
const USER: &str = "username";
const PASSWORD: &str = "password";
const TOKEN: &str = "token";

/// Octets of a name: what every server takes (RFC 4616 section 2).
const USER_MAX: usize = 255;

/// Octets of a password or a token: with all that stands around it, it fits into a line of AUTH, which has 12,288 octets of base64
/// (RFC 4954 section 4).
const SECRET_MAX: usize = 8_000;

/// The credentials of all smarthosts that have some.
pub struct Logins {
    kept: Kept<Arc<Credentials>>,
    /// Something changed that [`Logins::look`] has not told yet.
    untold: AtomicBool,
}

impl Logins {
    /// None yet.
    #[must_use]
    pub fn new(secrets: Secrets) -> Logins {
        Logins { kept: Kept::new(secrets, &[USER, PASSWORD, TOKEN], load), untold: AtomicBool::new(false) }
    }

    /// Reads what is new or has changed, and forgets what no route names; whether anything changed.
    pub fn look(&self, spec: &SMTPRelaySpec) -> bool {
        self.kept.look(spec.smarthosts().filter_map(secret_of)) | self.untold.swap(false, Ordering::Relaxed)
    }

    /// Reads what will be wanted beside what is wanted now, before that changes: so no session finds its credentials unread.
    pub fn prepare(&self, now: &SMTPRelaySpec, next: &SMTPRelaySpec) {
        if self.kept.look(now.smarthosts().chain(next.smarthosts()).filter_map(secret_of)) {
            self.untold.store(true, Ordering::Relaxed);
        }
    }

    /// The credentials in a Secret, where it has ever had some; the same pointer for as long as it is not changed.
    #[must_use]
    pub fn get(&self, secret_name: &str) -> Option<Arc<Credentials>> {
        self.kept.get(secret_name)
    }

    /// The faults of Secrets, as sentences.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let sentence = |Faulty { fault, in_force }| match in_force {
            true => format!("{fault}; the relay goes on logging in with the credentials that it held before"),
            false => format!("{fault}; mail for smarthosts with these credentials waits"),
        };
        self.kept.faulty().into_iter().map(sentence).collect()
    }
}

fn secret_of(host: &Smarthost) -> Option<&str> {
    Some(host.credentials.as_ref()?.secret_name.as_str())
}

fn load(secrets: &Secrets, name: &str) -> Result<Arc<Credentials>, SecretError> {
    let unusable = |key, fault: &str| SecretError::Unusable { name: name.to_owned(), key, fault: fault.to_owned() };
    let user = read(secrets, name, USER, USER_MAX)?;
    let (password, token) =
        (optional(read(secrets, name, PASSWORD, SECRET_MAX))?, optional(read(secrets, name, TOKEN, SECRET_MAX))?);
    let secret = match (password, token) {
        (Some(password), None) => Secret::Password(password),
        (None, Some(token)) if is_token(token.as_bytes()) => Secret::Token(token),
        (None, Some(_)) => return Err(unusable(TOKEN, "it holds characters that no access token has")),
        (Some(_), Some(_)) => return Err(unusable(TOKEN, "there is a password beside it: leave one of the two out")),
        (None, None) => return Err(unusable(PASSWORD, "it is missing, and there is no token either")),
    };
    Ok(Arc::new(Credentials::new(user, secret)))
}

/// None where the key is missing.
fn optional(read: Result<String, SecretError>) -> Result<Option<String>, SecretError> {
    match read {
        Err(SecretError::Unreadable { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// What a key holds, without the line's end that editors and `echo` put there.
fn read(secrets: &Secrets, name: &str, key: &'static str, most: usize) -> Result<String, SecretError> {
    let unusable = |fault: String| SecretError::Unusable { name: name.to_owned(), key, fault };
    let mut text = String::from_utf8(secrets.read(name, key)?).map_err(|_| unusable("it is not UTF-8".into()))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return Err(unusable("it is empty".into()));
    }
    if text.len() > most {
        return Err(unusable(format!("it has more than {most} octets")));
    }
    if text.contains(char::is_control) {
        return Err(unusable("it holds a control character, such as the end of a line".into()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use mailsluice_crds::relay::{Route, SecretRef};

    use super::*;

    fn spec() -> SMTPRelaySpec {
        let credentials = Some(SecretRef { secret_name: "mail-login".into() });
        let smarthost = Some(Smarthost { credentials, ..Smarthost::new("mail.test", 587) });
        SMTPRelaySpec { routes: vec![Route { smarthost, ..Route::default() }], ..SMTPRelaySpec::default() }
    }

    #[test]
    fn a_secret_has_a_name_and_a_password_or_a_token() {
        let password = |text: &str| Secret::Password(text.into());
        let long = "x".repeat(SECRET_MAX + 1);
        for (keys, found) in [
            (vec![("username", "shop"), ("password", "pencil")], Ok(password("pencil"))),
            (vec![("username", "shop\n"), ("password", " grün \r\n")], Ok(password(" grün "))),
            (vec![("username", "shop"), ("token", "ya29.a-b_c=\n")], Ok(Secret::Token("ya29.a-b_c=".into()))),
            (vec![("password", "pencil")], Err("username: No such file")),
            (vec![("username", "shop")], Err("password: it is missing, and there is no token either")),
            (vec![("username", "shop"), ("password", "\n")], Err("password: it is empty")),
            (vec![("username", "shop"), ("password", "a\nb")], Err("password: it holds a control character")),
            (vec![("username", "shop"), ("password", &long)], Err("password: it has more than 8000 octets")),
            (vec![("username", "shop"), ("password", "\n"), ("token", "a")], Err("password: it is empty")),
            (vec![("username", "shop"), ("password", "a"), ("token", "\n")], Err("token: it is empty")),
            (vec![("username", "shop"), ("token", "a b")], Err("token: it holds characters that no access token")),
            (vec![("username", "shop"), ("password", "a"), ("token", "b")], Err("token: there is a password")),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let secret = folder.path().join("mail-login");
            fs::create_dir(&secret).unwrap();
            keys.iter().for_each(|(key, text)| fs::write(secret.join(key), text).unwrap());
            let logins = Logins::new(Secrets::below(folder.path().into()));
            assert!(logins.look(&spec()));
            let faults = logins.faults();
            match found {
                Ok(secret) => assert_eq!(*logins.get("mail-login").unwrap(), Credentials::new("shop", secret)),
                Err(fault) => {
                    assert!(faults[0].starts_with(&format!("Secret mail-login: {fault}")), "{faults:?}");
                    assert!(faults[0].ends_with("; mail for smarthosts with these credentials waits"), "{faults:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_prepared_is_there_before_it_is_wanted_and_told_of_when_it_is() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("mail-login")).unwrap();
        for (key, text) in [("username", "shop"), ("password", "pencil")] {
            fs::write(folder.path().join("mail-login").join(key), text).unwrap();
        }
        let logins = Logins::new(Secrets::below(folder.path().into()));
        let without = SMTPRelaySpec::default();
        assert!(!logins.look(&without));
        logins.prepare(&without, &spec());
        assert!(logins.get("mail-login").is_some());
        assert!(logins.look(&spec()), "it is told");
        assert!(!logins.look(&spec()), "once");
        assert!(logins.look(&without));
        assert_eq!(logins.get("mail-login"), None);
    }

    #[test]
    fn what_every_mechanism_makes_of_the_longest_credentials_fits_into_a_line() {
        use crate::smtp::sasl::{Exchange, Terms, scram::client::Bind, to_base64};
        let terms = Terms { host: "h".repeat(255), port: 65_535, bind: Bind::Could, nonce: "n".repeat(64) };
        // Each comma takes three octets.
        let (user, secret) = (",".repeat(USER_MAX), "x".repeat(SECRET_MAX));
        for secret in [Secret::Password(secret.clone()), Secret::Token(secret)] {
            let credentials = Arc::new(Credentials::new(user.clone(), secret));
            for mechanism in credentials.mechanisms() {
                let initial = Exchange::begin(*mechanism, credentials.clone(), terms.clone()).initial();
                let line = to_base64(&initial.unwrap_or_default()).len() + "\r\n".len();
                assert!(line <= 12_288, "{}: {line}", mechanism.name());
            }
        }
    }
}
