//! Whether a client is who it says: users, tokens and certificates together, within the bounds of what guessing may cost.

use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    thread,
    time::{Duration, Instant},
};

use tokio::{sync::Semaphore, task, time};

use super::{
    Access, Identity,
    certificates::Authorities,
    failures::Failures,
    pods::Pods,
    tokens::{AUDIENCE, KEYS_FILE, TokenKeys},
    users::{self, Users},
};
use crate::{
    config::{Stamp, stamp},
    secrets::{Faulty, Kept, Secrets},
    smtp::sasl::scram::StoredKeys,
};

/// How long a client waits for its turn to have a password hashed.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a claim comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Holds(Identity),
    /// It does not; why, for the log.
    Fails(String),
    /// There were too many failures before: nothing was checked, and nothing will be for so long.
    Wait(Duration),
    /// Too many passwords wait to be hashed.
    Busy,
}

/// What clients are known by.
pub struct Accounts {
    users: Kept<Arc<Users>>,
    authorities: Authorities,
    keys_file: PathBuf,
    keys: RwLock<Keys>,
    pods: Pods,
    failures: Mutex<Failures>,
    /// Passwords that are hashed at a time: half of the processors, so that mail goes on beside it.
    hashing: Arc<Semaphore>,
}

#[derive(Default)]
struct Keys {
    /// The state of the file when it was last read; None before.
    seen: Option<Stamp>,
    value: Option<Arc<TokenKeys>>,
    fault: Option<String>,
}

impl Accounts {
    /// None yet. The cluster's keys are in `folder`.
    #[must_use]
    pub fn new(secrets: Secrets, folder: &std::path::Path) -> Accounts {
        let load = |secrets: &Secrets, name: &str| Users::load(secrets, name).map(Arc::new);
        let threads = thread::available_parallelism().map_or(1, |count| count.get().div_ceil(2));
        Accounts {
            users: Kept::new(secrets.clone(), &[users::KEY], load),
            authorities: Authorities::new(secrets),
            keys_file: folder.join(KEYS_FILE),
            keys: RwLock::default(),
            pods: Pods::new(folder),
            failures: Mutex::default(),
            hashing: Arc::new(Semaphore::new(threads)),
        }
    }

    /// Reads what is new or has changed; whether anything changed.
    pub fn look(&self, access: &Access) -> bool {
        let users = self.users.look(access.user_secrets());
        let authorities = self.authorities.look(access.authority_secrets());
        let keys = self.look_at_keys(access.has_service_accounts());
        // Every pod that comes or goes changes them: no news to tell.
        let _ = self.pods.look(access.has_service_accounts());
        users || authorities || keys
    }

    fn look_at_keys(&self, wanted: bool) -> bool {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        if !wanted {
            let had = keys.seen.is_some();
            *keys = Keys::default();
            return had;
        }
        // Before the file is read: what changes in between is read again.
        let now = Some(stamp(&self.keys_file));
        if keys.seen == now {
            return false;
        }
        keys.seen = now;
        match TokenKeys::load(&self.keys_file, AUDIENCE) {
            Ok(read) => (keys.value, keys.fault) = (Some(Arc::new(read)), None),
            Err(error) => {
                let then = match keys.value {
                    Some(_) => "the keys that it held before are believed on",
                    None => "no service account is let in",
                };
                keys.fault = Some(format!("{error}; {then}"));
            }
        }
        true
    }

    /// The faults of Secrets, as sentences.
    #[must_use]
    pub fn faults(&self, access: &Access) -> Vec<String> {
        let sentence = |Faulty { fault, in_force }| match in_force {
            true => format!("{fault}; the users that it held before are let in on"),
            false => format!("{fault}; none of its users is let in"),
        };
        let mut faults: Vec<String> = self.users.faulty().into_iter().map(sentence).collect();
        for users in access.user_secrets().filter_map(|secret| self.users.get(secret)) {
            faults.extend(users.faults.iter().cloned());
        }
        faults.extend(self.authorities.faults());
        faults
    }

    /// What is wrong with the cluster's keys.
    #[must_use]
    pub fn keys_fault(&self) -> Option<String> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).fault.clone()
    }

    /// The authorities of clients' certificates.
    #[must_use]
    pub fn authorities(&self) -> &Authorities {
        &self.authorities
    }

    /// Whether SCRAM works for every user.
    #[must_use]
    pub fn know_scram(&self, access: &Access) -> bool {
        let mut secrets = access.user_secrets().filter_map(|secret| self.users.get(secret)).peekable();
        secrets.peek().is_some() && secrets.all(|users| users.know_scram())
    }

    /// Checks a name and a password, on a thread for such work.
    pub async fn check_password(&self, access: &Access, address: IpAddr, user: &str, password: &[u8]) -> Verdict {
        if let Some(wait) = self.wait(address, Some(user)) {
            return Verdict::Wait(wait);
        }
        let Ok(Ok(permit)) = time::timeout(PATIENCE, self.hashing.clone().acquire_owned()).await else {
            return Verdict::Busy;
        };
        // Others may have failed while this one waited.
        if let Some(wait) = self.wait(address, Some(user)) {
            return Verdict::Wait(wait);
        }
        let holds = match (self.users_of(access, user), std::str::from_utf8(password)) {
            (Some((secret, users)), Ok(password)) => {
                let (name, password) = (user.to_owned(), password.to_owned());
                let work = task::spawn_blocking(move || {
                    let _permit = permit;
                    users.check(&name, &password)
                });
                work.await.unwrap_or(false).then_some(secret)
            }
            _ => None,
        };
        self.settle(address, user, holds)
    }

    /// The keys that SCRAM needs for a user, be there such a user or not.
    ///
    /// # Errors
    /// The verdict, where it is clear without a proof.
    pub fn scram(&self, access: &Access, address: IpAddr, user: &str) -> Result<StoredKeys, Verdict> {
        if let Some(wait) = self.wait(address, Some(user)) {
            return Err(Verdict::Wait(wait));
        }
        let keys = self.users_of(access, user).and_then(|(_, users)| users.scram(user));
        keys.ok_or_else(|| self.settle(address, user, None))
    }

    /// What a proof by SCRAM comes to.
    pub fn settle_scram(&self, access: &Access, address: IpAddr, user: &str, proven: bool) -> Verdict {
        let found = self.users_of(access, user).filter(|(_, users)| proven && users.has(user));
        self.settle(address, user, found.map(|(secret, _)| secret))
    }

    /// Whether there is a user of this name.
    #[must_use]
    pub fn has_user(&self, access: &Access, user: &str) -> bool {
        self.users_of(access, user).is_some_and(|(_, users)| users.has(user))
    }

    /// Checks a token.
    pub fn check_token(&self, access: &Access, address: IpAddr, token: &[u8]) -> Verdict {
        if let Some(wait) = self.wait(address, None) {
            return Verdict::Wait(wait);
        }
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner).value.clone();
        let verified = match keys {
            Some(keys) => keys.verify(token).map_err(|error| error.to_string()),
            None => Err("the cluster's keys are not known".to_owned()),
        };
        let judged = verified.and_then(|verified| match self.pods.check(access, &verified, address) {
            Ok(()) => Ok(verified.identity),
            Err(misuse) => Err(misuse.to_string()),
        });
        match judged {
            Ok(identity) => Verdict::Holds(identity),
            Err(why) => {
                self.failures().failed(address, None, Instant::now());
                Verdict::Fails(format!("the token is not good: {why}"))
            }
        }
    }

    /// The users among whom that one is, and the Secret they are in: the first that has the name, or else the first.
    fn users_of(&self, access: &Access, user: &str) -> Option<(Arc<str>, Arc<Users>)> {
        let known = || access.user_secrets().filter_map(|secret| Some((secret, self.users.get(secret)?)));
        let found = known().find(|(_, users)| users.has(user)).or_else(|| known().next());
        found.map(|(secret, users)| (secret.into(), users))
    }

    fn settle(&self, address: IpAddr, user: &str, secret: Option<Arc<str>>) -> Verdict {
        let now = Instant::now();
        match secret {
            Some(secret) => {
                self.failures().came_in(address, user, now);
                Verdict::Holds(Identity::User { secret, name: user.to_owned() })
            }
            None => {
                self.failures().failed(address, Some(user), now);
                Verdict::Fails("the name or the password is wrong".into())
            }
        }
    }

    fn wait(&self, address: IpAddr, user: Option<&str>) -> Option<Duration> {
        self.failures().wait(address, user, Instant::now())
    }

    fn failures(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use mailsluice_crds::relay::{self, Client};

    use super::*;
    use crate::access::{HashKind, user_line};

    #[tokio::test]
    async fn passwords_are_checked_and_guessing_is_stopped_before_it_costs_anything() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("outbound-users")).unwrap();
        let line = user_line("shop", "pencil", HashKind::Scram).unwrap();
        fs::write(folder.path().join("outbound-users/users"), format!("{line}\nbad\n")).unwrap();
        let users = Some(relay::Users { secret_name: "outbound-users".into() });
        let access = Access::new(&[Client { users, ..Client::default() }]).unwrap();
        let accounts = Accounts::new(Secrets::below(folder.path().into()), folder.path());
        assert!(accounts.look(&access));
        assert!(!accounts.look(&access));
        assert_eq!(accounts.faults(&access), ["Secret outbound-users: users: line 2: write name:hash"]);
        assert!(accounts.know_scram(&access));

        let here: IpAddr = "192.0.2.1".parse().unwrap();
        let shop = Identity::User { secret: "outbound-users".into(), name: "shop".into() };
        assert_eq!(accounts.check_password(&access, here, "shop", b"pencil").await, Verdict::Holds(shop.clone()));
        assert_eq!(accounts.settle_scram(&access, here, "shop", true), Verdict::Holds(shop));
        for user in ["shop", "nobody"].iter().cycle().take(10) {
            let verdict = accounts.check_password(&access, here, user, b"pen").await;
            assert!(matches!(verdict, Verdict::Fails(_)), "{verdict:?}");
        }
        assert!(matches!(accounts.check_password(&access, here, "shop", b"pencil").await, Verdict::Wait(_)));
        assert!(matches!(accounts.scram(&access, here, "shop"), Err(Verdict::Wait(_))));
        assert!(matches!(accounts.check_token(&access, here, b"x"), Verdict::Wait(_)));
        let there: IpAddr = "192.0.2.2".parse().unwrap();
        assert!(accounts.scram(&access, there, "nobody").is_ok());
        assert!(matches!(accounts.settle_scram(&access, there, "nobody", true), Verdict::Fails(_)));
    }
}
