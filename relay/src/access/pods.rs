//! The pods of the accounts that are let in, read from where the operator publishes them: what [`client_pods`] says of a token.
//!
//! Decisions:
//! - No file, or one that cannot be read, refuses nobody: a relay without an operator has none.
//! - An entry of `clients` with `networks` has said where its accounts come from; there no address is compared with the pod's own.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use mailsluice_crds::client_pods::{self, ClientPods, Misuse};

use super::{Access, Identity, tokens::Verified};
use crate::config::{Stamp, stamp};

/// What is published.
pub(super) struct Pods {
    file: PathBuf,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    /// The state of the file when it was last read; None before.
    seen: Option<Stamp>,
    pods: ClientPods,
}

impl Pods {
    /// Nothing yet; the file is in `folder`.
    pub(super) fn new(folder: &Path) -> Pods {
        Pods { file: folder.join(client_pods::FILE), known: RwLock::default() }
    }

    /// Reads the file if it has changed, and is wanted; whether anything changed.
    pub(super) fn look(&self, wanted: bool) -> bool {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        // Before the file is read: what changes in between is read again.
        let now = wanted.then(|| stamp(&self.file));
        if known.seen == now {
            return false;
        }
        let read = || serde_json::from_slice(&fs::read(&self.file).ok()?).ok();
        *known = Known { pods: now.as_ref().and_then(|_| read()).unwrap_or_default(), seen: now };
        true
    }

    /// Whether what is known speaks against this token, shown from this address.
    ///
    /// # Errors
    /// What does.
    pub(super) fn check(&self, access: &Access, token: &Verified, address: IpAddr) -> Result<(), Misuse> {
        let (Some(pod), Identity::ServiceAccount { namespace, name }) = (&token.pod, &token.identity) else {
            return Ok(());
        };
        let from = (!access.expects_from(&token.identity, address)).then_some(address);
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.pods.check(&client_pods::account(namespace, name), pod, from)
    }
}

#[cfg(test)]
mod tests {
    use mailsluice_crds::relay::{Client, ServiceAccount};

    use super::*;
    use mailsluice_crds::client_pods::TokenPod;

    #[test]
    fn a_token_is_judged_by_what_is_published_and_by_what_clients_say() {
        let folder = tempfile::tempdir().unwrap();
        let pods = Pods::new(folder.path());
        let entry = |networks: &[&str]| Client {
            service_accounts: vec![ServiceAccount { namespace: "shop".into(), name: "checkout".into() }],
            networks: networks.iter().map(|text| (*text).to_owned()).collect(),
            ..Client::default()
        };
        let open = Access::new(&[entry(&[])]).unwrap();
        let behind = Access::new(&[entry(&[]), entry(&["198.51.100.0/24"])]).unwrap();
        let token = |uid: &str| Verified {
            identity: Identity::ServiceAccount { namespace: "shop".into(), name: "checkout".into() },
            pod: Some(TokenPod { name: "checkout-0".into(), uid: uid.into(), issued: 900 }),
        };
        let good = |access: &Access, uid: &str, address: &str| {
            pods.check(access, &token(uid), address.parse().unwrap()).is_ok()
        };
        assert!(pods.look(true) && !pods.look(true));
        assert!(good(&open, "b", "192.0.2.9"), "nothing is known");
        let text = r#"{"shop/checkout": {"asOf": 1000, "pods": {"a": ["192.0.2.1"]}}}"#;
        fs::write(folder.path().join(client_pods::FILE), text).unwrap();
        assert!(pods.look(true) && !pods.look(true));
        for (access, uid, address, expected) in [
            (&open, "a", "192.0.2.1", true),
            (&open, "a", "192.0.2.9", false),
            (&open, "a", "198.51.100.1", false),
            (&behind, "a", "198.51.100.1", true),
            (&behind, "a", "192.0.2.9", false),
            (&open, "b", "192.0.2.1", false),
            (&behind, "b", "198.51.100.1", false),
        ] {
            assert_eq!(good(access, uid, address), expected, "{uid} from {address}");
        }
        let unbound = Verified { pod: None, ..token("b") };
        assert!(pods.check(&open, &unbound, "192.0.2.9".parse().unwrap()).is_ok(), "it is no pod's");
        assert!(pods.look(false) && good(&open, "b", "192.0.2.9"));
    }
}
