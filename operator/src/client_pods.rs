//! The pods of the service accounts that relays let in, by which relays know a token whose pod is gone, or that another pod shows.
//!
//! Each account is watched by itself, or all of a namespace (`*`), whatever number of relays let it in, as long as one does. What is published is a list as of a moment
//! ([`AccountPods`]), and handed over beside the relay's manifests. Pods come and go in swarms: a change is published after [`SOON`], and
//! once more after [`LATER`] where a pod went, since of a token from its last seconds no earlier list can tell.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use futures::{
    StreamExt as _,
    channel::mpsc::{self, UnboundedReceiver, UnboundedSender},
    stream::FuturesUnordered,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    runtime::{
        WatchStreamExt as _,
        reflector::ObjectRef,
        watcher::{self, watcher},
    },
};
use mailsluice_crds::{
    SMTPRelay,
    access::ALL,
    client_pods::{self, AccountPods, ClientPods, LEEWAY, MOST},
    relay::Client as Entry,
};
use tokio::time::{self, Instant};
use tracing::warn;

use crate::watch::Stores;

/// From a change to the list that has it.
const SOON: Duration = Duration::from_secs(5);
/// From a pod's end to the list by which every token of it is known to be left over.
const LATER: Duration = Duration::from_secs(LEEWAY + 2);
/// Pods that are listed at a time.
const PAGE: u32 = 50;

/// A service account: its namespace, and its name.
type Account = (String, String);

/// The addresses of pods, by their uid.
type Pods = BTreeMap<String, BTreeSet<IpAddr>>;

/// The pods of all accounts that relays let in, as far as they are known.
#[derive(Clone)]
pub struct PodBook(Arc<Shared>);

struct Shared {
    watch_namespace: Option<String>,
    published: RwLock<HashMap<Account, Published>>,
    /// The accounts that are watched, and the relays that let them in.
    asked: Mutex<HashMap<Account, HashSet<ObjectRef<SMTPRelay>>>>,
    ask: UnboundedSender<Account>,
}

/// A list, and whether anything has changed since the operator began.
#[derive(Clone)]
struct Published {
    pods: AccountPods,
    first: bool,
}

/// Who watches for a [`PodBook`].
pub struct Watching {
    book: PodBook,
    asked: UnboundedReceiver<Account>,
}

impl PodBook {
    /// One that knows nothing yet, of this namespace or of all; and what has to run for it.
    #[must_use]
    pub fn new(watch_namespace: Option<String>) -> (PodBook, Watching) {
        let (ask, asked) = mpsc::unbounded();
        let shared = Shared { watch_namespace, published: RwLock::default(), asked: Mutex::default(), ask };
        let book = PodBook(Arc::new(shared));
        (book.clone(), Watching { book, asked })
    }

    /// The file as a relay is to read it, which has `running` now; None, where it is to have none. What is not known is asked for, and a
    /// reconcile follows when it is.
    #[must_use]
    pub fn file(&self, relay: &ObjectRef<SMTPRelay>, clients: &[Entry], running: Option<&String>) -> Option<String> {
        let accounts = accounts(clients, self.0.watch_namespace.as_deref());
        self.ask(relay, &accounts);
        if accounts.is_empty() {
            return None;
        }
        let published = self.0.published.read().unwrap_or_else(PoisonError::into_inner);
        let known: HashMap<&Account, &Published> =
            accounts.iter().filter_map(|account| Some((account, published.get(account)?))).collect();
        file(&accounts, &known, running)
    }

    fn ask(&self, relay: &ObjectRef<SMTPRelay>, accounts: &BTreeSet<Account>) {
        let mut asked = self.0.asked.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, relays) in asked.iter_mut().filter(|(account, _)| !accounts.contains(*account)) {
            relays.remove(relay);
        }
        for account in accounts {
            let relays = asked.entry(account.clone()).or_insert_with(|| {
                // The receiver ends only with the operator's term.
                let _ = self.0.ask.unbounded_send(account.clone());
                HashSet::new()
            });
            relays.insert(relay.clone());
        }
    }

    /// The relays that let an account in.
    fn relays(&self, account: &Account) -> Vec<ObjectRef<SMTPRelay>> {
        let asked = self.0.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.get(account).into_iter().flatten().cloned().collect()
    }

    fn publish(&self, account: &Account, published: Published) {
        self.0.published.write().unwrap_or_else(PoisonError::into_inner).insert(account.clone(), published);
    }

    fn forget(&self, account: &Account) {
        self.0.published.write().unwrap_or_else(PoisonError::into_inner).remove(account);
        self.0.asked.lock().unwrap_or_else(PoisonError::into_inner).remove(account);
    }
}

impl Watching {
    /// Watches the pods of each account that is asked for, and asks for a reconcile of the relays that name it when they change. Never
    /// ends by itself.
    pub async fn run(mut self, client: Client, stores: Stores, queue: UnboundedSender<ObjectRef<SMTPRelay>>) {
        let mut watches = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(account) = self.asked.next() => {
                    watches.push(watch_account(self.book.clone(), account, client.clone(), &stores, &queue));
                }
                Some(account) = watches.next() => self.book.forget(&account),
                else => return,
            }
        }
    }
}

/// Watches an account's pods as long as a relay names it; the account.
async fn watch_account(
    book: PodBook,
    account: Account,
    client: Client,
    stores: &Stores,
    queue: &UnboundedSender<ObjectRef<SMTPRelay>>,
) -> Account {
    let api: Api<Pod> = Api::namespaced(client, &account.0);
    let all = watcher::Config::default().page_size(PAGE);
    let config = if account.1 == ALL { all } else { all.fields(&format!("spec.serviceAccountName={}", account.1)) };
    let mut events = std::pin::pin!(watcher(api, config).default_backoff());
    let mut seen = Seen::default();
    loop {
        tokio::select! {
            Some(event) = events.next() => match event {
                Ok(event) => seen.note(event, Instant::now()),
                Err(error) => {
                    let (namespace, name) = (&account.0, &account.1);
                    warn!(namespace, name, %error, "watching the pods of a service account failed and will be repeated");
                }
            },
            () = time::sleep_until(seen.due().unwrap_or_else(Instant::now)), if seen.due().is_some() => {
                let mut relays = book.relays(&account);
                relays.retain(|relay| stores.relays.get(relay).is_some());
                if relays.is_empty() {
                    return account;
                }
                let as_of = u64::try_from(Timestamp::now().as_second()).unwrap_or_default();
                book.publish(&account, seen.list(as_of, Instant::now()));
                for relay in relays {
                    // The receiver ends only with the operator's term.
                    let _ = queue.unbounded_send(relay);
                }
            }
        }
    }
}

/// An account's pods, and when they are to be published.
#[derive(Default)]
struct Seen {
    pods: Pods,
    /// Those of a listing under way.
    listing: Pods,
    listed: bool,
    changed: bool,
    soon: Option<Instant>,
    later: Option<Instant>,
}

impl Seen {
    fn note(&mut self, event: watcher::Event<Pod>, now: Instant) {
        let change = match event {
            watcher::Event::Init => {
                self.listing.clear();
                return;
            }
            watcher::Event::InitApply(pod) => {
                put(&mut self.listing, &pod);
                return;
            }
            watcher::Event::InitDone => {
                let before = std::mem::replace(&mut self.pods, std::mem::take(&mut self.listing));
                if !std::mem::replace(&mut self.listed, true) {
                    self.soon = Some(now);
                    return;
                }
                match before.keys().all(|uid| self.pods.contains_key(uid)) {
                    true if before == self.pods => Change::None,
                    true => Change::More,
                    false => Change::Gone,
                }
            }
            watcher::Event::Apply(pod) => put(&mut self.pods, &pod),
            watcher::Event::Delete(pod) => remove(&mut self.pods, pod.metadata.uid.as_deref().unwrap_or_default()),
        };
        if change == Change::None {
            return;
        }
        self.changed = true;
        self.soon = self.soon.or(Some(now + SOON));
        if change == Change::Gone {
            self.later = Some(now + LATER);
        }
    }

    fn due(&self) -> Option<Instant> {
        self.soon.into_iter().chain(self.later).min()
    }

    fn list(&mut self, as_of: u64, now: Instant) -> Published {
        for due in [&mut self.soon, &mut self.later] {
            *due = due.filter(|due| *due > now);
        }
        Published { pods: AccountPods { as_of, pods: self.pods.clone() }, first: !self.changed }
    }
}

/// What an event comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// Nothing that is published.
    None,
    /// A pod that came, or has other addresses.
    More,
    /// A pod that went.
    Gone,
}

fn remove(pods: &mut Pods, uid: &str) -> Change {
    if pods.remove(uid).is_some() { Change::Gone } else { Change::None }
}

/// A pod as it is now: one whose containers have ended sends nothing more.
fn put(pods: &mut Pods, pod: &Pod) -> Change {
    let Some(uid) = pod.metadata.uid.clone() else { return Change::None };
    let status = pod.status.as_ref();
    let ended = matches!(status.and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed"));
    if ended {
        return remove(pods, &uid);
    }
    let on_node = pod.spec.as_ref().is_some_and(|spec| spec.host_network == Some(true));
    let addresses = status.and_then(|status| status.pod_ips.as_ref()).into_iter().flatten();
    // A node has addresses of which its pods know nothing.
    let own: BTreeSet<IpAddr> = addresses.filter(|_| !on_node).filter_map(|address| address.ip.parse().ok()).collect();
    let before = pods.insert(uid, own.clone());
    if before.as_ref() == Some(&own) { Change::None } else { Change::More }
}

/// The accounts that entries let in, as far as they can be watched.
fn accounts(clients: &[Entry], watch_namespace: Option<&str>) -> BTreeSet<Account> {
    let listed = clients.iter().flat_map(|client| &client.service_accounts);
    let watched = listed.filter(|account| watch_namespace.is_none_or(|watched| watched == account.namespace));
    watched.map(|account| (account.namespace.clone(), account.name.clone())).collect()
}

/// The file for these accounts. An account of which nothing is known yet, or nothing new, keeps what is running; those with which
/// there would be too many pods have nothing.
fn file(
    accounts: &BTreeSet<Account>,
    known: &HashMap<&Account, &Published>,
    running: Option<&String>,
) -> Option<String> {
    let running: ClientPods = running.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let (mut all, mut room) = (ClientPods::default(), MOST);
    for account in accounts {
        let key = client_pods::account(&account.0, &account.1);
        let before = running.0.get(&key);
        let now = match known.get(account) {
            Some(Published { pods, first: true }) => before.filter(|before| before.pods == pods.pods).or(Some(pods)),
            Some(Published { pods, .. }) => Some(pods),
            None => before,
        };
        if let Some(pods) = now.filter(|pods| pods.pods.len() <= room) {
            room -= pods.pods.len();
            all.0.insert(key, pods.clone());
        }
    }
    serde_json::to_string(&all).ok().map(|text| format!("{text}\n"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(uid: &str, address: Option<&str>, phase: &str, on_node: bool) -> Pod {
        let addresses: Vec<_> = address.into_iter().map(|address| json!({"ip": address})).collect();
        serde_json::from_value(json!({
            "metadata": {"name": uid, "namespace": "shop", "uid": uid},
            "spec": {"containers": [], "hostNetwork": on_node},
            "status": {"phase": phase, "podIPs": addresses},
        }))
        .unwrap()
    }

    fn listed(pods: Vec<Pod>, now: Instant) -> Seen {
        let mut seen = Seen::default();
        seen.note(watcher::Event::Init, now);
        for pod in pods {
            seen.note(watcher::Event::InitApply(pod), now);
        }
        seen.note(watcher::Event::InitDone, now);
        seen
    }

    #[tokio::test]
    async fn a_list_has_the_pods_that_may_send_and_follows_their_changes() {
        let now = Instant::now();
        let mut seen = listed(
            vec![
                pod("a", Some("192.0.2.1"), "Running", false),
                pod("host", Some("192.0.2.100"), "Running", true),
                pod("ended", Some("192.0.2.2"), "Succeeded", false),
            ],
            now,
        );
        assert_eq!(seen.due(), Some(now), "at once, when all are listed");
        let list = seen.list(7, now);
        assert!(list.first);
        let text = r#"{"asOf":7,"pods":{"a":["192.0.2.1"],"host":[]}}"#;
        assert_eq!(serde_json::to_string(&list.pods).unwrap(), text);
        assert_eq!(seen.due(), None);
        seen.note(watcher::Event::Apply(pod("a", Some("192.0.2.1"), "Running", false)), now);
        assert_eq!(seen.due(), None, "nothing has changed");
        seen.note(watcher::Event::Apply(pod("b", None, "Pending", false)), now);
        assert_eq!(seen.due(), Some(now + SOON));
        seen.note(watcher::Event::Delete(pod("a", None, "Running", false)), now + SOON / 2);
        assert_eq!(seen.due(), Some(now + SOON), "one list for both");
        let list = seen.list(8, now + SOON);
        assert!(!list.first && list.pods.pods.keys().eq(["b", "host"]));
        assert_eq!(seen.due(), Some(now + SOON / 2 + LATER), "and one that tells of all tokens of the pod that went");
        seen.note(watcher::Event::Init, now);
        seen.note(watcher::Event::InitApply(pod("host", None, "Running", true)), now);
        assert!(seen.pods.contains_key("b"), "a listing that is not whole takes nothing away");
        seen.note(watcher::Event::InitDone, now);
        assert!(seen.list(9, now).pods.pods.keys().eq(["host"]));
    }

    #[test]
    fn a_relay_is_given_the_pods_of_its_accounts_and_keeps_what_it_has_till_they_are_known() {
        let clients: Vec<Entry> = serde_json::from_value(json!([
            {"serviceAccounts": [{"namespace": "shop", "name": "a"}, {"namespace": "mail", "name": "b"}]},
            {"networks": ["192.0.2.0/24"]},
        ]))
        .unwrap();
        let relay = ObjectRef::new("outbound").within("mail");
        let names = |watched| accounts(&clients, watched).into_iter().map(|account| account.0).collect::<Vec<_>>();
        assert_eq!((names(None), names(Some("shop"))), (vec!["mail".into(), "shop".into()], vec!["shop".to_owned()]));
        let (book, _watching) = PodBook::new(Some("shop".into()));
        assert_eq!(book.file(&relay, &[], Some(&"{}".into())), None);
        let published = |as_of, uid: &str, first| {
            let pods = BTreeMap::from([(uid.to_owned(), BTreeSet::new())]);
            book.publish(&("shop".into(), "a".into()), Published { pods: AccountPods { as_of, pods }, first });
        };
        assert_eq!(book.file(&relay, &clients, None).unwrap(), "{}\n");
        published(5, "u", true);
        let text = book.file(&relay, &clients, None).unwrap();
        assert_eq!(text, "{\"shop/a\":{\"asOf\":5,\"pods\":{\"u\":[]}}}\n");
        // An operator that has just started writes nothing where nothing has changed.
        published(6, "u", true);
        assert_eq!(book.file(&relay, &clients, Some(&text)), Some(text.clone()));
        published(7, "u", false);
        assert_ne!(book.file(&relay, &clients, Some(&text)), Some(text.clone()));
        published(8, "v", true);
        assert!(book.file(&relay, &clients, Some(&text)).unwrap().contains("\"v\""));
        let account = ("shop".to_owned(), "a".to_owned());
        assert_eq!(book.relays(&account), std::slice::from_ref(&relay));
        book.forget(&account);
        assert_eq!(book.file(&relay, &clients, Some(&text)), Some(text.clone()), "what is not known yet stays");
        assert_eq!(book.file(&relay, &[], Some(&text)), None);
        assert!(book.relays(&account).is_empty(), "nobody asks any more");
    }
}
