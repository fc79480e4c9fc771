//! The keys in force: read from Secrets, and again when they change.

use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use mailsluice_crds::relay::{Dkim, SMTPRelaySpec};

use super::Key;
use crate::{
    config::{Stamp, stamp},
    secrets::Secrets,
};

/// The keys of all domains that sign.
pub struct Keys {
    secrets: Secrets,
    known: RwLock<BTreeMap<Place, Known>>,
    /// Something changed that [`Keys::look`] has not told yet.
    untold: AtomicBool,
}

/// Where a key is: its Secret and its selector.
type Place = (String, String);

struct Known {
    stamp: Stamp,
    key: Option<Arc<Key>>,
    fault: Option<String>,
}

/// Who signs a message.
#[derive(Debug)]
pub struct Signer {
    /// The domain that signs.
    pub domain: String,
    /// Its keys, each with its selector; one at least.
    pub keys: Vec<(String, Arc<Key>)>,
}

/// A domain that signs has no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("mail of {domain} waits for a key that signs it: {fault}")]
pub struct NoKey {
    /// The domain.
    pub domain: String,
    /// What is wrong with its Secret.
    pub fault: String,
}

impl Keys {
    /// None yet.
    #[must_use]
    pub fn new(secrets: Secrets) -> Keys {
        Keys { secrets, known: RwLock::default(), untold: AtomicBool::new(false) }
    }

    /// Reads what is new or has changed, and forgets what nobody names; whether anything changed.
    pub fn look(&self, spec: &SMTPRelaySpec) -> bool {
        self.read(spec.dkim.iter().flat_map(places).collect()) | self.untold.swap(false, Ordering::Relaxed)
    }

    /// Reads what will be wanted beside what is wanted now, before that changes: so no message finds its key unread.
    pub fn prepare(&self, now: &SMTPRelaySpec, next: &SMTPRelaySpec) {
        if self.read(now.dkim.iter().chain(&next.dkim).flat_map(places).collect()) {
            self.untold.store(true, Ordering::Relaxed);
        }
    }

    fn read(&self, places: Vec<Place>) -> bool {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let before = known.len();
        known.retain(|place, _| places.contains(place));
        let mut changed = known.len() != before;
        for place in places {
            let path = self.secrets.path(&place.0, &file(&place.1));
            // Before the file is read: what changes in between is read again.
            let stamp = stamp(&path);
            if known.get(&place).is_some_and(|entry| entry.stamp == stamp) {
                continue;
            }
            changed = true;
            let last = known.remove(&place).and_then(|entry| entry.key);
            let read = fs::read(&path).map_err(|error| error.to_string());
            let entry = match read.and_then(|pem| Key::from_pem(&pem).map_err(|fault| fault.to_string())) {
                Ok(key) => Known { stamp, key: Some(Arc::new(key)), fault: None },
                Err(fault) => {
                    let fault = format!("Secret {}: {}: {fault}", place.0, file(&place.1));
                    Known { stamp, key: last, fault: Some(fault) }
                }
            };
            known.insert(place, entry);
        }
        changed
    }

    /// Who signs mail of this author's domain, where anybody does: the entry of the domain itself, or of the nearest one above it.
    ///
    /// # Errors
    /// The entry has no key that can be used.
    pub fn signer(&self, entries: &[Dkim], author: &str) -> Option<Result<Signer, NoKey>> {
        let entry = entry_of(entries, author)?;
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut keys = Vec::with_capacity(entry.selectors.len());
        let mut fault = None;
        for place in places(entry) {
            match known.get(&place) {
                Some(Known { key: Some(key), .. }) => keys.push((place.1, key.clone())),
                Some(Known { fault: Some(said), .. }) => fault = Some(said.clone()),
                // It is read within a moment.
                _ => fault = Some(format!("Secret {} is not read yet", place.0)),
            }
        }
        let domain = entry.domain.clone();
        Some(match fault {
            Some(fault) if keys.is_empty() => Err(NoKey { domain, fault }),
            _ => Ok(Signer { domain, keys }),
        })
    }

    /// What is wrong with keys, as sentences, with what that does to mail.
    #[must_use]
    pub fn faults(&self, spec: &SMTPRelaySpec) -> Vec<String> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut faults = Vec::new();
        for entry in &spec.dkim {
            let any = places(entry).any(|place| known.get(&place).is_some_and(|known| known.key.is_some()));
            for found in places(entry).filter_map(|place| known.get(&place)) {
                let Some(fault) = &found.fault else { continue };
                let domain = &entry.domain;
                faults.push(match (&found.key, any) {
                    (Some(_), _) => format!("{fault}; the key that it held before goes on signing mail of {domain}"),
                    (None, true) => format!("{fault}; mail of {domain} goes out with the signatures of its other keys"),
                    (None, false) => format!("{fault}; mail of {domain} waits until there is a key"),
                });
            }
        }
        faults
    }
}

fn places(entry: &Dkim) -> impl Iterator<Item = Place> + '_ {
    entry.selectors.iter().map(|selector| (entry.secret_name.clone(), selector.clone()))
}

/// The name of a selector's key in its Secret.
fn file(selector: &str) -> String {
    format!("{selector}{}", super::KEY_FILE)
}

fn entry_of<'a>(entries: &'a [Dkim], author: &str) -> Option<&'a Dkim> {
    let covers = |entry: &&Dkim| {
        let above = author.strip_suffix(entry.domain.as_str());
        above.is_some_and(|below| below.is_empty() || below.ends_with('.'))
    };
    entries.iter().filter(covers).max_by_key(|entry| entry.domain.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dkim::NewKey;

    fn entry(domain: &str, selectors: &[&str]) -> Dkim {
        let selectors = selectors.iter().map(|selector| (*selector).to_owned()).collect();
        Dkim { domain: domain.into(), selectors, secret_name: "outbound-dkim".into() }
    }

    #[test]
    fn the_domain_itself_signs_or_the_nearest_one_above_it() {
        let entries = [entry("example.org", &["a"]), entry("shop.example.org", &["a"])];
        for (author, want) in [
            ("example.org", Some("example.org")),
            ("mail.example.org", Some("example.org")),
            ("shop.example.org", Some("shop.example.org")),
            ("a.b.shop.example.org", Some("shop.example.org")),
            ("notexample.org", None),
            ("org", None),
            ("example.com", None),
        ] {
            assert_eq!(entry_of(&entries, author).map(|entry| entry.domain.as_str()), want, "{author}");
        }
    }

    #[test]
    fn mail_goes_out_with_the_keys_that_there_are_and_waits_where_there_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("outbound-dkim");
        fs::create_dir(&secret).unwrap();
        let keys = Keys::new(Secrets::below(folder.path().into()));
        let spec = SMTPRelaySpec { dkim: vec![entry("example.org", &["one", "two"])], ..SMTPRelaySpec::default() };
        let put = |name: &str, text: &str| {
            fs::write(secret.join("new"), text).unwrap();
            fs::rename(secret.join("new"), secret.join(name)).unwrap();
        };
        let made = || Key::generate(NewKey::Ed25519).unwrap().1;
        let state = || {
            let selectors = match keys.signer(&spec.dkim, "shop.example.org").unwrap() {
                Ok(signer) => signer.keys.into_iter().map(|(selector, _)| selector).collect(),
                Err(NoKey { domain, .. }) => vec![format!("{domain} waits")],
            };
            (selectors, keys.faults(&spec).iter().map(|fault| fault.rsplit("; ").next().unwrap().to_owned()).collect())
        };
        let want = |selectors: &[&str], faults: &[&str]| -> (Vec<String>, Vec<String>) {
            let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
            (owned(selectors), owned(faults))
        };
        let waits = "mail of example.org waits until there is a key";
        assert!(keys.look(&spec));
        assert_eq!(state(), want(&["example.org waits"], &[waits, waits]));
        assert!(keys.faults(&spec)[0].starts_with("Secret outbound-dkim: one.key: No such file"));
        assert!(!keys.look(&spec), "nothing changed");

        put("two.key", &made());
        assert!(keys.look(&spec));
        assert_eq!(state(), want(&["two"], &["mail of example.org goes out with the signatures of its other keys"]));
        put("one.key", &made());
        assert!(keys.look(&spec));
        assert_eq!(state(), want(&["one", "two"], &[]));
        put("one.key", "no key");
        assert!(keys.look(&spec));
        let goes_on = "the key that it held before goes on signing mail of example.org";
        assert_eq!(state(), want(&["one", "two"], &[goes_on]));
        assert!(keys.signer(&spec.dkim, "example.com").is_none());
    }
}
